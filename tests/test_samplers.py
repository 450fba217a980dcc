"""DDPM and DDIM held against diffusers, against the exact recursion of a Gaussian, and against
themselves."""

import math
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conformance.adapters import call, given_noise, peer
from conformance.rules import GAUSSIAN, reached, recursion
from ddpm_course import ancestral, ddim, sampling
from ddpm_course.ddim import SPACINGS, ddim_invert, ddim_sample, ddim_steps, slerp, spaced_timesteps
from ddpm_course.ancestral import ddpm_sample, ddpm_steps
from ddpm_course.models import condition
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import PREDICTS, NoiseSchedule, cosine_schedule, linear_schedule
from fakes import randn

SCHEDULES = {"linear": linear_schedule(), "cosine": cosine_schedule()}
OURS = SimpleNamespace(
    ddim=ddim, ancestral=ancestral
)  # test_mutations passes broken copies instead
SHAPE = (3, 2, 4, 4)
OF_IMAGES = GaussianMixture(torch.full((1, *SHAPE[1:]), 0.3), 0.5)
DIFFUSERS_NAME = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


class Crooked:
    """A deterministic 'network' that is wrong about everything, so that clipping bites and no error
    hides behind a good prediction."""

    num_classes = None

    def __init__(self, predicts="eps", doubled=False):
        self.predicts, self.doubled = predicts, doubled

    def __call__(self, x_t, t):
        out = torch.sin(3 * x_t) + 0.7 * x_t + (t / 700).view(-1, 1, 1, 1).to(x_t)
        return torch.cat([out, 9 + out.square()], 1) if self.doubled else out


def worst(a, b):
    return float((a - b).abs().max() / (1 + b.abs().max()))


# ---- diffusers, every step ----


def configured(name, schedule, spacing, predicts, clip, **config):
    "A diffusers scheduler with our float64 alphas_cumprod."
    return peer(
        name,
        schedule.betas,
        timestep_spacing=spacing,
        prediction_type=DIFFUSERS_NAME[predicts],
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
        **config,
    )


def agrees_with_diffusers_ddim(course, schedule, spacing, predicts, eta, clip, steps=50):
    """Every x_prev and x0_hat of `ddim_steps` within 1e-10 of DDIMScheduler's, which walks on its
    own results."""
    model, x, noise = Crooked(predicts), randn(*SHAPE), randn(steps, *SHAPE, seed=1)
    scheduler = configured(
        "DDIMScheduler", schedule, spacing, predicts, clip, set_alpha_to_one=True
    )
    scheduler.set_timesteps(steps)
    ours = list(
        course.ddim.ddim_steps(
            model, schedule, SHAPE, steps, eta, spacing, x_T=x, noise=noise, clip=clip
        )
    )
    assert [s.t for s in ours] == scheduler.timesteps.tolist()
    for step, z in zip(ours, noise):
        assert worst(step.x_t, x) < 1e-10
        theirs = scheduler.step(
            model(x, torch.tensor(step.t)),
            step.t,
            x,
            eta=eta,
            use_clipped_model_output=True,
            variance_noise=z,
        )
        x = theirs.prev_sample
        assert (
            worst(step.x0_hat, theirs.pred_original_sample) < 1e-10
            and worst(step.x_prev, x) < 1e-10
        ), f"t={step.t}: differs from diffusers"


