"Metrics against torchmetrics, torch-fidelity and SciPy; closed forms; faults; and the digits score on images whose score is known."

import math, warnings

import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from ddpm_course.data import load_digits
from ddpm_course.metrics import (CLASSIFIER_FIT, DigitsClassifier, classifier_loss, digits_classifier, digits_floor, feature_distance,
                                 frechet_distance, held_out_digits, jitter, nearest_digits, psd_sqrt, real_features, round_gray, score_digits,
                                 stratified_order, train_classifier)
from ddpm_course.ddpm import BatchRandom
from ddpm_course.folders import load_model


def randn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(n, D, seed):
    "Mean and covariance of n correlated features whose scales range over a factor of 100; rank n - 1 if n <= D."
    x = randn(n, D, seed=seed) @ randn(D, D, seed=seed + 1) * torch.logspace(0, -2, D, dtype=torch.float64) + randn(D, seed=seed + 2)
    return x.mean(0), x.T.cov().view(D, D)


def scipy_distance(mu1, cov1, mu2, cov2):
    root = scipy.linalg.sqrtm((cov1 @ cov2).numpy())
    return float((mu1 - mu2).square().sum() + cov1.trace() + cov2.trace()) - 2 * root.trace().real


def fidelity_distance(mu1, cov1, mu2, cov2):
    stats = ({"mu": mu.numpy(), "sigma": cov.numpy()} for mu, cov in ((mu1, cov1), (mu2, cov2)))
    return fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]


def metrics_distance(*gaussians): return _compute_fid(*gaussians).item()


# ---- the distance against others ----

@pytest.mark.parametrize("peer", [scipy_distance, fidelity_distance, metrics_distance])
@pytest.mark.parametrize("D", [1, 2, 16, 64])
@pytest.mark.parametrize("seed", [0, 10])
def test_it_agrees_with_peers_on_full_rank(peer, D, seed):
    pair = (*gaussian(5 * D + 5, D, seed), *gaussian(3 * D + 5, D, seed + 100))
    assert frechet_distance(*pair) == pytest.approx(peer(*pair), rel=1e-8)


@pytest.mark.parametrize("peer", [fidelity_distance, metrics_distance]) # SciPy's sqrtm gives no root of a singular product
@pytest.mark.parametrize("n1, n2", [(10, 200), (200, 10), (10, 20), (2, 2)])
def test_it_agrees_with_peers_on_flat_covariances(peer, n1, n2):
    pair = (*gaussian(n1, 64, 0), *gaussian(n2, 64, 100))
    assert frechet_distance(*pair) == pytest.approx(peer(*pair), rel=1e-4) # rounding costs the peers their last digits here


def exact_distance(x, y):
    "tr (cov1 cov2)^1/2 is the nuclear norm of X Y^T / (n - 1) for n centered features each, which needs no covariance at all."
    X, Y = x - x.mean(0), y - y.mean(0)
    spread = X.square().sum() + Y.square().sum() - 2 * torch.linalg.svdvals(X @ Y.T).sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + spread / (len(x) - 1)).item()


@pytest.mark.parametrize("n", [2, 10, 40])
def test_flat_covariances_are_exact(n):
    x, y = randn(n, 64, seed=1), 2 * randn(n, 64, seed=2) + 1
    with pytest.warns(UserWarning, match="too few"): assert feature_distance(x, y) == pytest.approx(exact_distance(x, y), rel=1e-12)


def test_the_shortcut_that_is_wrong_is_seen_to_be_wrong():
    mu1, cov1, mu2, cov2 = (*gaussian(50, 8, 0), *gaussian(50, 8, 100))
    wrong = (mu1 - mu2).square().sum() + cov1.trace() + cov2.trace() - 2 * torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum()
    assert abs(wrong.item() / frechet_distance(mu1, cov1, mu2, cov2) - 1) > 0.01


