"Question 1: which schedule?"

from pathlib import Path

import torch

from ..ddpm import DDPMLoss
from .generation import measure
from .tables import check_scale, run_table, smoke_model
from ..images import load_digits
from ..noising import cosine_schedule, linear_schedule
from ..saving import Trained
from ..schedules import (
    MinSNR, adaptive_schedule, scaled_linear_schedule, sigmoid_schedule,
    zero_terminal_snr)
from ..scores import average
from ..training import DIGITS_FIT, DIGITS_UNET, digits_model, fit, loss_by_t
from ..unet import UNet

CONTESTANTS = ("linear", "scaled-linear", "cosine", "sigmoid", "adaptive", "cosine, x0", "cosine, v", "linear to zero SNR, v", "cosine, min-SNR")


def schedule_variant(name, # one of CONTESTANTS
               scale): # "digits" or "smoke"
    "(schedule, predicts, weight) of a row of the table of schedules."
    if name == "adaptive": # equal shares of the digits network's loss on training digits, weighed by min-SNR
        trained, (x0, y) = digits_model() if scale == "digits" else smoke_model(), load_digits("train").batch(range(200))
        ts = list(range(0, 1000, 37))
        losses = loss_by_t(trained.model, trained.schedule, x0, y, ts)
        return adaptive_schedule(1000, trained.schedule, ts, losses * MinSNR()(trained.schedule, torch.tensor(ts), "eps")), "eps", None
    return {"linear": (linear_schedule(), "eps", None), "scaled-linear": (scaled_linear_schedule(), "eps", None),
            "cosine": (cosine_schedule(), "eps", None), "sigmoid": (sigmoid_schedule(), "eps", None),
            "cosine, x0": (cosine_schedule(), "x0", None), "cosine, v": (cosine_schedule(), "v", None),
            "linear to zero SNR, v": (zero_terminal_snr(linear_schedule()), "v", None),
            "cosine, min-SNR": (cosine_schedule(), "eps", MinSNR())}[name]


def schedules_row(name, seed, steps, n, scale):
    "Train the digits network under one contestant, and score its samples: {name: Score}."
    schedule, predicts, weight = schedule_variant(name, scale)
    torch.manual_seed(seed)
    run = fit(UNet(**DIGITS_UNET, predicts=predicts), load_digits("train"), DDPMLoss(schedule, 0.1, weight), seed=seed,
              device="cpu", progress=False, **DIGITS_FIT | {"steps": steps})
    trained = Trained(run.ema.model, schedule, (1, 8, 8), 1.0, {})
    return measure("DDIM", trained, n, seed, 50 if scale == "digits" else 5, progress=False, model=f"{name}, {steps} steps")[0]._asdict()


def by_contestant(cards): # rows of `schedules_row`, several seeds each
    "{name: Score} a contestant: means over its seeds, best distance first."
    models = dict.fromkeys(row["distance"].model for row in cards)
    groups = [[row for row in cards if row["distance"].model == model] for model in models]
    means = [{name: average(row[name] for row in rows) for name in ("accuracy", "distance", "nearest")} | {"matched_floor": rows[0]["matched_floor"]} for rows in groups]
    return sorted(means, key=lambda row: row["distance"].value)


def plot_schedules(means, # of `by_contestant`
                   title="Question 1: which schedule?"):
    "Every run, mean and interval of each contestant's distance: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 3.8), dpi=76, layout="constrained")
    ax, cards = figure.subplots(), [row["distance"] for row in means[::-1]]
    for i, s in enumerate(cards):
        ax.plot(s.notes["values"], [i] * len(s.seed), ".", color="gray", ms=5)
        ax.errorbar(s.value, i, xerr=[[s.value - s.interval[0]], [s.interval[1] - s.value]], fmt="o", color="tab:blue", capsize=3)
    ax.axvline(means[0]["matched_floor"].value, color="gray", ls="--", lw=1, label="matched floor")
    ax.set(title=title, xlabel="Fréchet distance, log scale", xscale="log", yticks=range(len(cards)), yticklabels=[s.model.rsplit(", ", 1)[0] for s in cards])
    ticks = [n for n in (1.5, 2, 3, 4, 6, 8, 10, 20, 50, 100, 200) if n <= 1.1 * max(s.interval[1] for s in cards)]
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()
    ax.legend(loc="lower left")
    return figure


def table_schedules(out, scale="digits", workers=2):
    "Question 1: the same network trained equally long under each schedule, target and weighting, five seeds each."
    check_scale(scale)
    seeds, steps, n = (5, 400, 797) if scale == "digits" else (2, 10, 100)
    rows = [dict(name=name, seed=seed, steps=steps, n=n, scale=scale) for seed in range(seeds) for name in CONTESTANTS]
    means = by_contestant(run_table("schedules", schedules_row, rows, out, workers, f"ddpm-course table schedules --scale {scale}"))
    plot_schedules(means).savefig(Path(out) / "schedules.png")
    return means
