"Checkers for the exercises of 16 DDIM."

import torch

from ddpm_course.checks import Exercise
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


def on_top(x0, eps, z, b, sigma, **rates):
    "x_prev; the rates of x0, eps and z that are not those of the exercise by their names."
    share = {"image": b**0.5, "old": (1 - b)**0.5, "fresh": sigma} | rates
    return share["image"] * x0 + share["old"] * eps + share["fresh"] * z


def with_rates(rates): return lambda *args: on_top(*args, **rates(*args[3:]))


def noises():
    "(x0_hat, eps, z, alpha_bar_prev, sigma), where the old noise could be shortened."
    x = draws(6, seed=1)
    return [(*x[:3], 0.6, 0.3), (*x[3:], 0.2, 0.5)]


noise_on_top = Exercise(
    right=on_top,
    cases=noises,
    wrong={
        "this shortens the old noise to sqrt(1 - alpha_bar_prev - sigma^2). That is the right "
        "step; here we want the bug, so keep all of eps":
            with_rates(lambda b, sigma: {"old": (1 - b - sigma**2)**0.5}),
        "this takes sigma off the variance of the old noise; the bug takes nothing off":
            with_rates(lambda b, sigma: {"old": (1 - b - sigma)**0.5}),
        "the fresh noise is missing: add sigma z": with_rates(lambda b, sigma: {"fresh": 0}),
        "z is not scaled here: sigma multiplies it": with_rates(lambda b, sigma: {"fresh": 1}),
        "sigma is a standard deviation already, and multiplies z as it is; here it is squared":
            with_rates(lambda b, sigma: {"fresh": sigma**2}),
        "sigma is a standard deviation already; here its root is taken":
            with_rates(lambda b, sigma: {"fresh": sigma**0.5}),
        "the old noise is missing: sqrt(1 - alpha_bar_prev) eps":
            with_rates(lambda b, sigma: {"old": 0}),
        "the old noise is put back with the root of 1 - alpha_bar_prev; here the root is missing":
            with_rates(lambda b, sigma: {"old": 1 - b}),
        "x0_hat comes back with the root of alpha_bar_prev; here the root is missing":
            with_rates(lambda b, sigma: {"image": b}),
        "both rates are roots, of alpha_bar_prev and of 1 - alpha_bar_prev; here they are missing":
            with_rates(lambda b, sigma: {"image": b, "old": 1 - b}),
        "the two rates are swapped: sqrt(alpha_bar_prev) belongs to x0_hat, "
        "sqrt(1 - alpha_bar_prev) to eps":
            with_rates(lambda b, sigma: {"image": (1 - b)**0.5, "old": b**0.5}),
        "x0_hat is not shrunk here: sqrt(alpha_bar_prev) multiplies it":
            with_rates(lambda b, sigma: {"image": 1}),
        "eps and z are exchanged: sigma belongs to the fresh noise z":
            lambda x0, eps, z, b, sigma: on_top(x0, z, eps, b, sigma),
    },
    praise="And wrong in the way that was wanted: there is more noise than the network is told.",
    keeps_inputs=True)
