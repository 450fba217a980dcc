"What a model is, and the random numbers of training and sampling."

import pytest
import torch

from ddpm_course.models import Conditioned, Wrapper, condition, estimate, split_output
from ddpm_course.noising import PREDICTS, eps_from_x0, linear_schedule, q_sample, v_from
from ddpm_course.randomness import BatchRandom, ImageNoise, image_seeds
from fakes import Constant, randn, small_unet

SCHEDULE = linear_schedule(100, 1e-3, 0.1)


@pytest.fixture
def unet():
    return small_unet()


def draw(rng, like):
    return rng.rand(), rng.randint(1000), rng.randn_like(like)


@pytest.mark.parametrize("devices", [2, 4])
def test_rows_do_not_depend_on_the_split(devices):
    size, like = 8 // devices, torch.zeros(8, 3, 4, 4)
    whole = draw(BatchRandom(1, 2, 8), like)
    parts = [
        draw(BatchRandom(1, 2, 8, slice(i * size, (i + 1) * size)), like[:size])
        for i in range(devices)
    ]
    for k in range(3):
        assert torch.equal(whole[k], torch.cat([part[k] for part in parts]))


def test_steps_and_seeds_differ_and_repeat():
    first = [
        draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0]
        for seed in range(5)
        for step in range(50)
    ]
    again = [
        draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0]
        for seed in range(5)
        for step in range(50)
    ]
    assert (
        torch.equal(torch.stack(first), torch.stack(again))
        and len({tuple(row.tolist()) for row in first}) == 250
    )


def test_noise_keeps_dtype_and_memory_format():
    like = torch.zeros(4, 3, 8, 8, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last
    )
    z = BatchRandom(0, 0, 4).randn_like(like)
    assert z.dtype == torch.float64 and z.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(z, BatchRandom(0, 0, 4).randn_like(like.contiguous()))


def test_seeds_are_injective_within_32_bits():
    seeds = [s for run in (0, 1, 2, 65535) for s in image_seeds(run, 65536)]
    assert len(set(seeds)) == 4 * 65536 and min(seeds) == 0 and max(seeds) == 2**32 - 1
    assert image_seeds(3, 10) == image_seeds(3, 1000)[:10] and image_seeds([5, 5], 2) == [5, 5]


@pytest.mark.parametrize(
    "seed, n", [(70_000, 4), (-1, 4), (0, 65_537), ([1, 2], 3), ([0, 2**32], 2), ([-1], 1)]
)
def test_bad_seeds_are_refused(seed, n):
    with pytest.raises(ValueError, match="seed.*expected"):
        image_seeds(seed, n)


@pytest.mark.parametrize("side", [1, 2, 8])
def test_an_images_noise_does_not_depend_on_the_batch(side):
    seeds, steps = image_seeds(4, 6), 40
    whole, parts = (
        ImageNoise(seeds, (6, 1, side, side)),
        [ImageNoise(seeds[:4], (4, 1, side, side)), ImageNoise(seeds[4:], (2, 1, side, side))],
    )
    for _ in range(steps):
        assert torch.equal(next(whole), torch.cat([next(part) for part in parts]))


def test_image_noise_is_standard_normal():
    noise = ImageNoise(image_seeds(0, 8), (8, 1, 8, 8))
    z = torch.stack([next(noise) for _ in range(64)])  # (64, 8, 1, 8, 8)
    assert z.dtype == torch.float32 and abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    assert (
        z.flatten(2).transpose(0, 1).flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.1
    )  # images
    assert z.flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.25  # steps


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
        assert torch.allclose(signal * x0_hat + noise * eps_hat, x_t, atol=1e-10)  # never stale
        assert torch.equal(eps_hat, eps_from_x0(SCHEDULE, x_t, 40, x0_hat))
        assert var_out is None if out is answer else torch.equal(var_out, variance)


def test_split_output_names_both_shapes():
    for shape in ((2, 3, 4, 4), (1, 1, 4, 4), (2, 1, 4, 2)):
        with pytest.raises(ValueError, match="the model returned .* for x_t"):
            split_output(torch.zeros(shape), torch.zeros(2, 1, 4, 4))


def test_condition_binds_labels(unet):
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([5, 5, 5])
    assert torch.equal(condition(unet, 2)(x, t), unet(x, t, torch.tensor([2, 2, 2])))
    assert torch.equal(condition(unet, [0, 1, 3])(x, t), unet(x, t, torch.tensor([0, 1, 3])))
    assert condition(unet, 2).num_classes is None and condition(unet, 2).predicts == "eps"


@pytest.mark.parametrize("y", [4, -1, [0, 5], 0.5])
def test_condition_refuses_bad_labels(unet, y):
    with pytest.raises((TypeError, ValueError), match="^y"):
        condition(unet, y)


def test_condition_errors(unet):
    bound = condition(unet, [0, 1])
    with pytest.raises(ValueError, match="no classes"):
        condition(bound, 1)
    with pytest.raises(ValueError, match="no classes"):
        condition(lambda x_t, t: x_t, 1)
    with pytest.raises(ValueError, match="bound by condition"):
        bound(torch.zeros(2, 1, 8, 8), torch.tensor([0, 0]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="\\(2,\\).*expected .*\\(3,\\)"):
        bound(torch.zeros(3, 1, 8, 8), torch.tensor([0, 0, 0]))


def test_wrappers_keep_the_contract():
    model = Constant(torch.zeros(2, 1, 4, 4), "v", num_classes=3)
    wrapped = Wrapper(Wrapper(model))
    assert (
        wrapped.predicts == "v"
        and wrapped.num_classes == 3
        and isinstance(condition(wrapped, 1), Conditioned)
    )
    assert not hasattr(Wrapper(lambda x_t, t: x_t), "predicts")
    wrapped(torch.zeros(2, 1, 4, 4), torch.tensor([0, 0]))
    assert model.seen[-1][2] is None
