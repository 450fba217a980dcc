"Scores along a training run."

from ..training import DIGITS_FIT, every, train_digits
from .generation import measure, trained_of
from .plots import floor_line, new_figure
from .tables import Table


def dynamics(n, steps, points, sampler_steps=50, seed=0):
    "Train the digits network and score raw and averaged weights `points` times: a list of rows."
    rows = []
    def score(run):
        epoch = run.step * DIGITS_FIT["batch_size"] / 1000
        for weights in ("raw", "ema"):
            about = {"train_step": run.step, "train_steps": steps, "train_seed": seed}
            row = measure("DDIM", trained_of(run, weights), n, seed, sampler_steps, progress=False,
                          weights=weights, about=about)[0]
            row["distance"].notes["epoch"] = epoch
            rows.append(row)
    train_digits(None, steps=steps, seed=seed, device="cpu", precision="no", progress=False,
                 callbacks=[every(steps // points, score)])
    return rows


def plot_dynamics(rows): # of `DYNAMICS`
    "Distance against epoch for raw and averaged weights: a figure."
    figure = new_figure(7.4, 2.9)
    ax = figure.subplots()
    for weights in ("raw", "ema"):
        cards = [row["distance"] for row in rows if row["distance"].weights == weights]
        epochs = [s.notes["epoch"] for s in cards]
        values = [s.value for s in cards]
        line, = ax.semilogy(epochs, values, "o-", ms=4, label=f"{weights} weights")
        low, high = zip(*(s.interval for s in cards))
        ax.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2)
    floor_line(ax, rows)
    ax.set(title="Training dynamics", xlabel="epoch (1,000 images)", ylabel="Fréchet distance")
    ax.legend()
    return figure


DYNAMICS = Table(
    "dynamics", "Distance against epoch for raw and averaged weights.", dynamics,
    plot=plot_dynamics,
    grid={"digits": [dict(n=797, steps=DIGITS_FIT["steps"], points=12)], # one run: nothing to share
          "smoke": [dict(n=40, steps=4, points=2, sampler_steps=5)]},
    columns=("epoch", "weights", "seconds", "accuracy", "distance", "nearest"))
