"What the commands do: each returns the text that is printed at its end."

import json
from functools import partial
from pathlib import Path

from ..cards import environment
from ..data import cifar10
from ..disk import as_folder, as_size, atomic_file
from ..images import from_uint8, image_grid
from ..kinds import count, optional
from ..ranks import is_first
from .cost_table import cost_rows
from .costs import CARDS, SHARE, as_hours, cost_of, hours_on, trial
from .datasets import SETS, check_unneeded, fetch_imagenette, load_split
from .plans import SOME_IMAGES, DataSet, parse_changes
from .preparation import prepare_folders
from .registry import EXPERIMENTS, TABLES, experiment_of, run_table
from .run_page import measured_lines, next_commands
from .sample_runs import draw, read_chunk
from .shipping import TRAIN, recorded, retrain
from .studies import (
    COLUMNS_OF_RUNS, chosen_samplers, evaluate_run, format_experiment, opened_run, run_experiment,
    train_experiment)
from .tables import format_table
from .training_runs import default_device, read_settings


# ---- list ----

def cost_row(experiment, size, variant, plan, device=None):
    "What a plan costs, as a row of a table; with a device, hours from a trial there, too."
    cost = cost_of(plan)
    row = {"experiment": experiment.name, "variant": variant, "parameters": f"{cost.parameters:,}",
           "GFLOP": f"{cost.gflop:.3g}", "images": f"{cost.images:,}",
           "memory": as_size(cost.bytes)}
    row |= {card: as_hours(3600 * hours_on(cost.training_gflop, card)) for card in CARDS}
    return row | ({"here": as_hours(cost.steps * trial(plan, device))} if device else {})


LIST_NOTE = (
    "GFLOP: one image forward, counted, a multiplication and an addition being two. memory: of a "
    "training step in float32, counted. {cards}: arithmetic, three times GFLOP times images at "
    "{share:.0%} of the data sheet's rate ({rates}), of which batches of 4 reach far less; nothing "
    "was run there. here: from 20 steps on {device}.")


def list_experiments(size="full", name=None, use_trial=False, device=None):
    "All experiments of a size with what they cost."
    if name is not None: experiment_of(name).scale(size) # a ValueError says what there is
    device = default_device(device)
    shown = [e for e in EXPERIMENTS.values() if size in e.sizes and name in (None, e.name)]
    if not shown: raise ValueError(f"no experiment has the size {size!r}; sizes are "
                                   f"{', '.join(sizes_there())}")
    rows = [cost_row(e, size, variant, plan, device if use_trial else None)
            for e in shown for variant, plan in e.scale(size).plans.items()]
    about = "\n".join(f"{e.name:22} {e.doc}" for e in shown)
    rates = ", ".join(f"{card} {rate:g} TFLOP/s in {kind}" for card, (rate, kind) in CARDS.items())
    note = LIST_NOTE.format(cards=", ".join(CARDS), share=SHARE, rates=rates, device=device)
    return (f"{about}\n\n{format_table(rows, [*rows[0]])}\n\n{note}\n\ntables of the digits: "
            f"{', '.join(TABLES)}\nnetworks that ship with the package: {', '.join(TRAIN)}")


def sizes_there():
    "All sizes that some experiment has."
    return [*dict.fromkeys(size for e in EXPERIMENTS.values() for size in e.sizes)]


# ---- options ----

def refuse_unused(what, **given): # what cannot use them; {option: its value, None if not given}
    "ValueError where an option was given that would do nothing."
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"--{name} {value}: {what} cannot use it; leave it out")


def unless(usual, value):
    "None for the usual value of an option, as if it were not given."
    return None if value == usual else value


# ---- train ----

def train_shipped(name, out, seed):
    "Train a network that ships with the package again, and say how it scores beside it."
    out = as_folder(f"runs/{name}-{seed}" if out is None else out)
    found = retrain(name, out, seed)["scores"]
    lines = [f"{key:10}{value:9.4f}, shipped {recorded(name, key):9.4f}"
             for key, value in found.items()]
    return "\n".join([*lines, f"The network is in {out / 'model'}"])


def train_named(name, size, variant, data, out, seed, device, resume, given, tracker, start=None):
    "Train a network that ships, or one of an experiment."
    training = {"set": unless([], given or []), "tracker": unless("none", tracker),
                "init": start}
    if name in TRAIN:
        refuse_unused(f"{name}, which is trained as it ships,", size=unless("full", size),
                      variant=variant, data=data, device=unless("cpu", device), **training)
        return train_shipped(name, out, seed)
    if name not in EXPERIMENTS:
        raise ValueError(f"nothing to train is called {name!r}; there are the experiments "
                         f"{', '.join(EXPERIMENTS)} and the networks {', '.join(TRAIN)}")
    if EXPERIMENTS[name].pretrained:
        refuse_unused(f"{name}, of which nothing is trained,", data=data, seed=unless(0, seed),
                      **training)
    check_unneeded(data, experiment_of(name).plan(size, variant)[1].data.name)
    out = train_experiment(name, size, variant, out, data, seed, device, resume,
                           parse_changes(given or []), tracker, start=start)
    commands = "\n".join(f"  {line}" for line in next_commands(out, read_settings(out)))
    page = out / "index.html"
    shown = f"{measured_text(out)}\nOpen {page}" if page.exists() else f"It is in {out}"
    return f"{shown}; next:\n{commands}"


def measured_text(out):
    "What was measured of a run, a line for each time it was started."
    return "\n".join(measured_lines(Path(out)))


