"""Made-up images for which it is known how often an interval should hold the truth.

Each function takes the settings of a cell and gives draw(rng) -> (value, (low, high)): new images,
a score of them, and its interval. What is fixed, as the reals, is made once, from a seed."""

import torch

from ..comparisons import Measured, difference, interval_of
from ..estimates import over_seeds
from ..features import frechet_distance
from ..influence import estimate_score
from ..metrics import polynomial_kernel, split_scores, squared_mmd
from ..slopes import (
    frechet_influence, frechet_influences, kernel_influence, kernel_influences, mean_influence,
    score_influence, share_influence)
from ..stats import FeatureStats

CLASSES = 10


def normal(rng, *shape):
    "Float64 from the standard normal distribution."
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def labels_of(n):
    "0..9, as many of each, int64 (n,)."
    return torch.arange(n) % CLASSES


def fixed(seed):
    "A generator for what all repetitions share."
    return torch.Generator().manual_seed(1_000_000 + seed)


class World:
    "Features of ten classes (n, D): Gaussians about means of their own, with scales over 10."
    def __init__(self, D):
        self.scale = torch.logspace(0, -1, D, dtype=torch.float64)
        self.means = normal(fixed(0), CLASSES, D) * self.scale

    def draw(self, rng, n, strata=False, shift=0.0, stretch=1.0):
        "n features, their labels by chance, or as many of each with `strata`."
        y = labels_of(n) if strata else torch.randint(CLASSES, (n,), generator=rng)
        x = self.means[y] + normal(rng, n, len(self.scale)) * self.scale
        return x * stretch + shift * self.scale


def distance(x, real): # features (n, D), `FeatureStats`
    "The Fréchet distance, without the warning about few images."
    stats = FeatureStats().update(x)
    return frechet_distance(stats.mean, stats.cov, real.mean, real.cov)


# ---- means and shares ----

def mean_cell(n, spread=0.5, strata=False):
    "The mean of skewed positive numbers, as distances to a nearest image."
    groups = labels_of(n) if strata else None
    def draw(rng):
        x = (normal(rng, n) * spread).exp() + (groups / CLASSES if strata else 0)
        measured = Measured(x.mean().item(), mean_influence(x, groups))
        return measured.value, interval_of(measured)
    return draw


def chances(n, share, strata):
    "(chance of a hit for each image (n,), the strata or None): unequal between the strata."
    if not strata: return torch.full((n,), share, dtype=torch.float64), None
    uneven = 1 - (1 - share) * torch.linspace(0, 2, CLASSES, dtype=torch.float64)
    return uneven[labels_of(n)], labels_of(n)


def share_cell(n, share, strata=False):
    "A share of images; with strata from ten classes, half of them easier than the others."
    p, groups = chances(n, share, strata)
    def draw(rng):
        hits = (torch.rand(n, generator=rng, dtype=torch.float64) < p).double()
        measured = Measured(hits.mean().item(), share_influence(hits, groups))
        return measured.value, interval_of(measured)
    return draw


def share_difference_cell(n, share, worse, paired):
    "The difference of two accuracies, of which the second lacks `worse`."
    def draw(rng):
        luck = torch.rand(2, n, generator=rng, dtype=torch.float64)
        if paired: luck[1] = luck[0]
        hits = (luck[0] < share).double(), (luck[1] < share - worse).double()
        one, two = (Measured(h.mean().item(), share_influence(h)) for h in hits)
        return one.value - two.value, difference(one, two, paired).interval()
    return draw


# ---- distances ----

def frechet_cell(n, D=16, m=2000, shift=0.0, stretch=1.0, strata=False, redrawn="", old=False):
    """The Fréchet distance to m reals: fixed ones, or drawn anew in each repetition, where
    redrawn="their term" adds these to the interval, and "left out" wrongly does not."""
    world = World(D)
    given = world.draw(fixed(1), m)
    groups = labels_of(n) if strata else None
    def draw(rng):
        x = world.draw(rng, n, strata, shift, stretch)
        reals = world.draw(rng, m) if redrawn else given
        real = FeatureStats().update(reals)
        value = distance(x, real)
        if old: return value, bootstrap(lambda i: distance(x[i], real), n, groups=groups)
        if redrawn != "their term":
            return value, estimate_score(value, frechet_influence(x, real, groups)).interval()
        *parts, cross = frechet_influences(x, reals, groups)
        return value, estimate_score(value, *parts, cross=cross).interval()
    return draw


