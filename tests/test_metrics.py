"Metrics against torchmetrics, torch-fidelity and SciPy; closed forms; streaming; faults."

import math, warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_prc import calculate_precision_recall_full
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from ddpm_course import features, metrics
from ddpm_course.classifiers import ResNet
from ddpm_course.experiments.real_photos import real_distances
from ddpm_course.features import Features, feature_distance, frechet_distance, nearest, psd_sqrt
from ddpm_course.metrics import (
    fid,
    frechet,
    in_manifold,
    inception_score,
    kid,
    memorization,
    precision_recall,
    split_scores,
    squared_mmd,
)
from ddpm_course.scores import INCEPTION, compare
from ddpm_course.shares import share_interval
from ddpm_course.stats import FeatureStats
from fakes import randn


def gaussian(n, D, seed):
    "Mean and covariance of n correlated features, scales over a factor of 100; rank below n."
    x = randn(n, D, seed=seed) @ randn(D, D, seed=seed + 1) * torch.logspace(
        0, -2, D, dtype=torch.float64
    ) + randn(D, seed=seed + 2)
    return x.mean(0), x.T.cov().view(D, D)


def scipy_distance(mu1, cov1, mu2, cov2):
    root = scipy.linalg.sqrtm((cov1 @ cov2).numpy())
    return float((mu1 - mu2).square().sum() + cov1.trace() + cov2.trace()) - 2 * root.trace().real


def fidelity_distance(mu1, cov1, mu2, cov2):
    stats = ({"mu": mu.numpy(), "sigma": cov.numpy()} for mu, cov in ((mu1, cov1), (mu2, cov2)))
    return fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]


def metrics_distance(*gaussians):
    return _compute_fid(*gaussians).item()


# ---- the distance against others ----


@pytest.mark.parametrize("peer", [scipy_distance, fidelity_distance, metrics_distance])
@pytest.mark.parametrize("D", [1, 2, 16, 64])
@pytest.mark.parametrize("seed", [0, 10])
def test_it_agrees_with_peers_on_full_rank(peer, D, seed):
    pair = (*gaussian(5 * D + 5, D, seed), *gaussian(3 * D + 5, D, seed + 100))
    assert frechet_distance(*pair) == pytest.approx(peer(*pair), rel=1e-8)


@pytest.mark.parametrize(
    "peer", [fidelity_distance, metrics_distance]
)  # SciPy's sqrtm gives no root of a singular product
@pytest.mark.parametrize("n1, n2", [(10, 200), (200, 10), (10, 20), (2, 2)])
def test_it_agrees_with_peers_on_flat_covariances(peer, n1, n2):
    pair = (*gaussian(n1, 64, 0), *gaussian(n2, 64, 100))
    assert frechet_distance(*pair) == pytest.approx(
        peer(*pair), rel=1e-4
    )  # rounding costs the peers their last digits here


def exact_distance(x, y):
    "tr (cov1 cov2)^1/2 is the nuclear norm of X Y^T / (n - 1) for n centered features each."
    X, Y = x - x.mean(0), y - y.mean(0)
    spread = X.square().sum() + Y.square().sum() - 2 * torch.linalg.svdvals(X @ Y.T).sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + spread / (len(x) - 1)).item()


@pytest.mark.parametrize("n", [2, 10, 40])
def test_flat_covariances_are_exact(n):
    x, y = randn(n, 64, seed=1), 2 * randn(n, 64, seed=2) + 1
    with pytest.warns(UserWarning, match="too few"):
        assert feature_distance(x, y) == pytest.approx(exact_distance(x, y), rel=1e-12)


def test_the_shortcut_that_is_wrong_is_seen_to_be_wrong():
    mu1, cov1, mu2, cov2 = (*gaussian(50, 8, 0), *gaussian(50, 8, 100))
    wrong = (
        (mu1 - mu2).square().sum()
        + cov1.trace()
        + cov2.trace()
        - 2 * torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum()
    )
    assert abs(wrong.item() / frechet_distance(mu1, cov1, mu2, cov2) - 1) > 0.01


