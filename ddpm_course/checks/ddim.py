"Checkers for the exercises of 16 DDIM."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.steps import MISTAKES, noise_free, roots
from ddpm_course.checks.walks import MISWALKS, walk


def rates():
    "(alpha_bar_t, alpha_bar_prev, eta), all of them exact enough to tell the answers apart."
    return [(0.5, 0.8, 1.0), (0.02, 0.1, 0.5), (0.9, 1.0, 0.7), (0.0, 0.3, 0.4)]


def variance(a, b, eta=1.0): return eta**2 * (1 - b) / (1 - a) * (1 - a / b)


def sigma_of(a, b, eta): return variance(a, b, eta)**0.5


def upside_down(a, b, eta): return eta * ((1 - a) / (1 - b) * (1 - a / b))**0.5


sigma = Exercise(
    right=lambda ab_t, ab_prev, eta: sigma_of(ab_t, ab_prev, eta),
    cases=rates,
    wrong={
        "this is the variance sigma^2; take its square root": variance,
        "this is eta times the variance; sigma is its square root, and eta multiplies that":
            lambda a, b, eta: eta * variance(a, b),
        "this puts eta under the root; eta scales sigma, so it enters the variance as eta^2":
            lambda a, b, eta: (eta * variance(a, b))**0.5,
        "eta is outside of the root, so it multiplies once; here it is squared":
            lambda a, b, eta: eta * sigma_of(a, b, eta),
        "the step's beta is 1 - alpha_bar_t / alpha_bar_prev; this is the difference of the two":
            lambda a, b, eta: eta * ((1 - b) / (1 - a) * (b - a))**0.5,
        "the step's beta is 1 - alpha_bar_t / alpha_bar_prev, and has no root in it":
            lambda a, b, eta: eta * ((1 - b) / (1 - a) * (1 - (a / b)**0.5))**0.5,
        "this is the variance, and eta is missing": lambda a, b, eta: variance(a, b),
        "eta is missing: this adds as much noise as DDPM does, whatever eta is":
            lambda a, b, eta: variance(a, b)**0.5,
        "this is eta times the root of the step's beta; the factor (1 - alpha_bar_prev) / "
        "(1 - alpha_bar_t) is missing": lambda a, b, eta: eta * (1 - a / b)**0.5,
        "both fractions belong under the root; here it covers only the first":
            lambda a, b, eta: eta * ((1 - b) / (1 - a))**0.5 * (1 - a / b),
        "both fractions belong under the root; here it covers only the second":
            lambda a, b, eta: eta * (1 - b) / (1 - a) * (1 - a / b)**0.5,
        "this is eta times all the noise at prev; a step adds only the share "
        "sqrt((1 - alpha_bar_t / alpha_bar_prev) / (1 - alpha_bar_t)) of it":
            lambda a, b, eta: eta * (1 - b)**0.5,
        "the first fraction is upside down: less noise can remain at prev than at t, so "
        "1 - alpha_bar_prev belongs on top": upside_down,
        "1 - alpha_bar_t / alpha_bar_prev is the step's beta; this uses the ratio itself":
            lambda a, b, eta: eta * ((1 - b) / (1 - a) * a / b)**0.5,
        "the two fractions are multiplied; this adds them":
            lambda a, b, eta: eta * ((1 - b) / (1 - a) + 1 - a / b)**0.5,
        "this is eta times the standard deviation at prev over that at t; the factor "
        "1 - alpha_bar_t / alpha_bar_prev is missing":
            lambda a, b, eta: eta * ((1 - b) / (1 - a))**0.5,
    },
    praise="At eta = 1 it is the posterior's standard deviation; at the last step, where "
           "alpha_bar_prev = 1, it is 0 for every eta.")


def draws(n, seed=0):
    "n images (2, 1, 3, 3) in float64."
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 1, 3, 3, generator=rng, dtype=torch.float64) for _ in range(n)]


def images():
    "(x_t, eps, alpha_bar_t, alpha_bar_prev)"
    x = draws(6)
    return [(*x[:2], 0.3, 0.6), (*x[2:4], 0.05, 0.2), (*x[4:], 0.7, 1.0)]


