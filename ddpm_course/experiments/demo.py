"The demo: train, sample and measure on the digits, and show it on one page."

import html
import time

import torch
from safetensors.torch import load_file, save_file

from ..cards import environment, load_scores, save_scores
from ..classifiers import digits_classifier
from ..ddim import ddim_steps
from ..devices import as_device
from ..disk import as_folder, atomic_file, atomic_folder, hold, remove, sweep, write_whole
from ..images import show_images
from ..models import condition
from ..randomness import image_seeds
from ..saving import load_model
from ..training import Recipe, train_digits
from .generation import measure
from .plots import new_figure
from .samplers import Sampler
from .tables import format_table

SIZES = { # what is drawn: (sampler, images)
    "quick": [(Sampler("DDIM", 10), 200), (Sampler("DDPM", 50), 100)],
    "whole": [(Sampler("DDIM", 50), 797), (Sampler("DDPM", 250), 100)]}
DEMO_STEPS = 900 # of training: three quarters of what the network that ships had
QUICK_STEPS = 20
SHOWN = ("sampler", "steps", "n_fake", "seconds", "accuracy", "distance", "floor", "matched_floor",
         "nearest") # columns of the table
READING = (
    "n_fake: images compared with as many held-out digits. accuracy: share that an independent "
    "classifier reads as the digit asked for. distance: Frechet distance in its 64 features; in "
    "brackets, 95 % intervals over the images. floor: the same for n real training digits, drawn "
    "at random; matched_floor: drawn with as many of each digit as were asked for. nearest: "
    "distance to the nearest training image over that of held-out digits; well below 1 would mean "
    "copies.")


UNFINISHED = ".demo" # folder of what is finished, while the demo is not


def check_demo(out, seed, device):
    "Refuse before training what could not be finished; the folder as a `Path`."
    out = as_folder(out)
    if (out / "index.html").exists():
        raise FileExistsError(f"{out} already holds a run that is finished; delete it, or choose "
                              "another folder with --out")
    begun = (out / "checkpoints").exists() # by a demo that was stopped: it goes on
    if not begun and (out / "model").exists():
        raise FileExistsError(f"{out} already holds a run of something else; choose another folder "
                              "with --out")
    image_seeds(seed, 797) # as sampling will
    as_device(device)
    return out


def run_demo(out, seed, train_steps, device, size): # size: a key of `SIZES`
    "Train, sample, measure, or go on with it; leaves all in `out`, and returns what to print."
    Recipe.of(steps=train_steps)
    out = check_demo(out, seed, device)
    out.mkdir(parents=True, exist_ok=True)
    with hold(out, ".demo.lock"):
        check_demo(out, seed, device) # again: another process may have finished it
        sweep(out / UNFINISHED, alone=True)
        return finish_demo(out, seed, train_steps, device, size)


def measured_once(folder, sampler, trained, n, seed, about):
    "What `measure` gives, kept in a folder, or found there."
    if not folder.exists():
        cards, images, labels = measure(sampler, trained, n, seed, about=about)
        with atomic_folder(folder) as new:
            save_scores(new / "cards.json", [cards])
            save_file({"images": images.contiguous(), "labels": labels}, new / "images.safetensors")
    kept = load_file(folder / "images.safetensors")
    return load_scores(folder / "cards.json")[0], kept["images"], kept["labels"]


def finish_demo(out, seed, train_steps, device, size):
    "All that is not done yet of a demo in a folder that this process has for itself."
    began = time.perf_counter()
    run = train_digits(out, steps=train_steps, seed=seed, device=device, resume=True)
    device = next(run.model.parameters()).device
    trained = load_model(out / "model", device=device)
    digits_classifier() # loaded now, so that no sampler is timed with it
    about = {"train_steps": train_steps, "train_seed": seed}
    place = lambda sampler, n: out / UNFINISHED / f"{sampler.name}-{sampler.steps}-{n}"
    found = [measured_once(place(sampler, n), sampler, trained, n, seed, about)
             for sampler, n in SIZES[size]]
    rows = [cards for cards, _, _ in found[::-1]]
    _, images, labels = found[0]
    save_pictures(out, trained, run.losses, images, labels, seed)
    weights = sum(p.numel() for p in trained.model.parameters())
    told = (f"{weights:,} parameters, {train_steps} steps on 1,000 digits, seed {seed}, "
            f"{time.perf_counter() - began:.0f} s in all on {device.type}.")
    save_scores(out / "scores.json", rows, environment(device.type) | {"run": told})
    save_page(out, told, format_table(rows, SHOWN)) # the last: now it is finished
    remove(out / UNFINISHED)
    return f"\n{format_table(rows, SHOWN)}\n\n{READING}\n{told}\nOpen {out / 'index.html'}"


# ---- what it leaves ----

def save_pictures(out, trained, losses, images, labels, seed):
    "samples.png, trajectory.png and loss.png in `out`."
    rows = torch.cat([(labels == digit).nonzero()[:10, 0] for digit in range(10)])
    figure = new_figure(6, 6)
    show_images(images[rows], ax=figure.add_subplot(), title="DDIM, 50 steps: one row a digit")
    shown = {"samples": figure, "trajectory": plot_trajectory(trained, seed),
             "loss": plot_loss(losses)}
    for name, picture in shown.items():
        with atomic_file(out / f"{name}.png") as new: picture.savefig(new, format="png", dpi=100)


TITLES = {"x_t": "x_t, from noise to digit", "x0_hat": "x0_hat: what the network believes at t"}


def plot_trajectory(trained, seed):
    "Ten digits at eight moments of sampling, noisy and as estimated: a figure."
    model = condition(trained.model, torch.arange(10))
    steps = list(ddim_steps(model, trained.schedule, (10, *trained.shape), seed=seed,
                            clip=trained.clip))[::7]
    figure = new_figure(12, 6.5)
    for ax, name in zip(figure.subplots(1, 2), TITLES):
        strips = torch.stack([getattr(step, name) for step in steps], 1) # (10, shown, C, H, W)
        heads = [f"t={step.t}" for step in steps]
        show_images(strips.flatten(0, 1), len(steps), ax=ax, heads=heads, title=TITLES[name])
    return figure


def plot_loss(losses):
    "Training loss against step, each and smoothed: a figure."
    figure = new_figure(7, 3.5)
    ax = figure.add_subplot()
    ax.plot(losses, lw=0.5, alpha=0.5, label="each step")
    window = max(1, len(losses) // 40)
    mean = torch.tensor(losses).unfold(0, window, 1).mean(1)
    ax.plot(range(window - 1, len(losses)), mean, label=f"mean of {window} steps")
    ax.set(title="Training loss", xlabel="step", ylabel="mean squared error of eps", yscale="log")
    ax.legend()
    return figure


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ddpm_course demo</title>
<style>
body {{ font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }}
pre {{ overflow-x: auto; background: #f4f4f4; padding: 1rem }}
</style>
<h1>Digits from noise</h1><p>{about}</p><pre>{table}</pre><p>{reading}</p>
<h2>Samples</h2><img src="samples.png" alt="Ten rows of ten generated digits, 0 to 9">
<h2>From noise to digit</h2>
<img src="trajectory.png" alt="Ten digits at eight moments of sampling, noisy and as estimated">
<h2>Loss</h2><img src="loss.png" alt="Training loss against step"></html>
"""


def save_page(out, about, table):
    "index.html in `out`."
    told = {"about": about, "table": table, "reading": READING}
    page = PAGE.format(**{name: html.escape(text) for name, text in told.items()})
    write_whole(out / "index.html", page)