def test_2048_features():
    x, y = randn(300, 2048, seed=1), randn(300, 2048, seed=2) + 0.1
    with pytest.warns(UserWarning, match="too few"):
        assert feature_distance(x, y) == pytest.approx(exact_distance(x, y), rel=1e-10)


# ---- closed forms ----


@pytest.mark.parametrize(
    "mu1, s1, mu2, s2", [(0, 1, 0, 1), (0, 0.6, 3, 1.2), (-1, 0, 2, 5), (1e3, 1e-3, 1e3, 2e-3)]
)
def test_on_a_line(mu1, s1, mu2, s2):
    assert frechet_distance([mu1], [[s1**2]], [mu2], [[s2**2]]) == pytest.approx(
        (mu1 - mu2) ** 2 + (s1 - s2) ** 2, abs=1e-12
    )


def test_covariances_that_commute():
    basis = torch.linalg.qr(randn(12, 12)).Q
    v1, v2 = randn(12, seed=1).exp(), randn(12, seed=2).exp()
    v1[:3], v2[2:5] = 0, 0  # flat in different directions
    along = lambda v: basis @ v.diag() @ basis.T
    assert frechet_distance(
        torch.zeros(12), along(v1), torch.zeros(12), along(v2)
    ) == pytest.approx((v1.sqrt() - v2.sqrt()).square().sum().item(), rel=1e-10)


@pytest.mark.parametrize("n", [5, 200])
def test_symmetric_zero_for_the_same_and_unmoved_by_turns(n):
    (mu1, cov1), (mu2, cov2) = gaussian(n, 32, 0), gaussian(n, 32, 100)
    value = frechet_distance(mu1, cov1, mu2, cov2)
    assert frechet_distance(mu2, cov2, mu1, cov1) == pytest.approx(value, rel=1e-10)
    assert 0 <= frechet_distance(mu1, cov1, mu1, cov1) < 1e-11 * cov1.trace()
    turn = torch.linalg.qr(randn(32, 32, seed=5)).Q
    turned = lambda mu, cov: (turn @ mu, turn @ cov @ turn.T)
    assert frechet_distance(*turned(mu1, cov1), *turned(mu2, cov2)) == pytest.approx(
        value, rel=1e-8
    )


def test_it_is_the_cost_of_the_best_pairing():
    mu1, cov1, mu2, cov2 = (*gaussian(50, 3, 0), *gaussian(50, 3, 100))
    A, B, value = psd_sqrt(cov1), psd_sqrt(cov2), frechet_distance(mu1, cov1, mu2, cov2)
    cost = lambda turn: (
        (mu1 - mu2).square().sum() + (A - turn.T @ B).square().sum()
    ).item()  # x = mu1 + A z, y = mu2 + B turn z
    U, _, Vh = torch.linalg.svd(B @ A)
    assert cost(U @ Vh) == pytest.approx(value, rel=1e-10)
    assert all(cost(torch.linalg.qr(randn(3, 3, seed=s)).Q) >= value for s in range(100))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, list, "numpy"])
def test_it_takes_any_numbers_and_computes_in_float64(kind):
    pair = (*gaussian(50, 4, 0), *gaussian(50, 4, 100))
    cast = (
        (lambda a: a.tolist())
        if kind is list
        else (lambda a: a.numpy())
        if kind == "numpy"
        else lambda a: a.to(kind).requires_grad_()
    )
    value = frechet_distance(*map(cast, pair))
    assert type(value) is float and value == pytest.approx(
        frechet_distance(*pair), rel=1e-6 if kind == torch.float32 else 1e-12
    )


# ---- faults ----

