"CIFAR-10 in color on a CPU: a class-conditional network that an evening trains."

import torch

from .ddpm import DDPMLoss
from .folded import FoldedUNet
from .noising import cosine_schedule
from .runs import Run
from .training import fit

CIFAR_UNET = dict(channels=(64, 128, 128), layers=1, attention=(False, True, False), groups=16,
                  num_classes=10, predicts="v") # inside `FoldedUNet`
CIFAR_FIT = dict(batch_size=64, lr=1e-3, warmup=200, ema_halflife=20_000, precision="bf16",
                 device="cpu")
NAME = "cifar10-cpu" # what cards call the network


def train_cifar(data, # CIFAR-10 as labeled `Images`, with flip=True
                out, # run folder
                steps: int, # optimizer steps
                seed: int=0,
                **kwargs) -> Run: # for `fit`
    "Train the network for CIFAR-10 on a CPU: class-conditional, v, cosine schedule, bfloat16."
    torch.manual_seed(seed)
    loss = DDPMLoss(cosine_schedule(), drop=0.1)
    options = CIFAR_FIT | {"steps": steps, "seed": seed, "out": out} | kwargs
    return fit(FoldedUNet(**CIFAR_UNET), data, loss, **options)
