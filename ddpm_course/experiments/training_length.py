"Question 2: how long to train?"

from pathlib import Path

from .generation import measure
from .guidance import QUESTION_3_SCALE
from .plots import error_bars, plain_ticks
from .tables import check_scale, run_table
from ..guidance import cfg
from ..latents import digits_latents, digits_space, train_latents
from ..noising import cosine_schedule
from ..saving import Trained
from ..scores import average
from ..training import DIGITS_FIT

QUESTION_2_STEPS = (75, 150, 300, 600, 1200)


def question_2_row(steps, seed, n, sampler_steps):
    "Train the latent network for a number of steps; its samples scored with guidance, and without: {name: Score}."
    schedule = cosine_schedule()
    run = train_latents(digits_latents(), schedule, "v", steps, seed, device="cpu", progress=False)
    trained = Trained(run.ema.model, schedule, run.about["shape"], None, {})
    def scored(s):
        return measure("DDIM", trained, n, seed, sampler_steps, progress=False, model=f"latents: cosine, v, {steps} steps", decode=digits_space().decode,
                       bind=lambda model, y: cfg(model, y, s), guidance=s, evaluations=cfg(trained.model, 0, s).evaluations)[0]
    guided, plain = scored(QUESTION_3_SCALE), scored(1.0)
    guided.distance.notes["epochs"] = plain.distance.notes["epochs"] = steps * DIGITS_FIT["batch_size"] / 1000
    return guided._asdict() | {"plain accuracy": plain.accuracy, "plain distance": plain.distance}


def by_training(cards): # rows of `question_2_row`
    "{name: Score} for each training length: means over the seeds, and the epochs in the notes of the distances."
    groups = {}
    for row in cards: groups.setdefault(row["distance"].notes["epochs"], []).append(row)
    means = [{name: average(row[name] for row in rows) for name in ("accuracy", "distance", "nearest", "plain accuracy", "plain distance")} | {"matched_floor": rows[0]["matched_floor"]} for rows in groups.values()]
    for epochs, row in zip(groups, means): row["distance"].notes["epochs"] = row["plain distance"].notes["epochs"] = epochs
    return means


def plot_question_2(means): # of `table_question_2`
    "Distance and accuracy against epochs of training, with and without guidance: a matplotlib figure."
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 3.4), dpi=76, layout="constrained")
    epochs = [row["distance"].notes["epochs"] for row in means]
    for ax, name in zip(figure.subplots(1, 2), ("distance", "accuracy")):
        for key, label in ((name, f"guided, s = {QUESTION_3_SCALE:g}"), (f"plain {name}", "plain")):
            cards = [row[key] for row in means]
            ax.errorbar(epochs, [s.value for s in cards], error_bars(cards), fmt="o-", ms=4, capsize=2, lw=1.2, label=label)
        ax.set(title=f"Question 2: {name} and training", xlabel="epochs (1,000 images)", xscale="log", ylabel={"distance": "Fréchet distance", "accuracy": "accuracy"}[name])
        plain_ticks(ax.xaxis, epochs)
    figure.axes[0].set_yscale("log")
    plain_ticks(figure.axes[0].yaxis, (2, 5, 10, 20, 50))
    figure.axes[0].axhline(means[0]["matched_floor"].value, color="gray", lw=1, ls=":", label="matched floor")
    figure.axes[0].legend(fontsize=8)
    return figure


def table_question_2(out, scale="digits", workers=2):
    "Question 2: DDIM with a VAE and guidance against the length of training, three seeds each."
    check_scale(scale)
    digits_latents() # before the workers ask for them all at once
    seeds, lengths, n, sampler_steps = ((0, 1, 2), QUESTION_2_STEPS, 797, 50) if scale == "digits" else ((0, 1), (2, 4), 100, 4)
    rows = [dict(steps=steps, seed=seed, n=n, sampler_steps=sampler_steps) for seed in seeds for steps in lengths]
    means = by_training(run_table("question-2", question_2_row, rows, out, workers, f"ddpm-course table question-2 --scale {scale}"))
    plot_question_2(means).savefig(Path(out) / "question-2.png")
    return means
