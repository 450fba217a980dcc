"Improved schedule, learned variance, and both: the report's table of advanced techniques."

from typing import NamedTuple

import torch

from ..ddpm import DDPMLoss
from ..images import load_digits
from ..learned_variance import HybridLoss, bits_per_dim, variational_bound
from ..models import condition
from ..noising import NoiseSchedule, cosine_schedule, linear_schedule
from ..scores import Score
from ..stepping import trailing_timesteps
from ..training import DIGITS_FIT, DIGITS_UNET, fit
from ..unet import UNet
from .families import Family, of_card
from .generation import measure, trained_of
from .plots import error_bars, floor_line, new_figure, plain_ticks
from .samplers import VARIANCES, Sampler
from .tables import Table, product


class Technique(NamedTuple):
    "What the digits network is trained with."
    schedule: NoiseSchedule
    learned: bool # variance


TECHNIQUES = {
    "plain": Technique(linear_schedule(), False),
    "improved schedule": Technique(cosine_schedule(), False),
    "learned variance": Technique(linear_schedule(), True),
    "combined": Technique(cosine_schedule(), True)}


def bits_card(trained, variance, images, chain, about):
    "Bits per dimension of held-out digits given their labels, over `chain` steps: a `Score`."
    data = load_digits("test")
    x0, y = data.batch(range(images))
    terms = variational_bound(condition(trained.model, y), trained.schedule, x0,
                              levels=data.levels, variance=VARIANCES.get(variance, variance),
                              timesteps=trailing_timesteps(trained.schedule.T, chain))
    found = bits_per_dim(terms)
    return Score("bits per dimension", found.value, found.interval(), n_real=images,
                 reference="digits, held out", variance=variance, chain=chain, **about)


def advanced_row(name, seed, steps, n, sampler_steps, chain, images): # the last two: of the bound
    "Train with one technique; its bound, and the scores of DDPM at each number of steps: rows."
    technique = TECHNIQUES[name]
    kind = HybridLoss(technique.schedule, 16, 0.1) if technique.learned else \
        DDPMLoss(technique.schedule, 0.1)
    torch.manual_seed(seed)
    net = UNet(**DIGITS_UNET, learn_variance=technique.learned)
    run = fit(net, load_digits("train"), kind, seed=seed, device="cpu", progress=False,
              **DIGITS_FIT | {"steps": steps})
    trained = trained_of(run)
    about = {"variant": name, "train_steps": steps, "train_seed": seed}
    rows = []
    for variance in ["learned"] if technique.learned else ["small", "large"]:
        bits = bits_card(trained, variance, images, chain, about | {"seed": seed})
        for count in sampler_steps:
            asked = Sampler("DDPM", count, {"variance": variance})
            cards, _, _ = measure(asked, trained, n, seed, progress=False, about=about)
            rows.append(dict(cards) | {"bits": bits})
    return rows


def plot_advanced(rows): # means over seeds
    "Distance against steps, a curve for each technique and variance: a figure."
    figure = new_figure(6.4, 3.6)
    ax = figure.subplots()
    kinds = dict.fromkeys((r["distance"].variant, r["distance"].variance) for r in rows)
    for name, variance in kinds:
        cards = [r["distance"] for r in rows
                 if (r["distance"].variant, r["distance"].variance) == (name, variance)]
        ax.errorbar([s.steps for s in cards], [s.value for s in cards], error_bars(cards),
                    fmt="o-", ms=4, capsize=2, lw=1.2,
                    label=name if variance == "learned" else f"{name}, {variance}")
    floor_line(ax, rows)
    ax.set(title="Schedule and variance", xlabel="steps", ylabel="Fréchet distance", xscale="log",
           yscale="log")
    plain_ticks(ax.xaxis, sorted({r["distance"].steps for r in rows}))
    plain_ticks(ax.yaxis, (10, 15, 20, 30, 50))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


SHOWN_STEPS = (10, 25, 50, 100, 1000)


def of_technique(name, variance): # (of `TECHNIQUES`, how its samples vary)
    "What picks a row, but for its number of steps."
    return {"variant": name, "variance": variance}


BASELINE = of_technique("plain", "small")
IMPROVED = of_technique("improved schedule", "small")
CONTRASTS = {
    "learned variance, linear schedule": (of_technique("learned variance", "learned"), BASELINE),
    "learned variance, cosine schedule": (of_technique("combined", "learned"), IMPROVED),
    "cosine schedule": (IMPROVED, BASELINE),
    "large variance": (of_technique("plain", "large"), BASELINE)}
PANELS = {title: {f"{n} steps": tuple(pick | {"steps": n} for pick in pair) for n in SHOWN_STEPS}
          for title, pair in CONTRASTS.items()}
BITS = of_card("bits", {f"{title}, bits": pairs["1000 steps"] for title, pairs in PANELS.items()})
ADVANCED = Table(
    "advanced", "Improved schedule, learned variance, and both, at few steps and at many.",
    advanced_row, plot=plot_advanced,
    family=Family(PANELS | {"bits per dimension": BITS}, vary=("variant", "variance"),
                  margins={"distance": 0.5, "bits": 0.02}),
    grid={"digits": product(seed=range(5), name=[*TECHNIQUES], steps=400, n=100,
                            sampler_steps=[[*SHOWN_STEPS]], chain=1000, images=50),
          "smoke": product(seed=range(2), name=[*TECHNIQUES], steps=2, n=40,
                           sampler_steps=[[2, 4]], chain=4, images=20)},
    columns=("variant", "variance", "steps", "accuracy", "distance", "nearest", "bits"))
