"Checkers for the exercises of 05 DDIM."

import torch

from ddpm_course.checks import Exercise


def rates():
    "(alpha_bar_t, alpha_bar_prev, eta), all of them exact enough to tell the answers apart."
    return [(0.5, 0.8, 1.0), (0.02, 0.1, 0.5), (0.9, 1.0, 0.7), (0.0, 0.3, 0.4)]


def variance(a, b, eta=1.0): return eta**2 * (1 - b) / (1 - a) * (1 - a / b)


sigma = Exercise(
    right=lambda a, b, eta: variance(a, b, eta)**0.5,
    cases=rates,
    wrong={
        "this is the variance sigma^2; take its square root": variance,
        "this puts eta under the root; eta scales sigma, so it enters the variance as eta^2": lambda a, b, eta: (eta * variance(a, b))**0.5,
        "eta is missing: this adds as much noise as DDPM does, whatever eta is": lambda a, b, eta: variance(a, b)**0.5,
        "this is eta times the root of the step's beta; the factor (1 - alpha_bar_prev) / (1 - alpha_bar_t) is missing": lambda a, b, eta: eta * (1 - a / b)**0.5,
        "both fractions belong under the root; here it covers only the first": lambda a, b, eta: eta * ((1 - b) / (1 - a))**0.5 * (1 - a / b),
        "this is eta times all the noise at prev; a step adds only the share sqrt((1 - alpha_bar_t / alpha_bar_prev) / (1 - alpha_bar_t)) of it": lambda a, b, eta: eta * (1 - b)**0.5,
        "the first fraction is upside down: less noise can remain at prev than at t, so 1 - alpha_bar_prev belongs on top":
            lambda a, b, eta: float("inf") if b == 1 else eta * ((1 - a) / (1 - b) * (1 - a / b))**0.5,
        "1 - alpha_bar_t / alpha_bar_prev is the step's beta; this uses the ratio itself": lambda a, b, eta: eta * ((1 - b) / (1 - a) * a / b)**0.5,
    },
    praise="At eta = 1 it is the posterior's standard deviation; at the last step, where alpha_bar_prev = 1, it is 0 for every eta.")


def images():
    "(x_t, eps, alpha_bar_t, alpha_bar_prev)"
    rng = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(2, 1, 3, 3, generator=rng, dtype=torch.float64)
    return [(draw(), draw(), 0.3, 0.6), (draw(), draw(), 0.05, 0.2), (draw(), draw(), 0.7, 1.0)]


def level(alpha_bar): return ((1 - alpha_bar) / alpha_bar)**0.5


def euler(x_t, eps, a, b): return b**0.5 * (x_t / a**0.5 + (level(b) - level(a)) * eps)


euler_step = Exercise(
    right=euler,
    cases=images,
    wrong={
        "this steps away from the data: sigma falls, so the step is sigma_prev - sigma_t, a negative number":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 + (level(a) - level(b)) * eps),
        "this returns the rescaled image; multiply by sqrt(alpha_bar_prev) to come back to x_prev": lambda x_t, eps, a, b: euler(x_t, eps, a, b) / b**0.5,
        "this comes back with sqrt(alpha_bar_t); the image now lives at prev": lambda x_t, eps, a, b: euler(x_t, eps, a, b) * (a / b)**0.5,
        "the step must be scaled back too: sqrt(alpha_bar_prev) multiplies the sum": lambda x_t, eps, a, b: b**0.5 * x_t / a**0.5 + (level(b) - level(a)) * eps,
        "x_t must be divided by sqrt(alpha_bar_t) before the step": lambda x_t, eps, a, b: b**0.5 * (x_t + (level(b) - level(a)) * eps),
        "sqrt(1 - alpha_bar) is the noise rate of x_t; after dividing by sqrt(alpha_bar) the noise level is sqrt((1 - alpha_bar) / alpha_bar)":
            lambda x_t, eps, a, b: b**0.5 * (x_t / a**0.5 + ((1 - b)**0.5 - (1 - a)**0.5) * eps),
    },
    praise="One line, and it is DDIM with eta = 0: rescale, move along eps, scale back.")


def lists(): return [([999, 899, 799, 699, 599, 499, 399, 299, 199, 99],), ([999, 888, 500, 37, 0],), ([999, 666, 333],), ([5],)]


def walk(ts): return list(zip(ts, [*ts[1:], -1]))


pairs = Exercise(
    right=walk,
    cases=lists,
    wrong={
        "the last step must land on clean data, t = -1; this lands on t = 0, which still holds a little noise": lambda ts: list(zip(ts, [*ts[1:], 0])),
        "previous is the next entry of the list; this subtracts 1000 // n, which is right only where neighbors are that far apart (diffusers#12633)":
            lambda ts: [(t, max(-1, t - 1000 // len(ts))) for t in ts],
        "this goes to t - 1, which is right for all 1000 steps alone: the list skips": lambda ts: [(t, t - 1) for t in ts],
        "this is one off: it goes below the next entry of the list": lambda ts: list(zip(ts, [*(t - 1 for t in ts[1:]), -1])),
        "the last step is missing: a list of n timesteps makes n steps, and the n-th one lands on t = -1": lambda ts: list(zip(ts, ts[1:])),
        "these are the pairs of the way up; a sampler walks down": lambda ts: walk(ts)[::-1],
    },
    praise="The list says everything; no formula for 'previous' is needed, so none can be wrong.")


def clipped(): return [(*images()[i][:2], 0.3, 0.6, clip) for i, clip in ((0, 1.0), (1, 0.5))]


def stale(x_t, eps, a, b, clip): return b**0.5 * ((x_t - (1 - a)**0.5 * eps) / a**0.5).clamp(-clip, clip) + (1 - b)**0.5 * eps


def fresh(x_t, eps, a, b, clip):
    x0_hat = ((x_t - (1 - a)**0.5 * eps) / a**0.5).clamp(-clip, clip)
    return b**0.5 * x0_hat + (1 - b)**0.5 * (x_t - a**0.5 * x0_hat) / (1 - a)**0.5


stale_step = Exercise(
    right=stale,
    cases=clipped,
    wrong={
        "this derives eps anew from the clipped x0_hat. That is the right sampler; here we want the bug, so keep the eps of the network": fresh,
        "nothing is clipped here; clamp x0_hat to [-clip, clip] first": lambda x_t, eps, a, b, clip: stale(x_t, eps, a, b, float("inf")),
        "this clips x_prev; the bug clips x0_hat and forgets eps": lambda x_t, eps, a, b, clip: stale(x_t, eps, a, b, float("inf")).clamp(-clip, clip),
        "the two rates are swapped: sqrt(alpha_bar_prev) belongs to x0_hat, sqrt(1 - alpha_bar_prev) to eps": lambda x_t, eps, a, b, clip: stale(x_t, eps, a, 1 - b, clip),
    },
    praise="And wrong in the way that was wanted: x0_hat and eps no longer explain x_t.")
