"Checkers of chapter 11."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def ramp(flip=None):
    "Twelve numbers from -1 to 1 as a small image."
    z = torch.linspace(-1, 1, 12, dtype=torch.float64).view(1, 3, 2, 2)
    return z if flip is None else z.flip(flip)


# ---- 1: decibels ----
def snr(schedule, t): return schedule.alpha_bar(t) / (1 - schedule.alpha_bar(t))


snr_db = Exercise(
    lambda schedule, t: 10 * snr(schedule, t).log10(),
    lambda: [(schedule, torch.tensor([0, 10, 500, 990]))
             for schedule in (linear_schedule(), cosine_schedule())],
    {"this is the natural logarithm; decibels take the base-10 one":
         lambda schedule, t: 10 * snr(schedule, t).log(),
     "this is the base-2 logarithm; decibels take the base-10 one":
         lambda schedule, t: 10 * snr(schedule, t).log2(),
     "the factor 10 is missing; these are bels, not decibels":
         lambda schedule, t: snr(schedule, t).log10(),
     "this is the ratio itself; take ten times its base-10 logarithm": snr,
     "20 log10 is for amplitudes; alpha_bar is already a power, so the factor is 10":
         lambda schedule, t: 20 * snr(schedule, t).log10(),
     "this is the ratio of the rates sqrt(alpha_bar) and sqrt(1 - alpha_bar), not of the powers":
         lambda schedule, t: 5 * snr(schedule, t).log10(),
     "this uses beta_t where alpha_bar_t belongs":
         lambda schedule, t: 10 * ((1 - schedule.betas[t]) / schedule.betas[t]).log10(),
     "this is noise over signal; the ratio goes the other way":
         lambda schedule, t: -10 * snr(schedule, t).log10(),
     "this is alpha_bar alone; divide by the noise's share, 1 - alpha_bar":
         lambda schedule, t: 10 * schedule.alpha_bar(t).log10(),
     "this is one timestep too early: in code t counts from 0, so ask for alpha_bar at t itself":
         lambda schedule, t: 10 * snr(schedule, t - 1).log10(),
     "this is one timestep too early, and at t = 0 it takes the table's last entry":
         lambda schedule, t: 10 * (schedule.alpha_bars / (1 - schedule.alpha_bars))[t - 1].log10(),
     "this is one timestep too late: in code t counts from 0, so ask for alpha_bar at t itself":
         lambda schedule, t: 10 * snr(schedule, t + 1).log10()},
    "On this scale 0 dB is where signal and noise are equally strong.")


# ---- 2: from any step to any later one ----
def jump(alpha, x, eps): return alpha**0.5 * x + (1 - alpha)**0.5 * eps


def ratio(schedule, s, t): return schedule.alpha_bar(t) / schedule.alpha_bar(s)


def root_difference(schedule, x_s, s, t, eps):
    signal_s, noise_s = schedule.rates(s)
    signal_t, noise_t = schedule.rates(t)
    return signal_t / signal_s * x_s + (noise_t - noise_s) * eps


q_between = Exercise(
    lambda schedule, x_s, s, t, eps: jump(ratio(schedule, s, t), x_s, eps),
    lambda: [(schedule, ramp(), s, t, ramp(1))
             for schedule in (linear_schedule(), cosine_schedule())
             for s, t in ((100, 101), (200, 700), (-1, 300))],
    {"this uses alpha_bar_t, which jumps from clean data; from s only the ratio "
     "alpha_bar_t / alpha_bar_s remains":
         lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bar(t), x_s, eps),
     "this shrinks rightly, but adds the noise of t alone; x_s holds some of it already":
         lambda schedule, x_s, s, t, eps:
             ratio(schedule, s, t)**0.5 * x_s + schedule.rates(t)[1] * eps,
     "the product starts one step too early: beta_s was already applied to reach x_s":
         lambda schedule, x_s, s, t, eps: jump(ratio(schedule, max(s - 1, -1), t), x_s, eps),
     "this is one step with beta_t; between s and t there are t - s of them":
         lambda schedule, x_s, s, t, eps: jump(1 - schedule.betas[t].item(), x_s, eps),
     "alpha_bar at t - s belongs to the first t - s steps; those from s to t have other betas":
         lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bar(t - s), x_s, eps),
     "this multiplies the betas s..t, one too many: beta_s was already applied to reach x_s":
         lambda schedule, x_s, s, t, eps: jump((1 - schedule.betas[s:t + 1]).prod(), x_s, eps),
     "this multiplies the betas s+1..t-1: the step that leads to t is missing":
         lambda schedule, x_s, s, t, eps: jump((1 - schedule.betas[s + 1:t]).prod(), x_s, eps),
     "this multiplies the betas s..t-1; the steps that lead from s to t have the betas s+1..t":
         lambda schedule, x_s, s, t, eps: jump((1 - schedule.betas[s:t]).prod(), x_s, eps),
     "alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; "
     "schedule.alpha_bar(-1) is 1":
         lambda schedule, x_s, s, t, eps:
             jump(schedule.alpha_bars[t] / schedule.alpha_bars[s], x_s, eps),
     "noise rates do not subtract: variances do, after x_s's share has been shrunk":
         root_difference,
     "x_s's noise shrinks on the way, too: what is missing is 1 - alpha_bar_t / alpha_bar_s":
         lambda schedule, x_s, s, t, eps: ratio(schedule, s, t)**0.5 * x_s
             + (schedule.alpha_bar(s) - schedule.alpha_bar(t))**0.5 * eps,
     "the image needs the square root of alpha":
         lambda schedule, x_s, s, t, eps:
             ratio(schedule, s, t) * x_s + (1 - ratio(schedule, s, t))**0.5 * eps,
     "the noise needs the square root of its variance":
         lambda schedule, x_s, s, t, eps:
             ratio(schedule, s, t)**0.5 * x_s + (1 - ratio(schedule, s, t)) * eps},
    "Every pair of times has its own alpha, the ratio of two alpha_bars.")


