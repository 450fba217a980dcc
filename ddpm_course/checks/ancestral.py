"Checkers for the exercises of chapter 14."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


# ---- 1: respaced betas ----
def respaced(schedule, timesteps):
    ab = torch.tensor([schedule.alpha_bar(t) for t in [*timesteps, -1]], dtype=torch.float64)
    return 1 - ab[:-1] / ab[1:]


def upside_down(schedule, timesteps):
    ab = torch.tensor([schedule.alpha_bar(t) for t in [*timesteps, -1]], dtype=torch.float64)
    return 1 - ab[1:] / ab[:-1]


def sums(schedule, timesteps):
    pairs = zip(timesteps, [*timesteps[1:], -1])
    return torch.stack([schedule.betas[prev + 1:t + 1].sum() for t, prev in pairs])


def ending_at(last):
    "Betas whose last step lands on `last` of alpha_bars."
    def answer(schedule, timesteps):
        return 1 - schedule.alpha_bars[timesteps] / schedule.alpha_bars[[*timesteps[1:], last]]
    return answer


respaced_betas = Exercise(
    right=respaced,
    cases=lambda: [(linear_schedule(100), [99, 60, 21, 5]), (cosine_schedule(50), [49, 30, 2])],
    wrong={
        "these are the long chain's betas at the visited timesteps, not respaced: "
        "each covers one step of many": lambda schedule, timesteps: schedule.betas[timesteps],
        "these are the sums of the skipped betas; shrinking multiplies, "
        "so use the ratio of alpha_bars": sums,
        "the order is reversed: the first beta belongs to the first timestep of the list, "
        "the noisiest": lambda schedule, timesteps: respaced(schedule, timesteps).flip(0),
        "these are the alphas: beta is 1 minus the ratio":
            lambda schedule, timesteps: 1 - respaced(schedule, timesteps),
        "the ratio is upside down: alpha_bar of the noisier timestep is the smaller one, "
        "and a beta lies between 0 and 1": upside_down,
        "alpha_bar is the square of the signal rate already: no root":
            lambda schedule, timesteps: 1 - (1 - respaced(schedule, timesteps)).sqrt(),
        "these are 1 - alpha_bar, the noise since the clean image; a step adds what is new":
            lambda schedule, timesteps: 1 - schedule.alpha_bars[timesteps],
        "this ends at alpha_bar of timestep 0: the last step lands on clean data, prev = -1, "
        "where alpha_bar is 1": ending_at(0),
        "alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; "
        "schedule.alpha_bar(-1) is 1": ending_at(-1),
        "the last step is missing: it lands on clean data, so there are as many betas as timesteps":
            lambda schedule, timesteps: respaced(schedule, timesteps)[:-1],
    },
    praise="A strided list of timesteps is a chain of its own, through the same noise levels.",
    tol=1e-8)


# ---- 2: the right variance ----
def parts(schedule, t, prev, s):
    "Small variance, large variance, factor of x_0, Var[x_0 | x_t]."
    ab = schedule.alpha_bar(t)
    ab_prev = schedule.alpha_bar(prev)
    beta = 1 - ab / ab_prev
    on_x0 = ab_prev**0.5 * beta / (1 - ab)
    return beta * (1 - ab_prev) / (1 - ab), beta, on_x0, s**2 * (1 - ab) / (ab * s**2 + 1 - ab)


def composed(f):
    "f(small, large, on_x0, var_x0) of the parts."
    return lambda *args: f(*parts(*args))


def exact_variance(schedule, t, prev, s):
    small, _, on_x0, var_x0 = parts(schedule, t, prev, s)
    return small + on_x0**2 * var_x0


def with_x_t(schedule, t, prev, s):
    "The factor of x_t in the place of that of x_0."
    small, beta, _, var_x0 = parts(schedule, t, prev, s)
    ab = schedule.alpha_bar(t)
    ab_prev = schedule.alpha_bar(prev)
    return small + (1 - beta) * ((1 - ab_prev) / (1 - ab))**2 * var_x0


