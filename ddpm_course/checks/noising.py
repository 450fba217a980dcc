"Checkers of chapter 11."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.readers import MISREADERS, reader, reading_cases
from ddpm_course.noising import cosine_schedule, linear_schedule


def ramp(flip=None):
    "Twelve numbers from -1 to 1 as a small image."
    z = torch.linspace(-1, 1, 12, dtype=torch.float64).view(1, 3, 2, 2)
    return z if flip is None else z.flip(flip)


# ---- 1: decibels ----
def snr(schedule, t): return schedule.alpha_bar(t) / (1 - schedule.alpha_bar(t))


def decibels(power): return lambda schedule, t: 10 * power(schedule.alpha_bar(t)).log10()


snr_db = Exercise(
    decibels(lambda a: a / (1 - a)),
    lambda: [(schedule, torch.tensor([0, 10, 500, 990]))
             for schedule in (linear_schedule(), cosine_schedule())],
    {"this is the natural logarithm; decibels take the base-10 one":
         lambda schedule, t: 10 * snr(schedule, t).log(),
     "this is the natural logarithm, and the factor 10 is missing":
         lambda schedule, t: snr(schedule, t).log(),
     "this is the base-2 logarithm; decibels take the base-10 one":
         lambda schedule, t: 10 * snr(schedule, t).log2(),
     "the factor 10 is missing; these are bels, not decibels":
         lambda schedule, t: snr(schedule, t).log10(),
     "this is the ratio itself; take ten times its base-10 logarithm": snr,
     "this is ten times the ratio; the logarithm is missing":
         lambda schedule, t: 10 * snr(schedule, t),
     "20 log10 is for amplitudes; alpha_bar is already a power, so the factor is 10":
         decibels(lambda a: (a / (1 - a))**2),
     "this is the ratio of the rates sqrt(alpha_bar) and sqrt(1 - alpha_bar), not of the powers":
         decibels(lambda a: (a / (1 - a))**0.5),
     "1 - alpha_bar is a power already; its root is the noise rate":
         decibels(lambda a: a / (1 - a)**0.5),
     "alpha_bar is a power already; its root is the signal rate":
         decibels(lambda a: a**0.5 / (1 - a)),
     "without brackets alpha_bar / 1 - alpha_bar is 0": decibels(lambda a: 0 * a),
     "the logarithm of a ratio is a difference of logarithms, not their sum":
         decibels(lambda a: a * (1 - a)),
     "this uses beta_t where alpha_bar_t belongs":
         lambda schedule, t: 10 * ((1 - schedule.betas[t]) / schedule.betas[t]).log10(),
     "this is noise over signal; the ratio goes the other way": decibels(lambda a: (1 - a) / a),
     "this is alpha_bar alone; divide by the noise's share, 1 - alpha_bar":
         decibels(lambda a: a),
     "these are all timesteps of the schedule; take those of t":
         lambda schedule, t: decibels(lambda a: a / (1 - a))(schedule, torch.arange(1000)),
     "this is computed in float32, where 1 - alpha_bar keeps few digits; stay in float64":
         decibels(lambda a: (a.float() / (1 - a.float())).double()),
     "this is one timestep too early: in code t counts from 0, so ask for alpha_bar at t itself":
         lambda schedule, t: 10 * snr(schedule, t - 1).log10(),
     "this is one timestep too early, and at t = 0 it takes the table's last entry":
         lambda schedule, t: 10 * (schedule.alpha_bars / (1 - schedule.alpha_bars))[t - 1].log10(),
     "this is one timestep too late: in code t counts from 0, so ask for alpha_bar at t itself":
         lambda schedule, t: 10 * snr(schedule, t + 1).log10()},
    "On this scale 0 dB is where signal and noise are equally strong.", dtype=torch.float64)


# ---- 2: from any step to any later one ----
def root(x): return math.nan if isinstance(x, float) and x < 0 else x**0.5


def jump(alpha):
    "The jump with an alpha of one's own, a function of schedule, s and t."
    def answer(schedule, x_s, s, t, eps):
        a = alpha(schedule, s, t)
        return root(a) * x_s + root(1 - a) * eps
    return answer


def ratio(schedule, s, t): return schedule.alpha_bar(t) / schedule.alpha_bar(s)


def mixed(factors):
    "The jump with factors of one's own, made of alpha_bar at s and at t and their ratio."
    def answer(schedule, x_s, s, t, eps):
        a_s, a_t = map(schedule.alpha_bar, (s, t))
        signal, noise = factors(a_s, a_t, a_t / a_s)
        return signal * x_s + noise * eps
    return answer


def product(schedule, first, last): return (1 - schedule.betas[first:last]).prod()