def agrees_with_diffusers_ddpm(course, schedule, spacing, predicts, variance, clip, steps):
    "The same for `ddpm_steps` and DDPMScheduler."
    model, x, noise = Crooked(predicts), randn(*SHAPE), randn(steps, *SHAPE, seed=1)
    noise[-1] = 0  # diffusers adds noise at the last step of a trailing list; there is none to add
    scheduler = configured(
        "DDPMScheduler", schedule, spacing, predicts, clip, variance_type=f"fixed_{variance}"
    )
    scheduler.set_timesteps(steps)
    ours = list(
        course.ancestral.ddpm_steps(
            model,
            schedule,
            SHAPE,
            variance=variance,
            timesteps=spaced_timesteps(len(schedule), steps, spacing),
            x_T=x,
            noise=noise,
            clip=clip,
        )
    )
    assert [s.t for s in ours] == scheduler.timesteps.tolist()
    with given_noise(scheduler, noise):
        for step in ours:
            theirs = scheduler.step(model(x, torch.tensor(step.t)), step.t, x)
            x = theirs.prev_sample
            assert (
                worst(step.x0_hat, theirs.pred_original_sample) < 1e-10
                and worst(step.x_prev, x) < 1e-10
            ), f"t={step.t}: differs from diffusers"


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("eta", [0, 0.5, 1])
@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddim_is_diffusers(schedule, spacing, predicts, eta, clip):
    agrees_with_diffusers_ddim(OURS, SCHEDULES[schedule], spacing, predicts, eta, clip)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddpm_is_diffusers(schedule, spacing, predicts, variance, clip):
    agrees_with_diffusers_ddpm(OURS, SCHEDULES[schedule], spacing, predicts, variance, clip, 50)


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_all_thousand_steps_are_diffusers(schedule, clip):
    for variance in ("small", "large"):
        agrees_with_diffusers_ddpm(
            OURS, SCHEDULES[schedule], "leading", "eps", variance, clip, 1000
        )
    for eta in (0, 1):
        agrees_with_diffusers_ddim(OURS, SCHEDULES[schedule], "leading", "eps", eta, clip, 1000)


def test_clipping_bites_in_these_tests():
    "Else the clipped half of the comparison would prove nothing."
    for predicts in ("eps", "x0", "v"):
        steps = list(
            ddim_steps(
                Crooked(predicts), SCHEDULES["linear"], SHAPE, 50, x_T=randn(*SHAPE), clip=None
            )
        )
        assert all(s.x0_hat.abs().max() > 1 for s in steps)


# ---- the exact recursion ----


def follows_the_recursion(course, schedule, timesteps, eta):
    "The sampler has exactly the mean and spread that two numbers, moved step by step, come to."
    is_at = reached(
        partial(call, course.ddim.ddim_sample, eta=eta), schedule.betas, timesteps, eta > 0
    )
    should = recursion(schedule.betas.tolist(), timesteps, eta)
    assert all(abs(a - b) < 1e-6 for a, b in zip(is_at, should)), (
        f"reached {is_at}; the recursion gives {should}"
    )


@pytest.mark.parametrize("eta", [0, 0.5, 1])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddim_follows_the_recursion(schedule, spacing, eta):
    for steps in (10, 50, 170):
        follows_the_recursion(
            OURS, SCHEDULES[schedule], spaced_timesteps(1000, steps, spacing), eta
        )


def test_all_steps_follow_the_recursion():
    for schedule in SCHEDULES.values():
        follows_the_recursion(OURS, schedule, list(range(999, -1, -1)), 0)


@pytest.mark.parametrize(
    "schedule,eta,stds",
    [
        ("linear", 0, [0.4985, 0.4719, 0.4305, 0.3616]),
        ("linear", 1, [0.4961, 0.4432, 0.3880, 0.3228]),
        ("cosine", 0, [0.4992, 0.4845, 0.4611, 0.4211]),
        ("cosine", 1, [0.4980, 0.4672, 0.4297, 0.3806]),
    ],
)
def test_the_recursion_gives_the_published_table(schedule, eta, stds):
    for steps, std in zip((1000, 50, 20, 10), stds):
        timesteps = spaced_timesteps(1000, steps, "linspace")
        assert timesteps == [round(999 - i * 999 / (steps - 1)) for i in range(steps)]
        assert abs(recursion(SCHEDULES[schedule].betas.tolist(), timesteps, eta)[1] - std) < 6e-5


