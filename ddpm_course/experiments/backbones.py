"A U-Net or a transformer, at equal work?"

import time
from functools import partial

import torch

from ..ddpm import DDPMLoss
from ..flops import forward_flops
from ..images import load_digits
from ..noising import cosine_schedule
from ..training import DIGITS_FIT, DIGITS_UNET, fit
from ..transformer import DiT
from ..unet import UNet
from .families import Family, of_card
from .generation import measure, trained_of
from .plots import plot_variants
from .tables import Table, distance_of, product

WIDTHS = {1: 60, 2: 128, 4: 240} # {side of a square: width that takes the U-Net's operations}
RIVALS = {"U-Net": lambda: UNet(**DIGITS_UNET, predicts="v")} | {
    f"DiT, squares of {p}": lambda p=p, width=width: DiT(
        1, p, width, depth=5, heads=4, num_classes=10, predicts="v")
    for p, width in WIDTHS.items()} # {name: a new network}; operations within 6 %


def backbones_row(name, seed, steps, n, sampler_steps):
    "Train this network on digits, and score its samples: {name: Score}."
    data = load_digits("train")
    torch.manual_seed(seed)
    net = RIVALS[name]()
    began = time.process_time() # others on the machine do not count
    run = fit(net, data, DDPMLoss(cosine_schedule(), drop=0.1), seed=seed, device="cpu",
              progress=False, **DIGITS_FIT | {"steps": steps})
    seconds = (time.process_time() - began) / steps
    about = {"variant": name, "train_steps": steps, "train_seed": seed,
             "operations": forward_flops(net, data.shape),
             "parameters": sum(p.numel() for p in net.parameters())}
    cards = measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False, about=about)[0]
    cards["distance"].notes["step_seconds"] = round(seconds, 3)
    return cards


TO_UNET = {name: ({"variant": name}, {"variant": "U-Net"}) for name in RIVALS if name != "U-Net"}
BACKBONES_TABLE = Table(
    "backbones", "A U-Net and transformers of as many operations, trained equally long.",
    backbones_row, order=distance_of,
    plot=partial(plot_variants, title="Four networks of equal work, trained equally long"),
    family=Family({"distance": TO_UNET, "accuracy": of_card("accuracy", TO_UNET)},
                  vary=("variant", "operations", "parameters"),
                  margins={"distance": 0.5, "accuracy": 0.01}),
    grid={"digits": product(seed=range(3), name=[*RIVALS], steps=1200, n=797, sampler_steps=50),
          "smoke": product(seed=range(2), name=[*RIVALS], steps=2, n=100, sampler_steps=2)},
    columns=("variant", "operations", "parameters", "train_steps", "step_seconds", "accuracy",
             "distance", "floor", "nearest"))
