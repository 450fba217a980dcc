"Chapter 15: limits of the local predictor: the whole image, one pixel, constant data, translation."

import pytest
import torch

from ddpm_course.denoisers import ExactDenoiser
from ddpm_course.exact import GaussianMixture, LocalModel
from ddpm_course.flow import ExactVelocity
from ddpm_course.guidance import LabeledMixture
from ddpm_course.noising import PREDICTS, cosine_schedule, q_sample
from fakes import randn

SCHEDULE, T = cosine_schedule(), torch.tensor([3, 200, 500, 800, 990])


def noised(x0, n=len(T), seed=1):
    return q_sample(SCHEDULE, x0[:n], T, randn(n, *x0.shape[1:], seed=seed))


@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 5, 8)])
def test_a_patch_as_wide_as_the_image_is_the_exact_predictor(predicts, shape):
    X = randn(7, *shape)
    x, exact = noised(X), GaussianMixture(X, 0.3).model(SCHEDULE, predicts)
    for side in (15, 101):  # 2 * 8 - 1: the patch of a corner pixel reaches the opposite corner
        local = LocalModel(X, SCHEDULE, side, 0.3, predicts)
        assert torch.allclose(local(x, T), exact(x, T), rtol=0, atol=1e-6)
    narrower = LocalModel(X, SCHEDULE, 2 * max(shape[1:]) - 3, 0.3, predicts)(x, T)
    assert (narrower - exact(x, T)).abs().max() > 1e-4  # and no patch that misses a pixel is


@pytest.mark.parametrize("predicts", PREDICTS)
def test_a_patch_of_one_pixel_is_an_exact_predictor_a_pixel(predicts):
    X = randn(7, 3, 4, 5)
    x, out = noised(X), LocalModel(X, SCHEDULE, 1, 0.3, predicts)(noised(X), T)
    for i in range(4):
        for j in range(5):
            pixel = GaussianMixture(X[:, :, i : i + 1, j : j + 1], 0.3).model(SCHEDULE, predicts)
            alone = pixel(x[:, :, i : i + 1, j : j + 1], T)[..., 0, 0]
            assert torch.allclose(out[:, :, i, j], alone, rtol=0, atol=1e-6)


