"DDIM with few steps against DDPM with all of them."

from .generation import measure
from .plots import error_bars, floor_line, new_figure, plain_ticks
from .samplers import Sampler
from .tables import NETWORKS, Table, product

SHOWN_SPACINGS = ["leading", "trailing", "quadratic"]


def steps_row(network, sampler, steps, n, **options):
    "One row of the table of steps: {name: Score}."
    trained = NETWORKS[network]()
    return measure(Sampler(sampler, steps, options), trained, n, progress=False, model=network)[0]


def steps_rows(network, n, full, counts):
    "DDPM with `full` steps, and DDIM with each of `counts` under every spacing, plain and noisy."
    ddpm = dict(network=network, sampler="DDPM", steps=full, n=n)
    ddim = product(network=network, sampler="DDIM", eta=[0.0, 1.0], spacing=SHOWN_SPACINGS,
                   steps=counts, n=n)
    return [ddpm, *ddim]


def plot_steps(rows): # of `STEPS`
    "Distance against network evaluations, for each spacing and eta, above the floor: a figure."
    figure = new_figure(7.4, 5)
    full = next(row["distance"] for row in rows if row["distance"].sampler == "DDPM")
    for ax, eta in zip(figure.subplots(2, 1, sharex=True, sharey=True), (0.0, 1.0)):
        for spacing in SHOWN_SPACINGS:
            cards = [row["distance"] for row in rows
                     if (row["distance"].spacing, row["distance"].eta) == (spacing, eta)]
            ax.errorbar([s.nfe for s in cards], [s.value for s in cards], error_bars(cards),
                        fmt="o-", ms=4, capsize=2, lw=1.2, label=f"DDIM, {spacing}")
        ax.axhline(full.value, color="tab:red", lw=1.2, ls=":", label=f"DDPM, {full.steps} steps")
        floor_line(ax, rows)
        ax.set(title=f"eta = {eta:g}", ylabel="Fréchet distance", xscale="log", yscale="log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        plain_ticks(ax.xaxis, [s.nfe for s in cards])
    figure.axes[1].set_xlabel("network evaluations an image (NFE)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


STEPS = Table(
    "ddim-steps", "DDIM with few steps against DDPM with all of them: steps, spacing and eta.",
    steps_row, plot=plot_steps,
    grid={"digits": steps_rows("digits", 797, 1000, [10, 20, 50, 100, 200]),
          "smoke": steps_rows("smoke", 100, 20, [5, 10])},
    columns=("sampler", "steps", "spacing", "eta", "nfe", "seconds", "accuracy", "distance",
             "nearest"))
