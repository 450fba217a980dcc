"How far the ways to make a square of a photograph lie apart, measured on photographs."

import itertools
import json
from pathlib import Path

import torch

from ..cards import environment
from ..disk import as_file, write_whole
from ..preprocessing import PREPROCESSING
from ..reading import find_images


def square_differences(root, # folder of photographs, one folder a class
                       size: int, # pixels a side
                       n: int=1000): # photographs, evenly spaced over the folder
    "{(a, b): mean difference of a pixel in gray levels of 255}, and its 5 and 95 % over pictures."
    files = find_images(Path(root))[0]
    chosen = [files[i] for i in torch.linspace(0, len(files) - 1, min(n, len(files))).long()]
    pairs = [*itertools.combinations(PREPROCESSING, 2)]
    found = {pair: [] for pair in pairs}
    for file in chosen:
        made = {name: square(file, size).float() for name, square in PREPROCESSING.items()}
        for a, b in pairs: found[a, b].append((made[a] - made[b]).abs().mean())
    return {pair: summary_of(torch.stack(values).double()) for pair, values in found.items()}


def summary_of(values):
    "Mean, and the 5 and 95 % quantiles, of differences over pictures."
    quantiles = torch.tensor([0.05, 0.95], dtype=torch.float64)
    return values.mean().item(), *values.quantile(quantiles).tolist()


def square_table(root, sizes=(64, 128), n=1000, title="photographs"):
    "Rows of the differences at several sizes, as JSON holds them, with what was measured."
    rows = [{"size": size, "pair": list(pair), "mean": mean, "low": low, "high": high}
            for size in sizes
            for pair, (mean, low, high) in square_differences(root, size, n).items()]
    return {"photographs": title, "n": n, "about": environment("cpu"), "rows": rows}


def save_squares(root, out, title, sizes=(64, 128), n=1000):
    "The same as a JSON file; the table as text."
    out = as_file(out) # before minutes of work
    table = square_table(root, sizes, n, title)
    write_whole(out, json.dumps(table, indent=1) + "\n")
    return "\n".join(f"{row['size']:4} {' against '.join(row['pair']):28} {row['mean']:.2f} gray "
                     f"levels, {row['low']:.2f} to {row['high']:.2f}" for row in table["rows"])