@pytest.mark.parametrize("sampler", ["ddim", "ddim eta 1", "ddpm"])
def test_samples_are_distributed_as_the_recursion_says(sampler):
    schedule, n, steps = SCHEDULES["cosine"], 20_000, 20
    model, shape = GAUSSIAN.model(schedule), (n, 1, 1, 1)
    if sampler == "ddpm":
        x = ddpm_sample(model, schedule, shape, steps, seed=3, clip=None)
    else:
        x = ddim_sample(
            model, schedule, shape, steps, eta=float(sampler != "ddim"), seed=3, clip=None
        )
    mean, std = recursion(
        schedule.betas.tolist(), spaced_timesteps(1000, steps), float(sampler != "ddim")
    )
    assert abs(x.mean() - mean) < 4 * std / n**0.5 and abs(x.std() - std) < 4 * std / (2 * n) ** 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_eta_1_is_ancestral_sampling(schedule):
    """With all steps eta=1 adds noise of the posterior's variance; with any list DDIM at eta=1 is
    DDPM with the small variance."""
    schedule = SCHEDULES[schedule]
    x, model = randn(*SHAPE), Crooked()
    for timesteps in (list(range(999, -1, -1)), spaced_timesteps(1000, 37, "quadratic")):
        noise = randn(len(timesteps), *SHAPE, seed=1)
        quiet = list(
            ddim_steps(model, schedule, SHAPE, eta=1, timesteps=timesteps, x_T=x, noise=noise * 0)
        )
        loud = [
            next(
                iter(
                    ddim_steps(
                        model,
                        schedule,
                        SHAPE,
                        eta=1,
                        timesteps=timesteps[i:],
                        x_T=s.x_t,
                        noise=noise[i:],
                    )
                )
            )
            for i, s in list(enumerate(quiet))[::9]
        ]
        for s, l, z in list(zip(quiet[::9], loud, noise[::9])):
            prev = timesteps[timesteps.index(s.t) + 1] if s.t != timesteps[-1] else -1
            a, b = (
                1.0 if t < 0 else float((1 - schedule.betas[: t + 1]).prod()) for t in (s.t, prev)
            )
            variance = (1 - b) / (1 - a) * (1 - a / b)  # of q(x_prev | x_t, x_0)
            assert worst(l.x_prev - s.x_prev, variance**0.5 * z) < 1e-9
        ddpm_x = ddpm_sample(model, schedule, SHAPE, timesteps=timesteps, x_T=x, noise=noise)
        assert (
            worst(
                ddim_sample(model, schedule, SHAPE, eta=1, timesteps=timesteps, x_T=x, noise=noise),
                ddpm_x,
            )
            < 1e-10
        )


# ---- one answer, whatever the network predicts ----


class Doubled:
    "An exact model that also says something about the variance."

    num_classes = None

    def __init__(self, model):
        self.model, self.predicts = model, model.predicts

    def __call__(self, x_t, t):
        return torch.cat([self.model(x_t, t), torch.full_like(x_t, 5)], 1)


@pytest.mark.parametrize("clip", [None, 0.8])
@pytest.mark.parametrize("eta", [0, 1])
def test_eps_x0_v_single_and_doubled_land_in_the_same_place(eta, clip):
    mixture = GaussianMixture([[-0.6, 0.1], [0.5, 0.4]], 0.3)
    for schedule in SCHEDULES.values():
        x, noise = randn(5, 2, 1, 1), randn(20, 5, 2, 1, 1, seed=1)
        models = [
            m
            for p in ("eps", "x0", "v")
            for m in (mixture.model(schedule, p), Doubled(mixture.model(schedule, p)))
        ]
        for sample, kwargs in (
            (ddim_sample, dict(steps=20, eta=eta)),
            (ddpm_sample, dict(steps=20)),
        ):
            ends = [
                sample(m, schedule, x.shape, x_T=x, noise=noise, clip=clip, **kwargs)
                for m in models
            ]
            assert all(
                end.dtype == torch.float64 and (end - ends[0]).abs().max() < 1e-6 for end in ends
            )


def zero_terminal_snr():
    betas = SCHEDULES["cosine"].betas.clone()
    betas[-1] = 1
    return NoiseSchedule(betas)


def keeps_zero_terminal_snr_real(course):
    """At alpha_bar = 0 and eta = 1 the direction's coefficient is 0; rounded below 0 its root would
    be complex."""
    schedule, x = zero_terminal_snr(), randn(50, 1, 1, 1)
    for first in range(0, 999, 7):
        try:
            end = course.ddim.ddim_sample(
                GAUSSIAN.model(schedule, "v"),
                schedule,
                x.shape,
                eta=1,
                timesteps=[999, first],
                x_T=x,
                clip=None,
            )
        except TypeError as e:  # a complex image is refused at the next step
            raise AssertionError from e
        assert end.dtype == torch.float64 and end.isfinite().all()


