"Chapter 14: ancestral sampling, strided chains, and errors."

import inspect, math

import pytest
import torch
from fastcore.docments import docments

from ddpm_course import stepping
from ddpm_course.ancestral import ddpm_sample, ddpm_steps, q_posterior
from ddpm_course.exact import GaussianMixture
from ddpm_course.learned_variance import variational_bound
from ddpm_course.models import condition
from ddpm_course.noising import NoiseSchedule, cosine_schedule, linear_schedule
from ddpm_course.randomness import image_seeds
from ddpm_course.stepping import check_timesteps, trailing_timesteps
from fakes import Constant, randn, small_unet

SCHEDULE = linear_schedule(100, 1e-3, 0.1)


@pytest.fixture
def unet():
    return small_unet()


def test_large_seed_message():
    with pytest.raises(ValueError, match="seed=70000 for 4 images; expected a seed of 0..65535"):
        ddpm_sample(Constant(0), SCHEDULE, (4, 1, 2, 2), seed=70_000)


def test_images_do_not_depend_on_the_batch():
    model = GaussianMixture([0.3], 0.5).model(SCHEDULE)
    whole = ddpm_sample(model, SCHEDULE, (5, 1, 1, 1), seed=2)
    parts = [
        ddpm_sample(model, SCHEDULE, (len(s), 1, 1, 1), seed=s)
        for s in (image_seeds(2, 5)[:2], image_seeds(2, 5)[2:])
    ]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-6)


def test_step_noise_does_not_repeat_x_T():
    x_T = next(ddpm_steps(Constant(torch.zeros(2, 1, 8, 8)), SCHEDULE, (2, 1, 8, 8), seed=0)).x_t
    runs = [
        list(
            ddpm_steps(Constant(torch.zeros(2, 1, 8, 8)), SCHEDULE, (2, 1, 8, 8), seed=0, x_T=given)
        )
        for given in (None, x_T)
    ]
    assert torch.equal(runs[0][-1].x_prev, runs[1][-1].x_prev)
    step = runs[0][0]
    mean, var = q_posterior(SCHEDULE, step.x0_hat, step.x_t, 99)
    noise = (step.x_prev - mean) / var**0.5
    assert torch.stack([noise.flatten(), x_T.flatten()]).corrcoef()[0, 1].abs() < 0.3


def follow(schedule, timesteps, variance, m, s):
    "Mean and standard deviation that the exact chain reaches on N(m, s^2) (Ho et al., eqs. 6, 7)."
    mean, var = 0.0, 1.0
    ab = [*schedule.alpha_bars.tolist(), 1.0]  # ab[-1] is clean data
    for t, prev in zip(timesteps, [*timesteps[1:], -1]):
        beta, kept = 1 - ab[t] / ab[prev], (ab[t] / ab[prev]) ** 0.5
        gain = ab[t] ** 0.5 * s**2 / (ab[t] * s**2 + 1 - ab[t])
        a = ab[prev] ** 0.5 * beta / (1 - ab[t])
        slope = a * gain + kept * (1 - ab[prev]) / (1 - ab[t])
        mean = slope * mean + a * (m - gain * ab[t] ** 0.5 * m)
        sigma2 = (
            0.0
            if prev == -1
            else beta
            if variance == "large"
            else beta * (1 - ab[prev]) / (1 - ab[t])
        )
        var = slope**2 * var + sigma2
    return mean, var**0.5


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("steps", [1, 7, 50, 100])
def test_sampler_lands_where_the_recursion_does(variance, steps):
    "The map is affine in (x_T, noise): each coefficient agrees with the recursion to 1e-9."
    model, n = GaussianMixture([0.3], 0.5).model(SCHEDULE), steps + 2
    x_T, noise = (
        torch.zeros(n, 1, 1, 1, dtype=torch.float64),
        torch.zeros(steps, n, 1, 1, 1, dtype=torch.float64),
    )
    x_T[1] = 1  # row 0 is the offset, row 1 answers to x_T, row 2 + i to the noise of step i
    for i in range(steps):
        noise[i, 2 + i] = 1
    reached = ddpm_sample(
        model, SCHEDULE, x_T.shape, steps, variance, x_T=x_T, noise=noise, clip=None
    ).flatten()
    mean, std = follow(SCHEDULE, trailing_timesteps(100, steps), variance, 0.3, 0.5)
    assert (
        abs(reached[0] - mean) < 1e-9
        and abs((reached[1:] - reached[0]).square().sum() ** 0.5 - std) < 1e-9
    )


