"Experiments carried out: one run trained, sampled, scored; or all of them, as one table."

from dataclasses import replace
from typing import NamedTuple

from ..cards import save_scores
from ..disk import as_folder
from ..kinds import seed_of_run
from ..ranks import gathered, is_first, meet
from .datasets import is_copy, training_images
from .evaluations import evaluated
from .registry import experiment_of
from .run_page import save_plots, save_run_page
from .sample_runs import Ready, open_run_folder
from .tables import format_table, save_csv
from .trackers import tracking
from .training_runs import (
    default_device, keep_pretrained, read_settings, settings_differ, settings_of_run, train_plan)


def run_name(name, size, variant, seed):
    "How a run folder is called where no name was given."
    plain = "".join(c if c.isalnum() else "-" for c in variant)
    return f"{name}-{size}-{plain}-{seed}"


def train_experiment(name: str, # of an experiment
                     size: str="full", # "smoke", "digits" or "full"
                     variant: str=None, # of its plans; None: the first
                     out=None, # run folder; runs/NAME-SIZE-VARIANT-SEED if None
                     data=None, # folder of the data set; the digits need none
                     seed: int=0, device: str=None, resume: bool=False, changes=None,
                     tracker: str="none", progress: bool=True,
                     start=None): # another run's folder: its weights are the first
    "Train one network of an experiment: its run folder, with an index.html."
    variant, plan = experiment_of(name).plan(size, variant)
    plan = plan.with_recipe(changes or {})
    seed_of_run(seed, "seed")
    check_can_run(plan, size, device)
    out = as_folder(out or f"runs/{run_name(name, size, variant, seed)}")
    if experiment_of(name).pretrained:
        out.mkdir(parents=True, exist_ok=True)
        settings = settings_of_run(name, size, variant, plan, seed)
        if is_first(): keep_pretrained(experiment_of(name).pretrained(), settings, plan, out)
        meet()
        return out
    callbacks = tracking(tracker, out, plan.told)
    try:
        run, parts = train_plan(name, size, variant, plan, out, data, seed, device, resume,
                                progress, callbacks, start)
    finally:
        for callback in callbacks: callback.finish()
    if is_first(): leave_page(run, parts.data, out)
    meet()
    return out


def leave_page(run, data, out):
    "What a finished run shows: index.html and its plots."
    save_plots(run, data, out)
    save_run_page(out, read_settings(out), run.step, run.recipe.steps)


def check_can_run(plan, size, device):
    "ValueError for what would never end; RuntimeError for a CPU that nobody asked for."
    plan.steps(training_images(plan.data))
    if size != "full" or device is not None or default_device(None) != "cpu": return
    raise RuntimeError("this experiment is made for a GPU, and there is none here; --size digits "
                       "and --size smoke run on a CPU, and --device cpu starts it all the same: "
                       "ddpm-course list --size full shows what it takes")


# ---- a run again ----

class Opened(NamedTuple):
    "A run folder, with the experiment that left it."
    ready: Ready
    plan: object
    scale: object


def opened_run(run, device=None):
    "The `Opened` run of a folder that `train_experiment` left and finished."
    settings = read_settings(run)
    experiment = experiment_of(settings["experiment"])
    plan = experiment.plan(settings["size"], settings["variant"])[1]
    plan = replace(plan, recipe=settings["plan"]["recipe"])
    if plan.told != settings["plan"]:
        differ = settings_differ(settings, settings | {"plan": plan.told})
        raise ValueError(f"{run} was trained under settings that {experiment.name} no longer has "
                         f"({differ}); train it again, or use the version of the course that it "
                         "was made by")
    ready = open_run_folder(run, settings, plan, default_device(device))
    return Opened(ready, plan, experiment.scale(settings["size"]).of(settings["variant"]))


def chosen_samplers(opened, sampler=None, steps=None, guidance=None): # `Opened`
    "The samplers of a run's scale, or those that were asked for; a new one if there is none."
    from .samplers import Sampler
    if guidance not in (None, 1) and opened.ready.trained.model.num_classes is None:
        raise ValueError(f"--guidance {guidance}: the network of {opened.ready.folder} has no "
                         "classes to guide by; leave it out")
    asked = {"name": sampler, "steps": steps, "guidance": guidance}
    def fits(s):
        has = {"name": s.name, "steps": s.steps, "guidance": s.guidance["scale"]}
        return all(v is None or has[k] == v for k, v in asked.items())
    if found := [s for s in opened.scale.samplers if fits(s)]: return found
    usual = {"name": "DDIM", "steps": 50, "guidance": 1.0}
    given = {k: v for k, v in asked.items() if v is not None}
    return [Sampler(**usual | given)]


def evaluate_run(run, data=None, device=None, seed=0, features=None, n=None, chunk=100,
                 sampler=None, steps=None, guidance=None, progress=True):
    "Rows of `Cards`: each sampler under each protocol of the run's experiment."
    opened = opened_run(run, device)
    chosen = chosen_samplers(opened, sampler, steps, guidance)
    rows = []
    for evaluation in opened.scale.evaluations:
        given = {k: v for k, v in {"n": n, "features": features}.items() if v is not None}
        evaluation = replace(evaluation, **given)
        for one in chosen:
            rows.append(evaluated(opened.ready, opened.plan, one, evaluation, data, seed,
                                  default_device(device), chunk, progress=progress))
    return rows


# ---- all of an experiment ----

COLUMNS_OF_RUNS = ("variant", "sampler", "steps", "spacing", "guidance", "n_fake", "reference",
                   "nfe", "seconds", "accuracy", "real_accuracy", "distance", "floor", "score",
                   "published")


def published_beside(row, experiment):
    "What others published for a row, as text; nothing beside a copy of a data set."
    card = row["distance"]
    if is_copy(card.reference): return ""
    fits = lambda where: all(card.settings.get(k) == v for k, v in where.items())
    found = [p for p in experiment.published if p.where and fits(p.where)]
    return "; ".join(f"{', '.join(f'{k} {v}' for k, v in p.values.items())}" for p in found)


def run_experiment(name: str, size: str="full", out="runs", data=None, seed: int=0, device=None,
                   features=None, progress: bool=True, changes=None, n=None):
    "Train all networks of an experiment, or go on there, and score them: rows of `Cards`."
    experiment = experiment_of(name)
    out = as_folder(out)
    rows = []
    for variant in experiment.scale(size).plans:
        folder = out / run_name(name, size, variant, seed)
        if not gathered((folder / "index.html").exists())[0]: # it is the last that a run leaves
            train_experiment(name, size, variant, folder, data, seed, device, True, changes, "none",
                             progress)
        rows += evaluate_run(folder, data, device, seed, features, n, progress=progress)
    if not is_first(): return rows
    save_scores(out / f"{name}-{size}-{seed}.json", rows)
    save_csv(out / f"{name}-{size}-{seed}.csv", rows, COLUMNS_OF_RUNS[:-1])
    return rows


def format_experiment(name, size, rows):
    "The table of an experiment as text, published figures beside it and below."
    experiment = experiment_of(name)
    beside = size == "full"
    shown = [row | {"published": published_beside(row, experiment)} if beside else row
             for row in rows]
    told = [f"  {', '.join(f'{k} {v}' for k, v in p.values.items())}: {p.where or 'in all'}, "
            f"{p.source}" for p in experiment.published]
    block = "\n\npublished, by their own protocols:\n" + "\n".join(told) if told else ""
    return format_table(shown, COLUMNS_OF_RUNS) + block
