"How much guidance, and question 3: guided DDIM against DDPM."

from pathlib import Path

import torch

from ..classifiers import digits_classifier
from .generation import measure
from .plots import error_bars, plain_ticks
from .protocol import HELD_OUT, real_features, round_gray
from .tables import check_scale, run_table, smoke_model
from ..features import extract
from ..guidance import cfg
from ..metrics import precision_recall
from ..scores import average
from ..training import digits_model


def guided_row(sampler, steps, guidance, seed, n, scale):
    "One row of the tables below, {name: Score}: n digits by a sampler under classifier-free guidance, with precision and recall beside the cards of `measure`."
    trained = digits_model() if scale == "digits" else smoke_model()
    score, images, _ = measure(sampler, trained, n, seed, steps, progress=False, bind=lambda model, y: cfg(model, y, guidance),
                               guidance=guidance, evaluations=cfg(trained.model, 0, guidance).evaluations)
    told = {key: getattr(score.distance, key) for key in ("model", "sampler", "steps", "nfe", "spacing", "eta", "guidance", "weights", "seed")}
    precision, recall = precision_recall(extract(digits_classifier(), round_gray(images)), real_features()[2][torch.arange(n)], HELD_OUT, **told)
    return score._asdict() | {"precision": precision, "recall": recall}


MEASURED = ("accuracy", "distance", "nearest", "precision", "recall")


def over_seeds(cards): # rows of `guided_row`, several seeds each
    "{name: Score} for each sampler, number of steps and scale: means over the seeds, in the order of the rows."
    setting = lambda row: (row["distance"].sampler, row["distance"].steps, row["distance"].guidance)
    groups = {key: [row for row in cards if setting(row) == key] for key in dict.fromkeys(map(setting, cards))}
    return [{name: average(row[name] for row in rows) for name in MEASURED} | {"matched_floor": rows[0]["matched_floor"]} for rows in groups.values()]


def find_row(means, sampler, guidance, **protocol): # rows of `over_seeds`; steps=50, or nfe=100
    "The one row of a sampler and scale, by what else its protocol says."
    wanted = {"sampler": sampler, "guidance": guidance, **protocol}
    found = [row for row in means if all(getattr(row["distance"], key) == value for key, value in wanted.items())]
    if len(found) != 1: raise ValueError(f"{len(found)} rows have {wanted}; expected one")
    return found[0]


GUIDANCE_SCALES = (0.0, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0)


def plot_guidance(means): # of `table_guidance`
    "Accuracy against distance at scales above 0, each point with its scale, and four scores against every scale: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 3.8), dpi=76, layout="constrained")
    (left, right), distance = figure.subplots(1, 2), [row["distance"] for row in means]
    asked = [row for row in means if row["distance"].guidance > 0] # at 0 no digit was asked for
    x, y = ([row[name] for row in asked] for name in ("distance", "accuracy"))
    left.errorbar([s.value for s in x], [s.value for s in y], error_bars(y), error_bars(x), fmt="o-", ms=4, capsize=2, lw=1)
    for i, (d, a) in enumerate(zip(x, y)): left.annotate(f"{d.guidance:g}", (d.value, a.value), xytext=(4, -11 - 11 * (i % 4)), textcoords="offset points", fontsize=9)
    left.axvline(means[0]["matched_floor"].value, color="gray", ls="--", lw=1, label="matched floor")
    left.set(title="Accuracy against distance, by scale", xlabel="Fréchet distance", ylabel="accuracy")
    for name in ("accuracy", "precision", "recall"):
        cards = [row[name] for row in means]
        right.errorbar([s.guidance for s in cards], [s.value for s in cards], error_bars(cards), fmt="o-", ms=4, capsize=2, lw=1, label=name)
    below = right.twinx()
    below.errorbar([s.guidance for s in distance], [s.value for s in distance], error_bars(distance), fmt="s--", ms=4, capsize=2, lw=1, color="black", label="distance (right axis)")
    below.set(ylabel="Fréchet distance", ylim=(0, None))
    right.set(title="What the scale does", xlabel="guidance scale s", ylabel="share")
    left.legend(fontsize=8, loc="lower right")
    figure.legend(*(a + b for a, b in zip(right.get_legend_handles_labels(), below.get_legend_handles_labels())), fontsize=8, loc="outside lower right", ncols=4)
    return figure


