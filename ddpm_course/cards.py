"""Scores in files, each row with what made it.

What each image did to a score, 4 bytes an image, lies beside NAME.json in NAME.safetensors: it is
what two cards are compared in pairs by. Cards without that file can be read as well."""

import json
import os
import platform
import urllib.request
from collections import Counter
from dataclasses import fields
from datetime import date
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .arguments import checked
from .disk import atomic_file, write_whole
from .influence import Influence
from .kinds import a_mapping, described, listed
from .scores import Score


def environment(device=None): # "cpu" for a run that left an accelerator alone
    "Date, machine and versions of a run, for the record."
    used = device != "cpu" and torch.cuda.is_available()
    gpu = torch.cuda.get_device_name() if used else None
    return {"date": date.today().isoformat(), "cpu": processor(), "cores": os.cpu_count(),
            "gpu": gpu, "python": platform.python_version(), "torch": torch.__version__,
            "threads": torch.get_num_threads()}


def processor():
    "The processor's name, as far as the system tells it."
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def is_card(value):
    "Is this a `Score`, of the library or of a page that defines it?"
    return {f.name for f in fields(Score)} <= getattr(value, "__dict__", {}).keys()


def a_row(value, name):
    "The kind of what a file of scores holds: a `Score`, or a row of them by name."
    row = isinstance(value, dict)
    cards = value.values() if row else [value]
    if all(is_card(card) or row and card is None for card in cards): return value
    raise TypeError(f"{name}={described(value)}; expected a Score, or a row "
                    "{name: Score or None}")


def as_json(card):
    "A card as JSON holds it: its influence lies in another file."
    return card and {f.name: getattr(card, f.name) for f in fields(Score) if f.compare}


def as_entry(scores, about):
    "A card, or a row {name: card or None}, and what made it, as JSON holds them."
    if not isinstance(scores, dict): return {"about": about, "card": as_json(scores)}
    return {"about": about, "cards": {name: as_json(card) for name, card in scores.items()}}


@checked(scores=listed(a_row))
def save_scores(file, # JSON file to write
                scores, # `Score`s, or rows {name: Score or None}
                about=None): # what made them: a dict for all, or one a row; `environment()` if None
    "Write cards, or a table of rows of cards, each with what made it; their influences beside it."
    scores = list(scores)
    about = environment() if about is None else about
    abouts = [about] * len(scores) if isinstance(about, dict) else listed(a_mapping)(about, "about")
    if len(abouts) != len(scores):
        raise ValueError(f"about: got {len(abouts)} for {len(scores)} scores; expected one a row")
    entries = [as_entry(s, a) for s, a in zip(scores, abouts)]
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_influences(file.with_suffix(".safetensors"), named(scores))
    lines = ",\n".join(map(json.dumps, entries)) # a row a line
    write_whole(file, f'{{"scores": [\n{lines}\n]}}\n')


def from_entry(entry):
    "(card or row, what made it) of an entry of a file."
    if "card" in entry: return Score(**entry["card"]), entry["about"]
    row = {name: card and Score(**card) for name, card in entry["cards"].items()}
    return row, entry["about"]


def load_entries(file):
    "What `save_scores` wrote: a list of (card or row, what made it); ValueError if it is damaged."
    file = Path(file)
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["scores"]
        found = [from_entry(entry) for entry in entries]
        attach_influences(file.with_suffix(".safetensors"), named([s for s, _ in found]))
        return found
    except (ValueError, TypeError, KeyError, AttributeError, SafetensorError) as e:
        raise ValueError(f"{file} does not hold scores as save_scores writes them "
                         f"({type(e).__name__}: {e}); delete it, and make it again") from e


# ---- influences ----

def named(scores): # cards or rows
    "{name in the file of influences: card}."
    rows = [row if isinstance(row, dict) else {"": row} for row in scores]
    return {f"{i}/{name}": card for i, row in enumerate(rows) for name, card in row.items() if card}


