"What does attention in more places bring, and what does it cost?"

import time
from functools import partial

import torch
import torch.nn.functional as F

from ..attention import attention_kernel, naive_attention
from ..ddpm import DDPMLoss
from ..images import load_digits
from ..memory import saved_bytes
from ..noising import cosine_schedule
from ..training import DIGITS_FIT, DIGITS_UNET, fit
from ..unet import UNet
from .families import Family, of_card
from .generation import measure, trained_of
from .plots import plot_variants
from .tables import Table, distance_of, product

NETS = { # {what attends: (changes to the digits network, its size within 4 %; the kernel)}
    "plain": (dict(), F.scaled_dot_product_attention),
    "naive kernel": (dict(), naive_attention),
    "global context": (dict(attention=(True, True)), F.scaled_dot_product_attention),
    "cross-resolution": (dict(attention=(True, False), cross_resolution=True),
                         F.scaled_dot_product_attention)}


def kept_megabytes(net, batch=32):
    "What a training step on so many digits keeps for its backward pass."
    x = torch.zeros(batch, *load_digits("train").shape)
    y = torch.zeros(batch, dtype=torch.int64)
    return saved_bytes(lambda x: net(x, y, y), x) / 1e6


def attention_row(name, seed, steps, n, sampler_steps):
    "Train the digits network with this attention, and score its samples: {name: Score}."
    changes, kernel = NETS[name]
    torch.manual_seed(seed)
    net = UNet(**DIGITS_UNET | changes)
    loss = DDPMLoss(cosine_schedule(), drop=0.1)
    with attention_kernel(net, kernel):
        began = time.process_time() # others on the machine do not count
        run = fit(net, load_digits("train"), loss, seed=seed, device="cpu", progress=False,
                  **DIGITS_FIT | {"steps": steps})
        seconds = (time.process_time() - began) / steps
        kept = kept_megabytes(net)
    about = {"variant": name, "train_steps": steps, "train_seed": seed,
             "parameters": sum(p.numel() for p in net.parameters())}
    cards = measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False, about=about)[0]
    cards["distance"].notes.update({"step_seconds": round(seconds, 3), "kept_MB": round(kept, 1)})
    return cards


BESIDE_PLAIN = {name: ({"variant": name}, {"variant": "plain"}) for name in NETS if name != "plain"}
ATTENTION = Table(
    "attention", "Attention at one level, at all, across levels, and with the matrix stored.",
    attention_row, order=distance_of,
    plot=partial(plot_variants, title="Attention in more places, trained equally long"),
    family=Family({"distance": BESIDE_PLAIN, "accuracy": of_card("accuracy", BESIDE_PLAIN)},
                  vary=("variant", "parameters"), margins={"distance": 0.5, "accuracy": 0.01}),
    grid={"digits": product(seed=range(3), name=[*NETS], steps=400, n=797, sampler_steps=50),
          "smoke": product(seed=range(2), name=[*NETS], steps=1, n=100, sampler_steps=4)},
    columns=("variant", "parameters", "train_steps", "step_seconds", "kept_MB", "accuracy",
             "distance", "floor", "nearest"))