def test_zero_terminal_snr_needs_v_or_x0():
    keeps_zero_terminal_snr_real(OURS)
    schedule, x = zero_terminal_snr(), randn(500, 1, 1, 1)
    for eta in (0, 0.3, 1):
        for steps in (1, 2, 10, 50, 1000):
            ends = [
                ddim_sample(
                    GAUSSIAN.model(schedule, p),
                    schedule,
                    x.shape,
                    steps,
                    eta,
                    x_T=x,
                    noise=torch.zeros(steps, *x.shape),
                    clip=None,
                )
                for p in ("v", "x0")
            ]
            assert (
                ends[0].isfinite().all()
                and ends[0].dtype == torch.float64
                and (ends[0] - ends[1]).abs().max() < 1e-6
            )
    for sample in (ddim_sample, ddpm_sample):
        with pytest.raises(ValueError, match="alpha_bar = 0.*predicts v or x0"):
            sample(GAUSSIAN.model(schedule), schedule, x.shape, 10, x_T=x, clip=None)
    assert (
        ddim_sample(
            GAUSSIAN.model(schedule), schedule, x.shape, 10, spacing="leading", x_T=x, clip=None
        )
        .isfinite()
        .all()
    )  # starts below T-1


# ---- timesteps ----


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_spacing_is_strictly_decreasing_within_the_schedule(spacing):
    for T in (1, 2, 7, 100, 1000):
        for steps in {1, 2, 3, T // 3, T // 2 + 1, T - 1, T} & set(range(1, T + 1)):
            ts = spaced_timesteps(T, steps, spacing)
            assert (
                len(ts) == steps
                and all(a > b for a, b in zip(ts, ts[1:]))
                and T > ts[0]
                and ts[-1] >= 0
            ), (T, steps)
            if steps == T:
                assert ts == list(range(T - 1, -1, -1))
    for T in range(1, 40):
        for steps in range(1, T + 1):
            ts = spaced_timesteps(T, steps, spacing)
            assert (
                len(set(ts)) == steps
                and ts == sorted(ts, reverse=True)
                and 0 <= ts[-1]
                and ts[0] < T
            ), (T, steps)


def test_where_each_spacing_starts_and_ends():
    ends = {
        s: (spaced_timesteps(1000, 10, s)[0], spaced_timesteps(1000, 10, s)[-1]) for s in SPACINGS
    }
    assert ends == {
        "trailing": (999, 99),
        "leading": (900, 0),
        "linspace": (999, 0),
        "quadratic": (999, 0),
    }
    assert spaced_timesteps(1000, 3, "leading") == [
        666,
        333,
        0,
    ]  # floor(i T / n), not i floor(T / n)
    assert spaced_timesteps(1000, 700, "leading")[0] == 998
    assert (
        spaced_timesteps(10, 6, "quadratic") == [9, 6, 3, 2, 1, 0]
        # 0, .36, 1.44, 3.24, 5.76, 9: both 0 and .36 round to 0, so the second moves to 1 and the
        # third to 2
    )


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_spacings_are_those_of_diffusers(spacing):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(num_train_timesteps=1000, timestep_spacing=spacing)
    for steps in (
        (1, 2, 5, 10, 20, 50, 250, 500, 1000)
        if spacing == "leading"
        else (2, 3, 7, 10, 30, 50, 77, 250, 999, 1000)
    ):
        scheduler.set_timesteps(steps)
        assert spaced_timesteps(1000, steps, spacing) == scheduler.timesteps.tolist(), steps


# ---- randomness ----


class Net(torch.nn.Module):
    "A small convolutional network with dropout."

    predicts, num_classes = "eps", None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 3, padding=1),
            torch.nn.SiLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Conv2d(32, 1, 3, padding=1),
        )

    def forward(self, x, t):
        return self.body(x)


