"Chapter 13: losses, label dropout, the randomness of training and sampling, strided chains, and errors."

import pytest
import torch

from ddpm_course.ancestral import ddpm_sample, ddpm_steps
from ddpm_course.ddpm import DDPMLoss, ddpm_loss, drop_labels
from ddpm_course.models import Conditioned, Wrapper, condition, estimate, split_output
from ddpm_course.randomness import BatchRandom, ImageNoise, image_seeds
from ddpm_course.stepping import check_timesteps, trailing_timesteps
from ddpm_course.ancestral import q_posterior
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import (
    PREDICTS, NoiseSchedule, cosine_schedule, eps_from_x0, linear_schedule, q_sample, v_from)
from ddpm_course.unet import UNet

SCHEDULE = linear_schedule(100, 1e-3, 0.1)


class Constant:
    "A model that answers the same everywhere, and remembers what it was asked."
    def __init__(self, out, predicts="eps", num_classes=None): self.out, self.predicts, self.num_classes, self.seen = out, predicts, num_classes, []

    def __call__(self, x_t, t, y=None):
        self.seen.append((x_t, t, y))
        return self.out


def randn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def unet():
    torch.manual_seed(0)
    model = UNet(1, (8, 16), layers=1, attention=(False, True), groups=4, num_classes=3)
    torch.nn.init.normal_(model.conv_out.weight, std=0.1)
    return model


# the loss

@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("predicts", PREDICTS)
def test_loss_is_the_mean_squared_error_per_example(predicts, channels):
    x0, eps, out, t = randn(5, 2, 4, 4), randn(5, 2, 4, 4, seed=1), randn(5, 2 * channels, 4, 4, seed=2), torch.tensor([0, 10, 50, 98, 99])
    model = Constant(out, predicts)
    loss = ddpm_loss(model, SCHEDULE, x0, t=t, eps=eps)
    target = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    assert loss.shape == (5,)
    for i in range(5): assert torch.isclose(loss[i], ((out[i, :2] - target[i])**2).sum() / 32)
    assert torch.equal(model.seen[0][0], q_sample(SCHEDULE, x0, t, eps)) and torch.equal(model.seen[0][1], t)


@pytest.mark.parametrize("predicts", PREDICTS)
def test_no_loss_for_the_true_answer(predicts):
    x0, eps, t = randn(4, 1, 4, 4), randn(4, 1, 4, 4, seed=1), torch.tensor([0, 30, 60, 99])
    answer = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    assert ddpm_loss(Constant(answer, predicts), SCHEDULE, x0, t=t, eps=eps).max() == 0


def test_loss_draws_every_timestep():
    model = Constant(torch.zeros(20_000, 1, 1, 1))
    ddpm_loss(model, SCHEDULE, torch.zeros(20_000, 1, 1, 1), rng=BatchRandom(0, 0, 20_000))
    counts = model.seen[0][1].bincount(minlength=100)
    assert len(counts) == 100 and counts.min() > 120 and counts.max() < 290 # 200 each, standard deviation 14


def test_loss_without_rng_follows_manual_seed():
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(ddpm_loss(lambda x_t, t: torch.zeros_like(x_t), SCHEDULE, torch.zeros(4, 1, 4, 4)))
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_loss_is_float32_when_the_network_answers_in_bf16():
    x0 = torch.randn(3, 1, 4, 4)
    assert ddpm_loss(lambda x_t, t: x_t.bfloat16(), SCHEDULE, x0).dtype == torch.float32


def test_label_drop():
    y, model = torch.arange(3).repeat(4000), Constant(torch.zeros(12_000, 1, 1, 1), num_classes=3)
    ddpm_loss(model, SCHEDULE, torch.zeros(12_000, 1, 1, 1), y, rng=BatchRandom(0, 0, 12_000), drop=0.25)
    seen = model.seen[0][2]
    assert seen.dtype == torch.int64 and torch.equal(y, torch.arange(3).repeat(4000)) # the caller's labels are untouched
    assert torch.equal(seen[seen != 3], y[seen != 3]) and abs((seen == 3).float().mean() - 0.25) < 0.02
    for drop, expected in ((0.0, y), (1.0, torch.full_like(y, 3))):
        assert torch.equal(drop_labels(y, 3, drop, BatchRandom(0, 0, 12_000)), expected)


