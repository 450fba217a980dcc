"How far the ways to make a square of a photograph lie apart, measured on photographs."

import itertools
import json
from pathlib import Path

import torch

from ..cards import environment, save_scores
from ..disk import as_file, as_folder, write_whole
from ..features import extract
from ..images import from_uint8
from ..metrics import frechet
from ..preprocessing import PREPROCESSING
from ..reading import find_images
from ..saving import load_model
from .evaluations import features_network, network_digest


def some_files(root, n):
    "n image files, evenly spaced over a folder; all, where it has fewer."
    files = find_images(Path(root))[0]
    return [files[i] for i in torch.linspace(0, len(files) - 1, min(n, len(files))).long()]


def square_differences(root, # folder of photographs, one folder a class
                       size: int, # pixels a side
                       n: int=1000): # photographs, evenly spaced over the folder
    "{(a, b): mean difference of a pixel in gray levels of 255}, and its 5 and 95 % over pictures."
    chosen = some_files(root, n)
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


def square_distances(root, # folder of photographs, one folder a class
                     features, # folder of a run of `train_features`, at whose size it looks
                     n: int=1000, title: str="photographs"):
    """{way: `Score`}: the distance of n photographs, as squares of each way, from n others.

    The others are squares of this course's way, so that its row is the floor of the two sets.
    All rows are of the same photographs, and can be compared in pairs."""
    folder = as_folder(features, "--features")
    network = features_network(features)
    size = load_model(folder / "model").shape[-1]
    files = some_files(root, 2 * n)
    def seen(files, way):
        parts = [files[i:i + 100] for i in range(0, len(files), 100)]
        make = PREPROCESSING[way]
        return extract(network, (from_uint8(torch.stack([make(f, size) for f in part]))
                                 for part in parts))
    others = seen(files[1::2], "course")
    told = {"reference": f"{title}, course, {size}x{size}", "seed": 0,
            "instrument": network_digest(features, "cpu")}
    return {way: frechet(seen(files[::2], way), others, sampler="photographs", preprocessing=way,
                         **told) for way in PREPROCESSING}


def save_squares(root, out, title, sizes=(64, 128), n=1000, features=None):
    "The same as a JSON file, and the distances beside it, where asked for; the table as text."
    out = as_file(out) # before minutes of work
    table = square_table(root, sizes, n, title)
    lines = [f"{row['size']:4} {' against '.join(row['pair']):28} {row['mean']:.2f} gray levels, "
             f"{row['low']:.2f} to {row['high']:.2f}" for row in table["rows"]]
    write_whole(out, json.dumps(table, indent=1) + "\n")
    if features is None: return "\n".join(lines)
    found = square_distances(root, features, n, title)
    save_scores(out.with_name(f"{out.stem}-distances.json"), [found], environment("cpu"))
    return "\n".join([*lines, *(f"{way:12} {card!r}" for way, card in found.items())])
