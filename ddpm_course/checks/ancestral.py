"Checkers for the exercises of chapter 14."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.steps import chained, evenly, from_above, levels, of_levels, terms
from ddpm_course.checks.variances import MISVARIANCES, exact_variance
from ddpm_course.noising import cosine_schedule, linear_schedule


LAST = ("alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; "
        "schedule.alpha_bar(-1) is 1")


# ---- 1: respaced betas ----
respaced_betas = Exercise(
    right=of_levels(lambda ab, ab_prev: 1 - ab / ab_prev),
    cases=lambda: [(linear_schedule(100), [99, 60, 21, 5]), (cosine_schedule(50), [49, 30, 2])],
    wrong={
        "these are the long chain's betas at the visited timesteps, not respaced: "
        "each covers one step of many": lambda schedule, timesteps: schedule.betas[timesteps],
        "these are the long chain's alphas at the visited timesteps, neither respaced nor betas":
            lambda schedule, timesteps: 1 - schedule.betas[timesteps],
        "these are the alpha_bars; the beta of a step is 1 minus the ratio of two of them":
            of_levels(lambda ab, ab_prev: ab),
        "the last beta is 0 here; its step lands on clean data, where alpha_bar is 1":
            of_levels(lambda ab, ab_prev: torch.cat([(1 - ab / ab_prev)[:-1], torch.zeros(1)])),
        "the last beta is the long chain's here; its step goes all the way to clean data":
            lambda schedule, timesteps: torch.cat([
                1 - torch.divide(*levels(schedule, timesteps))[:-1],
                schedule.betas[timesteps[-1:]]]),
        "these are the sums of the skipped betas; shrinking multiplies, so use the ratio of "
        "alpha_bars": lambda *args: torch.stack([step.sum() for step in chained(*args)]),
        "this product of alphas lacks the last one: a slice ends before its second number, and "
        "beta_t itself belongs to the step":
            lambda *args: torch.stack([1 - (1 - step).prod() for step in chained(*args, 1)]),
        "this product of alphas holds that of prev as well, which belongs to the step before":
            lambda *args: torch.stack([1 - (1 - step).prod() for step in chained(*args, more=1)]),
        "this is the difference of the alpha_bars; shrinking multiplies, so use their ratio":
            of_levels(lambda ab, ab_prev: ab_prev - ab),
        "the order is reversed: the first beta belongs to the first timestep of the list, "
        "the noisiest": of_levels(lambda ab, ab_prev: (1 - ab / ab_prev).flip(0)),
        "these are the alphas: beta is 1 minus the ratio":
            of_levels(lambda ab, ab_prev: ab / ab_prev),
        "the ratio is upside down: alpha_bar of the noisier timestep is the smaller one, "
        "and a beta lies between 0 and 1": of_levels(lambda ab, ab_prev: 1 - ab_prev / ab),
        "alpha_bar is the square of the signal rate already: no root":
            of_levels(lambda ab, ab_prev: 1 - (ab / ab_prev).sqrt()),
        "these are 1 - alpha_bar, the noise since the clean image; a step adds what is new":
            of_levels(lambda ab, ab_prev: 1 - ab),
        "this divides by alpha_bar of the entry before, which is noisier; the list falls, so prev "
        "is the entry after, and clean data comes last": of_levels(from_above),
        "prev is the next entry of the list; this goes T // n back, which is right only where "
        "neighbors are that far apart": evenly,
        "this ends at alpha_bar of timestep 0: the last step lands on clean data, prev = -1, "
        "where alpha_bar is 1": lambda schedule, timesteps:
            1 - torch.divide(*levels(schedule, timesteps, 0)),
        LAST: lambda schedule, timesteps:
            1 - torch.divide(*levels(schedule, timesteps, len(schedule) - 1)),
        "the last step is missing: it lands on clean data, so there are as many betas as timesteps":
            of_levels(lambda ab, ab_prev: (1 - ab / ab_prev)[:-1]),
        "the ratio is upside down, and the last step, to clean data, is missing":
            of_levels(lambda ab, ab_prev: (1 - ab_prev / ab)[:-1]),
    },
    praise="A strided list of timesteps is a chain of its own, through the same noise levels.",
    tol=1e-8, keeps_inputs=True)


