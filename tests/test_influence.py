"Influence values against exact derivatives, closed forms, and simulation."

import math

import pytest
import torch

from ddpm_course.comparisons import Measured, difference, interval_of, may_pair
from ddpm_course.features import frechet_distance
from ddpm_course.influence import (
    CHOSEN,
    Influence,
    centered,
    estimate_score,
    joined,
    mean_variance,
)
from ddpm_course.metrics import polynomial_kernel, split_scores, squared_mmd
from ddpm_course.scores import Score
from ddpm_course.slopes import (
    frechet_kernel,
    frechet_influence,
    frechet_influences,
    kernel_influence,
    kernel_influences,
    mean_influence,
    score_influence,
    share_influence,
)
from ddpm_course.stats import FeatureStats
from fakes import randn


def stats(x):
    return FeatureStats().update(x)


# ---- the scores of images with weights: what the slopes are derivatives of ----


def weighted_frechet(x, real):
    def score(w):
        n, w = len(x), w / w.sum()
        deviations = x - w @ x
        cov = (deviations * w[:, None]).T @ deviations * n / (n - 1)
        return frechet_distance(w @ x, cov, real.mean, real.cov)

    return score


def weighted_kernel(x, y):
    kxx, kxy = polynomial_kernel(x, x).fill_diagonal_(0), polynomial_kernel(x, y).mean(1)
    kyy = polynomial_kernel(y, y).fill_diagonal_(0).sum() / (len(y) * (len(y) - 1))

    def score(w):
        pairs = w.sum() ** 2 - w.square().sum()
        return (w @ kxx @ w / pairs - 2 * w @ kxy / w.sum() + kyy).item()

    return score


def weighted_inception(p):
    def score(w):
        w = w / w.sum()
        kl = torch.xlogy(p, p).sum(1) - (p * (w @ p).log()).sum(1)
        return (w @ kl).exp().item()

    return score


def slopes_of(score, n, step=1e-4):
    "n times the derivative in each image's weight, by central differences."
    one = torch.ones(n, dtype=torch.float64)
    each = torch.eye(n, dtype=torch.float64) * step
    slopes = [n * (score(one + e) - score(one - e)) / (2 * step) for e in each]
    return torch.tensor(slopes, dtype=torch.float64)


def curvature_of(score, n, i, j, step=1e-3):
    "n^2 times the mixed second derivative in the weights of two images, by central differences."
    e = torch.eye(n, dtype=torch.float64) * step
    one = torch.ones(n, dtype=torch.float64)
    corners = [a * b * score(one + a * e[i] + b * e[j]) for a in (1, -1) for b in (1, -1)]
    return n**2 * sum(corners) / (4 * step**2)


X = randn(40, 5, seed=1) * torch.tensor([2.0, 1, 1, 0.5, 0.3]) + 0.5
Y = randn(60, 5, seed=2) + randn(5, seed=3)
P = (2 * randn(40, 6, seed=4)).softmax(1)
SCORES = {
    "frechet": (weighted_frechet(X, stats(Y)), lambda: frechet_influence(X, stats(Y))),
    "kernel": (weighted_kernel(X, Y), lambda: kernel_influence(X, Y, polynomial_kernel)),
    "inception": (weighted_inception(P), lambda: score_influence(P)),
}


@pytest.mark.parametrize("name", SCORES)
def test_the_first_order_is_the_derivative_in_an_images_weight(name):
    score, influence = SCORES[name]
    first = influence().first
    expected = slopes_of(score, 40)
    assert first.dtype == torch.float32 and abs(first.mean()) < 1e-5 * first.abs().max()
    assert torch.allclose(first.double(), expected, rtol=1e-4, atol=1e-5 * expected.abs().max())


def test_the_weighted_scores_are_the_courses_own():
    one = torch.ones(40, dtype=torch.float64)
    assert SCORES["frechet"][0](one) == pytest.approx(
        frechet_distance(X.mean(0), X.T.cov(), Y.mean(0), Y.T.cov())
    )
    assert SCORES["kernel"][0](one) == pytest.approx(squared_mmd(X, Y))
    assert SCORES["inception"][0](one) == pytest.approx(split_scores(P, 1).item())


@pytest.mark.parametrize("n, D, m", [(8, 20, 300), (20, 20, 300), (12, 30, 15)])
def test_fewer_images_than_features_will_do(n, D, m):
    "The fakes' covariance is singular, and the last case's reals' is, too."
    x, real = randn(n, D, seed=n) + 0.3, stats(randn(m, D, seed=n + 1) * 1.5)
    expected = slopes_of(weighted_frechet(x, real), n)
    assert torch.allclose(
        frechet_influence(x, real).first.double(),
        expected,
        rtol=1e-3,
        atol=1e-4 * expected.abs().max(),
    )