def frechet_difference_cell(n, paired, D=16, m=2000, shift=0.1, noise=0.1, strata=False):
    "The difference in distance of two samplers, the second of which adds some noise of its own."
    world = World(D)
    real = FeatureStats().update(world.draw(fixed(1), m))
    groups = labels_of(n) if strata else None
    def draw(rng):
        x = world.draw(rng, n, strata, shift)
        other = x if paired else world.draw(rng, n, strata, shift)
        other = other + noise * normal(rng, n, D) * world.scale
        one, two = (Measured(distance(f, real), frechet_influence(f, real, groups))
                    for f in (x, other))
        return one.value - two.value, difference(one, two, paired).interval()
    return draw


def kernel_cell(n, m, shift=0.0, redrawn=False, D=16):
    "The kernel distance to m reals, fixed or drawn anew in each repetition."
    world = World(D)
    given = world.draw(fixed(1), m)
    def draw(rng):
        x = world.draw(rng, n, shift=shift)
        y = world.draw(rng, m) if redrawn else given
        value = squared_mmd(x, y)
        if not redrawn:
            part = kernel_influence(x, y, polynomial_kernel)
            return value, estimate_score(value, part).interval()
        *parts, cross = kernel_influences(x, y, polynomial_kernel)
        return value, estimate_score(value, *parts, cross=cross).interval()
    return draw


def kernel_difference_cell(n, m, paired, shift=0.1, noise=0.1, D=16):
    "The difference in kernel distance of two samplers, the second with some noise of its own."
    world = World(D)
    y = world.draw(fixed(1), m)
    def draw(rng):
        x = world.draw(rng, n, shift=shift)
        other = x if paired else world.draw(rng, n, shift=shift)
        other = other + noise * normal(rng, n, D) * world.scale
        one, two = (Measured(squared_mmd(f, y), kernel_influence(f, y, polynomial_kernel))
                    for f in (x, other))
        return one.value - two.value, difference(one, two, paired).interval()
    return draw


# ---- other scores ----

def score_cell(n, sharp, strata=False):
    "The Inception Score of all images together; a sharp network is sure of its labels."
    groups = labels_of(n) if strata else None
    def draw(rng):
        y = labels_of(n) if strata else torch.randint(CLASSES, (n,), generator=rng)
        logits = normal(rng, n, CLASSES) + sharp * torch.eye(CLASSES, dtype=torch.float64)[y]
        p = logits.softmax(1)
        measured = Measured(split_scores(p, 1).item(), score_influence(p, groups))
        return measured.value, interval_of(measured, least=1)
    return draw


def seeds_cell(k, skewed=False):
    "The mean over k training runs."
    def draw(rng):
        values = normal(rng, k)
        found = over_seeds(values.exp() if skewed else values)
        return found.value, found.interval()
    return draw


def bootstrap(statistic, # statistic(index) -> float
              n, groups=None, resamples=200):
    "(low, high): percentiles over images drawn with repeats, moved to surround the value."
    rng = fixed(2)
    groups = torch.zeros(n, dtype=torch.int64) if groups is None else groups
    members = [(groups == group).nonzero()[:, 0] for group in groups.unique()]
    def again(): return torch.cat([m[torch.randint(len(m), m.shape, generator=rng)]
                                   for m in members])
    values = torch.tensor([statistic(again()) for _ in range(resamples)], dtype=torch.float64)
    tails = torch.tensor([0.025, 0.975], dtype=torch.float64)
    moved = statistic(torch.arange(n)) + (values - values.mean()).quantile(tails)
    return tuple(moved.tolist())


def bootstrap_cell(n, spread=0.5):
    "The mean of `mean_cell`, its interval from the recentered bootstrap."
    def draw(rng):
        x = (normal(rng, n) * spread).exp()
        return x.mean().item(), bootstrap(lambda i: x[i].mean(), n)
    return draw
