"How far the estimates of a model are from the images."

import torch

from .models import inference_mode, predict_x0
from .noising import q_sample
from .randomness import BatchRandom


def x0_errors(model, schedule, # model(x_t, t), labels bound; its NoiseSchedule
              x0, # clean images (B, C, H, W)
              ts, # ints 0..T-1
              clip: float | None=1.0, # clamp x0_hat, as the sampler will
              seed: int=0) -> torch.Tensor: # of the noise, the same at every call
    "Mean squared error of the estimate x0_hat at each timestep, a pixel: float64 (len(ts),)."
    def at(t):
        eps = BatchRandom(seed, t, len(x0), device=x0.device).randn_like(x0)
        x0_hat, _ = predict_x0(model, schedule, q_sample(schedule, x0, t, eps), t, clip)
        return (x0_hat - x0).double().square().mean()
    with inference_mode(model): return torch.stack([at(t) for t in ts])
