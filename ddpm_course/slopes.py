"""The influence of each image on each score of the course.

The reals are given: an interval is over other images of the same network. Recall is not here: it
hangs on nearest neighbors, and has no slope that can be trusted."""

import torch

from .features import psd_sqrt
from .influence import Influence, centered, chosen, made, second_order, some_pairs
from .stats import FeatureStats


def mean_influence(values, # (n,): a score that is their mean, as the nearest-neighbor ratio
                   strata=None) -> Influence: # int64 (n,): labels fixed beforehand
    "Of a mean: the image's own value."
    return made(torch.as_tensor(values).double(), strata=strata)


def share_influence(hits, # (n,) of 0 and 1: an accuracy, or precision
                    strata=None) -> Influence: # int64 (n,): labels fixed beforehand
    "Of a share of images: whether the image is one of them."
    return mean_influence(hits, strata)._replace(share=True)


# ---- Fréchet distance ----

CHUNK = 4096 # rows that are held in float64 at a time


def frechet_influence(fake, # features (n, D) of generated images
                      real, # `FeatureStats` of the reals, which are given
                      strata=None, # int64 (n,): labels fixed beforehand
                      stats=None # `FeatureStats` of `fake`, where they are at hand
                      ) -> Influence:
    """Of the Fréchet distance to these reals: 2 (x - m).(m - m2) + (x - m)^T (I - T) (x - m).

    T = C^(-1/2) (C^(1/2) C2 C^(1/2))^(1/2) C^(-1/2) is the best map from the fakes' Gaussian to
    the reals' (Dowson & Landau 1982). It is needed on the range of C alone: n < D will do."""
    stats = stats_of(fake) if stats is None else stats
    axes, scale = matched(stats.cov, psd_sqrt(real.cov))
    slopes = frechet_slopes(fake, stats.mean, real.mean, axes, scale)
    some = (fake[chosen(len(fake))].double() - stats.mean) @ axes
    return made(slopes, *second_order(frechet_kernel(some, some, scale), len(fake), strata), strata)


def frechet_influences(fake, # features (n, D)
                       real, # features (m, D), m > D, of images that are drawn anew as well
                       strata=None) -> tuple: # int64 (n,): labels of the fakes, fixed beforehand
    "(influence of the fakes, of the reals, second order between the two) for `estimate_score`."
    x, y = map(stats_of, (fake, real))
    root = psd_sqrt(y.cov)
    axes, scale = matched(x.cov, root)
    across = torch.linalg.pinv(root) @ torch.linalg.pinv(root) @ axes * scale
    some = (fake[chosen(len(fake))].double() - x.mean) @ axes
    others = (real[chosen(len(real))].double() - y.mean) @ across
    slopes = frechet_slopes(real, y.mean, x.mean, across, scale)
    reals = made(slopes, *second_order(frechet_kernel(others, others, scale), len(real)))
    block = centered(frechet_kernel(some, others, scale), strata_of(strata, len(fake)))
    return frechet_influence(fake, y, strata, x), reals, some_pairs(block)


def stats_of(features): # (n, D)
    "Their `FeatureStats`, a few rows at a time."
    stats = FeatureStats()
    for part in features.split(CHUNK): stats.update(part)
    return stats


def matched(cov, # covariance (D, D) of the fakes
            root): # (D, D): square root of the reals' covariance
    """(axes (D, D), scales (D,)): deviations times the axes are coordinates in which the fakes'
    Gaussian is white, and so is the reals' after T; T is diagonal there, with these scales."""
    squares, axes = torch.linalg.eigh(root @ cov @ root)
    rounding = len(root) * torch.finfo(cov.dtype).eps * squares.max()
    scale = torch.where(squares > rounding, squares, 0).sqrt()
    return root @ axes / torch.where(scale > 0, scale, 1), scale # a scale of 0: no cost