def level(alpha_bar): return ((1 - alpha_bar) / alpha_bar)**0.5


def euler(x_t, eps, a, b, level=level):
    return b**0.5 * (x_t / a**0.5 + (level(b) - level(a)) * eps)


def with_level(level): return lambda *args: euler(*args, level)


euler_step = Exercise(
    right=lambda x_t, eps, ab_t, ab_prev: euler(x_t, eps, ab_t, ab_prev),
    cases=images,
    wrong={
        "this steps away from the data: sigma falls, so the step is sigma_prev - sigma_t, a "
        "negative number":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 + (level(a) - level(b)) * eps),
        "this returns the rescaled image; multiply by sqrt(alpha_bar_prev) to come back to x_prev":
            lambda x_t, eps, a, b: euler(x_t, eps, a, b) / b**0.5,
        "this comes back with sqrt(alpha_bar_t); the image now lives at prev":
            lambda x_t, eps, a, b: euler(x_t, eps, a, b) * (a / b)**0.5,
        "x_t alone is divided by sqrt(alpha_bar_t); here the step is, too":
            lambda x_t, eps, a, b: (b / a)**0.5 * (x_t + (level(b) - level(a)) * eps),
        "the step must be scaled back too: sqrt(alpha_bar_prev) multiplies the sum":
            lambda x_t, eps, a, b: b**0.5 * x_t / a**0.5 + (level(b) - level(a)) * eps,
        "x_t must be divided by sqrt(alpha_bar_t) before the step":
            lambda x_t, eps, a, b: b**0.5 * (x_t + (level(b) - level(a)) * eps),
        "x_t must be divided by sqrt(alpha_bar_t) before the step, and multiplied by "
        "sqrt(alpha_bar_prev) after it; here it is moved as it is":
            lambda x_t, eps, a, b: x_t + (level(b) - level(a)) * eps,
        "the rates are square roots: divide by sqrt(alpha_bar_t), come back with "
        "sqrt(alpha_bar_prev)": lambda x_t, eps, a, b: b * (x_t / a + (level(b) - level(a)) * eps),
        "the noise level is a square root: sqrt((1 - alpha_bar) / alpha_bar)":
            with_level(lambda ab: (1 - ab) / ab),
        "the noise level is sqrt((1 - alpha_bar) / alpha_bar); here the root covers 1 - alpha_bar "
        "alone": with_level(lambda ab: (1 - ab)**0.5 / ab),
        "the noise level is sqrt((1 - alpha_bar) / alpha_bar); here the root covers alpha_bar "
        "alone": with_level(lambda ab: (1 - ab) / ab**0.5),
        "the noise level is upside down: the noise, 1 - alpha_bar, stands above":
            with_level(lambda ab: (ab / (1 - ab))**0.5),
        "the step is the difference of two levels; this takes sigma_prev alone":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 + level(b) * eps),
        "the step is the difference of two levels; this takes sigma_t alone, and so goes to x0_hat":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 - level(a) * eps),
        "the step is the difference of two levels; this adds them":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 + (level(b) + level(a)) * eps),
        "x_t is divided by the root of alpha_bar_t; here the root is missing":
            lambda x_t, eps, a, b: euler(x_t / a**0.5, eps, a, b),
        "the way back multiplies by the root of alpha_bar_prev; here the root is missing":
            lambda x_t, eps, a, b: euler(x_t, eps, a, b) * b**0.5,
        "x_t is multiplied by sqrt(alpha_bar_t) here; divide by it":
            lambda x_t, eps, a, b: euler(x_t * a, eps, a, b),
        "this divides by sqrt(alpha_bar_prev) at the end; the way back multiplies":
            lambda x_t, eps, a, b: euler(x_t, eps, a, b) / b,
        "x_t is rescaled by alpha_bar_prev / alpha_bar_t here; both rates are roots":
            lambda x_t, eps, a, b: euler(x_t * (b / a)**0.5, eps, a, b),
        "t and prev are exchanged: this goes up, from prev to t":
            lambda x_t, eps, a, b: euler(x_t, eps, b, a),
        "sqrt(1 - alpha_bar) is the noise rate of x_t; after dividing by sqrt(alpha_bar) the noise "
        "level is sqrt((1 - alpha_bar) / alpha_bar)":
            with_level(lambda ab: (1 - ab)**0.5),
    },
    praise="One line, and it is DDIM with eta = 0: rescale, move along eps, scale back.",
    keeps_inputs=True)


