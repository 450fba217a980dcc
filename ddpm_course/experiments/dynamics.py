"Scores along a training run."

import tempfile
from pathlib import Path

import torch

from ..cards import environment, save_scores
from .generation import measure
from .tables import check_scale, save_csv
from ..saving import Trained
from ..training import DIGITS_FIT, every, train_digits


def dynamics(n, steps, points, sampler_steps=50, seed=0, progress=False):
    "Train the digits network and score its raw and averaged weights `points` times on the way: list of {name: Score}."
    rows = []
    def score(run):
        epoch = run.step * DIGITS_FIT["batch_size"] / 1000
        for weights, model in (("raw", run.model), ("ema", run.ema.model)):
            trained = Trained(model, run.about["schedule"], run.about["shape"], run.about["clip"], {})
            score = measure("DDIM", trained, n, seed, sampler_steps, progress=progress, model=f"digits, step {run.step} of {steps}", weights=weights)[0]
            score.distance.notes["epoch"] = epoch
            rows.append(score._asdict())
    with tempfile.TemporaryDirectory() as folder:
        train_digits(folder, steps=steps, seed=seed, device="cpu", precision="no", progress=progress, callbacks=[every(steps // points, score)])
    return rows


def plot_dynamics(rows): # of the table of dynamics
    "Distance against epoch for raw and averaged weights: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(6.5, 3.4), dpi=76, layout="constrained")
    ax = figure.subplots()
    for weights in ("raw", "ema"):
        cards = [row["distance"] for row in rows if row["distance"].weights == weights]
        line, = ax.semilogy([s.notes["epoch"] for s in cards], [s.value for s in cards], "o-", ms=4, label=f"{weights} weights")
        ax.fill_between([s.notes["epoch"] for s in cards], *zip(*(s.interval for s in cards)), color=line.get_color(), alpha=0.2)
    ax.axhline(rows[0]["matched_floor"].value, color="gray", lw=1, ls="--", label="matched floor")
    ax.set(title="Training dynamics", xlabel="epoch (1,000 images)", ylabel="Fréchet distance")
    ax.legend()
    return figure


def table_dynamics(out, scale="digits", workers=0): # one run: there is nothing to share
    "Distance against epoch for raw and averaged weights."
    check_scale(scale)
    rows = dynamics(**dict(n=797, steps=DIGITS_FIT["steps"], points=12) if scale == "digits" else dict(n=100, steps=20, points=2, sampler_steps=5))
    save_scores(Path(out) / "dynamics.json", rows, environment() | {"gpu": None, "command": f"ddpm-course table dynamics --scale {scale}", "threads": torch.get_num_threads()})
    plot_dynamics(rows).savefig(Path(out) / "dynamics.png")
    save_csv(Path(out) / "dynamics.csv", [{"epoch": row["distance"].notes["epoch"], "weights": row["distance"].weights} for row in rows], rows)
    return rows
