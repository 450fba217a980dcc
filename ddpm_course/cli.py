"The command `ddpm-course`: `demo` trains, samples and measures on the digits in a few minutes on a CPU; `table` makes the tables of the course."

import html, sys, time
from pathlib import Path

import torch
from fastcore.script import anno_parser

from ddpm_course.cards import environment, save_scores
from ddpm_course.classifiers import digits_classifier
from ddpm_course.ddim import ddim_steps
from ddpm_course.experiments.dynamics import table_dynamics
from ddpm_course.experiments.generation import measure
from ddpm_course.experiments.guidance import table_guidance, table_question_3
from ddpm_course.experiments.latent import table_latent
from ddpm_course.experiments.schedules import table_schedules
from ddpm_course.experiments.steps import table_ddim_steps
from ddpm_course.experiments.tables import COLUMNS, format_table
from ddpm_course.experiments.training_length import table_question_2
from ddpm_course.images import show_images
from ddpm_course.models import condition
from ddpm_course.randomness import image_seeds
from ddpm_course.runs import checkpoints
from ddpm_course.saving import load_model
from ddpm_course.training import DIGITS_FIT, train_digits


SHOWN = ("sampler", "steps", "n_fake", "seconds", "accuracy", "distance", "floor", "matched_floor", "nearest") # columns of the demo's table
READING = ("n_fake: images compared with as many held-out digits. accuracy: share that an independent classifier reads as the digit asked for. "
           "distance: Frechet distance in its 64 features; in brackets, 95 % intervals over the images. floor: the same for n real training digits, drawn at random; "
           "matched_floor: drawn with as many of each digit as were asked for. "
           "nearest: distance to the nearest training image over that of held-out digits; well below 1 would mean copies.")


