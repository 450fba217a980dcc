"The drawings show the pictures, sizes and arrows of what they are given."

from types import SimpleNamespace

import matplotlib
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage

from ddpm_course.chains import (
    LEARNED,
    draw_chain,
    draw_guidance,
    draw_latent_steps,
    draw_training_step,
    walk,
)
from ddpm_course.exact import GaussianMixture
from ddpm_course.guidance import LabeledMixture, extrapolate
from ddpm_course.images import to_uint8
from ddpm_course.noising import linear_schedule, q_sample

matplotlib.use("Agg")

SCHEDULE = linear_schedule()


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pictures(ax):
    "uint8 (H, W, 3) of each picture, in the order in which they were drawn."
    return [torch.as_tensor(x.get_array()) for x in ax.get_children() if isinstance(x, AxesImage)]


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def arrows(ax):
    "(start, end, color) of each arrow."
    return [
        (a.xyann, a.xy, to_hex(a.arrow_patch.get_edgecolor()))
        for a in ax.texts
        if getattr(a, "arrow_patch", None) is not None
    ]


def gray(x):
    "What `pictures` holds of one gray image (1, 1, H, W)."
    return to_uint8(x)[0].permute(1, 2, 0).expand(-1, -1, 3)


# ---- the chain ----


def test_the_walk_has_the_law_of_the_chain():
    levels = (0.7, 0.4, 1e-4)
    states = walk(torch.full((1, 1, 300, 300), 0.8), levels)
    for x, level in zip(states, (1, *levels)):
        assert abs(x.mean() - level**0.5 * 0.8) < 0.015
        assert abs(x.var() - (1 - level)) < 0.02
    before, after = states[1:3]
    kept = (0.4 / 0.7) ** 0.5
    assert (
        abs((after - kept * before).var() - (1 - 0.4 / 0.7)) < 0.01
    )  # one step: fresh noise alone


def test_the_chain_shows_one_walk_and_both_directions():
    x0 = noise(1, 1, 8, 8).clamp(-1, 1)
    ax = draw_chain(x0)
    states = walk(x0, (0.7, 0.4, 1e-4))
    assert all(torch.equal(a, gray(b)) for a, b in zip(pictures(ax), states, strict=True))
    assert all(start[0] < end[0] for start, end, _ in arrows(ax)) and len(arrows(ax)) == 5
    assert not any("theta" in text for text in texts(ax))
    ax = draw_chain(x0, backward=True)
    back = [color for start, end, color in arrows(ax) if start[0] > end[0]]
    assert len(arrows(ax)) == 10 and back == [LEARNED] * 5
    assert {r"$q(x_t \mid x_{t-1})$", r"$p_\theta(x_{t-1} \mid x_t)$"} < {*texts(ax)}


def test_drawing_leaves_the_random_numbers_alone():
    before = torch.get_rng_state()
    draw_chain(torch.zeros(1, 1, 8, 8), backward=True)
    assert torch.equal(before, torch.get_rng_state())


# ---- a training step ----


def test_a_training_step_shows_what_the_network_saw_and_said():
    x0 = noise(1, 1, 8, 8).clamp(-1, 1)
    eps = noise(1, 1, 8, 8, seed=1)
    seen = []

    def model(x_t, t, y):
        seen.append((x_t, t.item(), y.item()))
        return eps + 0.5

    ax = draw_training_step(model, SCHEDULE, x0, 300, eps, torch.tensor([3]))
    x_t = q_sample(SCHEDULE, x0, 300, eps)
    assert torch.equal(seen[0][0], x_t) and seen[0][1:] == (300, 3)
    made = (x0, eps, x_t, eps + 0.5)
    assert all(torch.equal(a, gray(b)) for a, b in zip(pictures(ax), made, strict=True))
    assert "squared\nerror\n0.250" in texts(ax) and "$t$ = 300" in texts(ax)


# ---- latents ----


class Halves:
    "A space of two channels that hold every second row and column."

    def encode(self, x):
        return torch.cat([x[..., ::2, ::2], -x[..., ::2, ::2]], 1)

    def decode(self, z):
        return z[:, :1].repeat_interleave(2, -1).repeat_interleave(2, -2)


def test_latents_are_drawn_in_their_own_size():
    class Zero(torch.nn.Module):
        predicts = "x0"
        num_classes = None

        def forward(self, z, t, y=None):
            return torch.zeros_like(z)

    x0 = noise(1, 1, 12, 12).clamp(-1, 1)
    trained = SimpleNamespace(model=Zero(), schedule=SCHEDULE)
    ax = draw_latent_steps(Halves(), trained, x0, t=300, steps=7)
    drawn = pictures(ax)
    assert [tuple(p.shape[:2]) for p in drawn] == [(12, 12), *[(6, 6)] * 4] * 2
    assert texts(ax).count("1 × 12 × 12") == 2 and texts(ax).count("2 × 6 × 6") == 4
    assert "denoise,\n7 steps" in texts(ax)
    assert torch.equal(drawn[0], gray(x0)) and torch.equal(drawn[1], gray(x0[..., ::2, ::2] / 2))
    z_t = q_sample(SCHEDULE, Halves().encode(x0), 300, noise(1, 2, 6, 6))
    assert torch.equal(drawn[3], gray(z_t[:, :1] / 2))
    assert torch.equal(drawn[5], gray(torch.zeros(1, 1, 12, 12)))  # what the network believes in


# ---- guidance ----


def test_guidance_is_drawn_with_true_lengths_and_angles():
    means = torch.tensor([-0.6, 0.6]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    exact = LabeledMixture(GaussianMixture(means, 0.5), SCHEDULE)
    x_t = noise(1, 1, 4, 4).double()
    y = torch.tensor([1])
    ax = draw_guidance(exact, x_t, 600, y, scales=(0, 1, 2.5))
    t = torch.tensor([600])
    u, c = exact(x_t, t, torch.tensor([2])), exact(x_t, t, y)
    true = [extrapolate(u, c, s) for s in (0, 1, 2.5)]
    tips = [
        torch.tensor(end, dtype=torch.float64) - torch.tensor(start, dtype=torch.float64)
        for start, end, _ in arrows(ax)
        if tuple(start) == (0.25, 0)
    ]
    inch = tips[0].norm() / u.norm()
    for a, x in zip(tips, true, strict=True):
        for b, y in zip(tips, true):
            assert torch.isclose(a @ b, inch**2 * (x * y).sum(), rtol=1e-6)
    assert {"$\\tilde\\epsilon$,  $s$ = 2.5", "$\\epsilon_c$,  $s$ = 1"} < {*texts(ax)}