def test_2048_features():
    x, y = randn(300, 2048, seed=1), randn(300, 2048, seed=2) + 0.1
    with pytest.warns(UserWarning, match="too few"): assert feature_distance(x, y) == pytest.approx(exact_distance(x, y), rel=1e-10)


# ---- closed forms ----

@pytest.mark.parametrize("mu1, s1, mu2, s2", [(0, 1, 0, 1), (0, 0.6, 3, 1.2), (-1, 0, 2, 5), (1e3, 1e-3, 1e3, 2e-3)])
def test_on_a_line(mu1, s1, mu2, s2):
    assert frechet_distance([mu1], [[s1**2]], [mu2], [[s2**2]]) == pytest.approx((mu1 - mu2)**2 + (s1 - s2)**2, abs=1e-12)


def test_covariances_that_commute():
    basis = torch.linalg.qr(randn(12, 12)).Q
    v1, v2 = randn(12, seed=1).exp(), randn(12, seed=2).exp()
    v1[:3], v2[2:5] = 0, 0 # flat in different directions
    along = lambda v: basis @ v.diag() @ basis.T
    assert frechet_distance(torch.zeros(12), along(v1), torch.zeros(12), along(v2)) == pytest.approx((v1.sqrt() - v2.sqrt()).square().sum().item(), rel=1e-10)


@pytest.mark.parametrize("n", [5, 200])
def test_symmetric_zero_for_the_same_and_unmoved_by_turns(n):
    (mu1, cov1), (mu2, cov2) = gaussian(n, 32, 0), gaussian(n, 32, 100)
    value = frechet_distance(mu1, cov1, mu2, cov2)
    assert frechet_distance(mu2, cov2, mu1, cov1) == pytest.approx(value, rel=1e-10)
    assert 0 <= frechet_distance(mu1, cov1, mu1, cov1) < 1e-11 * cov1.trace()
    turn = torch.linalg.qr(randn(32, 32, seed=5)).Q
    turned = lambda mu, cov: (turn @ mu, turn @ cov @ turn.T)
    assert frechet_distance(*turned(mu1, cov1), *turned(mu2, cov2)) == pytest.approx(value, rel=1e-8)


def test_it_is_the_cost_of_the_best_pairing():
    mu1, cov1, mu2, cov2 = (*gaussian(50, 3, 0), *gaussian(50, 3, 100))
    A, B, value = psd_sqrt(cov1), psd_sqrt(cov2), frechet_distance(mu1, cov1, mu2, cov2)
    cost = lambda turn: ((mu1 - mu2).square().sum() + (A - turn.T @ B).square().sum()).item() # x = mu1 + A z, y = mu2 + B turn z
    U, _, Vh = torch.linalg.svd(B @ A)
    assert cost(U @ Vh) == pytest.approx(value, rel=1e-10)
    assert all(cost(torch.linalg.qr(randn(3, 3, seed=s)).Q) >= value for s in range(100))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, list, "numpy"])
def test_it_takes_any_numbers_and_computes_in_float64(kind):
    pair = (*gaussian(50, 4, 0), *gaussian(50, 4, 100))
    cast = (lambda a: a.tolist()) if kind is list else (lambda a: a.numpy()) if kind == "numpy" else lambda a: a.to(kind).requires_grad_()
    value = frechet_distance(*map(cast, pair))
    assert type(value) is float and value == pytest.approx(frechet_distance(*pair), rel=1e-6 if kind == torch.float32 else 1e-12)


# ---- faults ----

EYE = torch.eye(3)


