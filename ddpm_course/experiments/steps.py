"DDIM with few steps against DDPM with all of them."

from .families import Family
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


def ddim(steps, eta=0.0, spacing="trailing"):
    "What picks a row of DDIM."
    return {"sampler": "DDIM", "steps": steps, "eta": eta, "spacing": spacing}


STEPS_FAMILY = Family(
    {"distance": {
        "10 steps less 200": (ddim(10), ddim(200)),
        "20 steps less 200": (ddim(20), ddim(200)),
        "50 steps less 200": (ddim(50), ddim(200)),
        "20 steps less 50": (ddim(20), ddim(50)),
        "50 steps, eta 1 less 0": (ddim(50, 1.0), ddim(50)),
        "20 steps, leading less trailing": (ddim(20, spacing="leading"), ddim(20)),
        "20 steps, quadratic less trailing": (ddim(20, spacing="quadratic"), ddim(20)),
        "DDPM, 1,000 steps, less DDIM, 50": ({"sampler": "DDPM"}, ddim(50))}},
    vary=("sampler", "steps", "spacing", "eta", "variance", "nfe"), margins={"distance": 0.5})
STEPS = Table(
    "ddim-steps", "DDIM with few steps against DDPM with all of them: steps, spacing and eta.",
    steps_row, plot=plot_steps, family=STEPS_FAMILY,
    grid={"digits": steps_rows("digits", 797, 1000, [10, 20, 50, 100, 200]),
          "smoke": steps_rows("smoke", 40, 8, [2, 4])},
    columns=("sampler", "steps", "spacing", "eta", "nfe", "seconds", "accuracy", "distance",
             "nearest"))