# ---- 3: the score of a velocity predictor ----
def rotate_back(schedule, x_t, t, v):
    signal, noise = schedule.rates(t)
    return signal * x_t - noise * v, noise * x_t + signal * v # x0, eps


def noise_at(schedule, t): return schedule.rates(t)[1]


score_from_v = Exercise(
    lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1] / noise_at(schedule, t),
    lambda: [(cosine_schedule(), ramp(), t, ramp(2)) for t in (30, 500, 900)],
    {"the sign is missing: the score points against the noise, back to the data":
         lambda schedule, x_t, t, v: rotate_back(schedule, x_t, t, v)[1] / noise_at(schedule, t),
     "this divides by 1 - alpha_bar; the noise rate is its square root":
         lambda schedule, x_t, t, v:
             -rotate_back(schedule, x_t, t, v)[1] / noise_at(schedule, t)**2,
     "this is -eps; the score also divides by the noise rate":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1],
     "this is eps; the score is -eps, divided by the noise rate":
         lambda schedule, x_t, t, v: rotate_back(schedule, x_t, t, v)[1],
     "this puts x_t where the definition of v has x_0; v and x_t are a rotation of eps and x_0, "
     "so rotate back":
         lambda schedule, x_t, t, v:
             -(v + noise_at(schedule, t) * x_t) / schedule.rates(t)[0] / noise_at(schedule, t),
     "eps is noise rate times x_t plus signal rate times v; one of the two has the wrong sign here":
         lambda schedule, x_t, t, v:
             -(schedule.rates(t)[0] * v - noise_at(schedule, t) * x_t) / noise_at(schedule, t),
     "the rates are exchanged: eps is noise rate times x_t plus signal rate times v":
         lambda schedule, x_t, t, v:
             -(schedule.rates(t)[0] * x_t + noise_at(schedule, t) * v) / noise_at(schedule, t),
     "v is treated as if it were eps; convert it first":
         lambda schedule, x_t, t, v: -v / noise_at(schedule, t),
     "this divides by the signal rate; the noise rate belongs there":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1] / schedule.rates(t)[0],
     "from x_t to x_0, but x_0 is not shrunk: the score leads to sqrt(alpha_bar) x_0":
         lambda schedule, x_t, t, v:
             (rotate_back(schedule, x_t, t, v)[0] - x_t) / noise_at(schedule, t)**2,
     "this is built from x0 where eps belongs":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[0] / noise_at(schedule, t)},
    "Denoising and following the score are the same thing.")


# ---- 4: what can still be read ----
def reading_cases():
    rng = torch.Generator().manual_seed(0)
    known = torch.randn(15, 1, 2, 2, generator=rng)
    x_t = torch.randn(6, 1, 2, 2, generator=rng)
    y = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 3, 3, 7])
    return [(cosine_schedule(), x_t, 500, known, y), (linear_schedule(), x_t, 450, known, y)]


def squares(schedule, x_t, t, x, shrink=True):
    signal = schedule.rates(t)[0] if shrink else 1
    return torch.cdist(x_t.flatten(1).double(), signal * x.flatten(1).double())**2


def by_label(chances, y): return chances @ torch.eye(10, dtype=chances.dtype)[y]


def read(logits, y, dim=1): return by_label(logits.softmax(dim), y)


def variance(schedule, t): return noise_at(schedule, t)**2


