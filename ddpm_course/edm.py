"EDM's training: a network whose input, output and errors have one size at every noise level."

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from .images import check_images
from .models import register
from .nesting import Nested
from .noising import expand_like
from .solvers import (
    Churn, as_denoiser, dpmpp_2m_sample, euler_sample, heun_sample, karras_sigmas)

__all__ = ["Churn", "EDMLoss", "Precond", "as_denoiser", "dpmpp_2m_sample", "euler_sample",
           "heun_sample", "karras_sigmas"]


@register
class Precond(Nested):
    "D(x, sigma) = c_skip x + c_out F(c_in x, c_noise) of a raw network F (Karras et al., eq. 7)."
    predicts = "denoised"

    def __init__(self, net: nn.Module, # F(x, c_noise, y), such as a `UNet`
                 sigma_data: float=0.5): # standard deviation of the data
        if not sigma_data > 0: raise ValueError(f"sigma_data={sigma_data}; expected more than 0")
        super().__init__(net, sigma_data=sigma_data)
        self.sigma_data = sigma_data

    def coefficients(self, sigma):
        "c_skip, c_out, c_in, c_noise at levels sigma (B,), each (B,) (Karras et al., table 1)."
        total = sigma**2 + self.sigma_data**2
        c_in = total**-0.5
        return self.sigma_data**2 / total, sigma * self.sigma_data * c_in, c_in, sigma.log() / 4

    def forward(self, x, sigma, y=None, augment=None):
        """The denoised images, shaped like x; augment (B, 9) tells what was done to them.

        A network that is to be told so takes `augment=` itself, and embeds zeros as nothing."""
        *scales, c_noise = self.coefficients(sigma)
        c_skip, c_out, c_in = (expand_like(c, x) for c in scales)
        labels = () if y is None else (y,)
        told = {} if augment is None else {"augment": augment}
        return c_skip * x + c_out * self.net(c_in * x, c_noise.to(x.dtype), *labels, **told)


@dataclass(frozen=True)
class EDMLoss:
    "Weighted error of D at log-normal noise levels: loss(model, x, y, rng) -> (B,) (eq. 2, 5.1)."
    P_mean: float = -1.2 # of log sigma
    P_std: float = 1.2
    sigma_data: float = 0.5 # as for `Precond`
    augment: Callable | None = None # augment(x, rng) -> (x, parameters), such as `Augment()`

    def __post_init__(self):
        for name in ("P_std", "sigma_data"):
            value = getattr(self, name)
            if not value > 0: raise ValueError(f"{name}={value}; expected more than 0")

    def weight(self, sigma):
        "lambda(sigma) (B,): one over c_out^2, so that errors of F count alike."
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data)**2

    def sigma(self, x, rng):
        "Noise levels (B,) for images x."
        return (self.P_mean + self.P_std * rng.randn_like(x.flatten(1)[:, 0])).exp()

    def __call__(self, model, x, y, rng):
        check_images(x, "x")
        told = {}
        if self.augment is not None: x, told["augment"] = self.augment(x, rng)
        sigma = self.sigma(x, rng)
        noisy = x + expand_like(sigma, x) * rng.randn_like(x)
        labels = () if getattr(model, "num_classes", None) is None else (y,)
        error = (model(noisy, sigma, *labels, **told) - x).square().flatten(1).mean(1)
        return self.weight(sigma) * error
