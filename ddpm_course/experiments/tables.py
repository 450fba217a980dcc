"Tables of the experiments: data that say which rows there are, and one way to fill them."

import csv
import itertools
import re
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
    family: object = None # `Family`: the comparisons that it is for, planned before it is run

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

    def summary(self, cards): # the rows of a file
        "Means over the seeds of each row, in the order in which they are shown."
        means = mean_over_seeds(cards)
        return sorted(means, key=self.order) if self.order else means


def without_seed(row): # {name: Score or None}
    "What the rows that differ in their seed alone have in common, as a text to group by."
    seeds = {"seed": None, "train_seed": None}
    told = {name: card and card.settings | seeds for name, card in row.items()}
    return repr(told)


def mean_over_seeds(rows): # {name: Score or None} each
    "Rows averaged over their seeds: those whose protocols agree in all else make one."
    groups = {}
    for row in rows: groups.setdefault(without_seed(row), []).append(row)
    return [{name: mean_of([row[name] for row in group]) for name in group[0]}
            for group in groups.values()]


def mean_of(cards): # `Score`s or None, one a run
    "Their average; the one card itself where it does not depend on the run, as a floor."
    first = cards[0]
    if first is None or len(cards) == 1 or all(card == first for card in cards): return first
    return average(cards)


def mean_note(rows, name): # of the rows of a file, such as "step_seconds"
    "{variant: mean over its seeds of a note of its distances}."
    found = {}
    for row in rows:
        found.setdefault(row["distance"].variant, []).append(row["distance"].notes[name])
    return {variant: sum(values) / len(values) for variant, values in found.items()}


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
    "What a row holds, or a part of its distance's protocol or notes, or \"\"."
    if row.get(column) is not None: return row[column]
    card = row.get("distance")
    if not isinstance(card, Score): return ""
    value = card.settings.get(column, card.notes.get(column))
    return "" if value in (None, NOT_RECORDED) else value


def as_text(cell, digits=None): # after the point; None: 3 for a card, all that a number has
    "A cell of a table as text."
    if isinstance(cell, Score): return format_score(cell, 3 if digits is None else digits)
    return str(cell) if digits is None or cell == "" else f"{cell:.{digits}f}"


def filled(rows, columns):
    "The columns in which some row has something."
    return [column for column in columns if any(cell_of(row, column) != "" for row in rows)]


def format_table(rows, # {name: Score, number or text} each
                 columns=COLUMNS, # by name: what the rows hold, parts of their protocol, or notes
                 digits=None): # {column: digits after the point}; 3 for cards
    "Rows of cards as text, in columns that line up; a column without anything is left out."
    columns = filled(rows, columns)
    digits = digits or {}
    cells = [columns, *([as_text(cell_of(row, column), digits.get(column)) for column in columns]
                        for row in rows)]
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
    "Rows as a table: HTML on a page, text elsewhere."
    def __init__(self, rows, # {name: `Score`, number or text} each
                 columns=None, # as `format_table` takes them, or {column: heading}; None: all
                 caption: str="", # what to see in it
                 best=None, # {column: min or max}; the best value of each is marked
                 digits=None, # {column: digits after the point}; 3 for cards
                 note: str=""): # what made it, as `provenance` tells it
        columns = dict.fromkeys(c for row in rows for c in row) if columns is None else columns
        headings = columns if isinstance(columns, dict) else {}
        self.rows = rows
        self.columns = filled(rows, columns)
        self.headings = [headings.get(column) or column for column in self.columns]
        self.caption = caption
        self.best = best or {}
        self.digits = digits or {}
        self.note = note

    def __repr__(self): return format_table(self.rows, self.columns, self.digits)

    def _repr_html_(self):
        marked = {c: best_number(self.rows, c, choose, self.digits.get(c))
                  for c, choose in self.best.items()}
        sides = {c: side_of(self.rows, c, self.digits.get(c)) for c in self.columns}
        heads = "".join(f'<th scope="col"{sides[c]}>{escape(head)}</th>'
                        for c, head in zip(self.columns, self.headings))
        lines = [[as_html(cell_of(row, c), self.digits.get(c), marked.get(c), sides[c])
                  for c in self.columns] for row in self.rows]
        body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
        caption = self.caption and f"<caption>{escape(self.caption)}</caption>"
        note = self.note and NOTE.format(len(self.columns), escape(self.note))
        return f"{TABLE}{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>{note}</table>"


# as the site's theme has tables; Quarto is not to make them anew and lose what is small and marked
TABLE = ('<table class="table table-sm caption-top" data-quarto-disable-processing="true" '
         'style="font-size:.92em;margin-bottom:.5rem">')
NOTE = '<tfoot><tr><td colspan="{}" style="text-align:left"><small>{}</small></td></tr></tfoot>'
STAR = '<span role="img" aria-label="best">★</span>&nbsp;'


def side_of(rows, column, digits=None):
    "The style of a column: where most cells are numbers, they stand to the right."
    cells = [cell for row in rows if (cell := cell_of(row, column)) != ""]
    numbers = [cell for cell in cells if re.match(r"[-+−.]?\d", as_text(cell, digits))]
    return f' style="text-align:{"right" if 2 * len(numbers) > len(cells) else "left"}"'


def best_number(rows, column, choose, # min or max
                digits=None):
    "The best value of a column as it is shown: values that look alike are marked alike."
    cells = [cell for row in rows if (cell := cell_of(row, column)) != ""]
    best = choose(cells, key=lambda cell: getattr(cell, "value", cell))
    return as_text(best, digits).partition(" [")[0]


def as_html(cell, digits, best, # text of the best value, or None
            style):
    "A cell as HTML: the best bold and behind a star, an interval small."
    number, _, interval = as_text(cell, digits).partition(" [")
    text = escape(number)
    if number == best: text = f"{STAR}<b>{text}</b>"
    if interval: text += f' <small style="white-space:nowrap">[{escape(interval)}</small>'
    return f"<td{style}>{text}</td>"