def save_influences(file, # .safetensors
                    cards): # {name: `Score`}
    "Keep the influences of cards: float32, hits as bytes, what labels were fixed once for all."
    tensors = {}
    told = {}
    for name, card in cards.items():
        part = card.influence
        if part is None: continue
        tensors[f"{name}/first"] = (part.first > 0).byte() if part.share else part.first.clone()
        if len(part.second): tensors[f"{name}/second"] = part.second.bfloat16()
        about = {"value": card.value, "bias": part.bias, "share": part.share}
        if part.strata is not None: about["strata"] = place_of(part.strata, tensors)
        told[name] = json.dumps(about)
    file.unlink(missing_ok=True)
    if not told: return
    with atomic_file(file) as new: save_file(tensors, new, told)


def place_of(strata, tensors):
    "Where labels lie among the tensors; they are put there if they do not yet."
    small = strata.byte() if strata.max() < 256 else strata
    places = [name for name in tensors if name.startswith("strata/")]
    for name in places:
        if torch.equal(tensors[name], small): return name
    name = f"strata/{len(places)}"
    tensors[name] = small
    return name


def attach_influences(file, cards): # {name: `Score`}
    "Give cards back what `save_influences` kept; ValueError where the file is not theirs."
    if not file.exists(): return
    with safe_open(file, "pt") as f:
        for name, about in (f.metadata() or {}).items():
            if name not in cards: raise ValueError(f"{file.name} is of other cards: {name}")
            vars(cards[name])["influence"] = read_influence(f, name, json.loads(about), cards[name])


def read_influence(f, name, about, card):
    "The `Influence` of a card from an open file."
    if about["value"] != card.value:
        raise ValueError(f"the influences of {name} are those of the value {about['value']}")
    first = f.get_tensor(f"{name}/first").float()
    if about["share"]: first = first - first.mean()
    there = f"{name}/second" in f.keys() # noqa: SIM118
    second = f.get_tensor(f"{name}/second").float() if there else torch.empty(0)
    strata = f.get_tensor(about["strata"]).long() if "strata" in about else None
    return Influence(first, second, about["bias"], strata, about["share"])


# ---- reading ----

@checked
def load_scores(file):
    "The cards or rows of a file, as `save_scores` got them."
    return [scores for scores, _ in load_entries(file)]


def load_about(file):
    "What made each card or row of a file: a list of dicts."
    return [about for _, about in load_entries(file)]


def describe_about(about):
    "One line from what made a row: the command, date, machine, threads."
    about = {"command": "not recorded", "threads": 1} | about
    threads = f"{about['threads']} thread{'s' * (about['threads'] > 1)}"
    if about.get("processes", 1) > 1: threads = f"{about['processes']} processes of {threads}"
    told = about["date"], about["gpu"] or about["cpu"], threads, f"torch {about['torch']}"
    return f"{about['command']}: {', '.join(told)}"


def provenance(file):
    "What made the rows of a file of scores, one line for all that were made alike."
    found = Counter(map(describe_about, load_about(file)))
    if len(found) == 1: return next(iter(found))
    return "\n".join(f"{count} rows by {line}" for line, count in found.items())


RESULTS = "https://raw.githubusercontent.com/ddpm-course/ddpm_course/main/nbs/results/"


def result_file(name, # such as "ddim-steps.json"
                folder="results"): # beside the notebooks
    "The path of what a long run left; where only the notebook is, as on Colab, it is fetched."
    file = Path(folder) / name
    if file.exists(): return file
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    try:
        urllib.request.urlretrieve(RESULTS + name, part)
        part.replace(file) # only now: a download that is cut off must not pass for the file
    except OSError as e:
        raise OSError(f"there is no {file}, and {RESULTS}{name} could not be fetched ({e}); make "
                      "it with ddpm-course table, or get the repository") from e
    return file
