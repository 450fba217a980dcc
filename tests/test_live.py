"The live pages: their mathematics against the package."

import pytest
import torch

from browsers import LIVE, evaluate
from ddpm_course import noising, schedules
from ddpm_course.ddim import SPACINGS, spaced_timesteps
from ddpm_course.denoisers import level_range, snapped
from ddpm_course.exact import GaussianMixture
from ddpm_course.guidance import LabeledMixture, cfg
from ddpm_course.randomness import ImageNoise, image_seeds
from ddpm_course.sampling import as_denoiser, karras_sigmas

SOURCE = (LIVE / "diffusion.js").read_text(encoding="utf-8")
NAMES = ("linear", "cosine", "scaled_linear", "sigmoid")


def schedule_of(name):
    return getattr(schedules, f"{name}_schedule", None) or getattr(noising, f"{name}_schedule")


def test_schedules_are_those_of_the_package():
    tables = evaluate(SOURCE, "names => names.map(Diffusion.scheduleOf)", NAMES)
    for name, table in zip(NAMES, tables):
        expected = torch.cat([torch.ones(1), schedule_of(name)().alpha_bars])
        assert torch.allclose(
            torch.tensor(table, dtype=torch.float64), expected, rtol=1e-9, atol=0
        ), name


def test_timesteps_are_those_of_the_package():
    counts = [*range(1, 60), 99, 100, 150, 336, 500, 999, 1000]
    ask = "([name, n]) => Diffusion.spacedTimesteps(name, n, Diffusion.scheduleOf('cosine'))"
    wanted = [(name, n) for name in SPACINGS for n in counts]
    found = evaluate(SOURCE, f"all => all.map({ask})", wanted)
    for (name, n), timesteps in zip(wanted, found):
        assert timesteps == spaced_timesteps(1000, n, name), (name, n)


@pytest.mark.parametrize("name", NAMES)
def test_karras_levels_are_snapped_as_in_the_package(name):
    counts = [1, 2, 5, 18, 50, 200, 500]
    ask = f"n => Diffusion.spacedTimesteps('karras', n, Diffusion.scheduleOf('{name}'))"
    denoiser = as_denoiser(lambda x, t: x, schedule_of(name)())
    for n, timesteps in zip(counts, evaluate(SOURCE, f"all => all.map({ask})", counts)):
        levels = snapped(karras_sigmas(n, *level_range(denoiser)).tolist(), denoiser.sigmas)
        assert denoiser.sigmas[timesteps].tolist() == levels, n


@pytest.mark.parametrize("size, steps", [(2, 20), (64, 3)])
def test_noise_is_that_of_torch(size, steps):
    ask = f"seeds => seeds.map(([s, i]) => Diffusion.imageNoise(s, i, {size}, {steps}))"
    wanted = [(0, 0), (0, 1), (3, 1999), (65535, 65535)]
    for (seed, i), found in zip(wanted, evaluate(SOURCE, ask, wanted)):
        stream = ImageNoise([image_seeds(seed, 65536)[i]], (1, size, 1, 1))
        expected = [stream.draw(1)[0], *(next(stream) for _ in range(steps))]
        x_T, noise = (torch.tensor([*z.values()]) for z in (found["x_T"], found["noise"]))
        assert torch.allclose(x_T, expected[0].flatten(), atol=2e-6)
        drawn = noise.view(-1, size)[:steps]
        assert torch.allclose(drawn, torch.stack(expected[1:]).view(-1, size), atol=2e-6)


# ---- samplers ----

BASE = {
    "means": [[-1.2, 0.4], [0.9, 1.1], [0.35, -1.3]],
    "stds": [0.25, 0.4, 0.15],
    "schedule": "cosine",
    "sampler": "DDIM",
    "eta": 0,
    "spacing": "trailing",
    "steps": 12,
    "label": None,
    "scale": 3,
    "interval": [200, 800],
    "seed": 0,
    "n": 40,
}
CHOICES = {
    "DDIM": {},
    "DDIM, eta 0.5, leading": {"eta": 0.5, "spacing": "leading", "schedule": "linear"},
    "DDIM, eta 1": {"eta": 1, "schedule": "scaled_linear", "spacing": "quadratic"},
    "DDPM": {"sampler": "DDPM", "steps": 25},
    "DDPM, linspace": {"sampler": "DDPM", "spacing": "linspace", "schedule": "sigmoid"},
    "DDPM, all steps": {"sampler": "DDPM", "steps": 1000, "n": 3},
    "Euler": {"sampler": "Euler", "schedule": "linear"},
    "Heun": {"sampler": "Heun", "spacing": "karras"},
    "one step": {"sampler": "Heun", "steps": 1, "spacing": "karras"},
    "guided": {"label": 1},
    "guided Heun": {"label": 2, "scale": 2.5, "sampler": "Heun", "spacing": "karras"},
    "guided DDPM": {"label": 0, "sampler": "DDPM", "interval": [0, 999]},
    "without its label": {"label": 0, "scale": 0, "eta": 0.3},
    "one component": {"means": [[0.5, -0.25]], "stds": [0.5]},
}
WALK = """({choice, x_T, noise}) => {
  const times = Diffusion.timesOf(choice), states = new Float64Array(2 * choice.n * times.length)
  states.set(x_T.map(z => z * Diffusion.startScale(choice, times)))
  Diffusion.walk(choice, times, states, Diffusion.isRandom(choice) && noise, 0, choice.n)
  return [Diffusion.pythonOf(choice), [...states.slice(-2 * choice.n)],
    Diffusion.evaluations(choice, times)]
}"""


def by_python(code, x_T, noise):
    "The points that the code a page shows would give from this noise; and calls of the model."
    given = {"x_T": x_T} | ({"noise": noise} if "heun_" not in code and "euler_" not in code else {})
    assert code.count("seed=0") == 1
    names = {"given": given}
    exec(code.replace("seed=0", "**given"), names)
    return names["points"].flatten()


def parity(source, choice):
    choice = BASE | choice
    g = torch.Generator().manual_seed(1)
    x_T = torch.randn(choice["n"], 2, 1, 1, generator=g, dtype=torch.float64)
    noise = torch.randn(choice["steps"], *x_T.shape, generator=g, dtype=torch.float64)
    argument = {"x_T": x_T.flatten().tolist(), "noise": noise.flatten().tolist(), "choice": choice}
    code, points, _ = evaluate(source, WALK, argument)
    expected = by_python(code, x_T, noise)
    assert (torch.tensor(points, dtype=torch.float64) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_samplers_and_the_code_shown_agree(choice):
    parity(SOURCE, choice)
