"Tables that are filled row by row, by several processes, and go on where they were stopped."

import csv
import os
import signal
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch
from tqdm import tqdm

from ..cards import environment, load_scores, save_scores
from ..saving import load_model
from ..scores import format_score
from ..training import train_digits


def row_name(row):
    "A row's arguments as a file name."
    return "-".join(f"{k}={v}" for k, v in row.items())


def leave_with_parent():
    "In a worker: end when the process that started it has ended, however that happened, and at Ctrl-C."
    def watch():
        parent_process().join()
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_DFL) # else it would call the interrupt a result, and take the next row
    torch.set_num_threads(1)


def compute_row(function, row, file):
    "Compute one row of a table, `function(**row) -> {name: Score}`, unless its file is there; the cards."
    if not file.exists(): save_scores(file, [function(**row)])
    return load_scores(file)[0]


def run_table(name, # of the table; finished rows are kept in out/.name/
              function, # function(**row) -> {name: Score}, importable, so that other processes find it
              rows, # list of dicts of arguments
              out, # folder for name.json and name.csv
              workers=2, # processes of one thread each; 0: this process
              command=""): # how to make it again
    "Fill a table, row by row, resumably; returns its rows of cards and writes name.json and name.csv."
    out = Path(out)
    files = [out / f".{name}" / f"{row_name(row)}.json" for row in rows]
    with ProcessPoolExecutor(max(1, workers), get_context("spawn"), leave_with_parent) as pool:
        jobs = [pool.submit(compute_row, function, row, file) if workers else None for row, file in zip(rows, files)]
        try: cards = [job.result() if job else compute_row(function, row, file) for row, file, job in zip(rows, files, tqdm(jobs, name, unit="row", disable=None))]
        except BaseException: pool.shutdown(wait=False, cancel_futures=True); raise # now, and not after all other rows
    save_scores(out / f"{name}.json", cards, environment() | {"gpu": None, "command": command, "threads": 1 if workers else torch.get_num_threads(), "processes": max(1, workers)})
    save_csv(out / f"{name}.csv", rows, cards)
    return cards


def save_csv(file, rows, cards):
    "A table as CSV: the arguments of each row, then value, low and high of each card."
    with open(file, "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow([*rows[0], *(f"{c}{part}" for c in cards[0] for part in ("", "_low", "_high")), "seconds"])
        for row, scores in zip(rows, cards):
            flat = [v for s in scores.values() for v in ((s.value, *(s.interval or ("", ""))) if s else ("", "", ""))]
            writer.writerow([*row.values(), *flat, next((s.notes["seconds"] for s in scores.values() if s and "seconds" in s.notes), "")])


COLUMNS = ("sampler", "steps", "spacing", "eta", "weights", "n_fake", "nfe", "seconds", "accuracy", "distance", "floor", "matched_floor", "nearest")


def format_table(scores, # rows of cards {name: Score}
          columns=COLUMNS): # cards by name, fields of their protocol, or notes
    "Rows of cards as text: the columns line up, and every distance stands beside its floor."
    def cell(row, column):
        if column in row: return "" if row[column] is None else format_score(row[column])
        card = row["distance"]
        value = getattr(card, column) if hasattr(card, column) else card.notes.get(column, "")
        return "" if value is None else str(value)
    cells = [list(columns), *([cell(row, column) for column in columns] for row in scores)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in cells)


SCALES = ("smoke", "digits")


def check_scale(scale):
    "ValueError if there is no such scale."
    if scale not in SCALES: raise ValueError(f"scale={scale!r}; expected one of {', '.join(SCALES)}")


@lru_cache(maxsize=1)
def smoke_model():
    "A class-conditional digits network after 20 training steps, `Trained`: enough to see that a table runs."
    folder = tempfile.mkdtemp()
    train_digits(folder, steps=20, device="cpu", progress=False)
    return load_model(Path(folder) / "model")
