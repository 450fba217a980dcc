"Scores in files, with what made them."

import json
import os
import platform
import urllib.request
from dataclasses import asdict
from datetime import date
from pathlib import Path

import torch

from .scores import Score


def environment():
    "Date, machine and versions of a run, for the record."
    cpu = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")] if cpu.exists() else []
    return {"date": date.today().isoformat(), "cpu": (names or [platform.processor() or platform.machine()])[0], "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None, "python": platform.python_version(), "torch": torch.__version__}


def save_scores(file, # JSON file to write
                scores, # `Score`s, or rows {name: Score or None}
                about=None): # what holds for all of them; `conditions()` if None
    "Write cards, or a table of rows of cards, with the conditions of the run."
    plain = lambda s: {k: plain(v) for k, v in s.items()} if isinstance(s, dict) else s and asdict(s)
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{os.getpid()}.new") # whole or not at all
    new.write_text(json.dumps({"about": environment() if about is None else about, "scores": [plain(s) for s in scores]}, indent=1), encoding="utf-8")
    new.replace(file)


def load_scores(file):
    "What `save_scores` wrote: the list of cards or rows. A damaged or edited file is a ValueError that says where."
    def card(d):
        if d is None: return None # a row without this card
        if "value" not in d: return {k: card(v) for k, v in d.items()}
        return Score(**d)
    try: return [card(d) for d in json.loads(Path(file).read_text(encoding="utf-8"))["scores"]]
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise ValueError(f"{file} does not hold scores as save_scores writes them ({type(e).__name__}: {e}); make it again") from e


def provenance(file):
    "One line from a file of scores: the command that made it, date, machine, threads."
    about = {"command": "not recorded", "threads": 1} | json.loads(Path(file).read_text(encoding="utf-8"))["about"]
    processes = f"{about['processes']} processes of " if about.get("processes", 1) > 1 else ""
    return f"{about['command']}: {about['date']}, {about['gpu'] or about['cpu']}, {processes}{about['threads']} thread{'s' * (about['threads'] > 1)}, torch {about['torch']}"


RESULTS = "https://raw.githubusercontent.com/ddpm-course/ddpm_course/main/nbs/results/"


def result_file(name, # such as "ddim-steps.json"
                folder="results"): # beside the notebooks
    "The path of what a long run left; where only the notebook is, as on Colab, it is fetched from the course's repository."
    file = Path(folder) / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        try: urllib.request.urlretrieve(RESULTS + name, part), part.replace(file) # a download that is cut off must not pass for the file
        except OSError as e: raise OSError(f"there is no {file}, and {RESULTS}{name} could not be fetched ({e}); make it with ddpm-course table, or get the repository") from e
    return file