def frechet_slopes(x, # features (n, D) of one side
                   mean, other, # means (D,) of this side, and of the other one
                   axes, scale): # as `matched` gives them
    "Slope (n,) of the distance in each image's weight."
    n = len(x)
    def of(part):
        deviations = part.double() - mean
        along = deviations @ axes
        spread = deviations.square().sum(1) - along.square() @ scale # (x - m)^T (I - T) (x - m)
        return 2 * deviations @ (mean - other) + n / (n - 1) * spread # C has n - 1
    return torch.cat([of(part) for part in x.split(CHUNK)])


def frechet_kernel(a, b, # coordinates (A, D), (B, D) of images, as `matched` gives them
                   scale): # (D,)
    """Second-order kernel (A, B) of the Fréchet distance, and less it between fakes and reals:
    2 sum_i r_i a_i b_i + sum_ij r_i r_j / (r_i + r_j) (a_i a_j - [i = j]) (b_i b_j - [i = j]).

    The weights of the second sum are nearly of low rank: it is one of few squares."""
    weights = scale * scale[:, None] / (scale + scale[:, None]).clamp(min=1e-300)
    squares, axes = torch.linalg.eigh(weights)
    kept = squares > 1e-12 * squares.max()
    kernel = 2 * (a * scale) @ b.T
    for square, axis in zip(squares[kept], axes.T[kept]):
        kernel += square * ((a * axis) @ b.T).square()
    own = [side.square() @ scale / 2 for side in (a, b)] # where i = j the weight is r_i / 2
    return kernel - own[0][:, None] - own[1] + scale.sum() / 2


# ---- kernel distance ----

def kernel_influence(fake, # features (n, D) of generated images
                     real, # features (m, D) of the reals, which are given
                     kernel, # kernel(a, b) -> (A, B), such as `polynomial_kernel`
                     strata=None) -> Influence: # int64 (n,): labels fixed beforehand
    "Of the unbiased squared MMD to these reals (Bińkowski et al. 2018, eq. 4), which has no bias."
    n = len(fake)
    parts = [(kernel(x, fake).sum(1) - own(kernel, x)) / (n - 1) - kernel(x, real).mean(1)
             for x in fake.split(1000)]
    some = fake[chosen(n)]
    second, _ = second_order(2 * kernel(some, some), n, strata)
    return made(2 * torch.cat(parts), second, strata=strata)


def own(kernel, x):
    "The kernel of each image with itself (A,), where it depends on the features alone."
    return torch.cat([kernel(part, part).diagonal() for part in x.split(100)])


def kernel_influences(fake, real, # features (n, D), (m, D), both drawn anew
                      kernel, strata=None) -> tuple: # as for `kernel_influence`
    "(influence of the fakes, of the reals, second order between the two) for `estimate_score`."
    some = fake[chosen(len(fake))]
    others = real[chosen(len(real))]
    block = centered(2 * kernel(some, others), strata_of(strata, len(fake)))
    return (kernel_influence(fake, real, kernel, strata), kernel_influence(real, fake, kernel),
            some_pairs(block))


def strata_of(strata, n):
    "The strata of the images `chosen(n)`."
    return None if strata is None else strata[chosen(n)]


# ---- Inception Score ----

def score_influence(probabilities, # (n, K) of generated images
                    strata=None) -> Influence: # int64 (n,): labels fixed beforehand
    """Of the Inception Score of all images together: IS (KL(p_i || mean) - average).

    The mean over images moves with each of them, too; that term vanishes, as KL is least there."""
    p = probabilities.double()
    mean = p.mean(0)
    kl = (torch.xlogy(p, p) - torch.xlogy(p, mean)).sum(1)
    score = kl.mean().exp()
    some = chosen(len(p))
    slope = kl[some] - kl.mean()
    common = (p[some] / mean.clamp(min=1e-300)) @ p[some].T - 1
    gram = score * (torch.outer(slope, slope) - common)
    return made(score * kl, *second_order(gram, len(p), strata), strata)