@pytest.mark.parametrize("name", SCORES)
def test_the_second_order_is_the_second_derivative(name):
    """Centered over both of its images, as second derivatives in shares of the whole are; the pairs
    are those of the two halves of the chosen images."""
    score, influence = SCORES[name]
    n = 40
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    one, other = order[: n // 2], order[n // 2 :]
    full = torch.tensor([[curvature_of(score, n, i, j) for j in range(n)] for i in range(n)])
    expected = centered(full[one][:, other].double())
    found = influence().second.view(n // 2, 8)
    shown = torch.stack([expected[i, (i + torch.arange(8)) % (n // 2)] for i in range(n // 2)])
    # the score of weights has a derivative in the total, too, which centering takes out but for 1/n
    assert (found - shown).norm() < 0.08 * shown.norm()
    assert torch.corrcoef(torch.stack([found.flatten().double(), shown.flatten()]))[0, 1] > 0.995


def crossed(kind, x, y):
    "The score of images with weights on both sides."
    if kind == "frechet":

        def score(w, v):
            side = lambda z, u: ((u / u.sum()) @ z, torch.cov(z.T, aweights=u, correction=0))
            (m1, c1), (m2, c2) = side(x, w), side(y, v)
            return frechet_distance(m1, c1, m2, c2)
    else:

        def score(w, v):
            return -2 * (w @ polynomial_kernel(x, y) @ v / w.sum() / v.sum()).item()

    return score


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_the_second_order_between_two_sets_is_the_mixed_derivative(kind):
    n, m, step = 16, 20, 1e-3
    x, y = X[:n, :3], Y[:m, :3]
    makes = {
        "frechet": lambda: frechet_influences(x, y),
        "kernel": lambda: kernel_influences(x, y, polynomial_kernel),
    }
    score, cross = crossed(kind, x, y), makes[kind]()[2]
    order = [torch.randperm(k, generator=torch.Generator().manual_seed(0)) for k in (n, m)]
    units = [torch.eye(k, dtype=torch.float64) * step for k in (n, m)]

    def mixed(i, j):
        at = lambda a, b: score(1 + a * units[0][i], 1 + b * units[1][j])
        return n * m * sum(a * b * at(a, b) for a in (1, -1) for b in (1, -1)) / (4 * step**2)

    full = torch.tensor([[mixed(i, j) for j in order[1]] for i in order[0]], dtype=torch.float64)
    full = centered(full)
    expected = torch.stack([full[i, (i + torch.arange(8)) % m] for i in range(n)]).flatten()
    assert (cross.double().abs() - expected.abs()).norm() < 0.1 * expected.norm()


def test_a_block_is_centered_without_bias():
    "Noise stays as large as it was, however few images there are of each label."
    rows, columns = torch.arange(600) // 3, torch.arange(400) // 4
    noise = randn(600, 400) + 5 * randn(200, 400, seed=1)[rows] + 5 * randn(600, 100)[:, columns]
    left = centered(noise, rows, columns)
    assert left.square().mean() == pytest.approx(1, abs=0.05)
    assert abs(left[:3].mean(0)).max() < 1e-12 and abs(left[:, :4].mean(1)).max() < 1e-12
    assert centered(noise[:, :1]).shape == (600, 1)


def test_the_kernel_of_the_frechet_distance_is_symmetric_and_centered():
    x = randn(4000, 3)
    scale = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    gram = frechet_kernel(x[:50], x, scale)
    assert torch.allclose(gram[:, :50], gram[:, :50].T)
    assert abs(gram.mean()) < 0.02 and abs(gram.mean(1)).max() < 0.15 * gram.std()
    ours = gram[3, 7].item()
    a, b = x[3], x[7]
    expected = 2 * (a[0] * b[0] + 0.5 * a[1] * b[1])
    for i, r in enumerate(scale):
        for j, s in enumerate(scale):
            if r + s > 0:
                same = float(i == j)
                expected += r * s / (r + s) * (a[i] * a[j] - same) * (b[i] * b[j] - same)
    assert ours == pytest.approx(expected.item())


def test_the_bias_of_the_frechet_distance_is_the_closed_form():
    "Between equal Gaussians of many reals: (1.25 tr S + sum_ij l_i l_j / (l_i + l_j) / 2) / n."
    scale, n = torch.logspace(0, -1, 6, dtype=torch.float64), 200
    real = stats(randn(20_000, 6, seed=9) * scale)
    found = [frechet_influence(randn(n, 6, seed=s) * scale, real) for s in range(60)]
    eigen = scale.square()
    formula = 1.25 * eigen.sum() + 0.5 * (eigen * eigen[:, None] / (eigen + eigen[:, None])).sum()
    biases = torch.tensor([f.bias for f in found])
    assert biases.mean() == pytest.approx(formula.item() / n, rel=0.05)
    values = torch.tensor(
        [
            frechet_distance(x.mean(0), x.T.cov(), real.mean, real.cov)
            for x in (randn(n, 6, seed=s) * scale for s in range(60))
        ]
    )
    assert values.mean() == pytest.approx(biases.mean().item(), rel=0.15)


def test_fixed_labels_have_less_bias():
    labels, means = torch.arange(200) % 10, 3 * randn(10, 6, seed=1)
    x = means[labels] + 0.3 * randn(200, 6, seed=2)
    real = stats(means[torch.arange(5000) % 10] + 0.3 * randn(5000, 6, seed=3))
    left_to_chance, held = frechet_influence(x, real), frechet_influence(x, real, labels)
    assert 0 < held.bias < 0.2 * left_to_chance.bias
    p = (6 * torch.eye(10)[labels] + randn(200, 10, seed=4)).softmax(1)
    assert score_influence(p).bias < -10 * abs(score_influence(p, labels).bias)  # log p is concave


# ---- variances ----


def simulated(make, repeats):
    "(variance of the score, mean of the squared standard error) over fresh images."
    found = [make(seed) for seed in range(repeats)]
    values = torch.tensor([value for value, _ in found], dtype=torch.float64)
    errors = torch.tensor([e.error for _, e in found], dtype=torch.float64)
    return values.var().item(), errors.square().mean().item()


@pytest.mark.parametrize("n, m", [(60, 60), (40, 120)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_variance_of_the_kernel_distance_is_that_of_fresh_draws(n, m, shift):
    def make(seed):
        x, y = randn(n, 4, seed=2 * seed) + shift, randn(m, 4, seed=2 * seed + 1)
        value = squared_mmd(x, y)
        *parts, cross = kernel_influences(x, y, polynomial_kernel)
        return value, estimate_score(value, *parts, cross=cross)

    true, found = simulated(make, 600)
    assert 0.8 < found / true < 1.5  # 2 at a shift of 0, if the second order were left in


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_against_given_reals_only_the_fakes_vary(shift):
    y = randn(60, 4, seed=1)

    def make(seed):
        x = randn(60, 4, seed=seed) + shift
        value = squared_mmd(x, y)
        return value, estimate_score(value, kernel_influence(x, y, polynomial_kernel))

    true, found = simulated(make, 600)
    assert 0.8 < found / true < 1.5


@pytest.mark.parametrize("strata", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_variance_of_the_frechet_distance_is_that_of_fresh_draws(strata, shift):
    scale, means = torch.logspace(0, -0.5, 8, dtype=torch.float64), randn(10, 8, seed=5)
    fixed = torch.arange(200) % 10
    rng = torch.Generator().manual_seed(3)
    real = stats(means[torch.arange(5000) % 10] + randn(5000, 8, seed=6) * scale)

    def make(seed):
        labels = fixed if strata else torch.randint(10, (200,), generator=rng)
        x = means[labels] + randn(200, 8, seed=seed) * scale + shift
        value = frechet_distance(x.mean(0), x.T.cov(), real.mean, real.cov)
        return value, estimate_score(value, frechet_influence(x, real, fixed if strata else None))

    true, found = simulated(make, 300)
    assert 0.75 < found / true < 1.4


def test_reals_that_are_drawn_anew_add_their_term():
    def make(seed):
        x, y = randn(150, 5, seed=2 * seed) + 0.3, randn(150, 5, seed=2 * seed + 1)
        value = frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
        *parts, cross = frechet_influences(x, y)
        assert torch.equal(parts[0].first, frechet_influence(x, stats(y)).first)
        assert torch.allclose(parts[1].first, frechet_influence(y, stats(x)).first, atol=1e-3)
        return value, estimate_score(value, *parts, cross=cross)

    true, found = simulated(make, 300)
    assert 0.75 < found / true < 1.35


def test_the_variance_of_a_mean_is_the_textbooks():
    u = randn(50)
    assert mean_variance(u) == (pytest.approx(u.var().item() / 50), 49)
    strata = torch.tensor([0] * 20 + [1] * 30)
    within = (20 * u[:20].var() + 30 * u[20:].var()).item() / 50**2
    assert mean_variance(u, strata) == (pytest.approx(within), 48)
    shifted = u + 100 * strata  # what the strata differ in is no luck
    assert mean_variance(shifted, strata)[0] == pytest.approx(within)
    with pytest.raises(ValueError, match="got 1 images; an interval needs at least 2"):
        mean_variance(u[:1])


def test_strata_of_one_image_are_joined():
    assert joined(torch.tensor([5, 7, 5, 9, 8])).tolist() == [0, 1, 0, 1, 1]
    assert joined(torch.tensor([5, 7, 5, 6, 6, 6])).unique().tolist() == [0, 1]
    assert joined(torch.tensor([3, 3, 1, 1])).tolist() == [1, 1, 0, 0]


def test_the_second_order_is_taken_off_once_and_stays():
    first = randn(100).float()
    whole = mean_variance(first)[0]

    def variance(second):
        part = Influence(first - first.mean(), torch.full((8,), second * 100))
        return estimate_score(1.0, part).error ** 2

    assert variance(0.0) == pytest.approx(whole)
    small = (0.2 * whole * 2) ** 0.5  # whose second order is a fifth of the whole
    assert variance(small) == pytest.approx(0.8 * whole, rel=1e-4)
    assert variance((0.7 * whole * 2) ** 0.5) == pytest.approx(0.7 * whole, rel=1e-4)  # at least it
    assert variance(100.0) == pytest.approx(whole)  # no more than the slopes' own scatter


def test_what_two_sets_share_is_taken_off_once():
    sets = randn(50).float(), randn(80).float()
    parts = [Influence(x - x.mean(), torch.empty(0)) for x in sets]
    total = sum(mean_variance(part.first)[0] for part in parts)
    cross = torch.full((4,), (0.1 * total * 50 * 80) ** 0.5)
    assert estimate_score(0.0, *parts, cross=cross).error ** 2 == pytest.approx(0.9 * total)


def test_large_sets_are_judged_by_some_images():
    x, real = randn(CHOSEN * 4, 3), stats(randn(500, 3, seed=1))
    found = frechet_influence(x, real)
    assert len(found.first) == CHOSEN * 4 and len(found.second) == CHOSEN // 2 * 8


# ---- two scores ----


def test_pairs_and_independent_sets_come_from_one_function():
    common, real = randn(300, 4, seed=1), stats(randn(1000, 4, seed=2))
    sets = common, common + 0.05 * randn(300, 4, seed=3) + 0.02
    value = [frechet_distance(x.mean(0), x.T.cov(), real.mean, real.cov) for x in sets]
    a, b = (Measured(v, frechet_influence(x, real)) for v, x in zip(value, sets))
    paired, apart = difference(a, b, True), difference(a, b, False)
    assert paired.value == apart.value == value[0] - value[1]
    assert paired.error < 0.3 * apart.error
    alone = [estimate_score(*m).error for m in (a, b)]
    assert apart.error == pytest.approx(math.hypot(*alone), rel=0.15)
    assert difference(a, a, True).error == 0
    with pytest.raises(ValueError, match="got influences of 300 and 20 images; expected pairs"):
        difference(a, Measured(0.5, mean_influence(randn(20))), True)
    with pytest.raises(ValueError, match="pairs of images with the same labels"):
        difference(a, Measured(0.5, a.influence._replace(strata=torch.arange(300) % 3)), True)


def test_shares_have_intervals_of_their_own_kind():
    right = torch.tensor([1.0] * 99 + [0])
    a, b = (Measured(x.mean().item(), share_influence(x)) for x in (right, right.flip(0)))
    low, high = interval_of(a)
    assert 0.94 < low < 0.99 < high < 1
    assert interval_of(Measured(1.0, share_influence(torch.ones(100))))[0] == pytest.approx(
        100 / (100 + 1.96**2), abs=1e-4
    )
    assert difference(a, b, True).value == pytest.approx(0)
    with pytest.raises(ValueError, match="got a share and a score that is none"):
        difference(a, Measured(1.0, mean_influence(randn(100))), False)


def test_an_interval_stops_where_scores_do():
    near = Measured(0.1, mean_influence(randn(20)))
    assert interval_of(near)[0] < 0 and interval_of(near, least=0)[0] == 0


def test_cards_know_whether_they_may_be_paired():
    part = mean_influence(randn(30))

    def card(**options):
        return Score("distance", 1.0, None, 30, 30, "reals", **({"seed": 0} | options))

    assert may_pair(card(steps=20), card(steps=50), part, part)
    assert not may_pair(card(), card(seed=1), part, part)
    assert not may_pair(card(seed=None), card(seed=None), part, part)
    assert may_pair(card(seed=(0, 1)), card(seed=(0, 1)), part, part)  # pooled sets, one by one
    assert not may_pair(card(seed=(0, 1)), card(seed=(1, 0)), part, part)
    assert not may_pair(card(seed=None), card(seed=None), part, part)
    assert not may_pair(card(seed="not recorded"), card(seed="not recorded"), part, part)
    assert not may_pair(card(), card(), part, mean_influence(randn(29)))
    fixed = part._replace(strata=torch.arange(30) % 3)
    assert may_pair(card(), card(), fixed, fixed) and not may_pair(card(), card(), part, fixed)
    assert not may_pair(card(), card(), fixed, part._replace(strata=torch.arange(30) % 2))
