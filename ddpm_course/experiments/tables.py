"Tables of the experiments: data that say which rows there are, and one way to fill them."

import csv
import itertools
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Callable

from ..cards import save_scores
from ..disk import as_folder, atomic_file
from ..protocols import NOT_RECORDED
from ..saving import Trained
from ..scores import Score, average, format_score
from ..training import digits_model, train_digits
from .runner import run_rows

COLUMNS = ("model", "variant", "train_steps", "sampler", "steps", "spacing", "eta", "guidance",
           "weights", "n_fake", "nfe", "seconds", "accuracy", "distance", "floor", "matched_floor",
           "nearest")


def product(**values): # {argument: its values, or one value}
    "Rows of arguments: every combination, the last argument varying fastest."
    lists = [v if isinstance(v, (list, tuple, range)) else [v] for v in values.values()]
    return [dict(zip(values, combination)) for combination in itertools.product(*lists)]


@dataclass(frozen=True)
class Table:
    "A table of scores: what fills a row, which rows each size has, and how it is shown."
    name: str
    doc: str
    row: Callable # row(**arguments) -> {name: Score}, or a list of such rows; importable
    grid: dict # {size: list of arguments of `row`}
    plot: Callable # plot(rows, as `summary` gives them) -> matplotlib figure
    columns: tuple = COLUMNS # of the table as text and CSV
    prepare: Callable | None = None # called first: what workers would otherwise all make at once
    order: Callable | None = None # key to sort the summary by

    def rows(self, size):
        "The arguments of each row; ValueError if there is no such size."
        if size not in self.grid:
            raise ValueError(f"size={size!r}; {self.name} has {', '.join(self.grid)}")
        return self.grid[size]

    def run(self, out, # folder for NAME.json, NAME.csv, NAME.png; of other sizes, NAME-SIZE...
            size: str="digits", workers: int=2): # processes of one thread each; 0: this process
        "Fill the table, or go on where it was stopped; its rows, seeds averaged."
        rows = self.rows(size)
        out = as_folder(out)
        if self.prepare: self.prepare()
        command = f"ddpm-course table {self.name} --size {size}"
        cards, abouts = run_rows(self.name, self.row, rows, out, workers, command)
        stem = self.stem(size)
        save_scores(out / f"{stem}.json", cards, abouts)
        save_csv(out / f"{stem}.csv", cards, self.columns)
        summary = self.summary(cards)
        with atomic_file(out / f"{stem}.png") as new: self.plot(summary).savefig(new, format="png")
        return summary

    def stem(self, size):
        "How files are called: NAME, or NAME-SIZE, so that no size writes over another's."
        return self.name if size == "digits" else f"{self.name}-{size}"

    def summary(self, cards, # the rows of a file
                vary=()): # options that were not recorded
        "Means over the seeds of each row, in the order in which they are shown."
        means = mean_over_seeds(cards, vary)
        return sorted(means, key=self.order) if self.order else means


def without_seed(row): # {name: Score or None}
    "What the rows that differ in their seed alone have in common, as a text to group by."
    told = {name: card and card.settings | {"seed": None} for name, card in row.items()}
    return repr(told)


def mean_over_seeds(rows, # {name: Score or None} each
                    vary=()): # options that were not recorded, the same in all
    "Rows averaged over their seeds: those whose protocols agree in all else make one."
    groups = {}
    for row in rows: groups.setdefault(without_seed(row), []).append(row)
    return [{name: mean_of([row[name] for row in group], vary) for name in group[0]}
            for group in groups.values()]


def mean_of(cards, vary=()): # `Score`s or None, one a run
    "Their average; the one card itself where it does not depend on the run, as a floor."
    first = cards[0]
    if first is None or len(cards) == 1 or all(card == first for card in cards): return first
    return average(cards, [name for name in vary if name in first.settings])


def distance_of(row):
    "The value of a row's distance, to sort by."
    return row["distance"].value


def find_row(rows, **protocol): # sampler="DDIM", guidance=1.0, steps=50
    "The one row of whose distance this is said."
    found = [row for row in rows
             if all(getattr(row["distance"], key) == value for key, value in protocol.items())]
    if len(found) != 1: raise ValueError(f"{len(found)} rows have {protocol}; expected one")
    return found[0]


def cell_of(row, column):
    "What a table shows: a `Score`, or a part of the distance's protocol or notes, or \"\"."
    if isinstance(row.get(column), Score): return row[column]
    card = row["distance"]
    value = card.settings.get(column, card.notes.get(column))
    return "" if value in (None, NOT_RECORDED) else value


def as_text(cell):
    "A cell of a table as text."
    return format_score(cell) if isinstance(cell, Score) else str(cell)


def filled(rows, columns):
    "The columns in which some row has something."
    return [column for column in columns if any(cell_of(row, column) != "" for row in rows)]


def format_table(rows, # {name: Score} each
                 columns=COLUMNS): # cards by name, parts of their protocol, or notes
    "Rows of cards as text, in columns that line up; a column without anything is left out."
    columns = filled(rows, columns)
    cells = [columns, *([as_text(cell_of(row, column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in cells]
    return "\n".join(lines)


def flat(cell):
    "A cell as CSV: a card is its value and the ends of its interval."
    return [cell.value, *(cell.interval or ("", ""))] if isinstance(cell, Score) else [cell]


def save_csv(file, rows, columns):
    "A table as CSV: what `format_table` shows, then the other cards; value, low and high of each."
    cards = dict.fromkeys(name for row in rows for name in row)
    columns = filled(rows, dict.fromkeys([*columns, "seed", *cards]))
    parts = [(c, f"{c}_low", f"{c}_high") if c in cards else (c,) for c in columns]
    blank = {c: [""] * len(names) for c, names in zip(columns, parts)}
    with atomic_file(file) as new, open(new, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(itertools.chain(*parts))
        for row in rows:
            cells = [cell_of(row, c) for c in columns]
            writer.writerow(itertools.chain(*(
                blank[c] if cell == "" else flat(cell) for c, cell in zip(columns, cells))))


@lru_cache(maxsize=1)
def smoke_model():
    "A digits network after 20 training steps, `Trained`: enough to see that a table runs."
    run = train_digits(None, steps=20, device="cpu", progress=False)
    return Trained(run.ema.model, run.about["schedule"], run.about["shape"], run.about["clip"], {})


NETWORKS = {"digits": digits_model, "smoke": smoke_model} # what a row may sample from


class TableView:
    "Rows of cards as a table: HTML on a page, text elsewhere."
    def __init__(self, rows, columns):
        self.rows = rows
        self.columns = filled(rows, columns)

    def __repr__(self): return format_table(self.rows, self.columns)

    def _repr_html_(self):
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        lines = ["".join(self.cell(row, column) for column in self.columns) for row in self.rows]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def cell(self, row, column):
        "A cell as HTML; a card's interval small, below its value."
        value = cell_of(row, column)
        if not isinstance(value, Score): return f"<td>{escape(str(value))}</td>"
        number, _, interval = format_score(value).partition(" ")
        return f"<td>{number}<br><small>{interval}</small></td>"