def test_label_drop_changes_neither_t_nor_noise():
    x0, y, models = torch.zeros(8, 1, 4, 4), torch.arange(8) % 3, [Constant(torch.zeros(8, 1, 4, 4), num_classes=3) for _ in range(2)]
    for model, drop in zip(models, (0.0, 0.9)): ddpm_loss(model, SCHEDULE, x0, y, rng=BatchRandom(0, 5, 8), drop=drop)
    assert all(torch.equal(a, b) for a, b in zip(models[0].seen[0][:2], models[1].seen[0][:2]))


def test_loss_errors(unet):
    x0, y = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="3 classes and got no labels"): ddpm_loss(unet, SCHEDULE, x0)
    with pytest.raises(ValueError, match="3 classes and got no labels"): ddpm_loss(unet, SCHEDULE, x0, drop=0.1)
    with pytest.raises(ValueError, match="y from 0 to 4; expected 0..2, or 3"): ddpm_loss(unet, SCHEDULE, x0, torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="drop=1.5"): ddpm_loss(unet, SCHEDULE, x0, y, drop=1.5)
    with pytest.raises(IndexError, match="t from 0 to 100"): ddpm_loss(unet, SCHEDULE, x0, y, t=torch.tensor([0, 100]))
    with pytest.raises(TypeError, match="uint8"): ddpm_loss(unet, SCHEDULE, x0.byte(), y)
    with pytest.raises(ValueError, match="expected \\(B, C, H, W\\)"): ddpm_loss(unet, SCHEDULE, x0[0], y)
    with pytest.raises(ValueError, match="predicts='score'; expected one of eps, x0, v"): ddpm_loss(Constant(x0, "score"), SCHEDULE, x0)
    with pytest.raises(ValueError, match="the model returned"): ddpm_loss(Constant(torch.zeros(2, 3, 8, 8)), SCHEDULE, x0)


def test_loss_object_binds_schedule_and_drop(unet):
    x0, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    loss = DDPMLoss(SCHEDULE, drop=0.5)
    assert torch.equal(loss(unet, x0, y, BatchRandom(0, 3, 4)), ddpm_loss(unet, SCHEDULE, x0, y, rng=BatchRandom(0, 3, 4), drop=0.5))
    assert loss.schedule is SCHEDULE and loss.drop == 0.5


# the randomness of training

def draw(rng, like): return rng.rand(), rng.randint(1000), rng.randn_like(like)


@pytest.mark.parametrize("devices", [2, 4])
def test_rows_do_not_depend_on_the_split(devices):
    size, like = 8 // devices, torch.zeros(8, 3, 4, 4)
    whole = draw(BatchRandom(1, 2, 8), like)
    parts = [draw(BatchRandom(1, 2, 8, slice(i * size, (i + 1) * size)), like[:size]) for i in range(devices)]
    for k in range(3): assert torch.equal(whole[k], torch.cat([part[k] for part in parts]))


def test_steps_and_seeds_differ_and_repeat():
    first = [draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0] for seed in range(5) for step in range(50)]
    again = [draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0] for seed in range(5) for step in range(50)]
    assert torch.equal(torch.stack(first), torch.stack(again)) and len({tuple(row.tolist()) for row in first}) == 250


