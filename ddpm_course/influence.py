"""Influence values: how far each image moves a score, the one mechanism behind intervals.

A score of n images is a function of their distribution. To first order it is a mean: an image's
influence is the slope of the score as that image's weight grows (Hampel 1974), and the interval is
that of a mean. To second order the score has a kernel between images, k(i, j), too. It makes the
slopes of the sample steeper than those of the distribution: the scatter of the slopes holds what
the kernel adds to the variance twice (Efron & Stein 1981), so once is taken off."""

from typing import NamedTuple

import torch

from .estimates import Estimate

CHOSEN = 256 # images at most that the second order is estimated from
SHIFTS = 8 # pairs for each of one half of them


class Influence(NamedTuple):
    "What each image does to a score."
    first: torch.Tensor # (n,) float32, mean 0: the slope of the score in n times an image's weight
    second: torch.Tensor # (k,) float32: the kernel of the second order at k pairs; (0,) of a mean
    bias: float = 0.0 # of the score at this n, to second order; no part of the interval
    strata: torch.Tensor | None = None # int64 (n,): labels fixed beforehand
    share: bool = False # whether the score is a share of images: then first is 0 or 1, less it

    def __sub__(self, other): # of the images that belong to these one by one
        "The influence of image i, and of its partner, on the difference of the two scores."
        alike = len(self.first) == len(other.first) and len(self.second) == len(other.second)
        if not alike or not same_strata(self.strata, other.strata):
            raise ValueError(f"got influences of {len(self.first)} and {len(other.first)} images; "
                             "expected pairs of images with the same labels in the same order")
        return Influence(self.first - other.first, self.second - other.second,
                         self.bias - other.bias, self.strata)


def same_strata(a, b):
    "Whether two sets have the same strata in the same order, or none."
    if a is None or b is None: return a is b
    return torch.equal(a, b)


# ---- from influence to interval ----

def estimate_score(value: float, # the score, or the difference of two
                   *parts, # `Influence`s of sets that were drawn independently of each other
                   cross=None # (k,): the second-order kernel between images of the two sets
                   ) -> Estimate:
    "The score with its standard error, for an interval: that of a mean, less its second order."
    n = [len(part.first) for part in parts]
    whole, degrees = zip(*(mean_variance(part.first, part.strata) for part in parts))
    second = sum(mean_square(part.second) / (2 * size**2) for part, size in zip(parts, n))
    if cross is not None: second += mean_square(cross) / (n[0] * n[1])
    total = sum(whole)
    variance = min(total, max(total - second, second)) # it holds the second order, and at least it
    if total == 0: return Estimate(value, 0.0)
    return Estimate(value, variance**0.5, total**2 / sum(v**2 / d for v, d in zip(whole, degrees)))


def mean_square(values):
    "0 where there are none."
    return values.double().square().mean().item() if len(values) else 0.0


def mean_variance(values, strata=None): # (n,) and int64 (n,)
    "(variance of their mean, its degrees of freedom); within strata, where there are some."
    values = values.double()
    n = len(values)
    if n < 2: raise ValueError(f"got {n} images; an interval needs at least 2")
    groups = torch.zeros(n, dtype=torch.int64) if strata is None else joined(strata)
    counts = groups.bincount().double()
    means = groups.bincount(values) / counts
    squares = groups.bincount((values - means[groups]).square())
    variance = (squares * counts / (counts - 1)).sum().item() / n**2
    return variance, n - len(counts)


def joined(strata): # int64 (n,)
    "Strata as 0..K-1; those of a single image, which show no scatter, are joined to one."
    groups, counts = torch.as_tensor(strata).unique(return_inverse=True, return_counts=True)[1:]
    alone = counts[groups] == 1
    if alone.sum() == 1: alone |= groups == counts.argmax() # with the largest: it needs company
    groups[alone] = len(counts)
    return groups.unique(return_inverse=True)[1]


# ---- the second order ----

def chosen(n: int): # images there are
    "The images that the second order is estimated from: the same for every set of n."
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:CHOSEN]


def centered(block, rows=None, columns=None): # (a, b), and the strata of its two sides or None
    "A block of a kernel less the means over either side, within strata; unbiased in its square."
    for groups in (rows, columns):
        groups = torch.zeros(len(block)) if groups is None else groups
        groups, counts = groups.unique(return_inverse=True, return_counts=True)[1:]
        counts = counts.to(block)[:, None]
        sums = torch.zeros(len(counts), block.shape[1]).to(block).index_add_(0, groups, block)
        spread = (counts / (counts - 1).clamp(min=1)).sqrt() # n - 1 for n, as in a variance
        block = ((block - (sums / counts)[groups]) * spread[groups]).T
    return block


def some_pairs(block): # (a, b), a <= b
    "Its entries at SHIFTS pairs a row, float32."
    i = torch.arange(len(block))[:, None]
    columns = (i + torch.arange(min(SHIFTS, block.shape[1]))) % block.shape[1]
    return block.gather(1, columns).flatten().float()


def second_order(gram, # (k, k): the kernel for the images `chosen(n)`
                 n: int,
                 strata=None) -> tuple: # int64 (n,)
    "(the centered kernel at some pairs, the bias): one half of the images against the other."
    groups = torch.zeros(n) if strata is None else strata
    groups = groups[chosen(n)]
    half = len(gram) // 2
    block = centered(gram[:half, half:2 * half], groups[:half], groups[half:2 * half])
    same = (groups[:, None] == groups) & ~torch.eye(len(gram), dtype=torch.bool)
    alike = gram[same].mean() if same.any() else 0.0 # two images of one stratum: what is fixed
    return some_pairs(block), ((gram.diagonal().mean() - alike) / (2 * n)).item()


def made(slopes, # (n,), to be centered
         second=torch.empty(0), bias=0.0, strata=None): # as `Influence` has them
    "An `Influence` of these slopes."
    return Influence((slopes - slopes.mean()).float(), second, bias, strata)


def pooled(parts, # `Influence`s of k sets that were drawn independently, as many images in each
           strata=None) -> Influence: # int64, of all images; None: those of the parts
    "That of the mean of k scores: each image moves its own, and so the mean by a k-th."
    if strata is None and parts[0].strata is not None:
        strata = torch.cat([part.strata for part in parts])
    second = torch.cat([part.second for part in parts]) * len(parts)**0.5 # k^2 n^2 for k sets
    return Influence(torch.cat([part.first for part in parts]), second,
                     sum(part.bias for part in parts) / len(parts), strata, parts[0].share)