def save_pictures(out, trained, losses, images, labels, seed):
    "samples.png, trajectory.png and loss.png in `out`."
    from matplotlib.figure import Figure
    rows = [(labels == digit).nonzero()[:10, 0] for digit in range(10)]
    figure = Figure(figsize=(6, 6), layout="constrained")
    show_images(images[torch.cat(rows)], ax=figure.add_subplot(), title="DDIM, 50 steps: one row a digit")
    figure.savefig(out / "samples.png", dpi=100)

    steps = list(ddim_steps(condition(trained.model, torch.arange(10)), trained.schedule, (10, *trained.shape), seed=seed, clip=trained.clip))
    shown = range(0, 50, 7)
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    for ax, name in zip(figure.subplots(1, 2), ("x_t", "x0_hat")):
        strips = torch.stack([getattr(steps[i], name) for i in shown], 1) # (10, shown, C, H, W)
        show_images(strips.flatten(0, 1), len(shown), ax=ax, heads=[f"t={steps[i].t}" for i in shown],
                    title={"x_t": "x_t, from noise to digit", "x0_hat": "x0_hat: what the network believes at t"}[name])
    figure.savefig(out / "trajectory.png", dpi=100)

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    ax = figure.add_subplot()
    ax.plot(losses, lw=0.5, alpha=0.5, label="each step")
    mean = torch.tensor(losses).unfold(0, window := max(1, len(losses) // 40), 1).mean(1)
    ax.plot(range(window - 1, len(losses)), mean, label=f"mean of {window} steps")
    ax.set(title="Training loss", xlabel="step", ylabel="mean squared error of eps", yscale="log")
    ax.legend()
    figure.savefig(out / "loss.png", dpi=100)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>ddpm_course demo</title>
<style>body {{ font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }} img {{ max-width: 100% }}
pre {{ overflow-x: auto; background: #f4f4f4; padding: 1rem }}</style>
<h1>Digits from noise</h1><p>{about}</p><pre>{table}</pre><p>{reading}</p>
<h2>Samples</h2><img src="samples.png" alt="Ten rows of ten generated digits, 0 to 9">
<h2>From noise to digit</h2><img src="trajectory.png" alt="Ten digits at eight moments of sampling, noisy and as estimated">
<h2>Loss</h2><img src="loss.png" alt="Training loss against step"></html>
"""


def demo(out:str="runs/demo", # folder for the results; must not hold a run
         seed:int=0, # of training and sampling: the same seed gives the same images
         train_steps:int=DIGITS_FIT["steps"], # optimizer steps
         device:str=None, # "cpu", or None for an accelerator where there is one
         quick:bool=False): # a few seconds, to see that everything works; the digits will be noise
    "Train a class-conditional U-Net on scikit-learn's digits, sample with DDPM and DDIM, measure both."
    out, began = Path(out), time.perf_counter()
    if checkpoints(out) or (out / "model").exists(): raise FileExistsError(f"{out} already holds a run; delete it, or choose another folder with --out")
    image_seeds(seed, 797) # a seed that sampling would refuse is refused before training
    try: torch.device(device or "cpu")
    except RuntimeError as e: raise ValueError(f"device={device!r}: {e}") from e
    if quick: train_steps = min(train_steps, 20)
    run = train_digits(out, steps=train_steps, seed=seed, device=device)
    trained = load_model(out / "model", device=next(run.model.parameters()).device)
    digits_classifier() # trained now if it never was, so that no sampler is timed with it
    model = f"digits, {train_steps} steps, seed {seed}"
    ddim, images, labels = measure("DDIM", trained, 200 if quick else 797, seed, 10 if quick else 50, model=model)
    ddpm, _, _ = measure("DDPM", trained, 100 if quick else 200, seed, 50 if quick else 1000, model=model)
    rows = [ddpm._asdict(), ddim._asdict()]
    save_pictures(out, trained, run.losses, images, labels, seed)
    about = (f"{sum(p.numel() for p in trained.model.parameters()):,} parameters, {train_steps} steps on 1,000 digits, seed {seed}, "
             f"{time.perf_counter() - began:.0f} s in all on {trained.model.conv_in.weight.device.type}.")
    save_scores(out / "scores.json", rows, environment() | {"run": about})
    (out / "index.html").write_text(PAGE.format(about=html.escape(about), table=html.escape(format_table(rows, SHOWN)), reading=html.escape(READING)), encoding="utf-8")
    print(f"\n{format_table(rows, SHOWN)}\n\n{READING}\n{about}\nOpen {out / 'index.html'}")


TABLES = {"ddim-steps": table_ddim_steps, "dynamics": table_dynamics, "schedules": table_schedules,
          "latent": table_latent, "guidance": table_guidance, "question-2": table_question_2, "question-3": table_question_3}


def tables(name:str, # ddim-steps, dynamics, schedules, latent, guidance, question-2 or question-3
           scale:str="digits", # "digits", or "smoke" to see in seconds that it runs
           out:str="runs/tables", # folder for NAME.json and NAME.csv; finished rows are kept in .NAME/
           workers:int=2): # processes of one thread each; 0: this process alone
    "Make a table of the course; a run that was stopped goes on where it was."
    if name not in TABLES: raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
    print(format_table(TABLES[name](out, scale, workers), ("model", "guidance", *COLUMNS)))


COMMANDS = {"demo": demo, "table": tables}


def main(argv=None):
    "Entry point: `ddpm-course COMMAND [options]`."
    name, *options = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name not in COMMANDS:
        print("usage: ddpm-course COMMAND [options]; ddpm-course COMMAND --help tells more\n\ncommands:")
        for command, function in COMMANDS.items(): print(f"  {command:10}{function.__doc__}")
        sys.exit(0 if name in ("-h", "--help") else f"ddpm-course: no command {name!r}")
    arguments = vars(anno_parser(COMMANDS[name], prog=f"ddpm-course {name}").parse_args(options))
    try: COMMANDS[name](**{k: v for k, v in arguments.items() if k not in ("pdb", "xtra")})
    except (OSError, ValueError) as e: sys.exit(f"ddpm-course {name}: {e}")
