"DDIM with few steps against DDPM with all of them."

from pathlib import Path

import torch

from .generation import measure
from .tables import check_scale, run_table, smoke_model
from ..training import digits_model


def steps_row(sampler, steps, spacing, eta, n, scale):
    "One row of the table of steps: {name: Score}."
    options = dict(spacing=spacing, eta=eta) if sampler == "DDIM" else {}
    return measure(sampler, digits_model() if scale == "digits" else smoke_model(), n, 0, steps, progress=False, **options)[0]._asdict()


def steps_rows(scale):
    "The rows of the table of steps."
    n, full, counts = (797, 1000, (10, 20, 50, 100, 200)) if scale == "digits" else (100, 20, (5, 10))
    ddim = [dict(sampler="DDIM", steps=steps, spacing=spacing, eta=eta) for eta in (0.0, 1.0) for spacing in ("leading", "trailing", "quadratic") for steps in counts]
    return [row | {"n": n, "scale": scale} for row in [dict(sampler="DDPM", steps=full, spacing="trailing", eta=1.0), *ddim]]


def plot_steps(rows): # of the table of steps
    "Distance against network evaluations, for each spacing and eta, above the floor: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 3.6), dpi=76, layout="constrained")
    for ax, eta in zip(figure.subplots(1, 2, sharey=True), (0.0, 1.0)):
        for spacing in ("leading", "trailing", "quadratic"):
            cards = [row["distance"] for row in rows if row["distance"].sampler == "DDIM" and (row["distance"].spacing, row["distance"].eta) == (spacing, eta)]
            error = torch.tensor([[s.value - s.interval[0], s.interval[1] - s.value] for s in cards]).T
            ax.errorbar([s.nfe for s in cards], [s.value for s in cards], error.tolist(), fmt="o-", ms=4, capsize=2, lw=1.2, label=f"DDIM, {spacing}")
        full = next(row["distance"] for row in rows if row["distance"].sampler == "DDPM")
        ax.axhline(full.value, color="black", lw=1, ls=":", label=f"DDPM, {full.steps} steps")
        ax.axhline(rows[0]["matched_floor"].value, color="gray", lw=1, ls="--", label="matched floor")
        ax.set(title=f"eta = {eta:g}", xlabel="network evaluations an image (NFE)", xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis): axis.set_major_formatter("{x:g}"), axis.set_minor_formatter("{x:g}")
        ax.set_xticks([s.nfe for s in cards], minor=False), ax.set_xticks([], minor=True)
    figure.axes[0].set_ylabel("Fréchet distance")
    figure.axes[1].legend(fontsize=8)
    return figure


def table_ddim_steps(out, scale="digits", workers=2):
    "DDIM with few steps against DDPM with all of them: steps, spacing and eta."
    check_scale(scale)
    rows = run_table("ddim-steps", steps_row, steps_rows(scale), out, workers, f"ddpm-course table ddim-steps --scale {scale}")
    plot_steps(rows).savefig(Path(out) / "ddim-steps.png")
    return rows