label_chances = Exercise(
    lambda schedule, x_t, t, x, y:
        read(-squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y),
    reading_cases,
    {"the known digits are not shrunk: the mean of q(x_t | x_i) is sqrt(alpha_bar_t) x_i":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x, shrink=False) / (2 * variance(schedule, t)), y),
     "the distance is not squared":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x)**0.5 / (2 * variance(schedule, t)), y),
     "the 2 is missing: a Gaussian's exponent is -distance^2 / (2 variance)":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / variance(schedule, t), y),
     "this divides by twice the noise rate; the variance is its square":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / (2 * noise_at(schedule, t)), y),
     "the factor 1 / (2 variance) is missing: the same distance means less where noise is strong":
         lambda schedule, x_t, t, x, y: read(-squares(schedule, x_t, t, x), y),
     "here the 2 is squared, too: a Gaussian's exponent is -distance^2 / (2 variance)":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / (4 * variance(schedule, t)), y),
     "exponents are added up here; chances add up, so softmax comes first":
         lambda schedule, x_t, t, x, y:
             by_label(-squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y).softmax(1),
     "these are logarithms of chances; chances themselves add up":
         lambda schedule, x_t, t, x, y: by_label(
             (-squares(schedule, x_t, t, x) / (2 * variance(schedule, t))).log_softmax(1), y),
     "this is the likeliest label; all ten chances are asked for":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y).argmax(1),
     "the variance is missing: the same distance means less where there is more noise":
         lambda schedule, x_t, t, x, y: read(-squares(schedule, x_t, t, x) / 2, y),
     "the minus sign is missing: this prefers the digits that are farthest away":
         lambda schedule, x_t, t, x, y:
             read(squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y),
     "this averages the squares over pixels; the exponents of independent pixels add up":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / 4 / (2 * variance(schedule, t)), y),
     "softmax runs over the images of the batch; the chances of one image's candidates sum to 1":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y, dim=0),
     "the chances don't sum to 1: divide by their sum":
         lambda schedule, x_t, t, x, y:
             by_label((-squares(schedule, x_t, t, x) / (2 * variance(schedule, t))).exp(), y),
     "this takes the nearest digit alone; every known digit has its chance":
         lambda schedule, x_t, t, x, y:
             torch.eye(10, dtype=torch.float64)[y[squares(schedule, x_t, t, x).argmin(1)]],
     "this averages over the digits of a label; their chances add up":
         lambda schedule, x_t, t, x, y:
             read(-squares(schedule, x_t, t, x) / (2 * variance(schedule, t)), y) / y.bincount(),
     "these are the chances of the known digits; add those of the same label":
         lambda schedule, x_t, t, x, y:
             (-squares(schedule, x_t, t, x) / (2 * variance(schedule, t))).softmax(1)},
    "The best reader there is, if it knows all that was written.")


# ---- 5: clip too late ----
def squared_cosine(T, offset=0.008, dtype=torch.float64):
    turn = (torch.arange(T + 1, dtype=dtype) / T + offset) / (1 + offset)
    return torch.cos(turn * math.pi / 2)**2


def tables(f, clip=0.999): return (1 - f[1:] / f[:-1]).clamp(max=clip), f[1:] / f[0]


late_clip = Exercise(
    lambda T=1000: tables(squared_cosine(T)),
    lambda: [(1000,), (50,)],
    {"these are consistent: alpha_bar was taken from the clipped betas, which is the cure, "
     "not the bug":
         lambda T=1000: ((b := tables(squared_cosine(T))[0]), (1 - b).cumprod(0)),
     "nothing is clipped here: the last beta is 1":
         lambda T=1000: tables(squared_cosine(T), clip=1),
     "betas first, then alpha_bar": lambda T=1000: tables(squared_cosine(T))[::-1],
     "alpha_bar has T entries; yours has one more at the front, clean data":
         lambda T=1000: (tables(squared_cosine(T))[0], squared_cosine(T) / squared_cosine(T)[0]),
     "this is computed in float32, where the last cosine is far from zero; "
     "ask torch.arange for float64":
         lambda T=1000: tables(squared_cosine(T, dtype=torch.float32)),
     "alpha_bar is not divided by f(0), so that clean data would be less than 1":
         lambda T=1000: (tables(squared_cosine(T))[0], squared_cosine(T)[1:]),
     "alpha_bar lags one step behind: its first entry is clean data":
         lambda T=1000: (tables(squared_cosine(T))[0], (f := squared_cosine(T))[:-1] / f[0]),
     "beta_t is 1 minus the ratio of neighbors, f(t) / f(t - 1)":
         lambda T=1000: ((1 - tables(squared_cosine(T))[1]).clamp(max=0.999),
                         tables(squared_cosine(T))[1]),
     "the square is missing: f is cos^2": lambda T=1000: tables(squared_cosine(T)**0.5),
     "the offset 0.008 is missing": lambda T=1000: tables(squared_cosine(T, offset=0))},
    "Now look at the figure: which of the two would your sampler believe?",
    tol=1e-12) # the bug sits in the last alpha_bar, which is tiny either way