@pytest.mark.parametrize("sample,steps", [(ddim_sample, ddim_steps), (ddpm_sample, ddpm_steps)])
def test_an_image_does_not_depend_on_its_batch(sample, steps):
    net, schedule = Net(), SCHEDULES["cosine"]
    kwargs = dict(steps=40) | (dict(eta=0.7) if sample is ddim_sample else {})
    whole = list(steps(net, schedule, (12, 1, 8, 8), seed=5, **kwargs))
    seeds = [5 * 2**16 + i for i in range(12)]
    for part in (slice(7, 8), slice(0, 5), slice(5, 12)):
        mine = list(steps(net, schedule, (len(seeds[part]), 1, 8, 8), seed=seeds[part], **kwargs))
        assert torch.equal(mine[0].x_t, whole[0].x_t[part])  # the noise: bit for bit
        assert (
            mine[-1].x_prev - whole[-1].x_prev[part]
        ).abs().max() < 1e-4  # the picture: convolutions round differently
    assert torch.equal(
        next(iter(steps(net, schedule, (3, 1, 8, 8), seed=5, **kwargs))).x_t, whole[0].x_t[:3]
    )
    noise = [
        s.x_t
        for s in ddim_steps(
            lambda x, t: x * 0, schedule, (4, 1, 2, 2), 40, eta=1, seed=[9, 8, 7, 6], clip=0.0
        )
    ]
    alone = [
        s.x_t
        for s in ddim_steps(
            lambda x, t: x * 0, schedule, (1, 1, 2, 2), 40, eta=1, seed=[7], clip=0.0
        )
    ]
    assert all(
        torch.equal(n[2:3], a) for n, a in zip(noise, alone)
    )  # also the noise of every later step


def test_same_seed_same_images_other_seed_other_images():
    schedule, shape, model = SCHEDULES["linear"], (3, 1, 4, 4), lambda x, t: torch.sin(3 * x)
    for sample in (
        lambda seed: ddim_sample(model, schedule, shape, 10, eta=1, seed=seed),
        lambda seed: ddpm_sample(model, schedule, shape, 10, seed=seed),
    ):
        assert torch.equal(sample(3), sample(3)) and not torch.equal(sample(3), sample(4))
        torch.manual_seed(0)
        a = sample(None)
        b = sample(None)
        torch.manual_seed(0)
        assert torch.equal(sample(None), a) and not torch.equal(a, b)
        assert len({tuple(x.flatten().tolist()) for x in a}) == 3
    x = ddim_sample(model, schedule, shape, 10, seed=3)
    assert x.dtype == torch.float32 and not x.requires_grad


def test_giving_the_seeds_own_x_T_changes_nothing():
    """The noise of the steps must not begin where x_T came from: the first step would then add x_T
    once more."""
    for steps in (
        lambda **kw: ddim_steps(Crooked(), SCHEDULES["linear"], SHAPE, 5, eta=1, seed=3, **kw),
        lambda **kw: ddpm_steps(Crooked(), SCHEDULES["linear"], SHAPE, 5, seed=3, **kw),
    ):
        own = list(steps())
        assert torch.equal(list(steps(x_T=own[0].x_t))[-1].x_prev, own[-1].x_prev)


def test_eta_0_ignores_the_noise():
    x = randn(*SHAPE)
    a, b = (
        ddim_sample(
            Crooked(), SCHEDULES["linear"], SHAPE, 10, x_T=x, noise=randn(10, *SHAPE, seed=s)
        )
        for s in (1, 2)
    )
    assert torch.equal(a, b) and torch.equal(
        a, ddim_sample(Crooked(), SCHEDULES["linear"], SHAPE, 10, x_T=x, seed=9)
    )


def test_the_dtype_of_x_T_is_kept_and_x_T_is_not_changed():
    for dtype in (torch.float32, torch.float64):
        x = randn(*SHAPE).to(dtype)
        kept = x.clone()
        for end in (
            ddim_sample(Crooked(), SCHEDULES["linear"], SHAPE, 5, eta=1, x_T=x, seed=0),
            ddpm_sample(Crooked(), SCHEDULES["linear"], SHAPE, 5, x_T=x, seed=0),
        ):
            assert end.dtype == dtype and torch.equal(x, kept)


def test_a_sampler_leaves_the_model_as_it_was():
    net = Net().train()
    a, b = (ddim_sample(net, SCHEDULES["linear"], (2, 1, 8, 8), 5, seed=0) for _ in range(2))
    assert net.training and torch.equal(a, b)  # dropout was off
    steps = ddim_steps(net, SCHEDULES["linear"], (2, 1, 8, 8), 5, seed=0)
    next(steps)
    steps.close()
    assert net.training
    ddim_sample(net.eval(), SCHEDULES["linear"], (2, 1, 8, 8), 5, seed=0)
    assert not net.training


def test_labels_reach_the_model():
    class Labeled:
        predicts, num_classes = "x0", 3

        def __call__(self, x, t, y):
            return torch.zeros_like(x) + y.view(-1, 1, 1, 1) / 4

    x = ddim_sample(
        condition(Labeled(), torch.tensor([2, 0, 3])), SCHEDULES["linear"], (3, 1, 2, 2), 5, seed=0
    )
    assert torch.allclose(x[:, 0, 0, 0], torch.tensor([0.5, 0.0, 0.75]), atol=1e-6)


