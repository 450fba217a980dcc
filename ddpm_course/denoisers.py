"What denoisers D(x, sigma) share: noise levels, lists of them for samplers, the way back to eps."

import math

import numpy as np
import torch

from .ddim import make_distinct
from .kinds import a_call, amount, described, flag, having, is_number, listed, number, optional
from .kinds import positive
from .models import Wrapper, inference_mode, predicts_of
from .noising import PREDICTS, eps_from_x0, expand_like
from .stepping import SAMPLER


def a_level(value, name):
    "The kind of noise levels, of which infinity is one."
    return value if is_number(value) and value == math.inf else amount(value, name)


def a_predictor(value, name):
    "The kind of networks that a denoiser is made of: they predict eps, x0 or v."
    if getattr(a_call(value, name), "predicts", None) == "denoised":
        raise ValueError(f"{name}: got a denoiser already; use it as it is")
    predicts_of(value)
    return value


def check_noise_levels(sigma):
    "TypeError unless sigma holds floats, as (B,)."
    if isinstance(sigma, torch.Tensor) and sigma.is_floating_point(): return
    raise TypeError(f"sigma={described(sigma)}; expected floats (B,), a level for each image; what "
                    "asks at timesteps, as ddim_sample does, takes as_eps(denoiser, schedule)")


class Levels:
    """The finite levels sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t) of a `NoiseSchedule`.

    Stands in for the schedule where an output is turned into x_0, with sigma in place of t."""
    ends_in_noise = False

    def __init__(self, schedule):
        sigmas = ((1 - schedule.alpha_bars) / schedule.alpha_bars).sqrt()
        self.sigmas = sigmas[sigmas.isfinite()] # (T,) float64, rising; one less at zero SNR
        self.logs = self.sigmas.log().numpy()

    def rates(self, sigma, like=None):
        "Signal and noise rate of x_t at levels sigma (B,), shaped alike."
        signal = (1 + sigma**2)**-0.5
        return expand_like(signal, like), expand_like(signal * sigma, like)

    def timestep(self, sigma):
        "t at levels sigma (B,): int64 where all are trained levels, else float64 between them."
        check_noise_levels(sigma)
        logs = np.log(sigma.cpu().numpy())
        if logs.min() < self.logs[0] - 1e-6 or logs.max() > self.logs[-1] + 1e-6:
            low, high = np.exp(self.logs[[0, -1]])
            raise ValueError(f"sigma from {sigma.min():.4g} to {sigma.max():.4g}; this network was "
                             f"trained from {low:.4g} to {high:.4g}: stay within, or snap")
        t = np.interp(logs, self.logs, np.arange(len(self.logs)))
        whole = t.round()
        if abs(t - whole).max() < 1e-3: t = whole.astype(np.int64)
        return torch.from_numpy(t).to(sigma.device)


def level_range(model, low=0.002, high=80.0): # D(x, sigma), and the range of Karras et al.
    "(sigma_min, sigma_max) for a denoiser: that range, less what its network was not trained on."
    trained = getattr(model, "sigmas", None)
    if trained is None: return low, high
    return max(low, trained[0].item()), min(high, trained[-1].item())


def snapped(sigmas, # wanted levels, strictly decreasing
            trained): # (T,) those that a network was trained on, rising
    "As many trained levels, each the nearest to a wanted one, moved where two would be the same."
    n = len(sigmas)
    T = len(trained)
    if n > T: raise ValueError(f"{n} levels; the network was trained on {T}: at most as many")
    nearest = [(trained - sigma).abs().argmin().item() for sigma in sigmas[::-1]]
    index = [min(t, T - n + i) for i, t in enumerate(make_distinct(nearest))]
    return trained[index].tolist()[::-1]


def check_span(sigma_min, sigma_max, n):
    "ValueError unless one level lies below the other, or is the only one."
    if sigma_min < sigma_max or n == 1 and sigma_min == sigma_max: return
    raise ValueError(f"sigma_min={sigma_min}, sigma_max={sigma_max}; expected sigma_min below "
                     "sigma_max")


