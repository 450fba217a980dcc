"A U-Net or a transformer, at equal work?"

import time
from functools import partial

import torch

from ..autoencoders import fingerprint
from ..ddpm import DDPMLoss
from ..flops import forward_flops
from ..images import load_digits
from ..latent_digits import digits_latents, digits_space
from ..noising import cosine_schedule
from ..training import DIGITS_FIT, DIGITS_UNET, fit
from ..transformer import DiT
from ..unet import UNet
from .families import Family, of_card
from .generation import measure, trained_of
from .plots import plot_variants
from .tables import Table, distance_of, product

WIDTHS = {1: 60, 2: 128, 4: 240} # {side of a square: width that takes the U-Net's operations}
LATENT_WIDTHS = {1: 64, 2: 124} # the same for latents


def rivals_of(channels, widths):
    "{name: makes a new network}: the U-Net of the digits, and transformers within 6 % of its work."
    unet = {"U-Net": lambda: UNet(**DIGITS_UNET | {"in_channels": channels, "predicts": "v"})}
    return unet | {f"DiT, squares of {p}": lambda p=p, width=width: DiT(
        channels, p, width, depth=5, heads=4, num_classes=10, predicts="v")
        for p, width in widths.items()}


RIVALS = rivals_of(1, WIDTHS)
LATENT_RIVALS = rivals_of(2, LATENT_WIDTHS)


def trained_rival(net, data, name, seed, steps, **options): # of `fit`
    "(`Run` of a network, what cards say of it, seconds a step)."
    began = time.process_time() # others on the machine do not count
    run = fit(net, data, DDPMLoss(cosine_schedule(), drop=0.1), seed=seed, device="cpu",
              progress=False, **DIGITS_FIT | {"steps": steps} | options)
    seconds = (time.process_time() - began) / steps
    return run, {"variant": name, "train_steps": steps, "train_seed": seed,
                 "operations": forward_flops(net, data.shape),
                 "parameters": sum(p.numel() for p in net.parameters())}, seconds


def backbones_row(name, seed, steps, n, sampler_steps):
    "Train this network on digits, and score its samples: {name: Score}."
    torch.manual_seed(seed)
    run, about, seconds = trained_rival(RIVALS[name](), load_digits("train"), name, seed, steps)
    cards = measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False, about=about)[0]
    cards["distance"].notes["step_seconds"] = round(seconds, 3)
    return cards


def latent_backbones_row(name, seed, steps, n, sampler_steps):
    "The same on the latents of the digits."
    torch.manual_seed(seed)
    run, about, seconds = trained_rival(LATENT_RIVALS[name](), digits_latents(), name, seed, steps,
                                        clip=None)
    about["autoencoder"] = fingerprint(digits_space().vae)
    cards = measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False, about=about,
                    model="digits, latents", decode=digits_space().decode)[0]
    cards["distance"].notes["step_seconds"] = round(seconds, 3)
    return cards


def to_unet(rivals):
    "Each transformer against the U-Net, by distance and by accuracy."
    pairs = {name: ({"variant": name}, {"variant": "U-Net"}) for name in rivals if name != "U-Net"}
    return Family({"distance": pairs, "accuracy": of_card("accuracy", pairs)},
                  vary=("variant", "operations", "parameters"),
                  margins={"distance": 0.5, "accuracy": 0.01})


BACKBONES_COLUMNS = ("variant", "operations", "parameters", "train_steps", "step_seconds",
                     "accuracy", "distance", "floor", "nearest")
BACKBONES_TABLE = Table(
    "backbones", "A U-Net and transformers of as many operations, trained equally long.",
    backbones_row, order=distance_of,
    plot=partial(plot_variants, title="Four networks of equal work, trained equally long"),
    family=to_unet(RIVALS), columns=BACKBONES_COLUMNS,
    grid={"digits": product(seed=range(3), name=[*RIVALS], steps=1200, n=797, sampler_steps=50),
          "smoke": product(seed=range(2), name=[*RIVALS], steps=2, n=40, sampler_steps=2)})
LATENT_BACKBONES_TABLE = Table(
    "latent-backbones", "The same in latents: a U-Net and transformers of as many operations.",
    latent_backbones_row, order=distance_of, prepare=digits_latents,
    plot=partial(plot_variants, title="Three networks of equal work on latents"),
    family=to_unet(LATENT_RIVALS), columns=BACKBONES_COLUMNS,
    grid={"digits": product(seed=range(3), name=[*LATENT_RIVALS], steps=400, n=797,
                            sampler_steps=50),
          "smoke": product(seed=range(2), name=[*LATENT_RIVALS], steps=2, n=40,
                           sampler_steps=2)})