EYE = torch.eye(3)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (
            (torch.zeros(3), EYE, torch.zeros(2), torch.eye(2)),
            r"'mu2': \(2,\).*expected \(D,\) and \(D, D\)",
        ),
        ((torch.zeros(3), EYE, torch.zeros(3), torch.ones(3)), r"expected \(D,\) and \(D, D\)"),
        ((torch.zeros(1, 3), EYE, torch.zeros(3), EYE), r"expected \(D,\) and \(D, D\)"),
        ((torch.tensor([0, math.nan, 0]), EYE, torch.zeros(3), EYE), "NaN"),
        ((torch.zeros(3), EYE, torch.zeros(3), EYE * math.inf), "infinit"),
        ((torch.zeros(3), EYE.roll(1, 0), torch.zeros(3), EYE), "not symmetric"),
        ((torch.zeros(3), EYE, torch.zeros(3), -EYE), "eigenvalue -1; expected none below 0"),
    ],
)
def test_what_is_no_gaussian_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        frechet_distance(*arguments)


@pytest.mark.parametrize(
    "a, b, says",
    [
        (randn(1, 3), randn(9, 3), "got 1 and 9 features; a covariance needs at least 2"),
        (randn(9, 3), randn(0, 3), "got 9 and 0 features"),
        (randn(9, 3), randn(9, 4), "got 3 and 4 features; expected as many in both"),
        (
            Features("a", randn(9, 3), randn(9, 2)),
            FeatureStats("b").update(randn(9, 3)),
            "features of 'a' and of 'b'; extract both with one network",
        ),
        (randn(9, 3, 1), randn(9, 3), r"got shape \(9, 3, 1\); expected \(B, D\)"),
        (randn(9, 3).log(), randn(9, 3), "rows hold NaN or infinity; look for NaN in the images"),
    ],
)
def test_what_are_no_features_is_refused(a, b, says):
    with pytest.raises(ValueError, match=says):
        feature_distance(a, b)


def test_one_feature_is_enough():
    assert feature_distance(randn(9, 1), randn(9, 1) + 2) == pytest.approx(4)


def test_too_few_features_warn_and_give_a_number():
    with pytest.warns(UserWarning, match="8 images are too few for 8 features") as caught:
        assert feature_distance(randn(8, 8), randn(99, 8, seed=1)) > 0
    assert caught[0].filename == __file__  # it points at who called
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feature_distance(randn(9, 8), randn(99, 8, seed=1))


# ---- streaming ----


@pytest.mark.parametrize("sizes", [[500], [1] * 500, [499, 1], [100, 0, 400], [7] * 71 + [3]])
def test_stats_do_not_depend_on_the_batches(sizes):
    features = 1e4 + randn(500, 6) * torch.logspace(0, 3, 6, dtype=torch.float64)
    stats = FeatureStats()
    for part in features[
        torch.randperm(500, generator=torch.Generator().manual_seed(len(sizes)))
    ].split(sizes):
        stats.update(part)
    assert (
        stats.n == 500
        and torch.allclose(stats.mean, features.mean(0), rtol=1e-13)
        and torch.allclose(stats.cov, features.T.cov(), rtol=1e-9)
    )


