"How often do intervals hold the truth? Simulated for each kind of interval that the course prints."

import json
import time
import zlib
from typing import NamedTuple

import torch
from tqdm import tqdm

from ..arguments import checked
from ..cards import environment
from ..identity import code_of
from ..sets import counted
from ..shares import normal_quantile, wilson
from .coverage_cells import (
    bootstrap_cell, frechet_cell, frechet_difference_cell, kernel_cell, kernel_difference_cell,
    mean_cell, score_cell, seeds_cell, share_cell, share_difference_cell)
from .plots import new_figure
from .tables import product

NOMINAL = (0.93, 0.97) # what a 95 % interval may cover here
FLOOR = "floor" # fakes and reals from one distribution: the slopes nearly vanish
CLAIM = "claim" # a cell whose interval is for what the cell asks
MISUSE = "misuse" # a cell that shows what an interval is not for
COMPARED = "compared" # the interval that the course used before


class Block(NamedTuple):
    "Cells of one kind of interval."
    kind: str # as the page calls it
    make: object # settings -> draw(rng) -> (value, (low, high))
    settings: list # of dicts
    group: str = CLAIM # or FLOOR, MISUSE, COMPARED


BLOCKS = (
    Block("mean", mean_cell, product(n=[50, 200, 797])),
    Block("mean, labels fixed", mean_cell, product(n=[50, 200, 797], strata=True)),
    Block("share (Wilson)", share_cell, product(n=[100, 797], share=[0.5, 0.9, 0.99])),
    Block("share, labels fixed (Wilson)", share_cell,
          product(n=[100, 800], share=[0.6, 0.9, 0.99], strata=True)),
    Block("difference of shares, pairs", share_difference_cell,
          product(n=[100, 797], share=0.97, worse=[0.0, 0.03], paired=True)[1::2]),
    Block("difference of shares, unpaired", share_difference_cell,
          product(n=[100, 797], share=0.97, worse=[0.0, 0.03], paired=False)),
    Block("Fréchet distance", frechet_cell,
          product(n=[100, 400, 797], shift=0.3) + product(n=[400], stretch=[1.1, 1.3])),
    Block("Fréchet distance, n below D", frechet_cell, product(n=[20, 50], D=64, shift=1.0)),
    Block("Fréchet distance, labels fixed", frechet_cell,
          product(n=[100, 400], shift=0.3, strata=True)),
    Block("Fréchet distance, reals drawn anew", frechet_cell,
          product(n=400, m=[100, 400], shift=0.3, redrawn="their term")),
    Block("Fréchet distance, reals drawn anew", frechet_cell,
          product(n=400, m=[400], shift=0.3, redrawn="left out"), MISUSE),
    Block("Fréchet distance", frechet_cell, product(n=[100, 400, 797]), FLOOR),
    Block("Fréchet distance, n below D", frechet_cell, product(n=50, D=64), FLOOR),
    Block("Fréchet distance, labels fixed", frechet_cell,
          product(n=[100, 400], strata=True), FLOOR),
    Block("Fréchet distance, reals drawn anew", frechet_cell,
          product(n=400, m=400, redrawn="their term"), FLOOR),
    Block("difference of Fréchet distances, pairs", frechet_difference_cell,
          product(n=[100, 400], paired=True, shift=[0.0, 0.3], strata=[False, True])),
    Block("difference of Fréchet distances, unpaired", frechet_difference_cell,
          product(n=[100, 400], paired=False, shift=[0.3])),
    Block("difference of Fréchet distances, unpaired", frechet_difference_cell,
          product(n=[100, 400], paired=False, shift=[0.0]), FLOOR),
    Block("kernel distance", kernel_cell, product(n=[100, 200], m=200, shift=0.3)),
    Block("kernel distance, reals drawn anew", kernel_cell,
          product(n=[100, 200], m=[100, 200], shift=0.3, redrawn=True)),
    Block("kernel distance", kernel_cell, product(n=[100, 200], m=200), FLOOR),
    Block("kernel distance, reals drawn anew", kernel_cell,
          product(n=[100, 200], m=[100, 200], redrawn=True), FLOOR),
    Block("difference of kernel distances, pairs", kernel_difference_cell,
          product(n=[100, 200], m=200, paired=True, shift=0.3)),
    Block("difference of kernel distances, pairs", kernel_difference_cell,
          product(n=[100, 200], m=200, paired=True, shift=0.0), FLOOR),
    Block("difference of kernel distances, unpaired", kernel_difference_cell,
          product(n=[100, 200], m=200, paired=False, shift=0.3)),
    Block("Inception Score", score_cell, product(n=[100, 797], sharp=[2.0, 5.0])),
    Block("Inception Score, labels fixed", score_cell,
          product(n=[100, 800], sharp=[2.0, 5.0], strata=True)),
    Block("mean over seeds (Student)", seeds_cell, product(k=[2, 3, 5, 10])),
    Block("mean over seeds (Student)", seeds_cell, product(k=[5], skewed=True), MISUSE),
    Block("mean, bootstrap", bootstrap_cell, product(n=[50, 200]), COMPARED),
    Block("Fréchet distance, bootstrap", frechet_cell,
          product(n=100, D=8, shift=[0.3, 0.0], old=True), COMPARED))


def planned(repetitions):
    "[(what identifies a cell, the function that makes its draw)] of all cells."
    return [({"kind": block.kind, "group": block.group, "settings": settings,
              "repetitions": repetitions}, block.make)
            for block in BLOCKS for settings in block.settings]