def cost_table(runs, device):
    "What sampling costs here, for the networks that ship and for some runs."
    device = default_device(device)
    more = {str(run): opened_run(run, device).ready.trained for run in runs or ()}
    rows = cost_rows(device, more)
    machine = environment(device)
    return (f"{format_table(rows, [*rows[0]])}\n\non {machine['gpu'] or machine['cpu']}, "
            f"{machine['threads']} threads, {machine['date']}; s an image: at the best batch; "
            "latents without decoding; memory: of tensors on a GPU, of the process on a CPU")


# ---- sample, evaluate, info ----

def sample_run(run, sampler=None, steps=None, guidance=None, n=64, seed=0, device=None, chunk=100):
    "Draw samples of a run, and a picture of the first ones."
    from PIL import Image
    count(n, "images")
    opened = opened_run(run, device)
    levels = SETS[opened.plan.data.name].levels
    first = chosen_samplers(opened, sampler, steps, guidance)[0]
    folder, _ = draw(opened.ready, first, n, seed, chunk, levels)
    if is_first():
        grid = image_grid(from_uint8(read_chunk(folder, 0, min(n, 64))[0], levels), 8)
        with atomic_file(folder / "grid.png") as new:
            Image.fromarray(grid.numpy()).save(new, format="png")
    return f"{n} images in {folder}; see {folder / 'grid.png'}"


def evaluate_named(run, data=None, n=None, **options): # of `evaluate_run`
    "Score a run; the table as text."
    optional(SOME_IMAGES)(n, "images")
    check_unneeded(data, read_settings(run)["plan"]["data"]["name"])
    return format_table(evaluate_run(run, data, n=n, **options), COLUMNS_OF_RUNS)


def info_run(run):
    "Settings, measurements and what to do next, of a run folder."
    settings = read_settings(run)
    shown = ("experiment", "size", "variant", "seed", "data", "start")
    head = {k: settings[k] for k in shown if k in settings}
    done = "trained" if (Path(run) / "model").exists() else "not trained to its end"
    commands = "\n".join(f"  {line}" for line in next_commands(Path(run), settings))
    return (f"{json.dumps(head, indent=1)}\n{done}\n{measured_text(run)}\n"
            f"{json.dumps(settings['plan'], indent=1)}\nnext:\n{commands}")


# ---- tables, data ----

def make_table(name, size, out, workers=None, data=None, device=None, seed=None, features=None):
    "A table of the digits, or of an experiment; \"all\": every one that has the size."
    chosen = tables_called(name, size)
    given = {"data": data, "device": device, "seed": seed, "features": features}
    check_table_options(chosen, size, workers, given)
    text = {one: table_text(one, size, out, workers, given) for one in chosen}
    if name != "all": return text[name]
    return "\n\n".join(f"== {one} ==\n{said}" for one, said in text.items())


def tables_called(name, size):
    "The tables and experiments that a name stands for; ValueError if there are none."
    if name == "all":
        chosen = [one for one, what in (TABLES | EXPERIMENTS).items() if size in sizes_of(what)]
        if chosen: return chosen
        raise ValueError(f"size={size!r}; tables have {', '.join(sizes_there())}")
    if name not in TABLES | EXPERIMENTS:
        raise ValueError(f"no table {name!r}; there are {', '.join(TABLES | EXPERIMENTS)}, and all")
    if name in TABLES and size == "full" and (others := full_of(name)):
        raise ValueError(f"{name} is a table of the digits; at full size: {', '.join(others)}")
    return [name]


def check_table_options(chosen, size, workers, given): # {option of experiments: value}
    "ValueError where an option was given that none of these tables can use."
    experiments = [EXPERIMENTS[one] for one in chosen if one in EXPERIMENTS]
    if not experiments: refuse_unused(f"{chosen[0]}, a table of the digits,", **given)
    if len(experiments) == len(chosen):
        refuse_unused(f"{chosen[0]}, an experiment,", workers=workers)
    for plan in (p for e in experiments for p in e.scale(size).plans.values()):
        check_unneeded(given["data"], plan.data.name)


def table_text(name, size, out, workers, given):
    "One table, made or gone on with."
    if name in TABLES:
        rows = run_table(name, out, size, 2 if workers is None else workers)
        return format_table(rows, TABLES[name].columns)
    seed = 0 if given["seed"] is None else given["seed"]
    return format_experiment(name, size, run_experiment(name, size, out, **given | {"seed": seed}))


def sizes_of(what): # `Table` or `Experiment`
    "The sizes of a table or experiment."
    return getattr(what, "grid", None) or what.sizes


def full_of(table):
    "The experiments that ask at full size what a table of the digits asks."
    return [e.name for e in EXPERIMENTS.values() if e.table == table and "full" in e.sizes]


FETCHED = {"cifar10": partial(cifar10, download=True), "imagenette": fetch_imagenette}


def prepare_data(name, data, out, size, preprocessing):
    "Get CIFAR-10 or Imagenette, or make ImageNet-100 of a directory of ImageNet."
    out = as_folder(f"data/{name}" if out is None else out)
    if name in FETCHED:
        refuse_unused(name, data=data, size=unless(128, size),
                      preprocessing=unless("course", preprocessing))
        FETCHED[name](out)
        images = load_split(DataSet(name, SETS[name].shape[-1]), out, "train").images
        return f"{len(images):,} training images of {SETS[name].title} are in {out}"
    if name != "imagenet100":
        raise ValueError(f"no data set {name!r} to prepare; there are {', '.join(FETCHED)} and "
                         "imagenet100")
    if data is None: raise ValueError("imagenet100 is made of ImageNet, train/WNID/*.JPEG and "
                                      "val/WNID/*.JPEG; pass its directory with --data")
    counts = prepare_folders(data, out, size, preprocessing)
    told = ", ".join(f"{n:,} of {split}" for split, n in counts.items())
    return f"ImageNet-100, {size}x{size}, preprocessing {preprocessing}: {told}, in {out}"