def with_prior(schedule, t, prev, s):
    small, _, on_x0, _ = parts(schedule, t, prev, s)
    return small + on_x0**2 * s**2


def with_eps(schedule, t, prev, s):
    "Var[eps | x_t] in the place of Var[x_0 | x_t]."
    small, _, on_x0, _ = parts(schedule, t, prev, s)
    ab = schedule.alpha_bar(t)
    return small + on_x0**2 * ab * s**2 / (ab * s**2 + 1 - ab)


def with_precision(schedule, t, prev, s):
    "1 / Var[x_0 | x_t] taken for the variance."
    small, _, on_x0, var_x0 = parts(schedule, t, prev, s)
    return small + on_x0**2 / var_x0


def marginal(schedule, t, prev, s):
    return schedule.alpha_bar(prev) * s**2 + 1 - schedule.alpha_bar(prev)


def long_chain(schedule, t, prev, s):
    "The long chain's beta at t."
    ab = schedule.alpha_bar(t)
    ab_prev = schedule.alpha_bar(prev)
    beta = schedule.betas[t].item()
    on_x0 = ab_prev**0.5 * beta / (1 - ab)
    return beta * (1 - ab_prev) / (1 - ab) + on_x0**2 * parts(schedule, t, prev, s)[3]


right_variance = Exercise(
    right=exact_variance,
    cases=lambda: [(linear_schedule(), 500, 300, 0.5), (cosine_schedule(), 700, 650, 0.8),
                   (linear_schedule(), 99, -1, 0.3)],
    wrong={
        "this is the small variance, which is right for a single point: s is not in it":
            composed(lambda small, large, on_x0, var_x0: small),
        "this is the large variance, which is right for a standard normal: s is not in it":
            composed(lambda small, large, on_x0, var_x0: large),
        "x_0 comes with the factor a, so its variance comes with a squared":
            composed(lambda small, large, on_x0, var_x0: small + on_x0 * var_x0),
        "the factor a is missing: the posterior's mean holds a x_0, so a^2 Var[x_0 | x_t]":
            composed(lambda small, large, on_x0, var_x0: small + var_x0),
        "this takes the large variance for the posterior's":
            composed(lambda small, large, on_x0, var_x0: large + on_x0**2 * var_x0),
        "this is the part that x_0 adds; the posterior's own variance is missing":
            composed(lambda small, large, on_x0, var_x0: on_x0**2 * var_x0),
        "this is the standard deviation": composed(
            lambda small, large, on_x0, var_x0: (small + on_x0**2 * var_x0)**0.5),
        "s^2 is what is unknown about x_0 before x_t is seen; given x_t it is less": with_prior,
        "this is Var[eps | x_t]; the posterior asks for x_0": with_eps,
        "this is the precision of x_0 given x_t; its variance is one over that": with_precision,
        "a is the factor of x_0; this is that of x_t": with_x_t,
        "this is the variance of x_prev when x_t is not known": marginal,
        "the step is longer than one: its beta is 1 - alpha_bar_t / alpha_bar_prev": long_chain,
        "s is a standard deviation; its square belongs here": lambda schedule, t, prev, s:
            exact_variance(schedule, t, prev, s**0.5),
        "prev is given; this goes to t - 1":
            lambda schedule, t, prev, s: exact_variance(schedule, t, t - 1, s),
    },
    praise="Small for s = 0, large for s = 1, and with it any number of steps is exact.", tol=1e-8)


# ---- 3: a cap for the clean end ----
def of_snr(f):
    "f(snr, gamma) for an alpha_bar."
    return lambda alpha_bar, gamma=5.0: f(alpha_bar / (1 - alpha_bar), gamma)


min_snr_weight = Exercise(
    right=of_snr(lambda snr, gamma: snr.clamp(max=gamma) / snr),
    cases=lambda: [(linear_schedule().alpha_bars[::50],), (cosine_schedule(40).alpha_bars, 2.0)],
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
        "gamma is ignored: the second case has another one":
            lambda alpha_bar, gamma=5.0: of_snr(lambda snr, g: snr.clamp(max=5) / snr)(alpha_bar),
    },
    praise="For eps the weight is 1 until the SNR reaches gamma, and falls towards the clean end.")


