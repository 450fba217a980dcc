"Checkers for the exercises of 80 One design space."

import numpy as np
import torch

from ddpm_course.checks import Exercise, randn


def answers():
    "(x, sigma, v)"
    return [(randn(2, 1, 2, 2, seed=i), sigma, randn(2, 1, 2, 2, seed=9 + i))
            for i, sigma in enumerate((0.3, 1.7, 25.0))]


def from_v(x, sigma, v, on_x=-2, on_v=-1, sign=-1):
    "With the powers of sqrt(1 + sigma^2) on x and on v."
    root = (1 + sigma**2)**0.5
    return x * root**on_x + sign * sigma * root**on_v * v


denoised = Exercise(
    right=lambda x, sigma, v: from_v(x, sigma, v),
    cases=answers,
    wrong={
        "this takes v for eps: x - sigma v": lambda x, s, v: x - s * v,
        "this takes v for the clean image": lambda x, s, v: v,
        "the network saw x / sqrt(1 + sigma^2); x needs that factor once more: 1 / (1 + sigma^2)":
            lambda x, s, v: from_v(x, s, v, on_x=-1),
        "x is already at the scale of x_t here; divide it by 1 + sigma^2":
            lambda x, s, v: from_v(x, s, v, on_x=0),
        "v comes with the noise rate, sigma / sqrt(1 + sigma^2); the root is missing":
            lambda x, s, v: from_v(x, s, v, on_v=-2),
        "v comes with the noise rate, sigma / sqrt(1 + sigma^2), not with sigma alone":
            lambda x, s, v: from_v(x, s, v, on_v=0),
        "the noise is taken away: v comes with a minus sign":
            lambda x, s, v: from_v(x, s, v, sign=1),
        "this is the noise: signal rate times v, plus noise rate times x_t":
            lambda x, s, v: v / (1 + s**2)**0.5 + s * x / (1 + s**2),
    },
    praise="No schedule is needed: the level says everything.",
    keeps_inputs=True)


def crooked(x, sigma): return torch.sin(x) / (1 + sigma) + 0.1 * sigma


def walks():
    "(D, x, sigma, lower)"
    return [(crooked, randn(2, 1, 2, 2), 3.0, 1.0), (crooked, randn(2, 1, 2, 2), 0.5, 0.1)]


def slope(D, x, at, over=None): return (x - D(x, at)) / (over or at)


def heun(D, x, sigma, lower, at=None, over=None, base=None, weights=(0.5, 0.5)):
    "Heun's step, with the correction asked `at` a level and divided by `over`, gone from a `base`."
    first = slope(D, x, sigma)
    trial = x + (lower - sigma) * first
    second = slope(D, trial, at or lower, over or at or lower)
    start = trial if base == "trial" else x
    return start + (lower - sigma) * (weights[0] * first + weights[1] * second)


def half_way(D, x, sigma, lower): return x + (lower - sigma) / 2 * slope(D, x, sigma)


heun_step = Exercise(
    right=lambda D, x, sigma, lower: heun(D, x, sigma, lower),
    cases=walks,
    wrong={
        "this is Euler's step; ask again where it lands, and average the two slopes":
            lambda D, x, s, l: heun(D, x, s, l, weights=(1, 0)),
        "this goes along the second slope alone; average it with the first":
            lambda D, x, s, l: heun(D, x, s, l, weights=(0, 1)),
        "the two slopes are added here; take their mean":
            lambda D, x, s, l: heun(D, x, s, l, weights=(1, 1)),
        "the second answer belongs to the level `lower`; here it is asked at sigma":
            lambda D, x, s, l: heun(D, x, s, l, at=s),
        "the second answer is asked at sigma here; the trial has the noise of `lower`":
            lambda D, x, s, l: heun(D, x, s, l, at=s, over=l),
        "the second slope is divided by its own level, `lower`; here by sigma":
            lambda D, x, s, l: heun(D, x, s, l, over=s),
        "the corrected step starts again from x; here it goes on from the trial":
            lambda D, x, s, l: heun(D, x, s, l, base="trial"),
        "the second slope is that of the trial at `lower`; here x itself is asked there":
            lambda D, x, s, l: x + (l - s) * (slope(D, x, s) + slope(D, x, l)) / 2,
        "this goes up, away from the data: the step is lower - sigma, a negative number":
            lambda D, x, s, l: 2 * x - heun(D, x, s, l),
        "this is the midpoint method: it asks half way; Heun asks at the end of the step":
            lambda D, x, s, l: x + (l - s) * slope(D, half_way(D, x, s, l), (s + l) / 2),
    },
    praise="Two evaluations, and the error of a step falls by eight where the step is halved.",
    keeps_inputs=True)