def test_strided_posterior_is_that_of_the_respaced_chain():
    ts = [90, 61, 33, 8, 2]
    ab = torch.tensor([1.0, *[SCHEDULE.alpha_bar(t) for t in ts[::-1]]], dtype=torch.float64)
    respaced = NoiseSchedule(1 - ab[1:] / ab[:-1])
    x0, x_t = randn(3, 1, 2, 2), randn(3, 1, 2, 2, seed=1)
    for i, (t, prev) in enumerate(zip(ts, [*ts[1:], -1])):
        ours, theirs = (
            q_posterior(SCHEDULE, x0, x_t, t, prev),
            q_posterior(respaced, x0, x_t, len(ts) - 1 - i),
        )
        assert torch.allclose(ours[0], theirs[0], atol=1e-12) and abs(ours[1] - theirs[1]) < 1e-12
    model, shape, noise = GaussianMixture([0.3], 0.5), (3, 1, 1, 1), randn(5, 3, 1, 1, 1)
    runs = [
        ddpm_sample(
            model.model(s),
            s,
            shape,
            timesteps=list(l),
            variance=v,
            x_T=randn(*shape, seed=2),
            noise=noise,
            clip=None,
        )
        for v in ("small", "large")
        for s, l in ((SCHEDULE, ts), (respaced, range(4, -1, -1)))
    ]
    assert torch.allclose(runs[0], runs[1], atol=1e-9) and torch.allclose(
        runs[2], runs[3], atol=1e-9
    )


@pytest.mark.parametrize("t, prev", [(5, 5), (torch.tensor([9, 5]), torch.tensor([3, 7]))])
def test_a_step_back_leads_back(t, prev):
    "A step up would have a variance below zero, and so NaN for a standard deviation."
    x = torch.zeros(2, 1, 1, 1)
    with pytest.raises(ValueError, match="expected an earlier timestep than t="):
        q_posterior(SCHEDULE, x, x, t, prev)


def test_steps_are_what_they_say():
    model = GaussianMixture([0.3], 0.5).model(SCHEDULE)
    steps = list(ddpm_steps(model, SCHEDULE, (2, 1, 1, 1), 10, seed=0, clip=None))
    assert [s.t for s in steps] == trailing_timesteps(100, 10) and steps[0].t == 99
    assert all(torch.equal(a.x_prev, b.x_t) for a, b in zip(steps, steps[1:]))
    assert torch.allclose(steps[-1].x_prev, steps[-1].x0_hat)  # the last step adds no noise
    assert torch.equal(
        ddpm_sample(model, SCHEDULE, (2, 1, 1, 1), 10, seed=0, clip=None), steps[-1].x_prev
    )
    assert torch.equal(
        ddpm_sample(
            model,
            SCHEDULE,
            (2, 1, 1, 1),
            timesteps=torch.tensor([s.t for s in steps]),
            seed=0,
            clip=None,
        ),
        steps[-1].x_prev,
    )


def test_even_timesteps_decrease_for_every_length():
    for T in (1, 2, 3, 10, 37, 100):
        for n in range(1, T + 1):
            ts = trailing_timesteps(T, n)
            assert len(ts) == n and ts[0] == T - 1 and check_timesteps(ts, T) == ts


