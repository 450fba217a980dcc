"What does attention in more places bring, and what does it cost?"

import copy
import time
from functools import partial

import torch
import torch.nn.functional as F

from ..attention import attention_kernel, naive_attention
from ..ddpm import DDPMLoss
from ..images import load_digits
from ..memory import peak_bytes
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


def peak_megabytes(net, batch=DIGITS_FIT["batch_size"]):
    "The most that a pass there and back holds at once, in float32, beyond weights and images."
    net = copy.deepcopy(net) # keeps gradients and layout of the one that is trained
    x = torch.zeros(batch, *load_digits("train").shape)
    y = torch.zeros(batch, dtype=torch.int64)
    return peak_bytes(lambda: net(x, y, y).square().mean().backward()) / 1e6


def attention_row(name, seed, steps, n, sampler_steps):
    "Train the digits network with this attention, and score its samples: {name: Score}."
    changes, kernel = NETS[name]
    torch.manual_seed(seed)
    net = UNet(**DIGITS_UNET | changes)
    loss = DDPMLoss(cosine_schedule(), drop=0.1)
    with attention_kernel(net, kernel):
        peak = peak_megabytes(net)
        began = time.process_time() # others on the machine do not count
        run = fit(net, load_digits("train"), loss, seed=seed, device="cpu", progress=False,
                  **DIGITS_FIT | {"steps": steps})
        seconds = (time.process_time() - began) / steps
    about = {"variant": name, "train_steps": steps, "train_seed": seed,
             "parameters": sum(p.numel() for p in net.parameters())}
    cards = measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False, about=about)[0]
    cards["distance"].notes.update({"step_seconds": round(seconds, 3), "peak_MB": round(peak, 1)})
    return cards


BESIDE_PLAIN = {name: ({"variant": name}, {"variant": "plain"}) for name in NETS if name != "plain"}
ATTENTION = Table(
    "attention", "Attention at one level, at all, across levels, and with the matrix stored.",
    attention_row, order=distance_of,
    plot=partial(plot_variants, title="Attention in more places, trained equally long"),
    family=Family({"distance": BESIDE_PLAIN, "accuracy": of_card("accuracy", BESIDE_PLAIN)},
                  vary=("variant", "parameters"), margins={"distance": 0.5, "accuracy": 0.01}),
    grid={"digits": product(seed=range(3), name=[*NETS], steps=400, n=797, sampler_steps=50),
          "smoke": product(seed=range(2), name=[*NETS], steps=1, n=40, sampler_steps=4)},
    columns=("variant", "parameters", "train_steps", "step_seconds", "peak_MB", "accuracy",
             "distance", "floor", "nearest"))
