"The transformer of the digits: its arguments, its training, and the trained one that ships."

import torch

from .ddpm import DDPMLoss
from .images import load_digits
from .noising import cosine_schedule
from .saving import Trained
from .shipped import load_shipped
from .training import fit
from .transformer import DiT

DIGITS_DIT = dict(in_channels=1, patch=2, width=64, depth=6, heads=4, num_classes=10,
                  predicts="v")
DIGITS_DIT_FIT = dict(steps=3000, batch_size=64, lr=2e-3, ema_halflife=18_000)


def train_dit(out, # run folder
              seed: int=0, **kwargs): # for `fit`
    "Train the transformer of the digits into the folder `out`: class-conditional, v, cosine."
    torch.manual_seed(seed)
    loss = DDPMLoss(cosine_schedule(), drop=0.1)
    options = DIGITS_DIT_FIT | {"seed": seed} | kwargs
    return fit(DiT(**DIGITS_DIT), load_digits("train"), loss, out=out, **options)


def dit_model() -> Trained:
    "The trained transformer of the digits, as it comes with the package."
    return load_shipped("dit")