@pytest.mark.parametrize("arguments, says", [
    ((torch.zeros(3), EYE, torch.zeros(2), torch.eye(2)), r"\(3,\), \(2,\).*expected \(D,\) and \(D, D\)"),
    ((torch.zeros(3), EYE, torch.zeros(3), torch.ones(3)), r"expected \(D,\) and \(D, D\)"),
    ((torch.zeros(1, 3), EYE, torch.zeros(3), EYE), r"expected \(D,\) and \(D, D\)"),
    ((torch.tensor([0, math.nan, 0]), EYE, torch.zeros(3), EYE), "NaN"),
    ((torch.zeros(3), EYE, torch.zeros(3), EYE * math.inf), "infinity"),
    ((torch.zeros(3), EYE.roll(1, 0), torch.zeros(3), EYE), "not symmetric"),
    ((torch.zeros(3), EYE, torch.zeros(3), -EYE), "eigenvalue -1; expected none below 0")])
def test_what_is_no_gaussian_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says): frechet_distance(*arguments)


@pytest.mark.parametrize("a, b, says", [
    (randn(1, 3), randn(9, 3), "got 1 features; a covariance needs at least 2"),
    (randn(9, 3), randn(0, 3), "got 0 features"),
    (randn(9, 3), randn(9, 4), r"\(9, 3\) and \(9, 4\); expected \(N, D\) and \(M, D\)"),
    (randn(9, 3, 1), randn(9, 3), r"expected \(N, D\)"),
    (randn(9, 3).log(), randn(9, 3), "look for NaN in the features")])
def test_what_are_no_features_is_refused(a, b, says):
    with pytest.raises(ValueError, match=says): feature_distance(a, b)


def test_one_feature_is_enough(): assert feature_distance(randn(9, 1), randn(9, 1) + 2) == pytest.approx(4)


def test_too_few_features_warn_and_give_a_number():
    with pytest.warns(UserWarning, match="8 images are too few for 8 features") as caught: assert feature_distance(randn(8, 8), randn(99, 8, seed=1)) > 0
    assert caught[0].filename == __file__ # it points at who called
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feature_distance(randn(9, 8), randn(99, 8, seed=1))


FAKES, ASKED = -torch.ones(70, 1, 8, 8), torch.zeros(70, dtype=torch.int64)


@pytest.mark.parametrize("fakes, labels, error, says", [
    (FAKES.byte(), ASKED, TypeError, "fakes: got dtype torch.uint8"),
    (FAKES.numpy(), ASKED, TypeError, "fakes: got ndarray"),
    (FAKES[:, 0], ASKED, ValueError, r"fakes: got shape \(70, 8, 8\)"),
    (FAKES.expand(-1, 3, -1, -1), ASKED, ValueError, r"\(70, 3, 8, 8\); expected \(n, 1, 8, 8\)"),
    (FAKES.log(), ASKED, ValueError, "fakes: .* NaN"),
    (FAKES[:1], ASKED[:1], ValueError, r"n=1; expected 2\.\.797"),
    (FAKES[:0], ASKED[:0], ValueError, r"n=0; expected 2\.\.797"),
    (FAKES[:1].expand(798, -1, -1, -1), ASKED[:1].expand(798), ValueError, r"n=798; expected 2\.\.797"),
    (FAKES, ASKED[1:], ValueError, r"labels: .*\(69,\); expected int64 digits 0\.\.9 of shape \(70,\)"),
    (FAKES, ASKED + 10, ValueError, r"digits 0\.\.9"),
    (FAKES, ASKED - 1, ValueError, r"digits 0\.\.9"),
    (FAKES, ASKED.float(), ValueError, "labels: got torch.float32")])
def test_the_score_refuses_what_it_cannot_score(fakes, labels, error, says):
    with pytest.raises(error, match=says): score_digits(fakes, labels)


def test_a_floor_needs_a_subset():
    with pytest.raises(ValueError, match="subsets=0"): score_digits(FAKES, ASKED, subsets=0)


# ---- the classifier ----

@pytest.fixture(scope="module")
def digits():
    (real, labels), (unseen, asked) = (load_digits(split).batch(range(n)) for split, n in (("train", 1000), ("test", 797)))
    return real, labels, unseen, asked


