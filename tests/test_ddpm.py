"Chapter 13: losses and label dropout."

import pytest
import torch

from ddpm_course.ddpm import DDPMLoss, ddpm_loss, drop_labels
from ddpm_course.noising import PREDICTS, linear_schedule, q_sample, v_from
from ddpm_course.randomness import BatchRandom
from fakes import Constant, randn, small_unet

SCHEDULE = linear_schedule(100, 1e-3, 0.1)


@pytest.fixture
def unet():
    return small_unet()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("predicts", PREDICTS)
def test_loss_is_the_mean_squared_error_per_example(predicts, channels):
    x0, eps, out, t = (
        randn(5, 2, 4, 4),
        randn(5, 2, 4, 4, seed=1),
        randn(5, 2 * channels, 4, 4, seed=2),
        torch.tensor([0, 10, 50, 98, 99]),
    )
    model = Constant(out, predicts)
    loss = ddpm_loss(model, SCHEDULE, x0, t=t, eps=eps)
    target = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    assert loss.shape == (5,)
    for i in range(5):
        assert torch.isclose(loss[i], ((out[i, :2] - target[i]) ** 2).sum() / 32)
    assert torch.equal(model.seen[0][0], q_sample(SCHEDULE, x0, t, eps)) and torch.equal(
        model.seen[0][1], t
    )


@pytest.mark.parametrize("predicts", PREDICTS)
def test_no_loss_for_the_true_answer(predicts):
    x0, eps, t = randn(4, 1, 4, 4), randn(4, 1, 4, 4, seed=1), torch.tensor([0, 30, 60, 99])
    answer = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    assert ddpm_loss(Constant(answer, predicts), SCHEDULE, x0, t=t, eps=eps).max() == 0


def test_loss_draws_every_timestep():
    model = Constant(torch.zeros(20_000, 1, 1, 1))
    ddpm_loss(model, SCHEDULE, torch.zeros(20_000, 1, 1, 1), rng=BatchRandom(0, 0, 20_000))
    counts = model.seen[0][1].bincount(minlength=100)
    assert (
        len(counts) == 100 and counts.min() > 120 and counts.max() < 290
    )  # 200 each, standard deviation 14


def test_loss_without_rng_follows_manual_seed():
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(
            ddpm_loss(lambda x_t, t: torch.zeros_like(x_t), SCHEDULE, torch.zeros(4, 1, 4, 4))
        )
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_loss_is_float32_when_the_network_answers_in_bf16():
    x0 = torch.randn(3, 1, 4, 4)
    assert ddpm_loss(lambda x_t, t: x_t.bfloat16(), SCHEDULE, x0).dtype == torch.float32


def test_label_drop():
    y, model = torch.arange(3).repeat(4000), Constant(torch.zeros(12_000, 1, 1, 1), num_classes=3)
    ddpm_loss(
        model, SCHEDULE, torch.zeros(12_000, 1, 1, 1), y, rng=BatchRandom(0, 0, 12_000), drop=0.25
    )
    seen = model.seen[0][2]
    assert seen.dtype == torch.int64 and torch.equal(
        y, torch.arange(3).repeat(4000)
    )  # the caller's labels are untouched
    assert (
        torch.equal(seen[seen != 3], y[seen != 3]) and abs((seen == 3).float().mean() - 0.25) < 0.02
    )
    for drop, expected in ((0.0, y), (1.0, torch.full_like(y, 3))):
        assert torch.equal(drop_labels(y, 3, drop, BatchRandom(0, 0, 12_000)), expected)


def test_label_drop_changes_neither_t_nor_noise():
    x0, y, models = (
        torch.zeros(8, 1, 4, 4),
        torch.arange(8) % 3,
        [Constant(torch.zeros(8, 1, 4, 4), num_classes=3) for _ in range(2)],
    )
    for model, drop in zip(models, (0.0, 0.9)):
        ddpm_loss(model, SCHEDULE, x0, y, rng=BatchRandom(0, 5, 8), drop=drop)
    assert all(torch.equal(a, b) for a, b in zip(models[0].seen[0][:2], models[1].seen[0][:2]))


def test_loss_errors(unet):
    x0, y = torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="3 classes and got no labels"):
        ddpm_loss(unet, SCHEDULE, x0)
    with pytest.raises(ValueError, match="3 classes and got no labels"):
        ddpm_loss(unet, SCHEDULE, x0, drop=0.1)
    with pytest.raises(ValueError, match="y from 0 to 4; expected 0..2, or 3"):
        ddpm_loss(unet, SCHEDULE, x0, torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="drop=1.5"):
        ddpm_loss(unet, SCHEDULE, x0, y, drop=1.5)
    with pytest.raises(IndexError, match="t from 0 to 100"):
        ddpm_loss(unet, SCHEDULE, x0, y, t=torch.tensor([0, 100]))
    with pytest.raises(TypeError, match="t=5.*expected \\(B,\\)"):
        ddpm_loss(Constant(x0), SCHEDULE, x0, t=5)
    with pytest.raises(TypeError, match="uint8"):
        ddpm_loss(unet, SCHEDULE, x0.byte(), y)
    with pytest.raises(ValueError, match="expected \\(B, C, H, W\\)"):
        ddpm_loss(unet, SCHEDULE, x0[0], y)
    with pytest.raises(ValueError, match="predicts='score'; expected one of eps, x0, v"):
        ddpm_loss(Constant(x0, "score"), SCHEDULE, x0)
    with pytest.raises(ValueError, match="the model returned"):
        ddpm_loss(Constant(torch.zeros(2, 3, 8, 8)), SCHEDULE, x0)


def test_loss_object_binds_schedule_and_drop(unet):
    x0, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    loss = DDPMLoss(SCHEDULE, drop=0.5)
    assert torch.equal(
        loss(unet, x0, y, BatchRandom(0, 3, 4)),
        ddpm_loss(unet, SCHEDULE, x0, y, rng=BatchRandom(0, 3, 4), drop=0.5),
    )
    assert loss.schedule is SCHEDULE and loss.drop == 0.5