def simulate(cell, # as `planned` says
             make): # settings -> draw(rng) -> (value, (low, high))
    "What a cell's intervals did: a dict; the truth is the mean of the values, the bias in it."
    began = time.perf_counter()
    draw = make(**cell["settings"])
    rng = torch.Generator().manual_seed(zlib.crc32(json.dumps(cell, sort_keys=True).encode()))
    drawn = [draw(rng) for _ in range(cell["repetitions"])]
    value = torch.tensor([v for v, _ in drawn], dtype=torch.float64)
    low, high = torch.tensor([ends for _, ends in drawn], dtype=torch.float64).T
    truth = value.mean()
    held = ((low <= truth) & (truth <= high)).double().mean()
    band = wilson(held.item(), len(value), 0.99)
    wide = (high - low).mean() / (2 * normal_quantile(0.95) * value.std())
    return cell | {
        "coverage": round(held.item(), 4), "band": [round(end, 4) for end in band],
        "below": round((high < truth).double().mean().item(), 4), # the interval lies below
        "above": round((low > truth).double().mean().item(), 4),
        "width": round(wide.item(), 3), # of the interval, in units of the right one
        "mean": truth.item(), "spread": value.std().item(), "code": code_of(make),
        "seconds": round(time.perf_counter() - began, 1), "about": environment(device="cpu")}


def covers_nominally(cell):
    "Whether the 99 % band of a cell's coverage meets what a nominal 95 may cover."
    return cell["band"][1] >= NOMINAL[0] and cell["band"][0] <= NOMINAL[1]


@checked(repetitions=counted(1))
def run_coverage(file, # JSON, written after each cell
                 repetitions: int=2000,
                 only: str=""): # a part of the kinds to make; others are left as they are
    "Make all cells that are not there yet, or were made by other code; returns all in order."
    kept = read_cells(file) if file.exists() else []
    plan = planned(repetitions)
    for cell, make in tqdm(plan, "coverage", unit="cell", disable=None):
        old = find_cell(kept, cell)
        if only not in cell["kind"] or old and old["code"] == code_of(make): continue
        kept = [other for other in kept if other is not old] + [simulate(cell, make)]
        write_cells(file, in_order(kept, plan))
    return in_order(kept, plan)


def read_cells(file):
    "The cells in a file; ValueError where it holds none."
    try: return json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{file} holds no cells of coverage; expected a file that this command "
                         "left, or none: choose another one") from None


def find_cell(cells, cell):
    "The one of these cells that is the same but for what came out; None if there is none."
    return next((c for c in cells if all(c[key] == cell[key] for key in cell)), None)


def in_order(cells, plan):
    "The cells that are planned, in the plan's order; what is planned no more is left out."
    return [found for cell, _ in plan if (found := find_cell(cells, cell))]


def write_cells(file, cells):
    "A cell a line; whole or not at all."
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(cell, ensure_ascii=False) for cell in cells)
    new = file.with_name(f".{file.name}.new")
    new.write_text(f'{{"cells": [\n{lines}\n]}}\n', encoding="utf-8")
    new.replace(file)


def describe(cells):
    "The cells as text, a line each."
    lines = []
    for cell in cells:
        settings = ", ".join(f"{key} {value}" for key, value in cell["settings"].items())
        low, high = cell["band"]
        lines.append(f"{cell['coverage']:.3f} [{low:.3f}, {high:.3f}]  width {cell['width']:.2f}  "
                     f"{'passes' if covers_nominally(cell) else 'fails '}  {cell['group']:8}  "
                     f"{cell['kind']}: {settings}")
    return "\n".join(lines)


# ---- what a page shows ----

GROUP_COLORS = {CLAIM: "tab:blue", FLOOR: "tab:orange", MISUSE: "tab:gray", COMPARED: "tab:gray"}


def plot_coverage(cells):
    "A row for each kind of interval, a dot and its 99 % band for each cell: a figure."
    names = list(dict.fromkeys(name_of(cell) for cell in cells))
    figure = new_figure(7.4, 0.19 * len(names) + 0.9)
    ax = figure.subplots()
    ax.axvspan(*NOMINAL, color="gray", alpha=0.2, lw=0)
    for name, height in zip(names, range(len(names), 0, -1)):
        some = [cell for cell in cells if name_of(cell) == name]
        for i, cell in enumerate(some):
            y = height + 0.6 * ((i + 0.5) / len(some) - 0.5)
            ax.plot(cell["band"], [y, y], color=GROUP_COLORS[cell["group"]], lw=1, alpha=0.6)
            ax.plot(cell["coverage"], y, "o", color=GROUP_COLORS[cell["group"]], ms=3.5)
    ax.set(title="How often do they hold?", xlabel="coverage of nominal 95 %",
           ylim=(0.3, len(names) + 0.7))
    ax.set_yticks(range(len(names), 0, -1), names, fontsize=8)
    return figure


def name_of(cell):
    "The kind of interval, and the situation where it is no ordinary one."
    return cell["kind"] + {FLOOR: ", on the floor", MISUSE: ", misused"}.get(cell["group"], "")


def coverage_table(cells):
    "Rows of a table: each kind with its cells, lowest and highest coverage and width."
    rows = []
    for name in dict.fromkeys(name_of(cell) for cell in cells):
        some = [cell for cell in cells if name_of(cell) == name]
        coverage = [cell["coverage"] for cell in some]
        width = [cell["width"] for cell in some]
        rows.append({"interval": name, "cells": len(some),
                     "coverage": f"{min(coverage):.3f} to {max(coverage):.3f}",
                     "width": f"{min(width):.2f} to {max(width):.2f}",
                     "pass": sum(map(covers_nominally, some))})
    return rows