def lists():
    return [([999, 899, 799, 699, 599, 499, 399, 299, 199, 99],), ([999, 888, 500, 37, 0],),
            ([999, 666, 333],), ([999],)]


pairs = Exercise(
    right=lambda timesteps: walk(timesteps),
    cases=lists,
    wrong=MISWALKS,
    praise="The list says everything; no formula for 'previous' is needed, so none can be wrong.",
    keeps_inputs=True)


def clipped(): return [(*images()[i][:2], 0.3, 0.6, clip) for i, clip in ((0, 1.0), (1, 0.5))]


def stale(x_t, eps, a, b, limit, **options):
    return noise_free(x_t, eps, a, b, **{"clip": (-limit, limit), **options, "derive": None})


def undivided(x_t, eps, signal, noise): return x_t - noise * eps


def varied(**options): return lambda *args: stale(*args, **options)


def clamped(low, high):
    "x0_hat clamped to limits that are made of clip."
    return lambda *args: stale(*args, clip=(low(args[-1]), high(args[-1])))


INF = float("inf")

stale_step = Exercise(
    right=lambda x_t, eps, ab_t, ab_prev, clip: stale(x_t, eps, ab_t, ab_prev, clip),
    cases=clipped,
    wrong={
        "this derives eps anew from the clipped x0_hat. That is the right sampler; here we want "
        "the bug, so keep the eps of the network":
            lambda x_t, eps, a, b, clip: noise_free(x_t, eps, a, b, clip=(-clip, clip)),
        "nothing is clipped here; clamp x0_hat to [-clip, clip] first": varied(clip=(-INF, INF)),
        "this clips x_prev; the bug clips x0_hat and forgets eps":
            lambda x_t, eps, a, b, clip: stale(x_t, eps, a, b, INF).clamp(-clip, clip),
        "this clips x_t; the bug clips x0_hat":
            lambda x_t, eps, a, b, clip: stale(x_t.clamp(-clip, clip), eps, a, b, INF),
        "this clips before it divides by sqrt(alpha_bar_t); divide first": lambda *args:
            stale(*args, back=lambda a, b: ((b / a)**0.5, (1 - b)**0.5), image=undivided),
        "the clip is always 1 here; clamp to [-clip, clip]": varied(clip=(-1, 1)),
        "clamp(clip) sets the lower limit; clamp to [-clip, clip]":
            clamped(lambda clip: clip, lambda clip: INF),
        "only the upper limit is set here; clamp to [-clip, clip]":
            clamped(lambda clip: -INF, lambda clip: clip),
        "only the lower limit is set here; clamp to [-clip, clip]":
            clamped(lambda clip: -clip, lambda clip: INF),
        "t and prev are exchanged: x_t is at alpha_bar_t, and goes to alpha_bar_prev":
            lambda x_t, eps, a, b, clip: stale(x_t, eps, b, a, clip),
        "this clamps to [0, clip]; pixels have both signs, so clamp to [-clip, clip]":
            clamped(lambda clip: 0, lambda clip: clip),
        "this clips eps as well; the bug clips x0_hat, and leaves eps as it was":
            lambda x_t, eps, a, b, clip: stale(x_t, eps, a, b, clip)
            + (1 - b)**0.5 * (eps.clamp(-clip, clip) - eps),
        "this clips eps; the bug clips x0_hat, and leaves eps as it was":
            lambda x_t, eps, a, b, clip: stale(x_t, eps, a, b, INF)
            + (1 - b)**0.5 * (eps.clamp(-clip, clip) - eps),
        "x0_hat is what the network believes at t, so it has the rates of alpha_bar_t; here it has "
        "those of alpha_bar_prev": lambda x_t, eps, a, b, clip:
            stale(x_t, eps, b, a, clip, back=lambda b, a: roots(b)),
        **{what: varied(**options) for what, options in MISTAKES.items()},
    },
    praise="And wrong in the way that was wanted: x0_hat and eps no longer explain x_t.",
    keeps_inputs=True)