def test_progress_shows_a_bar_and_changes_nothing(capsys):
    args = Crooked(), SCHEDULES["linear"], SHAPE, 7
    assert (
        torch.equal(ddim_sample(*args, seed=0, progress=True), ddim_sample(*args, seed=0))
        and "7/7" in capsys.readouterr().err
    )


# ---- inversion and interpolation ----


@pytest.mark.parametrize("spacing", SPACINGS)
def test_inversion_and_sampling_are_inverse_on_the_oracle(spacing):
    mixture = GaussianMixture([[-0.6, 0.1], [0.5, 0.4]], 0.3)
    schedule, x0 = SCHEDULES["linear"], mixture.sample(50, seed=0).double()
    for predicts in ("eps", "v"):
        model, errors = mixture.model(schedule, predicts), []
        for iterations in (1, 4, 60):
            x_T = ddim_invert(model, schedule, x0, 50, spacing, iterations=iterations)
            errors.append(
                (
                    ddim_sample(model, schedule, x0.shape, 50, spacing=spacing, x_T=x_T, clip=None)
                    - x0
                )
                .abs()
                .max()
                .item()
            )
        assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-6, errors
    x_T = randn(50, 2, 1, 1)
    back = ddim_invert(
        model,
        schedule,
        ddim_sample(model, schedule, x_T.shape, 50, spacing=spacing, x_T=x_T, clip=None),
        50,
        spacing,
        iterations=60,
    )
    assert (back - x_T).abs().max() < 1e-5


def test_inverted_data_looks_like_noise():
    mixture = GaussianMixture([-0.6, 0.5], 0.3)
    x_T = ddim_invert(
        mixture.model(SCHEDULES["linear"]), SCHEDULES["linear"], mixture.sample(20_000, seed=0), 200
    )
    assert abs(x_T.mean()) < 0.03 and abs(x_T.std() - 1) < 0.03
    half = ddim_invert(
        mixture.model(SCHEDULES["linear"]),
        SCHEDULES["linear"],
        mixture.sample(5, seed=0).bfloat16(),
        20,
    )
    assert half.dtype == torch.float32  # half precision is for networks, not for the state


def test_inversion_errors():
    model, schedule, x0 = (
        GAUSSIAN.model(SCHEDULES["linear"]),
        SCHEDULES["linear"],
        torch.zeros(2, 1, 1, 1),
    )
    for iterations in (0, -1, 1.5):
        with pytest.raises(ValueError, match="iterations"):
            ddim_invert(model, schedule, x0, 5, iterations=iterations)
    with pytest.raises(TypeError, match="uint8"):
        ddim_invert(model, schedule, x0.to(torch.uint8), 5)
    with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
        ddim_invert(model, schedule, x0[0], 5)


def test_slerp_keeps_to_the_sphere():
    a, b = randn(4, 1, 8, 8), randn(4, 1, 8, 8, seed=1)
    a, b = (x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for x in (a, b))
    assert (
        worst(slerp(a, b, 0), a) < 1e-12
        and worst(slerp(a, b, 1.0), b) < 1e-12
        and worst(slerp(a, a, 0.3), a) < 1e-12
    )
    mid = slerp(a, b, 0.5)
    assert (mid.flatten(1).norm(dim=1) - 1).abs().max() < 1e-12
    assert (
        (mid * a).flatten(1).sum(1) - (mid * b).flatten(1).sum(1)
    ).abs().max() < 1e-12  # half way
    u = torch.tensor([0, 0.25, 0.5, 1.0])
    assert all(worst(slerp(a, b, u)[i], slerp(a, b, float(u[i]))[i]) < 1e-12 for i in range(4))
    assert (
        slerp(a[:1], b[:1], torch.linspace(0, 1, 7)).shape == (7, 1, 8, 8)
        and slerp(a.float(), b.float(), 0.5).dtype == torch.float32
    )
    with pytest.raises(ValueError, match="shape"):
        slerp(a, b[:, :, :4], 0.5)


# ---- bad input ----


def sample_with(sample=ddim_sample, **kwargs):
    return sample(Crooked(), SCHEDULES["linear"], SHAPE, **kwargs)