def test_merged_stats_are_those_of_all_and_in_any_order():
    features = randn(90, 5, seed=3)
    whole, parts = (
        FeatureStats("net").update(features),
        [FeatureStats("net").update(part) for part in features.split([10, 60, 20])],
    )
    for order in ([0, 1, 2], [2, 0, 1]):
        merged = FeatureStats("net")
        for i in order:
            merged.merge(parts[i])
        assert (
            merged.n == 90
            and torch.allclose(merged.mean, whole.mean, atol=1e-14)
            and torch.allclose(merged.cov, whole.cov, rtol=1e-12)
        )
    assert whole.merge(FeatureStats("net")).n == 90  # nothing added


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: FeatureStats("a").merge(FeatureStats("b")), "'a' and of 'b' do not mix"),
        (lambda: FeatureStats().update(randn(4, 3)).update(randn(4, 2)), "got 3 and 2 features"),
        (lambda: FeatureStats().update(torch.tensor([[0.0], [math.nan]])), "1 of 2 rows hold NaN"),
        (lambda: FeatureStats().update(randn(4)), r"\(4,\); expected \(B, D\)"),
        (
            lambda: FeatureStats().update(randn(1, 4)).cov,
            "got 1 features; a covariance needs at least 2",
        ),
    ],
)
def test_what_stats_refuse(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ---- the other metrics against others ----


@pytest.mark.parametrize("n, D", [(5, 3), (60, 8), (200, 64)])
def test_kid_agrees_with_torchmetrics(n, D):
    a, b = randn(n, D, seed=1), 1.5 * randn(n, D, seed=2) + 0.2
    assert squared_mmd(a, b) == pytest.approx(poly_mmd(b, a).item(), rel=1e-10)


def test_kid_is_unbiased_where_the_diagonal_would_show():
    pairs = [(randn(12, 6, seed=2 * s), randn(12, 6, seed=2 * s + 1)) for s in range(400)]
    values = torch.tensor([squared_mmd(a, b) for a, b in pairs])
    assert values.mean().abs() < 4 * values.std() / 20
    k = lambda a, b: (a @ b.T / 6 + 1) ** 3
    with_diagonal = torch.stack(
        [k(a, a).mean() + k(b, b).mean() - 2 * k(a, b).mean() for a, b in pairs]
    )
    assert with_diagonal.mean() > 20 * with_diagonal.std() / 20  # the bug would be seen


def seen(n, D=8, K=10, seed=0, shift=0.0, name="toy"):
    return Features(
        name,
        (randn(n, D, seed=seed) + shift).float(),
        (2 * randn(n, K, seed=seed + 50)).softmax(1).float(),
    )


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_the_inception_score_agrees_with_torch_fidelity(splits):
    logits = 2 * randn(103, 10, seed=4)
    assert split_scores(logits.softmax(1), splits).mean().item() == pytest.approx(
        isc_features_to_metric(logits, splits, shuffle=False)["inception_score_mean"], rel=1e-10
    )


def test_the_inception_score_is_shuffled():
    certain = Features(
        INCEPTION, torch.zeros(100, 1), torch.eye(10).repeat_interleave(10, 0)
    )  # sorted by class
    assert (
        split_scores(certain.probabilities).mean() == pytest.approx(1)
        and inception_score(certain).value > 4
    )
    assert (
        inception_score(certain, splits=1).value == pytest.approx(10)
        and inception_score(certain, splits=1).notes["bias"] < 0  # fewer images show less variety
    )
    assert (
        inception_score(certain).name == "Inception Score"
        and inception_score(seen(50)).name == "classifier score"
    )
    assert (
        inception_score(certain, shuffle_seed=0)
        == inception_score(certain)
        != inception_score(certain, shuffle_seed=1)
    )
    assert inception_score(certain, seed=7).seed == 7  # the sampler's, for the card
    with pytest.raises(ValueError, match="splits=11 of 10 images; expected 1..10"):
        split_scores(torch.ones(10, 2) / 2, 11)


@pytest.mark.parametrize("wrong", [randn(9, 4), torch.ones(9, 4), torch.tensor([[1.5, -0.5]] * 9)])
def test_the_inception_score_takes_no_logits_for_probabilities(wrong):
    with pytest.raises(ValueError, match="9 of 9 rows are no probabilities.*softmax of logits"):
        split_scores(wrong, 3)
    half = torch.ones(9, 3).softmax(1).bfloat16()
    assert split_scores(half, 3).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("n, m, k", [(80, 120, 3), (120, 80, 3), (50, 50, 1)])
def test_precision_and_recall_agree_with_torch_fidelity(n, m, k):
    fake, real = seen(n, 4, seed=1), seen(m, 4, seed=2, shift=0.8)
    precision, recall = calculate_precision_recall_full(
        fake.values.double(), real.values.double(), k
    )
    ours = precision_recall(fake, real, k=k)
    assert (
        (ours[0].value, ours[1].value) == pytest.approx((precision, recall), abs=1e-6)
        and 0 < precision < 1
        and 0 < recall < 1
    )
    assert (
        ours[0].interval[0] <= precision <= ours[0].interval[1]
        and ours[0].name.startswith("precision")
        and ours[1].name.startswith("recall")
    )


def test_balls_in_chunks_and_with_too_few_images():
    x, of = randn(31, 3, seed=1), randn(47, 3, seed=2)
    assert (
        torch.equal(in_manifold(x, of), in_manifold(x, of, chunk=5)) and in_manifold(of, of).all()
    )
    with pytest.raises(
        ValueError, match="got 3 features; the 3-th nearest neighbor needs at least 4"
    ):
        in_manifold(x, of[:3])


def test_nearest_finds_copies_exactly_and_in_chunks():
    train = randn(50, 2, 3, seed=1).float() + 100  # far from 0, where the fast formula rounds
    found, index = nearest(train[[4, 9]], train, chunk=1)
    assert found.tolist() == [0, 0] and index.tolist() == [4, 9]
    x = randn(20, 2, 3, seed=2).float() + 100
    gaps = (x.flatten(1)[:, None] - train.flatten(1)[None]).norm(dim=2)
    assert torch.allclose(nearest(x, train, chunk=7)[0], gaps.min(1).values) and torch.equal(
        nearest(x, train)[1], gaps.argmin(1)
    )
    assert nearest(train[[4]].double(), train)[0] == nearest(train[[4]], train.double())[0] == 0


def test_memorization_says_what_share_was_copied():
    train, unseen = randn(300, 10, seed=1), randn(100, 10, seed=2)
    half = torch.cat([train[:50], unseen[:50]])
    score = memorization(half, unseen, train)
    assert 0.4 < score.value < 0.6 and score.interval[0] < score.value < score.interval[1]
    assert (
        memorization(unseen, unseen, train).value == 1
        and memorization(train[:9], unseen, train).value == 0
    )
    with pytest.raises(ValueError, match="must not overlap"):
        memorization(unseen, train, train)


# ---- cards ----


def test_a_frechet_card_says_what_was_measured():
    fake, real = seen(200, seed=1, shift=0.5), seen(300, seed=2)
    card = frechet(fake, real, "toy reals", sampler="DDIM", steps=50)
    assert (
        card.value == pytest.approx(feature_distance(fake.values, real.values), rel=1e-9)
        and card.interval[0] < card.value < card.interval[1]
    )
    assert (card.name, card.n_fake, card.n_real, card.reference, card.features, card.steps) == (
        "Fréchet distance",
        200,
        300,
        "toy reals",
        "toy",
        50,
    )
    stats = FeatureStats("toy").update(real.values)
    assert (
        frechet(fake, stats, "toy reals", sampler="DDIM", steps=50) == card
    )  # stored statistics do as well
    assert frechet(real, real).interval[0] >= 0  # a distance is never below 0


def test_intervals_keep_the_classes_that_were_asked_for():
    labels = torch.arange(200) % 2
    values = (
        randn(200, 4, seed=1).float() + 10 * labels[:, None].float()
    )  # two far clusters: their balance moves the distance
    fake, real = Features("toy", values, values), Features("toy", values.flip(0) + 0.1, values)
    width = lambda **kw: (lambda i: i[1] - i[0])(frechet(fake, real, **kw).interval)
    assert width(strata=labels) < 0.5 * width()


def test_fid_is_fid_only_with_inception_and_ten_thousand_images():
    few, many = (
        seen(30, seed=1, name=INCEPTION),
        FeatureStats(INCEPTION).update(randn(10_000, 8, seed=2)),
    )
    with pytest.warns(UserWarning, match="30 images are too few to speak of FID"):
        assert fid(few, many).name == "FID@30"
    enough = Features(INCEPTION, randn(10_000, 8, seed=3).float(), torch.ones(10_000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fid(enough, many, "toy train").name == "FID"
    with pytest.raises(
        ValueError,
        match="FID looks through 'inception-2015'; these are features of 'toy': use frechet",
    ):
        fid(seen(30), seen(30))


@pytest.mark.parametrize("metric", [frechet, kid, precision_recall])
def test_features_of_two_networks_are_not_compared(metric):
    with pytest.raises(
        ValueError, match="features of 'toy' for the fakes and of 'other' for the reals"
    ):
        metric(seen(30), seen(30, name="other"))


def test_kid_as_a_card():
    a, b = seen(300, seed=1), seen(400, seed=2, shift=0.5)
    card = kid(a, b, "toy reals")
    assert card.name == "kernel distance" and card == kid(a, b, "toy reals")
    assert kid(seen(30, name=INCEPTION), seen(30, seed=2, name=INCEPTION)).name == "KID"
    assert card.value == pytest.approx(squared_mmd(a.values, b.values))
    assert card.interval[0] < card.value < card.interval[1] and "bias" not in card.notes
    few = kid(a, b, most=100)
    assert few.n_fake == few.n_real == 100 and few.value != card.value
    assert kid(a, b, most=350).n_fake == 300 and kid(a, b, most=350).n_real == 350
    with pytest.raises(ValueError, match="most=1; expected a whole number of at least 2"):
        kid(a, b, most=1)
    with pytest.raises(ValueError, match="got strata of 300 images and most=100"):
        kid(a, b, most=100, strata=torch.arange(300) % 3)
    assert kid(a, b, seed=7).seed == 7
    with pytest.raises(ValueError, match="got 1 and 5 features"):
        squared_mmd(randn(1, 3), randn(5, 3))


def test_squared_mmd_does_not_depend_on_the_chunks():
    a, b = randn(1500, 4, seed=1), randn(1200, 4, seed=2)
    kxx, kyy = (metrics.polynomial_kernel(x, x).fill_diagonal_(0) for x in (a, b))
    expected = kxx.sum() / (1500 * 1499) + kyy.sum() / (1200 * 1199)
    expected -= 2 * metrics.polynomial_kernel(a, b).mean()
    assert squared_mmd(a, b) == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_interval_of_kid_is_as_wide_as_new_fakes_scatter(shift):
    "Against the same reals; alike and apart."
    real = seen(300, seed=999)
    cards = [kid(seen(80, seed=i, shift=shift), real) for i in range(80)]
    half = torch.tensor([c.interval[1] - c.value for c in cards]).mean() / 1.97
    assert 0.8 < half / torch.tensor([c.value for c in cards]).std() < 1.3


def test_the_inception_score_of_parts_has_the_spread_of_new_images():
    def drawn(seed):
        labels = torch.randint(4, (200,), generator=torch.Generator().manual_seed(seed))
        logits = randn(200, 4, seed=seed + 1000) + 3 * torch.eye(4)[labels]
        p = logits.softmax(1).float()
        return Features("toy", p, p)

    cards = [inception_score(drawn(i), splits=5) for i in range(120)]
    half = torch.tensor([c.interval[1] - c.value for c in cards]).mean() / 1.97
    assert 0.85 < half / torch.tensor([c.value for c in cards]).std() < 1.2
    whole = [inception_score(drawn(i), splits=1) for i in range(120)]
    few, many = (sum(c.notes["bias"] for c in found) / 120 for found in (cards, whole))
    gap = sum(c.value - w.value for c, w in zip(cards, whole)) / 120
    assert gap < 0 and few - many == pytest.approx(gap, rel=0.15)  # parts of 40, and all 200


def test_recall_has_no_interval_and_precision_that_of_a_share():
    precision, recall = precision_recall(seen(90, seed=1), seen(60, seed=2))
    assert recall.interval is None and recall.claim == ""
    inside = metrics.in_manifold(seen(90, seed=1).values, seen(60, seed=2).values).double()
    assert precision.interval == pytest.approx(share_interval(inside))


def test_what_moves_a_score_is_in_its_name():
    a, b = seen(60), seen(60, seed=1)
    assert [s.name for s in precision_recall(a, b)] == ["precision", "recall"] and [
        s.name for s in precision_recall(a, b, k=5)
    ] == ["precision, k=5", "recall, k=5"]
    with pytest.raises(ValueError, match="name: .*k=5"):
        compare(precision_recall(a, b)[0], precision_recall(a, b, k=5)[0])
    assert (
        inception_score(a).name == "classifier score"
        and inception_score(a, splits=2).name == "classifier score, parts: 2"
    )


def test_public_names():
    assert {"fid", "inception_score", "kid", "precision_recall", "memorization"} <= set(
        metrics.__all__
    )
    assert {"frechet_distance", "feature_distance", "extract", "nearest"} <= set(features.__all__)


# statistics in files of other programs


def test_statistics_go_to_a_file_and_back(tmp_path):
    stats = FeatureStats("net").update(randn(50, 4))
    stats.to_npz(tmp_path / "a.npz")
    again = FeatureStats.from_npz(tmp_path / "a.npz")
    assert (again.name, again.n) == ("net", 50)
    assert torch.equal(again.mean, stats.mean) and torch.allclose(again.cov, stats.cov, rtol=1e-12)
    with np.load(tmp_path / "a.npz") as found:
        assert np.array_equal(found["mu"], stats.mean) and np.array_equal(found["sigma"], stats.cov)


def test_a_published_reference_needs_to_be_told_what_it_does_not_say(tmp_path):
    "guided-diffusion's files hold mu and sigma, and neither n nor the network."
    stats = FeatureStats("net").update(randn(50, 4))
    file = tmp_path / "a.npz"
    np.savez(file, mu=stats.mean, sigma=stats.cov, arr_0=np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="through which network.*pass name="):
        FeatureStats.from_npz(file, n=50)
    with pytest.raises(ValueError, match="from how many images.*pass n="):
        FeatureStats.from_npz(file, "net")
    read = FeatureStats.from_npz(file, "net", 50)
    other = FeatureStats("net").update(randn(60, 4, seed=1))
    assert feature_distance(read, other) == pytest.approx(feature_distance(stats, other), rel=1e-9)
    stats.to_npz(file)
    with pytest.raises(ValueError, match="says n=50; got n=60"):
        FeatureStats.from_npz(file, n=60)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"mu": np.zeros(3)}, "has no sigma"),
        ({"arr_0": np.zeros(3)}, "has no mu and sigma"),
        ({"mu": np.zeros(3), "sigma": np.zeros((2, 2))}, "expected .D,. and .D, D."),
        ({"mu": np.zeros((1, 2)), "sigma": np.eye(2)}, "expected .D,. and .D, D."),
        ({"mu": np.full(2, np.nan), "sigma": np.eye(2)}, "mu: 2 of 2 values are NaN"),
        ({"mu": np.zeros(2), "sigma": -np.eye(2)}, "sigma is no covariance"),
        ({"mu": np.zeros(2), "sigma": np.array([[1, 2], [0, 1.0]])}, "sigma is no covariance"),
        ({"mu": np.array(["a", "b"]), "sigma": np.eye(2)}, "mu=.*expected numbers"),
        ({"mu": np.array([None, {}]), "sigma": np.eye(2)}, "cannot be read as npz .*allow_pickle"),
    ],
)
def test_files_that_hold_no_statistics(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises((TypeError, ValueError), match=message):
        FeatureStats.from_npz(tmp_path / "a.npz", "net", 100)
    (tmp_path / "b.npz").write_text("no zip")
    with pytest.raises(ValueError, match="b.npz cannot be read as npz"):
        FeatureStats.from_npz(tmp_path / "b.npz")


def test_real_photographs_are_compared_over_their_number(tmp_path):
    "Without the bias nothing is left between two sets of one kind, and much of another kind."
    rng = np.random.default_rng(0)
    for part, n, white in (("train", 900, 256), ("test", 300, 200)):
        for kind in ("a", "b"):
            (tmp_path / part / kind).mkdir(parents=True)
            for i in range(n // 2):
                pixels = rng.integers(0, white, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / kind / f"{i}.png")
    torch.manual_seed(0)
    judge = ResNet("r", in_channels=3, classes=2, width=4)
    rows = real_distances(judge, tmp_path, (100, 300))
    assert [row["n"] for row in rows] == [100, 300]
    for row in rows:
        value, low, high = row["training"]
        assert low < value < high and 0.5 * row["bias"] < value < 3 * row["bias"]
        assert row["test less bias"] > 3 * row["bias"]
        assert row["test"][0] == pytest.approx(row["bias"] + row["test less bias"])
    assert rows[1]["bias"] < 0.6 * rows[0]["bias"]