def halves():
    "(x_prev, known, mask, noise, alpha_bar_prev); the last one at clean data."
    x = draws(3, seed=1)
    mask = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    mask[..., :2, :] = 1
    return [(x[0].clone(), x[1], mask, x[2], b) for b in (0.6, 0.05, 1.0)]


def noised(known, noise, b): return b**0.5 * known + (1 - b)**0.5 * noise


def mixed(mask, where, elsewhere): return mask * where + (1 - mask) * elsewhere


keep_known = Exercise(
    right=lambda x_prev, known, mask, noise, ab_prev:
        mixed(mask, noised(known, noise, ab_prev), x_prev),
    cases=halves,
    wrong={
        "the mask is the wrong way round: where it is 1 the pixel is known":
            lambda x, known, mask, noise, b: mixed(1 - mask, noised(known, noise, b), x),
        "the known pixels go in clean here; at prev the network expects them noised, with "
        "sqrt(alpha_bar_prev) and sqrt(1 - alpha_bar_prev)":
            lambda x, known, mask, noise, b: mixed(mask, known, x),
        "the rates are square roots of alpha_bar_prev and of 1 - alpha_bar_prev":
            lambda x, known, mask, noise, b: mixed(mask, b * known + (1 - b) * noise, x),
        "the noise comes with the root of 1 - alpha_bar_prev; here the root is missing":
            lambda x, known, mask, noise, b: mixed(mask, b**0.5 * known + (1 - b) * noise, x),
        "the known image comes with the root of alpha_bar_prev; here the root is missing":
            lambda x, known, mask, noise, b: mixed(mask, b * known + (1 - b)**0.5 * noise, x),
        "the noise comes with sqrt(1 - alpha_bar_prev); 1 - sqrt(alpha_bar_prev) is less": lambda
            x, known, mask, noise, b: mixed(mask, b**0.5 * known + (1 - b**0.5) * noise, x),
        "the noise is not scaled here: sqrt(1 - alpha_bar_prev) multiplies it":
            lambda x, known, mask, noise, b: mixed(mask, b**0.5 * known + noise, x),
        "this adds noise to the pixels of x_prev as well, which has its noise already":
            lambda x, known, mask, noise, b: noised(mixed(mask, known, x), noise, b),
        "x_prev is at its level already; here it is shrunk by sqrt(alpha_bar_prev)":
            lambda x, known, mask, noise, b: mixed(mask, noised(known, noise, b), b**0.5 * x),
        "the noise is added where the mask is 0 here; it belongs to the known pixels": lambda
            x, known, mask, noise, b: mixed(mask, b**0.5 * known, x + (1 - b)**0.5 * noise),
        "the noise goes into all pixels here; multiply it by the mask, like the known image":
            lambda x, known, mask, noise, b:
                mixed(mask, b**0.5 * known, x) + (1 - b)**0.5 * noise,
        "the two rates are swapped: sqrt(alpha_bar_prev) belongs to the known image":
            lambda x, known, mask, noise, b: mixed(mask, noised(noise, known, b), x),
        "the known image is not shrunk here: sqrt(alpha_bar_prev) multiplies it":
            lambda x, known, mask, noise, b: mixed(mask, known + (1 - b)**0.5 * noise, x),
        "the noise is missing: the known image is only shrunk":
            lambda x, known, mask, noise, b: mixed(mask, b**0.5 * known, x),
        "this adds the known pixels to x_prev; they take the place of its pixels, so multiply "
        "x_prev by 1 - mask":
            lambda x, known, mask, noise, b: x + mask * noised(known, noise, b),
        "everything is replaced here; keep x_prev where mask is 0":
            lambda x, known, mask, noise, b: noised(known, noise, b),
        "the pixels that are not known are 0 here; keep those of x_prev":
            lambda x, known, mask, noise, b: mask * noised(known, noise, b),
        "nothing is replaced here": lambda x, known, mask, noise, b: x,
    },
    praise="The known pixels enter through x_t alone; the network needs no new training.",
    keeps_inputs=True)