def table_guidance(out, scale="digits", workers=2):
    "Guidance: DDIM under scales from 0 to 7, three seeds each."
    check_scale(scale)
    seeds, scales, steps, n = ((0, 1, 2), GUIDANCE_SCALES, 50, 797) if scale == "digits" else ((0, 1), (0.0, 1.0, 3.0), 4, 100)
    rows = [dict(sampler="DDIM", steps=steps, guidance=guidance, seed=seed, n=n, scale=scale) for seed in seeds for guidance in scales]
    means = over_seeds(run_table("guidance", guided_row, rows, out, workers, f"ddpm-course table guidance --scale {scale}"))
    plot_guidance(means).savefig(Path(out) / "guidance.png")
    return means


QUESTION_3_SCALE = 1.25


def question_3_rows(scale):
    "The rows of question 3: both samplers, with and without guidance, at equal steps (DDPM with guidance at the first three); and plain DDPM at the evaluations of guided DDIM."
    seeds, counts, n = ((0, 1, 2), (10, 20, 50, 100, 200), 797) if scale == "digits" else ((0, 1), (2, 4), 100)
    plain = sorted({*counts, *(2 * steps for steps in counts)})
    settings = [("DDIM", counts, QUESTION_3_SCALE), ("DDIM", counts, 1.0), ("DDPM", plain, 1.0), ("DDPM", counts[:3], QUESTION_3_SCALE)]
    return [dict(sampler=sampler, steps=steps, guidance=guidance, seed=seed, n=n, scale=scale)
            for seed in seeds for sampler, counted, guidance in settings for steps in counted]


def plot_question_3(means): # of `table_question_3`
    "Distance and accuracy against steps and against network evaluations, for both samplers with and without guidance: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 6), dpi=76, layout="constrained")
    grid = figure.subplots(2, 2, sharex="col", sharey="row")
    for row, name in zip(grid, ("distance", "accuracy")):
        for ax, key in zip(row, ("steps", "nfe")):
            for i, (sampler, guidance) in enumerate((s, g) for s in ("DDIM", "DDPM") for g in (QUESTION_3_SCALE, 1.0)):
                cards = [r[name] for r in means if (r[name].sampler, r[name].guidance) == (sampler, guidance)]
                look = dict(color={"DDIM": "tab:blue", "DDPM": "tab:orange"}[sampler], fmt="s--" if guidance == 1 else "o-", ms=4, capsize=2, lw=1.2)
                x = [getattr(s, key) * 1.03**(i - 1.5) for s in cards] # side by side, where four intervals would cover each other
                ax.errorbar(x, [s.value for s in cards], error_bars(cards), label=f"{sampler}, s = {guidance:g}", **look)
            if name == "distance": ax.axhline(means[0]["matched_floor"].value, color="gray", lw=1, ls=":", label="matched floor")
            ax.set(xscale="log", **({"yscale": "log", "title": {"steps": "at equal steps", "nfe": "at equal evaluations"}[key]} if name == "distance" else {}))
    for ax, key, label in zip(grid[1], ("steps", "nfe"), ("sampler steps", "network evaluations an image (NFE)")):
        ax.set_xlabel(label), plain_ticks(ax.xaxis, sorted({getattr(r["distance"], key) for r in means}))
    plain_ticks(grid[0, 0].yaxis, (2, 3, 4, 6, 8, 10))
    for ax, label in zip(grid[:, 0], ("Fréchet distance", "accuracy")): ax.set_ylabel(label)
    grid[0, 1].legend(fontsize=8)
    return figure


def table_question_3(out, scale="digits", workers=2):
    "Question 3: DDIM with guidance against DDPM, at equal steps and at equal network evaluations, three seeds each."
    check_scale(scale)
    means = over_seeds(run_table("question-3", guided_row, question_3_rows(scale), out, workers, f"ddpm-course table question-3 --scale {scale}"))
    plot_question_3(means).savefig(Path(out) / "question-3.png")
    return means
