"Checkers of chapter 11."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def snr(schedule, t): return schedule.alpha_bar(t) / (1 - schedule.alpha_bar(t))


snr_db = Exercise(
    lambda schedule, t: 10 * snr(schedule, t).log10(),
    lambda: [(schedule, torch.tensor([0, 10, 500, 990])) for schedule in (linear_schedule(), cosine_schedule())],
    {"this is the natural logarithm; decibels take the base-10 one": lambda schedule, t: 10 * snr(schedule, t).log(),
     "20 log10 is for amplitudes; alpha_bar is already a power, so the factor is 10": lambda schedule, t: 20 * snr(schedule, t).log10(),
     "this is the ratio of the rates sqrt(alpha_bar) and sqrt(1 - alpha_bar), not of the powers": lambda schedule, t: 5 * snr(schedule, t).log10(),
     "this uses beta_t where alpha_bar_t belongs": lambda schedule, t: 10 * ((1 - schedule.betas[t]) / schedule.betas[t]).log10(),
     "this is noise over signal; the ratio goes the other way": lambda schedule, t: -10 * snr(schedule, t).log10()},
    "On this scale 0 dB is where signal and noise are equally strong.")


def jump_inputs():
    z = torch.linspace(-1, 1, 12, dtype=torch.float64).view(1, 3, 2, 2)
    return [(schedule, z, s, t, z.flip(1)) for schedule in (linear_schedule(), cosine_schedule()) for s, t in ((100, 101), (200, 700), (-1, 300))]


def jump(alpha, x, eps): return alpha**0.5 * x + (1 - alpha)**0.5 * eps


q_between = Exercise(
    lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bar(t) / schedule.alpha_bar(s), x_s, eps),
    jump_inputs,
    {"this uses alpha_bar_t, which jumps from clean data; from s only the ratio alpha_bar_t / alpha_bar_s remains":
         lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bar(t), x_s, eps),
     "the product starts one step too early: beta_s was already applied to reach x_s":
         lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bar(t) / schedule.alpha_bar(max(s - 1, -1)), x_s, eps),
     "this is one step with beta_t; between s and t there are t - s of them":
         lambda schedule, x_s, s, t, eps: jump(1 - schedule.betas[t].item(), x_s, eps) if t - s > 1 else x_s,
     "this multiplies the betas s..t-1; the steps that lead from s to t have the betas s+1..t":
         lambda schedule, x_s, s, t, eps: jump((1 - schedule.betas[s:t]).prod(), x_s, eps),
     "alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; schedule.alpha_bar(-1) is 1":
         lambda schedule, x_s, s, t, eps: jump(schedule.alpha_bars[t] / schedule.alpha_bars[s], x_s, eps),
     "noise rates do not subtract; variances do": lambda schedule, x_s, s, t, eps: schedule.rates(t)[0] / schedule.rates(s)[0] * x_s
         + (schedule.rates(t)[1] - schedule.rates(s)[1]) * eps,
     "the noise needs the square root of its variance":
         lambda schedule, x_s, s, t, eps: (a := schedule.alpha_bar(t) / schedule.alpha_bar(s))**0.5 * x_s + (1 - a) * eps},
    "Every pair of times has its own alpha, the ratio of two alpha_bars.")


def score_inputs():
    z = torch.linspace(-1, 1, 12, dtype=torch.float64).view(1, 3, 2, 2)
    return [(cosine_schedule(), z, t, z.flip(2)) for t in (30, 500, 900)]


def rotate_back(schedule, x_t, t, v):
    signal, noise = schedule.rates(t)
    return signal * x_t - noise * v, noise * x_t + signal * v # x0, eps


score_from_v = Exercise(
    lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1] / schedule.rates(t)[1],
    score_inputs,
    {"the sign is missing: the score points against the noise, back to the data":
         lambda schedule, x_t, t, v: rotate_back(schedule, x_t, t, v)[1] / schedule.rates(t)[1],
     "this divides by 1 - alpha_bar; the noise rate is its square root":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1] / schedule.rates(t)[1]**2,
     "this is -eps; the score also divides by the noise rate":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[1],
     "this puts x_t where the definition of v has x_0; v and x_t are a rotation of eps and x_0, so rotate back":
         lambda schedule, x_t, t, v: -(v + schedule.rates(t)[1] * x_t) / schedule.rates(t)[0] / schedule.rates(t)[1],
     "eps is noise rate times x_t plus signal rate times v; one of the two has the wrong sign here":
         lambda schedule, x_t, t, v: -(schedule.rates(t)[0] * v - schedule.rates(t)[1] * x_t) / schedule.rates(t)[1],
     "v is treated as if it were eps; convert it first":
         lambda schedule, x_t, t, v: -v / schedule.rates(t)[1],
     "this is built from x0 where eps belongs":
         lambda schedule, x_t, t, v: -rotate_back(schedule, x_t, t, v)[0] / schedule.rates(t)[1]},
    "Denoising and following the score are the same thing.")


def cosine_tables(T):
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * math.pi / 2)**2
    return 1 - f[1:] / f[:-1], f[1:] / f[0]


late_clip = Exercise(
    lambda T=1000: (cosine_tables(T)[0].clamp(max=0.999), cosine_tables(T)[1]),
    lambda: [(1000,), (50,)],
    {"these are consistent: alpha_bar was taken from the clipped betas, which is the cure, not the bug":
         lambda T=1000: ((b := cosine_tables(T)[0].clamp(max=0.999)), (1 - b).cumprod(0)),
     "nothing is clipped here: the last beta is 1": lambda T=1000: cosine_tables(T),
     "betas first, then alpha_bar": lambda T=1000: (cosine_tables(T)[1], cosine_tables(T)[0].clamp(max=0.999)),
     "alpha_bar has T entries; yours has one more at the front, clean data":
         lambda T=1000: (cosine_tables(T)[0].clamp(max=0.999), torch.cat([torch.ones(1, dtype=torch.float64), cosine_tables(T)[1]])),
     "this is computed in float32, where the last cosine is far from zero; ask torch.arange for float64":
         lambda T=1000: ((1 - (f := torch.cos((torch.arange(T + 1) / T + 0.008) / 1.008 * math.pi / 2)**2)[1:] / f[:-1]).clamp(max=0.999), f[1:] / f[0]),
     "the offset 0.008 is missing":
         lambda T=1000: ((1 - (f := torch.cos(torch.arange(T + 1, dtype=torch.float64) / T * math.pi / 2)**2)[1:] / f[:-1]).clamp(max=0.999), f[1:] / f[0])},
    "Now look at the figure: which of the two would your sampler believe?",
    tol=1e-12) # the bug sits in the last alpha_bar, which is tiny either way
