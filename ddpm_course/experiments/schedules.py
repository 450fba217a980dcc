"Question 1: which schedule?"

from functools import lru_cache
from typing import Callable, NamedTuple

import torch

from ..ddpm import DDPMLoss
from ..images import load_digits
from ..noising import cosine_schedule, linear_schedule
from ..schedules import (
    MinSNR, adaptive_schedule, scaled_linear_schedule, sigmoid_schedule, zero_terminal_snr)
from ..training import DIGITS_FIT, DIGITS_UNET, fit, loss_by_t
from ..unet import UNet
from .families import Family, of_card
from .generation import measure, trained_of
from .plots import floor_line, new_figure, plain_ticks
from .tables import NETWORKS, Table, distance_of, product


class Variant(NamedTuple):
    "What the digits network is trained under."
    schedule: Callable # schedule(network) -> NoiseSchedule, which may ask that network
    predicts: str = "eps"
    weight: Callable | None = None


def always(schedule):
    "A variant's schedule that asks no network."
    return lambda network: schedule


@lru_cache(maxsize=2)
def adaptive(network):
    "Equal shares of a network's loss on training digits, weighed by min-SNR."
    trained = NETWORKS[network]()
    x0, y = load_digits("train").batch(range(200))
    ts = list(range(0, 1000, 37))
    losses = loss_by_t(trained.model, trained.schedule, x0, y, ts)
    weights = MinSNR()(trained.schedule, torch.tensor(ts), "eps")
    return adaptive_schedule(1000, trained.schedule, ts, losses * weights)


VARIANTS = {
    "linear": Variant(always(linear_schedule())),
    "scaled-linear": Variant(always(scaled_linear_schedule())),
    "cosine": Variant(always(cosine_schedule())),
    "sigmoid": Variant(always(sigmoid_schedule())),
    "adaptive": Variant(adaptive),
    "cosine, x0": Variant(always(cosine_schedule()), "x0"),
    "cosine, v": Variant(always(cosine_schedule()), "v"),
    "linear to zero SNR, v": Variant(always(zero_terminal_snr(linear_schedule())), "v"),
    "cosine, min-SNR": Variant(always(cosine_schedule()), "eps", MinSNR())}


def schedules_row(name, seed, steps, n, network, sampler_steps):
    "Train the digits network under one variant, and score its samples: {name: Score}."
    variant = VARIANTS[name]
    loss = DDPMLoss(variant.schedule(network), 0.1, variant.weight)
    torch.manual_seed(seed)
    net = UNet(**DIGITS_UNET, predicts=variant.predicts)
    run = fit(net, load_digits("train"), loss, seed=seed, device="cpu", progress=False,
              **DIGITS_FIT | {"steps": steps})
    return measure("DDIM", trained_of(run), n, seed, sampler_steps, progress=False,
                   about={"variant": name, "train_steps": steps, "train_seed": seed})[0]


def plot_schedules(rows, # means over seeds
                   title="Question 1: which schedule?", label=lambda s: s.variant):
    "Every run, mean and interval of each variant's distance: a figure."
    figure = new_figure(6.4, 3 + 0.22 * max(0, len(rows) - 9))
    ax = figure.subplots()
    cards = [row["distance"] for row in rows[::-1]]
    for i, s in enumerate(cards):
        ax.plot(s.notes["values"], [i] * len(s.seed), ".", color="gray", ms=5)
        ax.plot(s.interval, [i, i], color="tab:blue")
        ax.plot(s.value, i, "o", color="tab:blue")
    floor_line(ax, rows, vertical=True)
    ax.set(title=title, xlabel="Fréchet distance, log scale", xscale="log")
    ax.set_yticks(range(len(cards)), map(label, cards))
    most = 1.1 * max(s.interval[1] for s in cards)
    plain_ticks(ax.xaxis, [n for n in (1.5, 2, 3, 4, 6, 8, 10, 20, 50, 100, 200) if n <= most])
    ax.legend(loc="upper right")
    return figure


TO_COSINE = {name: ({"variant": name}, {"variant": "cosine"}) for name in VARIANTS
             if name != "cosine"}
SCHEDULES = Table(
    "schedules", "Question 1: the same network trained equally long under each variant.",
    schedules_row, plot=plot_schedules, order=distance_of,
    family=Family({"distance": TO_COSINE, "accuracy": of_card("accuracy", TO_COSINE)},
                  vary=("variant",), margins={"distance": 0.5, "accuracy": 0.01}),
    grid={"digits": product(seed=range(5), name=[*VARIANTS], steps=400, n=797, network="digits",
                            sampler_steps=50),
          "smoke": product(seed=range(2), name=[*VARIANTS], steps=2, n=40, network="smoke",
                           sampler_steps=5)},
    columns=("variant", "accuracy", "distance", "nearest"))