q_between = Exercise(
    jump(ratio),
    lambda: [(schedule, ramp(), s, t, ramp(1))
             for schedule in (linear_schedule(), cosine_schedule())
             for s, t in ((100, 101), (200, 700), (-1, 300))],
    {"this uses alpha_bar_t, which jumps from clean data; from s only the ratio "
     "alpha_bar_t / alpha_bar_s remains": jump(lambda schedule, s, t: schedule.alpha_bar(t)),
     "this shrinks rightly, but adds the noise of t alone; x_s holds some of it already":
         mixed(lambda a_s, a_t, a: (a**0.5, (1 - a_t)**0.5)),
     "this adds the right noise, but shrinks as if from clean data; x_s is shrunk already":
         mixed(lambda a_s, a_t, a: (a_t**0.5, (1 - a)**0.5)),
     "the product starts one step too early: beta_s was already applied to reach x_s":
         jump(lambda schedule, s, t: ratio(schedule, max(s - 1, -1), t)),
     "the product starts one step too late: the first step from s has beta_{s+1}":
         jump(lambda schedule, s, t: ratio(schedule, s + 1, t)),
     "this is one step with beta_t; between s and t there are t - s of them":
         jump(lambda schedule, s, t: 1 - schedule.betas[t].item()),
     "alpha_bar at t - s belongs to the first t - s steps; those from s to t have other betas":
         jump(lambda schedule, s, t: schedule.alpha_bar(t - s)),
     "alpha_bar at t - s - 1 belongs to the first t - s steps; those from s to t have other betas":
         jump(lambda schedule, s, t: schedule.alpha_bar(t - s - 1)),
     "this multiplies the betas s..t, one too many: beta_s was already applied to reach x_s":
         jump(lambda schedule, s, t: product(schedule, s, t + 1)),
     "this multiplies the betas s+1..t-1: the step that leads to t is missing":
         jump(lambda schedule, s, t: product(schedule, s + 1, t)),
     "this multiplies the betas s..t-1; the steps that lead from s to t have the betas s+1..t":
         jump(lambda schedule, s, t: product(schedule, s, t)),
     "alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; "
     "schedule.alpha_bar(-1) is 1":
         jump(lambda schedule, s, t: schedule.alpha_bars[t] / schedule.alpha_bars[s]),
     "this is alpha_bar_s - alpha_bar_t; steps multiply, so it takes the ratio":
         jump(lambda schedule, s, t: schedule.alpha_bar(s) - schedule.alpha_bar(t)),
     "the ratio is upside down: alpha_bar_t / alpha_bar_s is the one below 1":
         mixed(lambda a_s, a_t, a: (a**-0.5, 0)), # what is left of a complex root
     "the ratio is upside down, and the root of a negative number is NaN":
         jump(lambda schedule, s, t: 1 / ratio(schedule, s, t)),
     "noise rates do not subtract: variances do, after x_s's share has been shrunk":
         mixed(lambda a_s, a_t, a: (a**0.5, (1 - a_t)**0.5 - (1 - a_s)**0.5)),
     "x_s's noise shrinks on the way, too: what is missing is 1 - alpha_bar_t / alpha_bar_s":
         mixed(lambda a_s, a_t, a: (a**0.5, (a_s - a_t)**0.5)),
     "the image needs the square root of alpha": mixed(lambda a_s, a_t, a: (a, (1 - a)**0.5)),
     "the noise needs the square root of its variance":
         mixed(lambda a_s, a_t, a: (a**0.5, 1 - a)),
     "image and noise both need a square root": mixed(lambda a_s, a_t, a: (a, 1 - a)),
     "eps is multiplied by sqrt(1 - alpha), not by 1 - sqrt(alpha)":
         mixed(lambda a_s, a_t, a: (a**0.5, 1 - a**0.5)),
     "the factors are exchanged: sqrt(alpha) belongs to x_s":
         mixed(lambda a_s, a_t, a: ((1 - a)**0.5, a**0.5)),
     "sign: the noise is added": mixed(lambda a_s, a_t, a: (a**0.5, -(1 - a)**0.5)),
     "the noise is missing: this only shrinks": mixed(lambda a_s, a_t, a: (a**0.5, 0)),
     "eps is added whole; multiply it by sqrt(1 - alpha)":
         mixed(lambda a_s, a_t, a: (a**0.5, 1))},
    "Every pair of times has its own alpha, the ratio of two alpha_bars.")


# ---- 3: the score of a velocity predictor ----
def scored(score):
    "A function of the signal rate a, the noise rate n, x and v, of a schedule's t."
    return lambda schedule, x_t, t, v: score(*schedule.rates(t), x_t, v)


