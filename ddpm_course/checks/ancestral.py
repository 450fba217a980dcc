"Checkers of chapter 13."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.noising import cosine_schedule, linear_schedule


def _noisy():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 1, 4, 4, generator=rng, dtype=torch.float64)


def _mean(x_t, eps, beta, alpha_bar): return (x_t - beta / (1 - alpha_bar)**0.5 * eps) / (1 - beta)**0.5


mean_from_eps = Exercise(
    right=_mean,
    cases=lambda: [(*_noisy(), beta, alpha_bar) for beta, alpha_bar in ((0.02, 0.5), (0.3, 0.1))],
    wrong={
        "this uses beta_t where alpha_bar_t belongs: eps is divided by sqrt(1 - alpha_bar_t)": lambda x_t, eps, beta, alpha_bar: (x_t - beta / (1 - beta)**0.5 * eps) / (1 - beta)**0.5,
        "this subtracts sqrt(1 - alpha_bar_t) eps, all of the noise: that leads to x_0 (scaled), not to x_{t-1}": lambda x_t, eps, beta, alpha_bar: (x_t - (1 - alpha_bar)**0.5 * eps) / (1 - beta)**0.5,
        "this divides by sqrt(alpha_bar_t), which undoes all steps; one step shrinks by sqrt(1 - beta_t) only": lambda x_t, eps, beta, alpha_bar: (x_t - beta / (1 - alpha_bar)**0.5 * eps) / alpha_bar**0.5,
        "the division by sqrt(1 - beta_t) is missing: the step back has to undo the shrinking": lambda x_t, eps, beta, alpha_bar: x_t - beta / (1 - alpha_bar)**0.5 * eps,
        "this subtracts sqrt(beta_t) eps: eps is the noise of all steps so far, and only a share of it is the last step's": lambda x_t, eps, beta, alpha_bar: (x_t - beta**0.5 * eps) / (1 - beta)**0.5,
        "the square root of 1 - alpha_bar_t is missing": lambda x_t, eps, beta, alpha_bar: (x_t - beta / (1 - alpha_bar) * eps) / (1 - beta)**0.5,
        "the square root of 1 - beta_t is missing: one step shrinks by it": lambda x_t, eps, beta, alpha_bar: (x_t - beta / (1 - alpha_bar)**0.5 * eps) / (1 - beta),
        "sign: the noise has to be subtracted": lambda x_t, eps, beta, alpha_bar: (x_t + beta / (1 - alpha_bar)**0.5 * eps) / (1 - beta)**0.5,
    },
    praise="A step back removes beta_t / sqrt(1 - alpha_bar_t) of the noise, and undoes the shrinking.")


def _respaced(schedule, timesteps):
    ab = torch.tensor([schedule.alpha_bar(t) for t in [*timesteps, -1]], dtype=torch.float64)
    return 1 - ab[:-1] / ab[1:]


def _sums(schedule, timesteps):
    return torch.stack([schedule.betas[prev + 1:t + 1].sum() for t, prev in zip(timesteps, [*timesteps[1:], -1])])


respaced_betas = Exercise(
    right=_respaced,
    cases=lambda: [(linear_schedule(100), [99, 60, 21, 5]), (cosine_schedule(50), [49, 30, 2])],
    wrong={
        "these are the long chain's betas at the visited timesteps, not respaced: each covers one step of many": lambda schedule, timesteps: schedule.betas[timesteps],
        "these are the sums of the skipped betas; shrinking multiplies, so use the ratio of alpha_bars": _sums,
        "the order is reversed: the first beta belongs to the first timestep of the list, the noisiest": lambda schedule, timesteps: _respaced(schedule, timesteps).flip(0),
        "these are the alphas: beta is 1 minus the ratio": lambda schedule, timesteps: 1 - _respaced(schedule, timesteps),
        "this ends at alpha_bar of timestep 0: the last step lands on clean data, prev = -1, where alpha_bar is 1":
            lambda schedule, timesteps: 1 - schedule.alpha_bars[timesteps] / schedule.alpha_bars[[*timesteps[1:], 0]],
        "alpha_bars[-1] is Python's last entry, the noisiest, and not clean data; schedule.alpha_bar(-1) is 1":
            lambda schedule, timesteps: 1 - schedule.alpha_bars[timesteps] / schedule.alpha_bars[[*timesteps[1:], -1]],
        "the last step is missing: it lands on clean data, so there are as many betas as timesteps": lambda schedule, timesteps: _respaced(schedule, timesteps)[:-1],
    },
    praise="A strided list of timesteps is a chain of its own, through the same noise levels.", tol=1e-8)