def check_sigmas(sigmas):
    "Levels as a list of floats, strictly decreasing and above 0; else ValueError."
    sigmas = [float(sigma) for sigma in sigmas]
    falling = all(a > b for a, b in zip(sigmas, sigmas[1:]))
    if sigmas and falling and 0 < sigmas[-1] and sigmas[0] < math.inf: return sigmas
    got = f"{[f'{s:.4g}' for s in sigmas[:5]]}{'...' * (len(sigmas) > 5)}"
    raise ValueError(f"sigmas: got {got}; expected a strictly decreasing list above 0; the last "
                     "step goes to 0 by itself, so leave that out")


def levels_to_walk(model, # D(x, sigma)
                   sigmas, # falling levels
                   snap: bool): # whether to move them to those that the network was trained on
    "The levels as a list of floats; ValueError if they do not fall."
    sigmas = check_sigmas(sigmas)
    return snapped(sigmas, model.sigmas) if snap and hasattr(model, "sigmas") else sigmas


def a_denoiser(value, name):
    "The kind of denoisers; a network that predicts eps, x0 or v would answer nonsense at sigma."
    predicts = getattr(a_call(value, name), "predicts", None)
    if predicts in PREDICTS:
        raise ValueError(f"{name}: got one that predicts {predicts!r} at a timestep; expected "
                         "a denoiser D(x, sigma): pass as_denoiser(model, schedule)")
    return value


SOLVER = SAMPLER | { # what arguments of the samplers in sigma are
    "model": a_denoiser, "sigmas": optional(listed(number(), what="a list of falling levels")),
    "churn": optional(having("gamma", "S_noise", what="a Churn")), "snap": flag,
    **dict.fromkeys(["sigma_min", "sigma_max", "rho"], positive),
    **dict.fromkeys(["S_churn", "S_tmin", "S_noise"], amount), "S_tmax": a_level}


def ask(model, x, sigma: float):
    "D(x, sigma) for images x (B, C, H, W) at one level, in the dtype of x."
    kind = torch.float32 if x.device.type == "mps" else torch.float64 # Apple's GPU has no float64
    levels = torch.full((len(x),), sigma, dtype=kind, device=x.device)
    with inference_mode(model): return model(x, levels).to(x.dtype)


def raise_level(model, x, sigma: float, churn, steps, noise, snap):
    "x with the fresh noise of `churn`, and the level sigma-hat at which it is then."
    gamma = 0.0 if churn is None else churn.gamma(sigma, steps)
    if not gamma: return x, sigma
    sigma_hat = sigma * (1 + gamma)
    if snap and hasattr(model, "round"): sigma_hat = model.round(sigma_hat)
    added = churn.S_noise * max(0.0, sigma_hat**2 - sigma**2)**0.5
    return x + added * next(noise).to(x), sigma_hat


class ExactDenoiser:
    "The exact D(x, sigma) of a `GaussianMixture`, at any level."
    predicts = "denoised"

    def __init__(self, mixture): self.mixture = mixture

    def __call__(self, x, sigma):
        check_noise_levels(sigma)
        x = x.double()
        noise = expand_like(sigma, x)[:, None] # (B, 1, 1, 1, 1)
        log_p, residual = self.mixture.components(x, 1.0, noise)
        r = log_p.softmax(1)[:, :, None, None, None] # which component x came from
        return (r * (self.mixture.means + self.mixture.stds**2 * residual)).sum(1)


class NoisePredictor(Wrapper):
    "See `as_eps`."
    predicts = "eps"

    def __init__(self, denoiser, schedule):
        super().__init__(denoiser)
        self.schedule = schedule

    def __call__(self, x_t, t, y=None):
        alpha_bar = self.schedule.alpha_bar(t)
        x = x_t / expand_like(alpha_bar**0.5, x_t)
        x0 = super().__call__(x, ((1 - alpha_bar) / alpha_bar)**0.5, y)
        return eps_from_x0(self.schedule, x_t, t, x0)


def as_eps(denoiser, # D(x, sigma)
           schedule): # NoiseSchedule, with alpha_bar above 0
    "The way back from `as_denoiser`: a model(x_t, t) that predicts eps, for `ddim_sample`."
    if getattr(denoiser, "predicts", None) in PREDICTS:
        raise ValueError(f"as_eps: got a model that predicts {predicts_of(denoiser)!r}; "
                         "expected a denoiser D(x, sigma)")
    return NoisePredictor(denoiser, schedule)