score_from_v = Exercise(
    scored(lambda a, n, x, v: -(n * x + a * v) / n),
    lambda: [(cosine_schedule(), ramp(), t, ramp(2)) for t in (30, 500, 900)],
    {"the sign is missing: the score points against the noise, back to the data":
         scored(lambda a, n, x, v: (n * x + a * v) / n),
     "this divides by 1 - alpha_bar; the noise rate is its square root":
         scored(lambda a, n, x, v: -(n * x + a * v) / n**2),
     "this multiplies by the noise rate; divide by it":
         scored(lambda a, n, x, v: -(n * x + a * v) * n),
     "this is -eps; the score also divides by the noise rate":
         scored(lambda a, n, x, v: -(n * x + a * v)),
     "this is eps; the score is -eps, divided by the noise rate":
         scored(lambda a, n, x, v: n * x + a * v),
     "this puts x_t where the definition of v has x_0; v and x_t are a rotation of eps and x_0, "
     "so rotate back": scored(lambda a, n, x, v: -(v + n * x) / a / n),
     "eps is noise rate times x_t plus signal rate times v; one of the two has the wrong sign here":
         scored(lambda a, n, x, v: (n * x - a * v) / n),
     "eps is noise rate times x_t plus signal rate times v; here v has the wrong sign":
         scored(lambda a, n, x, v: -(n * x - a * v) / n),
     "the rates are exchanged: eps is noise rate times x_t plus signal rate times v":
         scored(lambda a, n, x, v: -(a * x + n * v) / n),
     "the rates are exchanged throughout: schedule.rates returns the signal's first":
         scored(lambda a, n, x, v: -(a * x + n * v) / a),
     "the square roots are missing: the rates are sqrt(alpha_bar) and sqrt(1 - alpha_bar)":
         scored(lambda a, n, x, v: -(n**2 * x + a**2 * v) / n**2),
     "the square roots are missing in eps; its rates are sqrt(alpha_bar) and sqrt(1 - alpha_bar)":
         scored(lambda a, n, x, v: -(n**2 * x + a**2 * v) / n),
     "without brackets only a part of eps is negative or divided":
         scored(lambda a, n, x, v: -n * x + a * v / n),
     "without brackets only a part of eps is divided":
         scored(lambda a, n, x, v: -(n * x + a * v / n)),
     "v is treated as if it were eps; convert it first": scored(lambda a, n, x, v: -v / n),
     "v is treated as if it were x_0; convert it first":
         scored(lambda a, n, x, v: -(x - a * v) / n**2),
     "this divides by the signal rate; the noise rate belongs there":
         scored(lambda a, n, x, v: -(n * x + a * v) / a),
     "from x_t to x_0, but x_0 is not shrunk: the score leads to sqrt(alpha_bar) x_0":
         scored(lambda a, n, x, v: (a * x - n * v - x) / n**2),
     "this is one timestep too early: in code t counts from 0, so take the rates at t itself":
         lambda schedule, x_t, t, v: score_from_v.right(schedule, x_t, t - 1, v),
     "this is x_0; the score is -eps, divided by the noise rate":
         scored(lambda a, n, x, v: a * x - n * v),
     "this is built from x0 where eps belongs": scored(lambda a, n, x, v: -(a * x - n * v) / n)},
    "Denoising and following the score are the same thing.")


# ---- 4: what can still be read ----
label_chances = Exercise(reader(), reading_cases, MISREADERS,
                         "The best reader there is, if it knows all that was written.")


# ---- 5: clip too late ----
def squared_cosine(T, offset=0.008, dtype=torch.float64, whole=None):
    turn = (torch.arange(T + 1, dtype=dtype) / T + offset) / (whole or 1 + offset)
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
     "this clips at 0.9999; the task says 0.999":
         lambda T=1000: tables(squared_cosine(T), clip=0.9999),
     "alpha_bar is clipped, too; such code clips the betas alone":
         lambda T=1000: tuple(part.clamp(max=0.999) for part in tables(squared_cosine(T))),
     "betas first, then alpha_bar": lambda T=1000: tables(squared_cosine(T))[::-1],
     "these are the betas alone; return alpha_bar, too":
         lambda T=1000: tables(squared_cosine(T))[0],
     "T is ignored: this has 1000 entries always": lambda T=1000: tables(squared_cosine(1000)),
     "T betas need T + 1 values of f, from f(0) to f(T)":
         lambda T=1000: tables(squared_cosine(T)[:-1]),
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
     "the ratio of neighbors is 1 - beta_t; subtract it from 1":
         lambda T=1000: ((1 - tables(squared_cosine(T), 1)[0]).clamp(max=0.999),
                         tables(squared_cosine(T))[1]),
     "the square is missing: f is cos^2": lambda T=1000: tables(squared_cosine(T)**0.5),
     "the turn is not divided by 1 + s":
         lambda T=1000: tables(squared_cosine(T, whole=1)),
     "the offset 0.008 is missing": lambda T=1000: tables(squared_cosine(T, offset=0))},
    "Now look at the figure: which of the two would your sampler believe?",
    tol=1e-12) # the bug sits in the last alpha_bar, which is tiny either way
