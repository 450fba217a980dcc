"EDM's modular claim: one trained network, every sampler, and how many evaluations each needs."

import time
from dataclasses import asdict
from functools import partial

from ..ancestral import ddpm_steps
from ..ddim import SPACINGS, ddim_steps
from ..models import condition
from ..randomness import image_seeds
from ..solvers import Churn, as_denoiser, dpmpp_2m_steps, euler_steps, heun_steps
from .families import Family
from .generation import Counted
from .plots import new_figure, plain_ticks
from .protocol import DIGITS
from .tables import NETWORKS, Table

CHURN = Churn(20.0, 0.05, 50.0, 1.003)
MARGIN = 0.5 # of the distance: the largest difference to the sampler's own long run that is fine


def on_timesteps(walk, model, trained, shape, steps, seeds, **options):
    "The steps of a sampler of chapters 14 and 16."
    return walk(model, trained.schedule, shape, steps, seed=seeds, clip=trained.clip, **options)


def on_sigmas(walk, model, trained, shape, steps, seeds, **options):
    "The steps of a solver of chapter 80, on Karras levels that snap to trained ones."
    D = as_denoiser(model, trained.schedule, trained.clip)
    return walk(D, shape, steps, seed=seeds, **options)


WAYS = {"DDPM": partial(on_timesteps, ddpm_steps),
        **{f"DDIM, {s}": partial(on_timesteps, ddim_steps, spacing=s) for s in SPACINGS},
        "Euler": partial(on_sigmas, euler_steps),
        "Heun": partial(on_sigmas, heun_steps),
        "Heun, churn": partial(on_sigmas, heun_steps, churn=CHURN),
        "DPM-Solver++(2M)": partial(on_sigmas, dpmpp_2m_steps)}
SAME_LIST = {f"DDIM, {s}": "DDIM, trailing" for s in SPACINGS} | {"Euler": "DDIM, trailing"}


def steps_of(name, budget):
    "How many steps a sampler takes with this many evaluations: Heun spends two a step, less one."
    return (budget + 1) // 2 if name.startswith("Heun") else budget


def sampler_row(network, name, budget, n, seed):
    "Draw n images with at most `budget` evaluations each, and score them: {name: Score}."
    trained = NETWORKS[network]()
    labels = DIGITS.held_out(n)[1]
    model = Counted(condition(trained.model, labels))
    steps = steps_of(name, budget)
    began = time.perf_counter()
    shape = n, *trained.shape
    for step in WAYS[name](model, trained, shape, steps, image_seeds(seed, n)): pass
    told = {"model": network, "sampler": name, "budget": budget, "steps": steps, "seed": seed,
            "nfe": model.calls, "clip": trained.clip}
    if "churn" in name: told["churn"] = asdict(CHURN)
    notes = {"seconds": round(time.perf_counter() - began, 1)}
    return DIGITS.score(step.x_prev, labels, notes=notes, resamples=50, **told)


def sampler_rows(network, n, seeds, budgets, full):
    "Seed by seed: each sampler at each budget; at the full one, one run for all with one list."
    some = [(name, budget) for budget in budgets for name in WAYS]
    some += [(name, full) for name in WAYS if SAME_LIST.get(name, name) == name]
    return [dict(network=network, name=name, budget=budget, n=n, seed=seed)
            for seed in seeds for name, budget in some]


def family(budgets, full):
    "Each sampler at each budget against its own long run: set before the table is run."
    pairs = {f"{name}, {budget}": (dict(sampler=name, budget=budget),
                                   dict(sampler=SAME_LIST.get(name, name), budget=full))
             for name in WAYS for budget in budgets}
    return Family({"distance": pairs}, ("sampler", "budget", "steps", "nfe"), {"distance": MARGIN})


def draw_curve(ax, said, budgets, place, **look):
    "Differences with their intervals against evaluations; `place` sets curves side by side."
    y = [v.estimate.value for v in said]
    ends = [v.estimate.interval() for v in said]
    bars = [[b - low for b, (low, _) in zip(y, ends)], [high - b for b, (_, high) in zip(y, ends)]]
    ax.errorbar([n * 1.04**place for n in budgets], y, bars, fmt="o-", ms=4, capsize=2, lw=1.2,
                **look)


def plot_samplers(rows): # means over seeds, of `EDM_SAMPLERS`
    "Distance to the sampler's own long run against evaluations; within the band nothing is lost."
    budgets = sorted({row["distance"].budget for row in rows})
    *budgets, full = budgets
    found = family(budgets, full).judge(rows)["distance"]
    figure = new_figure(7.4, 6.2)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for i, name in enumerate(WAYS):
        said = [found[f"{name}, {n}"] for n in budgets]
        draw_curve(panels[i // 5], said, budgets, i % 5 - 2, label=name, color=f"C{i}")
    for ax in panels:
        ax.axhspan(-MARGIN, MARGIN, color="gray", alpha=0.2, lw=0)
        ax.set(xscale="log", ylabel=f"distance, less that at {full}")
        ax.set_yscale("symlog", linthresh=1)
        plain_ticks(ax.yaxis, (-5, -1, 0, 1, 5, 20, 50))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    plain_ticks(ax.xaxis, budgets)
    ax.set_xlabel("network evaluations an image (NFE)")
    return figure


BUDGETS = (10, 20, 40, 80)
EDM_SAMPLERS = Table(
    "edm-samplers", "One trained network under every sampler: quality against evaluations.",
    sampler_row, plot=plot_samplers, family=family(BUDGETS, 1000),
    grid={"digits": sampler_rows("digits", 100, range(5), BUDGETS, 1000),
          "smoke": sampler_rows("smoke", 40, range(2), (2, 3), 5)},
    columns=("sampler", "budget", "steps", "nfe", "seconds", "accuracy", "distance", "nearest"))
