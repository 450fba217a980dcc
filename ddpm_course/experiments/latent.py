"Pixels or latents?"

from pathlib import Path

from .generation import measure
from .schedules import by_contestant, plot_schedules, schedule_variant, schedules_row
from .tables import check_scale, run_table
from ..latents import digits_latents, digits_space, train_latents
from ..saving import Trained

LATENT_ROWS = ("linear", "scaled-linear", "cosine", "cosine, v")


def latent_row(space, name, seed, steps, n, scale):
    "Train in pixels (a row of the table of schedules) or in latents, and score the samples: {name: Score}."
    if space == "pixels": return schedules_row(name, seed, steps, n, scale)
    schedule, predicts, _ = schedule_variant(name, scale)
    run = train_latents(digits_latents(), schedule, predicts, steps, seed, device="cpu", progress=False)
    trained = Trained(run.ema.model, schedule, run.about["shape"], None, {})
    return measure("DDIM", trained, n, seed, 50 if scale == "digits" else 5, progress=False, model=f"latents: {name}, {steps} steps", decode=digits_space().decode)[0]._asdict()


def table_latent(out, scale="digits", workers=2):
    "Pixel against latent diffusion: the same network trained equally long on both, under three schedules and with v, three seeds each."
    check_scale(scale)
    digits_latents() # before the workers ask for them all at once
    seeds, steps, n, names = (3, 400, 797, list(LATENT_ROWS)) if scale == "digits" else (2, 5, 100, ["cosine, v"])
    rows = [dict(space=space, name=name, seed=seed, steps=steps, n=n, scale=scale) for seed in range(seeds) for space in ("pixels", "latents") for name in names]
    means = by_contestant(run_table("latent", latent_row, rows, out, workers, f"ddpm-course table latent --scale {scale}"))
    plot_schedules(means, "Pixels or latents?").savefig(Path(out) / "latent.png")
    return means