def test_the_classifier_knows_digits_from_at_most_64_features(digits):
    net, (_, _, unseen, asked) = digits_classifier(), digits
    assert (net(unseen).argmax(1) == asked).float().mean() >= 0.99
    features = net.features(unseen)
    assert features.shape[1] <= 64 and torch.equal(net.head(features), net(unseen))
    assert not net.training and not features.requires_grad


def test_the_classifier_sees_the_training_split_alone(tmp_path, monkeypatch):
    import ddpm_course.metrics as metrics
    asked = []
    monkeypatch.setattr(metrics, "load_digits", lambda split="train": asked.append(split) or load_digits(split))
    monkeypatch.setattr(metrics, "CLASSIFIER_FIT", CLASSIFIER_FIT | {"steps": 3})
    runs = [train_classifier(tmp_path / name) for name in "ab"]
    assert asked == ["train", "train"] and runs[0].config["examples"] == 1000
    a, b = (load_model(tmp_path / name / "model").model.state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a) # the recipe is repeatable


def test_jitter_keeps_the_contract_and_moves_little(digits):
    real = digits[0][:200]
    assert torch.allclose(jitter(real, BatchRandom(0, 0, 200), 0, 0, 0), real, atol=1e-5)
    moved = jitter(real, BatchRandom(0, 0, 200))
    assert torch.equal(moved, jitter(real, BatchRandom(0, 0, 200))) and not torch.equal(moved, jitter(real, BatchRandom(0, 1, 200)))
    assert -1 - 1e-5 <= moved.min() and moved.max() <= 1 + 1e-5 and 0.005 < (moved - real).square().mean() < 0.2
    dot = -torch.ones(400, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    weight = jitter(dot, BatchRandom(0, 0, 400), turn=0, zoom=0, shift=0.5)[:, 0] + 1 # half a pixel at most, along each axis
    across = (weight.sum(1) * torch.arange(-4, 5)).sum(1) / weight.sum((1, 2))
    assert 0.45 < across.abs().max() <= 0.5 + 1e-4 and abs(across.mean()) < 0.05


def test_the_loss_is_one_value_an_image(digits):
    loss = classifier_loss(DigitsClassifier(), digits[0][:6], digits[1][:6], BatchRandom(0, 0, 6))
    assert loss.shape == (6,) and loss.requires_grad
    net, (real, labels, *_) = digits_classifier(), digits
    plain = torch.nn.functional.cross_entropy(net(real), labels, reduction="none")
    assert (classifier_loss(net, real, labels, BatchRandom(0, 0, 1000)) - plain).abs().max() > 1e-3 # jittered


# ---- the held-out digits and the floor ----

@pytest.mark.parametrize("n", [2, 10, 100, 333, 797])
def test_held_out_digits_are_fixed_stratified_and_nested(n, digits):
    images, labels = held_out_digits(n)
    assert images.shape == (n, 1, 8, 8) and torch.equal(images, held_out_digits()[0][:n]) and torch.equal(labels, held_out_digits()[1][:n])
    expected = n * digits[3].bincount() / 797
    assert (labels.bincount(minlength=10) - expected).abs().max() <= 1
    assert torch.cdist(images.flatten(1), digits[0].flatten(1)).min() > 0.1 # none is a training digit


def test_a_stratified_order_is_a_shuffle(digits):
    order = stratified_order(digits[3])
    assert order.sort().values.equal(torch.arange(797)) and not order.equal(torch.arange(797))
    assert not order.equal(stratified_order(digits[3], seed=1)) and order.equal(stratified_order(digits[3]))
    assert digits[3][order][:100].bincount().tolist() == [10] * 10


def test_the_floor_falls_with_n_and_with_matched_classes():
    chance = [digits_floor(n, 8).mean().item() for n in (100, 300, 797)]
    matched = [digits_floor(n, 8, held_out_digits(n)[1]).mean().item() for n in (100, 300, 797)]
    assert chance == sorted(chance, reverse=True) and matched == sorted(matched, reverse=True)
    assert all(m < c for m, c in zip(matched, chance))
    assert torch.equal(digits_floor(200), digits_floor(200)) and len(digits_floor(200).unique()) == 5 # fixed, and of different subsets


def test_the_floor_is_that_of_training_digits_against_held_out_ones():
    train, labels, reference = real_features()
    assert len(train) == len(labels) == 1000 and len(reference) == 797
    assert digits_floor(797, 1).item() == pytest.approx(feature_distance(train[torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:797]], reference))
    some = train[torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:150]]
    assert digits_floor(150, 1).item() == pytest.approx(feature_distance(some, reference[:150]))
    assert digits_floor(200, 1, torch.full((200,), 3)).isnan().all() # there are no 200 training threes