# ---- 2: the right variance ----
right_variance = Exercise(
    right=exact_variance,
    cases=lambda: [(linear_schedule(), 500, 300, 0.5), (cosine_schedule(), 700, 650, 0.8),
                   (linear_schedule(), 99, -1, 0.3)],
    wrong={**MISVARIANCES,
           LAST: lambda schedule, t, prev, s:
               exact_variance(schedule, t, prev % len(schedule), s)},
    praise="Small for s = 0, large for s = 1, and with it any number of steps is exact.", tol=1e-8)


# ---- 3: a cap for the clean end ----
def of_snr(f):
    "f(snr, gamma) for an alpha_bar."
    return lambda alpha_bar, gamma=5.0: f(alpha_bar / (1 - alpha_bar), gamma)


min_snr_weight = Exercise(
    right=of_snr(lambda snr, gamma: snr.clamp(max=gamma) / snr),
    cases=lambda: [(linear_schedule().alpha_bars[:600:40],),
                   (cosine_schedule(40).alpha_bars[:30], 2.0)],
    wrong={
        "this is the weight for the squared error of x_0; that of eps is smaller "
        "by a factor of SNR, so divide": of_snr(lambda snr, gamma: snr.clamp(max=gamma)),
        "this is a maximum: the cap has to hold the weight of almost clean images down":
            of_snr(lambda snr, gamma: snr.clamp(min=gamma) / snr),
        "this caps the weight of eps itself; cap the SNR first, then divide by the SNR":
            of_snr(lambda snr, gamma: (1 / snr).clamp(max=gamma)),
        "the SNR is a ratio of variances: alpha_bar / (1 - alpha_bar), without a square root":
            of_snr(lambda snr, gamma: snr.sqrt().clamp(max=gamma) / snr.sqrt()),
        "the SNR is upside down: the signal's alpha_bar stands above":
            of_snr(lambda snr, gamma: (1 / snr).clamp(max=gamma) * snr),
        "this multiplies by the SNR; an error in x_0 is one in eps divided by sqrt(SNR), "
        "so the weight is divided": of_snr(lambda snr, gamma: snr.clamp(max=gamma) * snr),
        "the error is squared, so its factor is too: divide by the SNR, not by its square root":
            of_snr(lambda snr, gamma: snr.clamp(max=gamma) / snr.sqrt()),
        "this is the weight for v: SNR + 1 belongs there":
            of_snr(lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1)),
        "the cap is missing where the SNR is small: there the weight is 1":
            of_snr(lambda snr, gamma: gamma / snr),
        "the minimum is divided by the SNR, not by gamma":
            of_snr(lambda snr, gamma: snr.clamp(max=gamma) / gamma),
        "the minimum is missing: this is 1 / SNR": of_snr(lambda snr, gamma: 1 / snr),
        "the cap is missing: this is 1 everywhere": of_snr(lambda snr, gamma: snr / snr),
        "alpha_bar / (1 - alpha_bar) is a ratio of squares already: square nothing":
            of_snr(lambda snr, gamma: snr.square().clamp(max=gamma) / snr.square()),
        "divide by the SNR once; here it is twice":
            of_snr(lambda snr, gamma: snr.clamp(max=gamma) / snr**2),
        "gamma is ignored: the second case has another one":
            lambda alpha_bar, gamma=5.0: of_snr(lambda snr, g: snr.clamp(max=5) / snr)(alpha_bar),
    },
    praise="For eps the weight is 1 until the SNR reaches gamma, and falls towards the clean end.")


# ---- 4: between small and large ----
def ends(schedule, t, prev):
    q = terms(schedule, t, prev, 1.0)
    return q.small, q.large


def mixed(f):
    "f(small, large, v) of the two variances."
    return lambda schedule, t, prev, v: f(*ends(schedule, t, prev), v)


def geometric(small, large, v): return large**v * small**(1 - v)


def not_respaced(schedule, t, prev, v):
    small, large = ends(schedule, t, prev)
    beta = schedule.betas[t].item()
    return geometric(beta * small / large, beta, v)