def _snr(alpha_bar): return alpha_bar / (1 - alpha_bar)


min_snr_weight = Exercise(
    right=lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(max=gamma) / _snr(alpha_bar),
    cases=lambda: [(linear_schedule().alpha_bars[::50],), (cosine_schedule(40).alpha_bars, 2.0)],
    wrong={
        "this is the weight for the squared error of x_0; that of eps is smaller by a factor of SNR, so divide": lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(max=gamma),
        "this is a maximum: the cap has to hold the weight of almost clean images down": lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(min=gamma) / _snr(alpha_bar),
        "this caps the weight of eps itself; cap the SNR first, then divide by the SNR": lambda alpha_bar, gamma=5.0: (1 / _snr(alpha_bar)).clamp(max=gamma),
        "the SNR is a ratio of variances: alpha_bar / (1 - alpha_bar), without a square root":
            lambda alpha_bar, gamma=5.0: _snr(alpha_bar).sqrt().clamp(max=gamma) / _snr(alpha_bar).sqrt(),
        "this multiplies by the SNR; an error in x_0 is one in eps divided by sqrt(SNR), so the weight is divided": lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(max=gamma) * _snr(alpha_bar),
        "the error is squared, so its factor is too: divide by the SNR, not by its square root": lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(max=gamma) / _snr(alpha_bar).sqrt(),
        "this is the weight for v: SNR + 1 belongs there": lambda alpha_bar, gamma=5.0: _snr(alpha_bar).clamp(max=gamma) / (_snr(alpha_bar) + 1),
    },
    praise="For eps the weight is 1 until the SNR reaches gamma, and falls from there towards the clean end.")


def _clipped(x_t, eps, alpha_bar): return ((x_t - (1 - alpha_bar)**0.5 * eps) / alpha_bar**0.5).clamp(-1, 1)


def _plain(x_t, eps, alpha_bar, alpha_bar_prev, stale=False, clip=True, back=None):
    x0_hat = (x_t - (1 - alpha_bar)**0.5 * eps) / alpha_bar**0.5
    if clip: x0_hat = x0_hat.clamp(-1, 1)
    if not stale: eps = (x_t - alpha_bar**0.5 * x0_hat) / (1 - alpha_bar)**0.5
    return alpha_bar_prev**0.5 * x0_hat + (1 - (alpha_bar_prev if back is None else back))**0.5 * eps


plain_step = Exercise(
    right=_plain,
    cases=lambda: [(*_noisy(), 0.1, 0.3), (*_noisy(), 0.1, 0.3, True), (*_noisy(), 0.9, 0.95), (*_noisy(), 0.4, 1.0)],
    wrong={
        "eps is stale in both settings: with stale=False derive it anew from the clipped estimate": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, True),
        "eps is fresh in both settings: with stale=True keep the network's": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, False),
        "the two settings are exchanged": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, not stale),
        "the estimate is not clipped to [-1, 1]": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, stale, clip=False),
        "the fresh eps is (x_t - sqrt(alpha_bar) x0_hat) / sqrt(1 - alpha_bar); here x0_hat is not scaled by its rate": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, True) if stale
            else prev**0.5 * _clipped(x_t, eps, ab) + (1 - prev)**0.5 * (x_t - _clipped(x_t, eps, ab)) / (1 - ab)**0.5,
        "this clips x_prev too; only the estimate of x_0 is known to lie in [-1, 1]": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, stale).clamp(-1, 1),
        "this puts back the noise of alpha_bar, the level that it left; the state belongs at alpha_bar_prev": lambda x_t, eps, ab, prev, stale=False: _plain(x_t, eps, ab, prev, stale, back=ab),
    },
    praise="x0_hat and eps are one belief: change one, and the other has to follow.")
