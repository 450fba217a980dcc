"Flow matching as one more row of the table: straight paths, and the way between it and denoisers."

from dataclasses import dataclass

import torch

from .arguments import checked
from .denoisers import a_denoiser, check_noise_levels
from .images import check_images
from .kinds import a_call
from .models import Wrapper, register
from .nesting import Nested, a_network
from .noising import expand_like


@register
class VelocityNet(Nested):
    "u(x_t, t) by a raw network, whose embedding gets times 0..1000, for which it was made."
    predicts = "velocity"

    @checked(net=a_network)
    def __init__(self, net): # F(x_t, t, y), such as a `UNet`
        super().__init__(net)

    def forward(self, x_t, t, y=None):
        labels = () if y is None else (y,)
        return self.net(x_t, (1000 * t).to(x_t.dtype), *labels)


class Velocity(Wrapper):
    "See `as_velocity`."
    predicts = "velocity"

    def __call__(self, x_t, t, y=None):
        if not ((0 < t) & (t < 1)).all():
            raise ValueError(f"t from {t.min():.4g} to {t.max():.4g}; expected 0 < t < 1: at 1 "
                             "sigma is infinite, so start at sigma_max / (1 + sigma_max)")
        x0 = super().__call__(x_t / expand_like(1 - t, x_t), t / (1 - t), y)
        return (x_t - x0) / expand_like(t, x_t)


@checked(denoiser=a_denoiser)
def as_velocity(denoiser): # D(x, sigma)
    """u(x_t, t) = E[eps - x_0 | x_t] for x_t = (1 - t) x_0 + t eps, t (B,) within 0 and 1.

    With sigma = t / (1 - t), x_t / (1 - t) is x_0 + sigma eps (paths of Lipman et al. 2023)."""
    return Velocity(denoiser)


def a_flow(value, name):
    "The kind of models of a velocity u(x_t, t)."
    predicts = getattr(a_call(value, name), "predicts", "velocity")
    if predicts == "velocity": return value
    raise ValueError(f"{name}: got a model that predicts {predicts!r}; expected one of velocities, "
                     "u(x_t, t), such as a VelocityNet")


class FlowDenoiser(Wrapper):
    "See `from_velocity`."
    predicts = "denoised"

    def __call__(self, x, sigma, y=None):
        check_noise_levels(sigma)
        t = sigma / (1 + sigma)
        x_t = expand_like(1 - t, x) * x
        return x_t - expand_like(t, x) * super().__call__(x_t, t, y)


@checked(model=a_flow)
def from_velocity(model): # u(x_t, t)
    "The denoiser D(x, sigma) of a flow model, for the solvers of chapter 80."
    return FlowDenoiser(model)


class ExactVelocity:
    "The exact u(x_t, t) of a `GaussianMixture`, at t = 1 as well."
    predicts = "velocity"

    def __init__(self, mixture): self.mixture = mixture

    def __call__(self, x_t, t):
        x = x_t.double()
        signal, noise = (expand_like(c, x)[:, None] for c in (1 - t, t))
        log_p, residual = self.mixture.components(x, signal, noise)
        r = log_p.softmax(1)[:, :, None, None, None]
        x0 = self.mixture.means + signal * self.mixture.stds**2 * residual
        return (r * (noise * residual - x0)).sum(1)


@dataclass(frozen=True)
class FlowLoss:
    "Squared error of the velocity at uniform times: loss(model, x, y, rng) -> (B,)."

    def __call__(self, model, x, y, rng):
        check_images(x, "x")
        t = rng.rand().to(x)
        eps = rng.randn_like(x)
        x_t = torch.lerp(x, eps, expand_like(t, x))
        labels = () if getattr(model, "num_classes", None) is None else (y,)
        return (model(x_t, t, *labels) - (eps - x)).square().flatten(1).mean(1)