@pytest.mark.parametrize("steps", [0, -3, 1001, 2.5])
def test_steps_out_of_range(steps):
    for sample in (ddim_sample, ddpm_sample):
        with pytest.raises(
            ValueError,
            match=f"steps={steps}(; expected a whole number| for a schedule of T=1000)",
        ):
            sample_with(sample, steps=steps)
    for spacing in SPACINGS:
        with pytest.raises(ValueError, match="a whole number"):
            spaced_timesteps(1000, steps, spacing)


@pytest.mark.parametrize("eta", [-0.1, 1.01, float("nan"), float("inf")])
def test_eta_out_of_range(eta):
    with pytest.raises(ValueError, match="eta=.*expected 0"):
        sample_with(eta=eta, seed=0)


@pytest.mark.parametrize(
    "timesteps,message",
    [
        ([], "empty"),
        ([5, 5, 1], "strictly decreasing"),
        ([1, 5], "strictly decreasing"),
        ([1000, 3], "0..999"),
        ([3, -1], "0..999"),
    ],
)
def test_timesteps_that_make_no_sense(timesteps, message):
    for sample in (ddim_sample, ddpm_sample):
        with pytest.raises(ValueError, match=message):
            sample_with(sample, timesteps=timesteps, seed=0)
    with pytest.raises(ValueError, match=message):
        ddim_invert(Crooked(), SCHEDULES["linear"], torch.zeros(SHAPE), timesteps=timesteps)


def test_other_arguments_that_make_no_sense():
    with pytest.raises(
        ValueError,
        match="spacing='sideways'; expected one of trailing, leading, linspace, quadratic",
    ):
        sample_with(spacing="sideways")
    with pytest.raises(ValueError, match="variance='medium'"):
        sample_with(ddpm_sample, variance="medium")
    for sample in (ddim_sample, ddpm_sample):
        with pytest.raises(
            ValueError, match=r"x_T: got shape \(1, 1, 4, 4\); expected \(3, 2, 4, 4\)"
        ):
            sample_with(sample, x_T=torch.zeros(1, 1, 4, 4))
        with pytest.raises(TypeError, match="x_T: got dtype torch.int64"):
            sample_with(sample, x_T=torch.zeros(SHAPE, dtype=torch.int64))
        with pytest.raises(ValueError, match="noise: got shape .*one batch a step"):
            sample_with(sample, steps=5, noise=torch.zeros(4, *SHAPE))
        with pytest.raises(ValueError, match="2 seeds for 3 images"):
            sample_with(sample, steps=5, seed=[1, 2])
        with pytest.raises(ValueError, match="the model returned"):
            sample(lambda x, t: x[:, :1], SCHEDULES["linear"], SHAPE, 5, seed=0)


# ---- the facade ----


def test_the_facade_offers_the_samplers_and_defines_nothing():
    assert set(sampling.__all__) >= {
        "ddim_sample",
        "ddim_steps",
        "ddim_invert",
        "spaced_timesteps",
        "ddpm_sample",
        "ddpm_steps",
    }
    for name in sampling.__all__:
        assert getattr(sampling, name).__module__ != "ddpm_course.sampling"


def test_the_facade_needs_torch_and_little_else():
    import subprocess, sys

    heavy = "diffusers torchmetrics torchvision sklearn matplotlib accelerate scipy"
    code = "import sys; from ddpm_course.sampling import ddim_sample; "
    code += f"print([m for m in {heavy.split()} if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_the_public_signature_of_ddim_sample():
    import inspect

    parameters = inspect.signature(ddim_sample).parameters
    defaults = {name: p.default for name, p in parameters.items()}
    empty = inspect.Parameter.empty
    assert defaults == {
        "model": empty, "schedule": empty, "shape": empty, "steps": 50, "eta": 0.0,
        "spacing": "trailing", "timesteps": None, "x_T": None, "noise": None, "seed": None,
        "clip": 1.0, "device": None, "progress": False,
    }  # fmt: skip
    assert [*inspect.signature(ddim_steps).parameters] == [*parameters][:-1]