def test_sampling_leaves_gradients_and_mode_alone(unet):
    unet.train()
    for _ in ddpm_steps(condition(unet, 0), SCHEDULE, (1, 1, 8, 8), 3, seed=0):
        assert torch.is_grad_enabled() and unet.training
    walk = ddpm_steps(condition(unet, 0), SCHEDULE, (1, 1, 8, 8), 3, seed=0)
    step = next(walk)  # left half-way
    assert torch.is_grad_enabled() and unet.training and not step.x_prev.requires_grad


def test_the_network_is_sampled_in_evaluation_mode():
    class Watch(torch.nn.Module):
        predicts = "eps"

        def forward(self, x_t, t):
            assert not self.training and not torch.is_grad_enabled()
            return x_t

    assert Watch().train().training and ddpm_sample(
        Watch().train(), SCHEDULE, (1, 1, 2, 2), 3, seed=0
    ).shape == (1, 1, 2, 2)


def test_zero_terminal_snr():
    betas = SCHEDULE.betas.clone()
    betas[-1] = 1
    schedule = NoiseSchedule(betas)
    data = GaussianMixture([0.3], 0.5)
    for predicts in ("x0", "v"):
        assert (
            ddpm_sample(
                data.model(schedule, predicts), schedule, (4, 1, 1, 1), 10, seed=0, clip=None
            )
            .isfinite()
            .all()
        )
    with pytest.raises(ValueError, match="alpha_bar = 0.*predicts v or x0"):
        ddpm_sample(data.model(schedule), schedule, (4, 1, 1, 1), 10, seed=0)
    assert cosine_schedule(10).alpha_bar(9) > 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(steps=0), "steps=0; expected a whole number of at least 1"),
        (dict(steps=-1), "steps=-1; expected a whole number of at least 1"),
        (dict(steps=101), "steps=101 for a schedule of T=100"),
        (dict(steps=2.5), "steps=2.5; expected a whole number"),
        (dict(timesteps=[]), "timesteps: got an empty list"),
        (dict(timesteps=[50, 50, 0]), "strictly decreasing list; got \\[50, 50, 0\\]"),
        (dict(timesteps=[0, 50]), "strictly decreasing"),
        (dict(timesteps=[100, 50]), "timesteps from 100 to 50; this schedule has 0..99"),
        (dict(timesteps=[50, -1]), "timesteps from 50 to -1; this schedule has 0..99"),
        (dict(variance="medium"), "variance='medium'; expected 'small'"),
        (
            dict(x_T=torch.zeros(3, 1, 2, 2)),
            "x_T: got shape \\(3, 1, 2, 2\\); expected \\(2, 1, 2, 2\\)",
        ),
        (
            dict(noise=torch.zeros(99, 2, 1, 2, 2)),
            "noise: got shape \\(99, 2, 1, 2, 2\\); expected one batch a step",
        ),
        (dict(seed=[1]), "seed: got 1 seeds for 2 images"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ddpm_sample(lambda x_t, t: x_t, SCHEDULE, (2, 1, 2, 2), **arguments)


BAD_VARIANCES = {
    "from -0.1 to -0.1": lambda schedule, t, prev, v: -0.1,
    "from -0.5 to 0.5": lambda schedule, t, prev, v: torch.tensor([0.5, -0.5]),
    "from nan to nan": lambda schedule, t, prev, v: math.nan,
    "from inf to inf": lambda schedule, t, prev, v: torch.full((2, 1, 1, 1), math.inf),
}


@pytest.mark.parametrize("says", BAD_VARIANCES)
def test_what_a_variance_function_returns_is_named(says):
    "By the sampler and by the bound, which both take a root or a logarithm of it."
    model = GaussianMixture([0.3], 0.5).model(SCHEDULE)
    asked = dict(variance=BAD_VARIANCES[says], timesteps=[60, 20], clip=None, seed=0)
    for f in (
        lambda: ddpm_sample(model, SCHEDULE, (2, 1, 1, 1), **asked),
        lambda: variational_bound(model, SCHEDULE, torch.zeros(2, 1, 1, 1), levels=16, **asked),
    ):
        with pytest.raises(ValueError, match=f"<lambda> returned at t=.*{says}; expected finite"):
            f()
    with pytest.raises(TypeError, match="returned=None; expected a tensor of floats"):
        ddpm_sample(model, SCHEDULE, (2, 1, 1, 1), **asked | {"variance": lambda *step: None})


def test_a_variance_function_may_return_a_number_or_one_an_image():
    "On images as wide as there are images, one an image is not one a column."
    model = GaussianMixture(torch.zeros(1, 1, 2, 2), 0.5).model(SCHEDULE)
    x_T, noise = randn(2, 1, 2, 2), randn(2, 2, 1, 2, 2)
    asked = dict(timesteps=[60, 20], x_T=x_T, noise=noise, clip=None)
    by = lambda f: ddpm_sample(model, SCHEDULE, x_T.shape, variance=f, **asked)
    each = by(lambda schedule, t, prev, v: torch.tensor([0.0, 0.2]))
    for i, variance in enumerate((0, 0.2)):
        same = by(lambda schedule, t, prev, v: variance)
        assert torch.allclose(each[i].float(), same[i].float(), atol=1e-6)
        assert not torch.allclose(each[1 - i].float(), same[1 - i].float(), atol=1e-2)


def test_x_T_of_another_kind():
    with pytest.raises(TypeError, match="x_T: got dtype torch.uint8"):
        ddpm_sample(
            lambda x_t, t: x_t,
            SCHEDULE,
            (2, 1, 2, 2),
            x_T=torch.zeros(2, 1, 2, 2, dtype=torch.uint8),
        )
    with pytest.raises(ValueError, match="shape=\\(2, 1, 2\\); expected \\(B, C, H, W\\)"):
        ddpm_sample(lambda x_t, t: x_t, SCHEDULE, (2, 1, 2), x_T=torch.zeros(2, 1, 2))


def test_unlabeled_sampling_of_a_conditional_model_is_an_error(unet):
    with pytest.raises(ValueError, match="3 classes and got no labels"):
        ddpm_sample(unet, SCHEDULE, (2, 1, 8, 8), 2)


def test_a_sampler_takes_the_arguments_of_its_steps_and_a_switch_for_a_bar():
    steps, sample = (inspect.signature(f).parameters for f in (ddpm_steps, ddpm_sample))
    assert [*sample] == [*steps, "progress"]
    assert all(sample[name] == steps[name] for name in steps)
    docs = docments(ddpm_sample)
    assert docs["variance"] and docs["progress"] and docs["shape"] == docments(ddpm_steps)["shape"]
    assert ddpm_sample.__name__ == "ddpm_sample" and "ancestral" in ddpm_sample.__doc__


def test_a_sampler_refuses_arguments_that_its_steps_do_not_have():
    model = Constant(torch.zeros(2, 1, 2, 2))
    with pytest.raises(TypeError, match="eta"):
        ddpm_sample(model, SCHEDULE, (2, 1, 2, 2), eta=1)
    with pytest.raises(TypeError, match="shape"):
        ddpm_sample(model, SCHEDULE)


@pytest.mark.parametrize("asked, n", [({}, 100), ({"steps": 7}, 7), ({"timesteps": [9, 2]}, 2)])
def test_the_bar_of_a_sampler_knows_the_number_of_steps(asked, n, monkeypatch):
    totals = []
    monkeypatch.setattr(stepping, "tqdm", lambda steps, total, **_: totals.append(total) or steps)
    model = Constant(torch.zeros(2, 1, 2, 2))
    ddpm_sample(model, SCHEDULE, (2, 1, 2, 2), seed=0, progress=True, **asked)
    assert totals == [n] and len(model.seen) == n