def test_noise_keeps_dtype_and_memory_format():
    like = torch.zeros(4, 3, 8, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    z = BatchRandom(0, 0, 4).randn_like(like)
    assert z.dtype == torch.float64 and z.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(z, BatchRandom(0, 0, 4).randn_like(like.contiguous()))


# the randomness of sampling

def test_seeds_are_injective_within_32_bits():
    seeds = [s for run in (0, 1, 2, 65535) for s in image_seeds(run, 65536)]
    assert len(set(seeds)) == 4 * 65536 and min(seeds) == 0 and max(seeds) == 2**32 - 1
    assert image_seeds(3, 10) == image_seeds(3, 1000)[:10] and image_seeds([5, 5], 2) == [5, 5]


@pytest.mark.parametrize("seed, n", [(70_000, 4), (-1, 4), (0, 65_537), ([1, 2], 3), ([0, 2**32], 2), ([-1], 1)])
def test_bad_seeds_are_refused(seed, n):
    with pytest.raises(ValueError, match="seed.*expected"): image_seeds(seed, n)


def test_large_seed_message():
    with pytest.raises(ValueError, match="seed=70000 for 4 images; expected a seed of 0..65535"):
        ddpm_sample(Constant(0), SCHEDULE, (4, 1, 2, 2), seed=70_000)


@pytest.mark.parametrize("side", [1, 2, 8])
def test_an_images_noise_does_not_depend_on_the_batch(side):
    seeds, steps = image_seeds(4, 6), 40
    whole, parts = ImageNoise(seeds, (6, 1, side, side)), [ImageNoise(seeds[:4], (4, 1, side, side)), ImageNoise(seeds[4:], (2, 1, side, side))]
    for _ in range(steps): assert torch.equal(next(whole), torch.cat([next(part) for part in parts]))


def test_image_noise_is_standard_normal():
    noise = ImageNoise(image_seeds(0, 8), (8, 1, 8, 8))
    z = torch.stack([next(noise) for _ in range(64)]) # (64, 8, 1, 8, 8)
    assert z.dtype == torch.float32 and abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    assert z.flatten(2).transpose(0, 1).flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.1 # images
    assert z.flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.25 # steps


def test_images_do_not_depend_on_the_batch():
    model = GaussianMixture([0.3], 0.5).model(SCHEDULE)
    whole = ddpm_sample(model, SCHEDULE, (5, 1, 1, 1), seed=2)
    parts = [ddpm_sample(model, SCHEDULE, (len(s), 1, 1, 1), seed=s) for s in (image_seeds(2, 5)[:2], image_seeds(2, 5)[2:])]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-6)


def test_step_noise_does_not_repeat_x_T():
    x_T = next(ddpm_steps(Constant(torch.zeros(2, 1, 8, 8)), SCHEDULE, (2, 1, 8, 8), seed=0)).x_t
    runs = [list(ddpm_steps(Constant(torch.zeros(2, 1, 8, 8)), SCHEDULE, (2, 1, 8, 8), seed=0, x_T=given)) for given in (None, x_T)]
    assert torch.equal(runs[0][-1].x_prev, runs[1][-1].x_prev)
    step = runs[0][0]
    mean, var = q_posterior(SCHEDULE, step.x0_hat, step.x_t, 99)
    noise = (step.x_prev - mean) / var**0.5
    assert torch.stack([noise.flatten(), x_T.flatten()]).corrcoef()[0, 1].abs() < 0.3


# estimates and wrappers

@pytest.mark.parametrize("clip", [None, 1.0, 0.5])
@pytest.mark.parametrize("predicts", PREDICTS)
def test_estimate_is_consistent(predicts, clip):
    x0, eps = 3 * randn(4, 1, 4, 4), randn(4, 1, 4, 4, seed=1)
    x_t, t = q_sample(SCHEDULE, x0, 40, eps), torch.full((4,), 40)
    answer = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    variance = randn(4, 1, 4, 4, seed=2)
    for out in (answer, torch.cat([answer, variance], 1)):
        x0_hat, eps_hat, var_out = estimate(Constant(out, predicts), SCHEDULE, x_t, 40, clip)
        assert torch.allclose(x0_hat, x0 if clip is None else x0.clamp(-clip, clip), atol=1e-10)
        signal, noise = SCHEDULE.rates(t, x_t)
        assert torch.allclose(signal * x0_hat + noise * eps_hat, x_t, atol=1e-10) # never stale
        assert torch.equal(eps_hat, eps_from_x0(SCHEDULE, x_t, 40, x0_hat))
        assert var_out is None if out is answer else torch.equal(var_out, variance)


def test_split_output_names_both_shapes():
    for shape in ((2, 3, 4, 4), (1, 1, 4, 4), (2, 1, 4, 2)):
        with pytest.raises(ValueError, match="the model returned .* for x_t"): split_output(torch.zeros(shape), torch.zeros(2, 1, 4, 4))


def test_condition_binds_labels(unet):
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([5, 5, 5])
    assert torch.equal(condition(unet, 2)(x, t), unet(x, t, torch.tensor([2, 2, 2])))
    assert torch.equal(condition(unet, [0, 1, 3])(x, t), unet(x, t, torch.tensor([0, 1, 3])))
    assert condition(unet, 2).num_classes is None and condition(unet, 2).predicts == "eps"


@pytest.mark.parametrize("y", [4, -1, [0, 5], 0.5])
def test_condition_refuses_bad_labels(unet, y):
    with pytest.raises((TypeError, ValueError), match="^y"): condition(unet, y)