between = Exercise(
    right=mixed(geometric),
    cases=lambda: [(linear_schedule(), 99, 30, 0.3), (cosine_schedule(), 999, 899, 0.5),
                   (linear_schedule(), 5, 0, 0.8), (cosine_schedule(), 400, 200, 1.5)],
    wrong={
        "this mixes the variances themselves; mix their logarithms":
            mixed(lambda small, large, v: v * large + (1 - v) * small),
        "v = 0 is small and v = 1 is large; here they are exchanged":
            mixed(lambda small, large, v: geometric(large, small, v)),
        "this is the logarithm; take its exponential":
            mixed(lambda small, large, v: math.log(geometric(small, large, v))),
        "this is the standard deviation":
            mixed(lambda small, large, v: geometric(small, large, v)**0.5),
        "this mixes the standard deviations; mix the logarithms of the variances":
            mixed(lambda small, large, v: (v * large**0.5 + (1 - v) * small**0.5)**2),
        "this mixes the precisions; mix the logarithms of the variances":
            mixed(lambda small, large, v: 1 / (v / large + (1 - v) / small)),
        "the steps are long: large is 1 - alpha_bar_t / alpha_bar_prev, not betas[t]": not_respaced,
        "large is 1 - alpha_bar_t / alpha_bar_prev; this is all the noise since the clean image, "
        "1 - alpha_bar_t": lambda schedule, t, prev, v:
            geometric(ends(schedule, t, prev)[0], 1 - schedule.alpha_bar(t), v),
        "only the small variance is respaced here; large is 1 - alpha_bar_t / alpha_bar_prev as "
        "well, not betas[t]": lambda schedule, t, prev, v:
            geometric(ends(schedule, t, prev)[0], schedule.betas[t].item(), v),
        "the small variance is the large one times (1 - alpha_bar_prev) / (1 - alpha_bar_t); here "
        "it is that ratio alone": mixed(lambda small, large, v: geometric(small / large, large, v)),
        "the ratio (1 - alpha_bar_prev) / (1 - alpha_bar_t) has no root in the small variance":
            mixed(lambda small, large, v: geometric((small * large)**0.5, large, v)),
        "logarithms are added, so the powers are multiplied; this adds them":
            mixed(lambda small, large, v: large**v + small**(1 - v)),
        "the logarithms are natural, so exp takes them back, and not a power of 10":
            mixed(lambda small, large, v: geometric(small, large, v)**math.log(10)),
        "the small variance comes with the power 1 - v; here all of it is in the result":
            mixed(lambda small, large, v: large**v * small),
        "large is 1 - alpha_bar_t / alpha_bar_prev; this is the difference of the two":
            lambda schedule, t, prev, v: geometric(*(ends(schedule, t, prev)[i]
                * schedule.alpha_bar(prev) for i in (0, 1)), v),
        "these are the noises since the clean image, 1 - alpha_bar_t and 1 - alpha_bar_prev; large "
        "is 1 - alpha_bar_t / alpha_bar_prev": lambda schedule, t, prev, v:
            geometric(1 - schedule.alpha_bar(prev), 1 - schedule.alpha_bar(t), v),
        "the small variance is (1 - alpha_bar_prev) / (1 - alpha_bar_t) times the large one; here "
        "it is not divided": lambda schedule, t, prev, v: geometric(
            ends(schedule, t, prev)[1] * (1 - schedule.alpha_bar(prev)),
            ends(schedule, t, prev)[1], v),
        "this is the exponential of mixed variances; mix their logarithms":
            mixed(lambda small, large, v: math.exp(v * large + (1 - v) * small)),
        "v is ignored: this is the small variance": mixed(lambda small, large, v: small),
        "v is ignored: this is the large variance": mixed(lambda small, large, v: large),
        "v may lie outside 0..1; do not clamp it":
            mixed(lambda small, large, v: geometric(small, large, min(v, 1))),
        "this goes to t - 1; the step goes to prev": lambda schedule, t, prev, v:
            geometric(*ends(schedule, t, t - 1), v),
        "the small variance is (1 - alpha_bar_prev) / (1 - alpha_bar_t) times the large one; this "
        "is the ratio upside down": mixed(lambda small, large, v:
                                          geometric(large**2 / small, large, v)),
    },
    praise="Now sample with it, and go beyond the scale.", tol=1e-8)