def test_a_patch_at_the_edge_is_cut_and_weighs_what_is_left():
    X = randn(7, 1, 6, 6)
    x, out = noised(X), LocalModel(X, SCHEDULE, 3, 0.3, "x0")(noised(X), T)
    for i, rows in ((0, slice(0, 2)), (3, slice(2, 5)), (5, slice(4, 6))):  # above, inside, below
        patch = GaussianMixture(X[:, :, rows, :2], 0.3).model(SCHEDULE, "x0")(x[:, :, rows, :2], T)
        assert torch.allclose(out[:, 0, i, 0], patch[:, 0, i - rows.start, 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("patch", [1, 3, 99])
def test_a_set_of_one_image_is_found_whatever_the_patch(patch):
    X = randn(1, 1, 4, 4).expand(6, -1, -1, -1)  # six times the same
    exact = GaussianMixture(X[:1], 0.2).model(SCHEDULE, "x0")
    local = LocalModel(X, SCHEDULE, patch, 0.2, "x0")
    assert torch.allclose(local(noised(X), T), exact(noised(X), T), rtol=0, atol=1e-9)


def test_images_that_move_on_a_common_ground_move_the_prediction():
    def placed(x, i, j, ground):
        out = ground.expand(len(x), -1, -1, -1).clone()
        out[:, :, i : i + 5, j : j + 5] = x
        return out

    X, flat = randn(7, 1, 5, 5), -torch.ones(1, 1, 11, 11, dtype=torch.float64)

    def predicted(i, j):  # all images share the ground, so it weighs nothing, cut or not
        model = LocalModel(placed(X, i, j, flat), SCHEDULE, 5, 0.3, "x0")
        return model(placed(noised(X), i, j, randn(1, 1, 11, 11)), T)[:, :, i : i + 5, j : j + 5]

    for i, j in ((6, 6), (3, 1), (2, 3)):
        assert torch.allclose(predicted(0, 0), predicted(i, j), rtol=0, atol=1e-9)


def test_the_patch_may_depend_on_the_timestep():
    X = randn(7, 1, 6, 6)
    x, narrowing = noised(X), LocalModel(X, SCHEDULE, lambda t: 1 if t < 300 else 5)(noised(X), T)
    for side, rows in ((1, T < 300), (5, T >= 300)):
        assert torch.equal(narrowing[rows], LocalModel(X, SCHEDULE, side)(x[rows], T[rows]))


def test_a_set_larger_than_one_portion_changes_nothing():
    X = randn(7, 1, 6, 6)
    many = X.repeat(2**12, 1, 1, 1)  # 2**20 numbers and more: one image at a time
    x, one = noised(X), LocalModel(X, SCHEDULE)(noised(X), T)
    assert torch.allclose(LocalModel(many, SCHEDULE)(x, T), one, rtol=0, atol=1e-9)


def test_it_keeps_the_contract_of_a_model():
    model = LocalModel(randn(7, 1, 6, 6).float(), SCHEDULE)
    x = noised(randn(7, 1, 6, 6)).float()
    assert model.predicts == "eps" and model.num_classes is None
    assert model(x, T).dtype == torch.float32 and model(x, T).shape == x.shape


@pytest.mark.parametrize(
    "given, says",
    [
        (dict(patch=4), "patch=4; expected an odd"),
        (dict(patch=0), "patch=0; expected an odd"),
        (dict(spread=0), "expected > 0"),
        (dict(predicts="score"), "expected one of"),
    ],
)
def test_wrong_arguments_are_named(given, says):
    X = randn(7, 1, 6, 6)
    with pytest.raises(ValueError, match=says):
        LocalModel(X, SCHEDULE, **given)(noised(X), T)


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 1, 1, 1), (5, 2, 2, 2)])
def test_images_of_another_size_than_a_mixture_are_not_broadcast(shape):
    "Neither to an exact model nor to what is made of a mixture elsewhere."
    mixture = GaussianMixture(randn(2, 1, 2, 2), 0.3)
    x, y, half = torch.zeros(shape), torch.zeros(5).long(), torch.full((5,), 0.5)
    for model, asked in (
        (mixture.model(SCHEDULE), (T,)),
        (LabeledMixture(mixture, SCHEDULE), (T, y)),
        (ExactDenoiser(mixture), (half,)),
        (ExactVelocity(mixture), (half,)),
    ):
        assert model(torch.zeros(5, 1, 2, 2), *asked).shape == (5, 1, 2, 2)
        with pytest.raises(ValueError, match=r"x: got shape .*like those of means, \(N, 1, 2, 2\)"):
            model(x, *asked)


def test_means_of_one_number_are_images_alike_in_all_pixels():
    x = randn(5, 1, 4, 4)
    one, all_pixels = GaussianMixture([-0.5, 0.5], 0.3), torch.tensor([-0.5, 0.5])
    whole = GaussianMixture(all_pixels[:, None, None, None].expand(2, 1, 4, 4), 0.3)
    assert torch.allclose(one.model(SCHEDULE)(x, T), whole.model(SCHEDULE)(x, T))
    with pytest.raises(ValueError, match="x: got shape"):
        one.model(SCHEDULE)(randn(5, 2, 4, 4), T)


@pytest.mark.parametrize("x", [torch.ones(5, 1, 6, 6).long(), [0.5], torch.zeros(1, 6, 6)])
def test_what_are_no_images_is_refused(x):
    "Of whole numbers, the answers would be cut to whole numbers."
    images = randn(7, 1, 6, 6)
    for model in (GaussianMixture(images, 0.1).model(SCHEDULE), LocalModel(images, SCHEDULE)):
        with pytest.raises((TypeError, ValueError), match=r"x_t.* expected \(B, C, H, W\)"):
            model(x, T)


def test_images_of_another_size_than_the_set_are_refused():
    model = LocalModel(randn(7, 1, 6, 6), SCHEDULE)
    with pytest.raises(ValueError, match=r"x_t: got shape \(5, 1, 5, 6\); expected rows like"):
        model(randn(5, 1, 5, 6), T)


@pytest.mark.parametrize("predicts", PREDICTS)
def test_one_spread_for_all_pixels_is_the_same_spread_for_each(predicts):
    X = randn(7, 1, 4, 5)
    stds = torch.linspace(0.2, 0.5, len(X))
    each = stds.view(-1, 1, 1, 1).expand_as(X).clone()
    x = noised(X)
    found = [GaussianMixture(X, s).model(SCHEDULE, predicts)(x, T) for s in (stds, each)]
    assert torch.allclose(*found, atol=1e-9)