# ---- 4: between small and large ----
def ends(schedule, t, prev):
    small, large, _, _ = parts(schedule, t, prev, 1.0)
    return small, large


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
            mixed(lambda small, large, v: torch.tensor(geometric(small, large, v)).log().item()),
        "this is the standard deviation":
            mixed(lambda small, large, v: geometric(small, large, v)**0.5),
        "this mixes the standard deviations; mix the logarithms of the variances":
            mixed(lambda small, large, v: (v * large**0.5 + (1 - v) * small**0.5)**2),
        "this mixes the precisions; mix the logarithms of the variances":
            mixed(lambda small, large, v: 1 / (v / large + (1 - v) / small)),
        "the steps are long: large is 1 - alpha_bar_t / alpha_bar_prev, not betas[t]": not_respaced,
        "v is ignored: this is the small variance": mixed(lambda small, large, v: small),
        "v is ignored: this is the large variance": mixed(lambda small, large, v: large),
        "v may lie outside 0..1; do not clamp it":
            mixed(lambda small, large, v: geometric(small, large, min(v, 1))),
        "this goes to t - 1; the step goes to prev": lambda schedule, t, prev, v:
            geometric(*ends(schedule, t, t - 1), v),
        "the small variance is (1 - alpha_bar_prev) / (1 - alpha_bar_t) times the large one; "
        "this is the ratio upside down":
            mixed(lambda small, large, v: geometric(large**2 / small, large, v)),
    },
    praise="Now sample with it, and go beyond the scale.", tol=1e-8)


# ---- 5: a stale noise ----
def noisy():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 1, 4, 4, generator=rng, dtype=torch.float64)


def rates(alpha_bar): return alpha_bar**0.5, (1 - alpha_bar)**0.5


def plain(x_t, eps, ab, ab_prev, stale=False, clip=True, back=None, scaled=True):
    signal, noise = rates(ab)
    x0_hat = (x_t - noise * eps) / signal
    if clip: x0_hat = x0_hat.clamp(-1, 1)
    if not stale: eps = (x_t - (signal if scaled else 1) * x0_hat) / noise
    return ab_prev**0.5 * x0_hat + ((1 - ab_prev)**0.5 if back is None else back) * eps


def varied(**options):
    return lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, stale, **options)


plain_step = Exercise(
    right=plain,
    cases=lambda: [(*noisy(), 0.1, 0.3), (*noisy(), 0.1, 0.3, True), (*noisy(), 0.9, 0.95),
                   (*noisy(), 0.4, 1.0)],
    wrong={
        "eps is stale in both settings: with stale=False derive it anew from the clipped estimate":
            lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, True),
        "eps is fresh in both settings: with stale=True keep the network's":
            lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, False),
        "the two settings are exchanged":
            lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, not stale),
        "the estimate is not clipped to [-1, 1]": varied(clip=False),
        "the fresh eps is (x_t - sqrt(alpha_bar) x0_hat) / sqrt(1 - alpha_bar); "
        "here x0_hat is not scaled by its rate": varied(scaled=False),
        "this clips x_prev too; only the estimate of x_0 is known to lie in [-1, 1]":
            lambda *args: plain(*args).clamp(-1, 1),
        "this puts back the noise of alpha_bar, the level that it left; "
        "the state belongs at alpha_bar_prev":
            lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, stale,
                                                          back=(1 - ab)**0.5),
        "the noise is put back with the root of 1 - alpha_bar_prev; here the root is missing":
            lambda x_t, eps, ab, prev, stale=False: plain(x_t, eps, ab, prev, stale, back=1 - prev),
        "no noise is put back": varied(back=0),
    },
    praise="x0_hat and eps are one belief: change one, and the other has to follow.")