SILLY = {
    "steps": ["5", True, 0, -1, 2.5, math.nan, [5]],
    "timesteps": ["95", [9.5, 3], [True], 5, [3, 9], ["9"], torch.tensor([9.0, 5.0]), [math.nan]],
    "shape": ["abc", (0, 2, 4, 4), (3, 2, 4), 3, (3, 2, 4.0, 4), (3, 2, -4, 4), None],
    "seed": ["12", 1.5, True, [1.5, 2, 3], [[1], [2], [3]], -1, {0}],
    "clip": [-1, math.nan, math.inf, "1", True],
    "schedule": [None, "cosine", [0.1, 0.2], torch.linspace(0.1, 0.2, 5)],
    "device": ["gpu", "", "cuda:99", "meta", 5.5],
    "x_T": [np.zeros(SHAPE), torch.full(SHAPE, math.nan), torch.zeros(SHAPE).long(), "noise"],
    "noise": [torch.zeros(5, *SHAPE).long(), torch.full((5, *SHAPE), math.nan), 3],
    "progress": ["yes", 1],
    "model": [None, "digits", torch.nn.Identity()],
    "stpes": [5],
}  # fmt: skip


@pytest.mark.parametrize("sample", [ddim_sample, ddpm_sample])
@pytest.mark.parametrize("name, value", [(k, v) for k, values in SILLY.items() for v in values])
def test_what_no_sampler_can_use_is_refused(sample, name, value):
    good = dict(model=OF_IMAGES.model(SCHEDULES["linear"]), schedule=SCHEDULES["linear"])
    good |= dict(shape=SHAPE, steps=5, seed=0)
    with pytest.raises((TypeError, ValueError), match=f"(?s){name}.*(expected|use a|no such|NaN)"):
        sample(**good | {name: value})


def test_numbers_of_numpy_are_numbers():
    plain = sample_with(steps=5, eta=0.5, clip=1.0, seed=3)
    numpy = dict(steps=np.int64(5), eta=np.float32(0.5), clip=np.float64(1), seed=np.int64(3))
    assert torch.equal(sample_with(**numpy), plain)
    timesteps = spaced_timesteps(1000, 5)
    for kind in (np.array, torch.tensor, tuple):
        assert torch.equal(sample_with(timesteps=kind(timesteps), eta=0.5, clip=1.0, seed=3), plain)


def test_arguments_are_looked_at_before_the_first_step():
    with pytest.raises(ValueError, match="eta=2"):
        ddim_steps(OF_IMAGES.model(SCHEDULES["linear"]), SCHEDULES["linear"], SHAPE, eta=2)


@pytest.mark.parametrize(
    "schedule, more, says",
    [
        (linear_schedule(100), {}, "ends at alpha_bar = 0.364"),
        (linear_schedule(400), {}, "ends at alpha_bar = 0.01"),
        (linear_schedule(100, rescale=True), {}, None),
        (linear_schedule(), {}, None),
        (cosine_schedule(), {"spacing": "leading", "steps": 10}, None),
        (cosine_schedule(), {"timesteps": [500, 0]}, "t=500, where alpha_bar is 0.49"),
        (cosine_schedule(), {"timesteps": [500, 0], "x_T": torch.zeros(SHAPE)}, None),
        (linear_schedule(100), {"x_T": torch.zeros(SHAPE)}, None),
    ],
)
def test_a_start_where_the_schedule_holds_no_noise_is_told(schedule, more, says):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        ddim_sample(OF_IMAGES.model(schedule), schedule, SHAPE, **{"steps": 5, "seed": 0} | more)
    assert [says in str(w.message) for w in seen] == ([True] if says else [])


def test_pictures_of_nan_are_no_pictures():
    with pytest.raises(FloatingPointError, match="3 of 3 sampled images hold NaN"):
        ddim_sample(lambda x_t, t: x_t * math.nan, SCHEDULES["linear"], SHAPE, 5)


@pytest.mark.parametrize("predicts", PREDICTS)
def test_a_schedule_that_vanishes_before_its_end_is_refused(predicts):
    "After 2,000 steps of 0.1, alpha_bar is 1e-92: float32 has no such signal to divide by."
    schedule = NoiseSchedule([0.1] * 2000)
    with pytest.raises(ValueError, match="alpha_bar is .* where nothing is left of an image"):
        ddim_sample(Crooked(predicts), schedule, SHAPE, 20)
    ddim_sample(Crooked(predicts), schedule, SHAPE, timesteps=[1000, 500, 10], seed=0)
