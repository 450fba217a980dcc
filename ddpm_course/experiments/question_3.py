"Question 3: guided DDIM against DDPM."

from .families import Family
from .guidance import GUIDED_COLUMNS, guided_row
from .plots import error_bars, floor_line, new_figure, plain_ticks
from .tables import Table, product

QUESTION_3_SCALE = 1.25
SETTINGS = [(sampler, scale) for sampler in ("DDIM", "DDPM") for scale in (QUESTION_3_SCALE, 1.0)]


def question_3_rows(network, n, seeds, counts):
    """Both samplers, with and without guidance, at equal steps (guided DDPM at the first three),
    and plain DDPM at the evaluations of guided DDIM."""
    plain = sorted({*counts, *(2 * steps for steps in counts)})
    counted = {("DDIM", QUESTION_3_SCALE): counts, ("DDIM", 1.0): counts,
               ("DDPM", 1.0): plain, ("DDPM", QUESTION_3_SCALE): counts[:3]}
    return [row for seed in seeds for (sampler, scale), steps in counted.items()
            for row in product(network=network, sampler=sampler, steps=steps, guidance=scale,
                               seed=seed, n=n)]


def plot_question_3(rows): # of `QUESTION_3`
    "Distance and accuracy against steps and evaluations, guided and plain: a figure."
    figure = new_figure(6.4, 4.5)
    grid = figure.subplots(2, 2, sharex="col", sharey="row")
    for axes, name in zip(grid, ("distance", "accuracy")):
        for ax, key in zip(axes, ("steps", "nfe")): curves(ax, rows, name, key)
    for ax, title in zip(grid[0], ("at equal steps", "at equal evaluations")):
        floor_line(ax, rows)
        ax.set(yscale="log", title=title)
    for ax, key in zip(grid[1], ("steps", "nfe")):
        ax.set_xlabel({"steps": "sampler steps", "nfe": "network evaluations an image (NFE)"}[key])
        counts = sorted({getattr(row["distance"], key) for row in rows})
        plain_ticks(ax.xaxis, [n for n in counts if n != 40]) # too near to 50
    plain_ticks(grid[0, 0].yaxis, (2, 3, 4, 6, 8, 10))
    for ax, label in zip(grid[:, 0], ("Fréchet distance", "accuracy")): ax.set_ylabel(label)
    handles = grid[0, 1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def curves(ax, rows, name, key):
    "A score of each sampler and scale against steps or evaluations."
    for i, (sampler, scale) in enumerate(SETTINGS):
        cards = [row[name] for row in rows]
        cards = [s for s in cards if (s.sampler, s.guidance) == (sampler, scale)]
        x = [getattr(s, key) * 1.03**(i - 1.5) for s in cards] # side by side
        ax.errorbar(x, [s.value for s in cards], error_bars(cards), ms=4, capsize=2, lw=1.2,
                    fmt="s--" if scale == 1 else "o-", label=f"{sampler}, s = {scale:g}",
                    color={"DDIM": "tab:blue", "DDPM": "tab:orange"}[sampler])
    ax.set_xscale("log")


COUNTS = (10, 20, 50, 100, 200)


def at(sampler, scale=1.0, **pick):
    "What picks a row by its sampler, scale, and steps or evaluations."
    return {"sampler": sampler, "guidance": scale} | pick


S = QUESTION_3_SCALE
TAKEN_APART = {
    **{f"DDIM for DDPM, {n}": (at("DDIM", steps=n), at("DDPM", steps=n)) for n in COUNTS[:3]},
    **{f"guidance on {name}, {n}": (at(name, S, steps=n), at(name, steps=n))
       for name in ("DDIM", "DDPM") for n in COUNTS[:3]}}
QUESTION_3_FAMILY = Family(
    {"at equal steps": {f"{n} steps": (at("DDIM", S, steps=n), at("DDPM", steps=n))
                        for n in COUNTS},
     "at equal cost": {f"{2 * n} calls": (at("DDIM", S, steps=n), at("DDPM", nfe=2 * n))
                       for n in COUNTS},
     "taken apart": TAKEN_APART},
    vary=("sampler", "eta", "spacing", "variance", "guidance", "steps", "nfe"),
    margins={"distance": 0.5})
QUESTION_3 = Table(
    "question-3", "Question 3: guided DDIM against DDPM, at equal steps and at equal evaluations.",
    guided_row, plot=plot_question_3, columns=GUIDED_COLUMNS, family=QUESTION_3_FAMILY,
    grid={"digits": question_3_rows("digits", 797, range(3), COUNTS),
          "smoke": question_3_rows("smoke", 40, range(2), (2, 4))})