def raises():
    return [(crooked, randn(2, 1, 2, 2), randn(2, 1, 2, 2, seed=1), 2.0, 2.6, 1.0),
            (crooked, randn(2, 1, 2, 2), randn(2, 1, 2, 2, seed=1), 0.4, 0.5, 0.0)]


def churned(D, x, z, sigma, hat, lower, at=None, over=None, start=None, added=None, noise=None):
    "A step after the level was raised, with one part of it replaced."
    amount = (hat**2 - sigma**2)**0.5 if added is None else added
    x_hat = x + amount * z
    at = sigma if at is None else at
    seen = x if noise == "late" else x_hat
    direction = (seen - D(seen, at)) / (over or hat)
    return x_hat + (lower - (start or hat)) * direction


wrong_churn = Exercise(
    right=lambda D, x, z, sigma, sigma_hat, lower: churned(D, x, z, sigma, sigma_hat, lower),
    cases=raises,
    wrong={
        "this asks at sigma_hat. That is the right sampler; here we want the bug, so ask at sigma":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, at=h),
        "variances add: the noise is sqrt(sigma_hat^2 - sigma^2), not the difference":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, added=h - s),
        "the noise is sqrt(sigma_hat^2 - sigma^2); the root is missing":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, added=h**2 - s**2),
        "this adds noise of sigma_hat; sigma of it is there already":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, added=h),
        "no noise is added here": lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, added=0.0),
        "the step goes from sigma_hat, where x is now, to lower; here it starts at sigma":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, start=s),
        "the slope is divided by sigma_hat; here by sigma":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, over=s),
        "all of the step is at sigma here; only the question to D is to be":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, over=s, start=s),
        "D is asked about x before the noise here; the bug asks about the noisy x_hat, at sigma":
            lambda D, x, z, s, h, l: churned(D, x, z, s, h, l, noise="late"),
    },
    praise="And wrong in the way that was wanted: the picture is at sigma_hat, the question at "
           "sigma.",
    keeps_inputs=True)


def bends():
    fine = torch.linspace(2**0.25, 0.05**0.25, 2000, dtype=torch.float64)**4 # no even ruler
    return [(fine, 1 / (1 + fine.log()**2), 7), (fine, 0.1 + fine.sqrt(), 12)]


def equal(fine, turn, n, ruler=torch.log, areas=None, place=np.interp):
    "n levels with equal areas of turn against ruler(fine)."
    at = ruler(fine)
    width = (at[:-1] - at[1:]).abs()
    areas = (turn[1:] + turn[:-1]) / 2 * width if areas is None else areas(turn, width)
    area = torch.cat([torch.zeros(1).double(), areas.cumsum(0)])
    wanted = torch.linspace(0, area[-1].item(), n).double()
    logs = torch.from_numpy(place(wanted, area, fine.log()))
    return logs.exp()


levels = Exercise(
    right=lambda fine, turn, n: equal(fine, turn, n),
    cases=bends,
    wrong={
        "this measures areas against sigma; measure them against log sigma":
            lambda fine, turn, n: equal(fine, turn, n, ruler=lambda x: x),
        "this counts every fine level alike, whatever its distance to the next":
            lambda fine, turn, n: equal(fine, turn, n, areas=lambda turn, width: turn[1:]),
        "this spaces the levels evenly in log sigma; turn is not used": lambda fine, turn, n:
            equal(fine, torch.ones_like(turn), n),
        "this puts few levels where the paths bend; many belong there":
            lambda fine, turn, n: equal(fine, 1 / turn, n),
        "these are logarithms of levels; take exp":
            lambda fine, turn, n: equal(fine, turn, n).log(),
        "these rise; a sampler goes down": lambda fine, turn, n: equal(fine, turn, n).flip(0),
        "the ends are missing: n levels, from fine[0] to fine[-1]":
            lambda fine, turn, n: equal(fine, turn, n + 2)[1:-1],
    },
    tol=1e-3, # sums by rectangles or in sigma between neighbors do as well
    praise="Any list of falling levels is a sampler's list; the solver does not ask whose it is.",
    keeps_inputs=True)