def test_condition_errors(unet):
    bound = condition(unet, [0, 1])
    with pytest.raises(ValueError, match="no classes"): condition(bound, 1)
    with pytest.raises(ValueError, match="no classes"): condition(lambda x_t, t: x_t, 1)
    with pytest.raises(ValueError, match="bound by condition"): bound(torch.zeros(2, 1, 8, 8), torch.tensor([0, 0]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="\\(2,\\).*expected .*\\(3,\\)"): bound(torch.zeros(3, 1, 8, 8), torch.tensor([0, 0, 0]))


def test_wrappers_keep_the_contract():
    model = Constant(torch.zeros(2, 1, 4, 4), "v", num_classes=3)
    wrapped = Wrapper(Wrapper(model))
    assert wrapped.predicts == "v" and wrapped.num_classes == 3 and isinstance(condition(wrapped, 1), Conditioned)
    assert not hasattr(Wrapper(lambda x_t, t: x_t), "predicts")
    wrapped(torch.zeros(2, 1, 4, 4), torch.tensor([0, 0]))
    assert model.seen[-1][2] is None


# the sampler

def follow(schedule, timesteps, variance, m, s):
    "Mean and standard deviation that the exact network's chain reaches on N(m, s^2), written from Ho et al. 2020, eqs. 6 and 7."
    mean, var = 0.0, 1.0
    ab = [*schedule.alpha_bars.tolist(), 1.0] # ab[-1] is clean data
    for t, prev in zip(timesteps, [*timesteps[1:], -1]):
        beta, kept = 1 - ab[t] / ab[prev], (ab[t] / ab[prev])**0.5
        gain = ab[t]**0.5 * s**2 / (ab[t] * s**2 + 1 - ab[t])
        a = ab[prev]**0.5 * beta / (1 - ab[t])
        slope = a * gain + kept * (1 - ab[prev]) / (1 - ab[t])
        mean = slope * mean + a * (m - gain * ab[t]**0.5 * m)
        sigma2 = 0.0 if prev == -1 else beta if variance == "large" else beta * (1 - ab[prev]) / (1 - ab[t])
        var = slope**2 * var + sigma2
    return mean, var**0.5


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("steps", [1, 7, 50, 100])
def test_sampler_lands_where_the_recursion_does(variance, steps):
    "The map is affine in (x_T, noise): probe each coefficient, and compare with the recursion to 1e-9."
    model, n = GaussianMixture([0.3], 0.5).model(SCHEDULE), steps + 2
    x_T, noise = torch.zeros(n, 1, 1, 1, dtype=torch.float64), torch.zeros(steps, n, 1, 1, 1, dtype=torch.float64)
    x_T[1] = 1 # row 0 is the offset, row 1 answers to x_T, row 2 + i to the noise of step i
    for i in range(steps): noise[i, 2 + i] = 1
    reached = ddpm_sample(model, SCHEDULE, x_T.shape, steps, variance, x_T=x_T, noise=noise, clip=None).flatten()
    mean, std = follow(SCHEDULE, trailing_timesteps(100, steps), variance, 0.3, 0.5)
    assert abs(reached[0] - mean) < 1e-9 and abs((reached[1:] - reached[0]).square().sum()**0.5 - std) < 1e-9


def test_strided_posterior_is_that_of_the_respaced_chain():
    ts = [90, 61, 33, 8, 2]
    ab = torch.tensor([1.0, *[SCHEDULE.alpha_bar(t) for t in ts[::-1]]], dtype=torch.float64)
    respaced = NoiseSchedule(1 - ab[1:] / ab[:-1])
    x0, x_t = randn(3, 1, 2, 2), randn(3, 1, 2, 2, seed=1)
    for i, (t, prev) in enumerate(zip(ts, [*ts[1:], -1])):
        ours, theirs = q_posterior(SCHEDULE, x0, x_t, t, prev), q_posterior(respaced, x0, x_t, len(ts) - 1 - i)
        assert torch.allclose(ours[0], theirs[0], atol=1e-12) and abs(ours[1] - theirs[1]) < 1e-12
    model, shape, noise = GaussianMixture([0.3], 0.5), (3, 1, 1, 1), randn(5, 3, 1, 1, 1)
    runs = [ddpm_sample(model.model(s), s, shape, timesteps=list(l), variance=v, x_T=randn(*shape, seed=2), noise=noise, clip=None)
            for v in ("small", "large") for s, l in ((SCHEDULE, ts), (respaced, range(4, -1, -1)))]
    assert torch.allclose(runs[0], runs[1], atol=1e-9) and torch.allclose(runs[2], runs[3], atol=1e-9)


def test_steps_are_what_they_say():
    model = GaussianMixture([0.3], 0.5).model(SCHEDULE)
    steps = list(ddpm_steps(model, SCHEDULE, (2, 1, 1, 1), 10, seed=0, clip=None))
    assert [s.t for s in steps] == trailing_timesteps(100, 10) and steps[0].t == 99
    assert all(torch.equal(a.x_prev, b.x_t) for a, b in zip(steps, steps[1:]))
    assert torch.allclose(steps[-1].x_prev, steps[-1].x0_hat) # the last step adds no noise
    assert torch.equal(ddpm_sample(model, SCHEDULE, (2, 1, 1, 1), 10, seed=0, clip=None), steps[-1].x_prev)
    assert torch.equal(ddpm_sample(model, SCHEDULE, (2, 1, 1, 1), timesteps=torch.tensor([s.t for s in steps]), seed=0, clip=None), steps[-1].x_prev)


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
    step = next(walk) # left half-way
    assert torch.is_grad_enabled() and unet.training and not step.x_prev.requires_grad


def test_the_network_is_sampled_in_evaluation_mode():
    class Watch(torch.nn.Module):
        def forward(self, x_t, t):
            assert not self.training and not torch.is_grad_enabled()
            return x_t
    assert Watch().train().training and ddpm_sample(Watch().train(), SCHEDULE, (1, 1, 2, 2), 3, seed=0).shape == (1, 1, 2, 2)


def test_zero_terminal_snr():
    betas = SCHEDULE.betas.clone()
    betas[-1] = 1
    schedule = NoiseSchedule(betas)
    data = GaussianMixture([0.3], 0.5)
    for predicts in ("x0", "v"): assert ddpm_sample(data.model(schedule, predicts), schedule, (4, 1, 1, 1), 10, seed=0, clip=None).isfinite().all()
    with pytest.raises(ValueError, match="alpha_bar = 0.*predicts v or x0"): ddpm_sample(data.model(schedule), schedule, (4, 1, 1, 1), 10, seed=0)
    assert cosine_schedule(10).alpha_bar(9) > 0


@pytest.mark.parametrize("arguments, message", [
    (dict(steps=0), "steps=0 for a schedule of T=100; use a whole number from 1 to 100"),
    (dict(steps=-1), "steps=-1 for a schedule of T=100"),
    (dict(steps=101), "steps=101 for a schedule of T=100"),
    (dict(steps=2.5), "steps=2.5 for a schedule of T=100"),
    (dict(timesteps=[]), "timesteps: got an empty list"),
    (dict(timesteps=[50, 50, 0]), "strictly decreasing list; got \\[50, 50, 0\\]"),
    (dict(timesteps=[0, 50]), "strictly decreasing"),
    (dict(timesteps=[100, 50]), "timesteps from 100 to 50; this schedule has 0..99"),
    (dict(timesteps=[50, -1]), "timesteps from 50 to -1; this schedule has 0..99"),
    (dict(variance="medium"), "variance='medium'; expected 'small'"),
    (dict(x_T=torch.zeros(3, 1, 2, 2)), "x_T: got shape \\(3, 1, 2, 2\\); expected \\(2, 1, 2, 2\\)"),
    (dict(noise=torch.zeros(99, 2, 1, 2, 2)), "noise: got shape \\(99, 2, 1, 2, 2\\); expected one batch a step, \\(100, 2, 1, 2, 2\\)"),
    (dict(seed=[1]), "seed: got 1 seeds for 2 images"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message): ddpm_sample(lambda x_t, t: x_t, SCHEDULE, (2, 1, 2, 2), **arguments)


def test_x_T_of_another_kind():
    with pytest.raises(TypeError, match="x_T: got dtype torch.uint8"): ddpm_sample(lambda x_t, t: x_t, SCHEDULE, (2, 1, 2, 2), x_T=torch.zeros(2, 1, 2, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="x_T: got shape"): ddpm_sample(lambda x_t, t: x_t, SCHEDULE, (2, 1, 2), x_T=torch.zeros(2, 1, 2))


def test_unlabeled_sampling_of_a_conditional_model_is_an_error(unet):
    with pytest.raises(ValueError, match="3 classes and got no labels"): ddpm_sample(unet, SCHEDULE, (2, 1, 8, 8), 2)
