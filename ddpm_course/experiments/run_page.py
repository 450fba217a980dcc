"index.html of a run: curves, loss by t, sample grids along training, settings, what to do next."

import html
import json
import shlex

import torch

from ..disk import as_size, atomic_file, write_whole
from ..training import loss_by_t
from .datasets import SETS
from .demo import plot_loss
from .measuring import read_measured
from .plots import new_figure
from .registry import experiment_of

STYLE = """body { font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem } img { max-width: 100% } pre { overflow-x: auto; background: #f4f4f4;
padding: 1rem } figure { margin: 1rem 0 } .grid img { width: 24rem; image-rendering: pixelated }"""


def plot_by_t(run, data, ts):
    "Loss of the averaged weights at some timesteps: a figure."
    device = next(run.ema.model.parameters()).device
    x, y = (part.to(device) for part in data.batch(torch.arange(min(64, len(data)))))
    y = None if run.ema.model.num_classes is None else y
    losses = loss_by_t(run.ema.model, run.about["schedule"], x, y, ts).cpu()
    figure = new_figure(7, 3)
    ax = figure.add_subplot()
    ax.semilogy(ts, losses, "o-", ms=3)
    ax.set(title="Where the loss is: 64 training images, averaged weights", xlabel="timestep t",
           ylabel="squared error")
    return figure


PLOTS = {"loss": "Training loss against step", "loss-by-t": "Loss against timestep"}


def save_plots(run, data, out):
    "loss.png of a run, and loss-by-t.png where it has timesteps."
    figures = {"loss": plot_loss(run.losses)}
    if schedule := run.about["schedule"]:
        ts = torch.linspace(0, len(schedule) - 1, 20).round().long().unique().tolist()
        figures["loss-by-t"] = plot_by_t(run, data, ts)
    for name, figure in figures.items():
        with atomic_file(out / f"{name}.png") as new: figure.savefig(new, format="png", dpi=100)


def data_option(settings):
    "The words that say where the data set is, for one that has to be named."
    return " --data FOLDER" * SETS[settings["plan"]["data"]["name"]].needs_folder


def resume_command(out, settings):
    "The command that goes on with a run as it was begun."
    name, size, variant = (settings[key] for key in ("experiment", "size", "variant"))
    usual = experiment_of(name).plan(size, variant)[1].recipe
    recipe = settings["plan"]["recipe"].items()
    words = ["ddpm-course", "train", name, "--size", size, "--variant", variant, "--seed",
             str(settings["seed"]), "--out", str(out), "--resume"]
    if "start" in settings: words += ["--init", settings["start"]]
    for key, value in recipe:
        if usual.get(key) != value: words += ["--set", f"{key}={value}"]
    return shlex.join(words) + data_option(settings)


def next_commands(out, settings):
    "What to type next."
    if not (out / "model").exists(): return [resume_command(out, settings)]
    data = data_option(settings)
    return [f"ddpm-course sample {out} --images 64", f"ddpm-course evaluate {out}{data}",
            f"ddpm-course info {out}",
            f"ddpm-course table {settings['experiment']} --size {settings['size']}{data}"]


def measured_lines(out):
    "One line for each time that a run was started."
    for m in read_measured(out / "measured.json"):
        memory = f", {as_size(m['bytes'])} at most" if m["bytes"] else ""
        n = m.get("processes", 1)
        yield (f"steps {m['from']} to {m['to']}: {m['seconds']:.0f} s, {m['images a second']:g} "
               f"images/s{memory}, {n} process{'es' * (n > 1)} on {m['gpu'] or m['cpu']}, "
               f"{m['date']}")


def figure_of(src, alt):
    "A picture of the run folder."
    return f'<figure><img src="{src}" alt="{html.escape(alt)}"></figure>'


def save_run_page(out, settings, step, steps):
    "index.html of a run folder, from what lies in it."
    name = f"{settings['experiment']} ({settings['size']}, {settings['variant']})"
    grids = sorted((out / "grids").glob("*.png"))
    shown = "".join(f'<h3>Step {int(g.stem)}</h3><div class="grid">'
                    + figure_of(f"grids/{g.name}", f"16 samples at step {int(g.stem)}") + "</div>"
                    for g in grids[::-1])
    plots = "".join(figure_of(f"{plot}.png", alt) for plot, alt in PLOTS.items()
                    if (out / f"{plot}.png").exists())
    block = lambda text: f"<pre>{html.escape(text)}</pre>"
    begun = f", from the weights of {settings['start']}" if "start" in settings else ""
    page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(name)}'
            f"</title><style>{STYLE}</style><h1>{html.escape(name)}</h1>"
            f"<p>Step {step} of {steps}; seed {settings['seed']}; "
            f"{html.escape(settings['data'] + begun)}.</p>"
            f"{block(chr(10).join(measured_lines(out)))}<h2>Next</h2>"
            f"{block(chr(10).join(next_commands(out, settings)))}<h2>Loss</h2>"
            f"{plots}<h2>Samples along training</h2>{shown}"
            f"<h2>Settings</h2>{block(json.dumps(settings['plan'], indent=1))}</html>")
    write_whole(out / "index.html", page)