# ---- the score ----

@pytest.fixture(scope="module")
def like_held_out(digits):
    "300 training digits with the held-out digits' classes."
    order = stratified_order(digits[1], seed=7)[:300]
    return digits[0][order], digits[1][order]


def test_real_digits_score_about_the_floor(like_held_out):
    score = score_digits(*like_held_out)
    assert score.n == 300 and score.accuracy > 0.99
    assert 0.6 * score.matched_floor < score.distance < 1.4 * score.matched_floor and score.distance < score.floor


def test_copies_are_seen(like_held_out, digits):
    assert score_digits(*like_held_out).nearest == 0
    half = torch.cat([like_held_out[0][:150], held_out_digits(300)[0][150:]])
    assert 0.4 < score_digits(half, held_out_digits(300)[1]).nearest < 0.6
    close = digits[0][:50] + 1e-4 * randn(50, 1, 8, 8).float()
    exact = (close - digits[0][:50]).double().flatten(1).norm(dim=1)
    assert torch.allclose(nearest_digits(close)[0].double(), exact, rtol=1e-3) # the fast way through x^2 - 2xy + y^2 would round it away
    index = nearest_digits(like_held_out[0])[1]
    assert torch.equal(digits[0][index], like_held_out[0])


def test_held_out_digits_are_perfect_and_not_copies():
    score = score_digits(*held_out_digits(300))
    assert score.distance < 1e-9 and score.nearest == 1 and score.accuracy > 0.98


def test_noise_is_far_from_everything():
    score = score_digits(randn(300, 1, 8, 8).float(), held_out_digits(300)[1])
    assert score.distance > 20 * score.floor and score.accuracy < 0.3 and score.nearest > 1.3


def test_wrong_labels_show_in_the_accuracy_alone():
    images, labels = held_out_digits(300)
    score = score_digits(images, (labels + 1) % 10)
    assert score.accuracy < 0.05 and score.distance < 1e-9


def test_one_digit_repeated_shows_in_the_distance_alone(digits):
    zeros = digits[2][digits[3] == 0][:70]
    score = score_digits(zeros, torch.zeros(70, dtype=torch.int64))
    assert score.accuracy > 0.95 and score.nearest < 1.3 and score.distance > 10 * score.floor


def test_fakes_are_rounded_to_the_gray_levels_of_digits(like_held_out):
    images, labels = like_held_out
    assert len(round_gray(torch.linspace(-1.5, 1.5, 1000).view(-1, 1, 1, 1)).unique()) == 17
    assert torch.equal(round_gray(images), images) # the reals hold those levels
    between = images * 0.98 + 0.01 * randn(*images.shape).clamp(-3, 3).float() # at most .05 away, and a level is .125 wide
    assert score_digits(between, labels) == score_digits(images, labels)


def test_the_score_ignores_order_and_leaves_its_arguments_alone(like_held_out):
    images, labels = (part.clone() for part in like_held_out)
    shuffle = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    a, b = score_digits(images, labels), score_digits(images[shuffle], labels[shuffle])
    assert a._asdict() == pytest.approx(b._asdict(), rel=1e-5)
    assert torch.equal(images, like_held_out[0]) and "n 300" in repr(a)
