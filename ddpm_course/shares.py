"""Shares of images, such as an accuracy: intervals that stay within 0 and 1 and have a width there.

Labels fixed beforehand make strata, within which the shares are counted."""

import torch

from .estimates import Estimate


def normal_quantile(level):
    "z with the given two-sided level: 1.96 for 0.95."
    return torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)).item()


def wilson(share, # of images
           n, # how many: a number, or that of as many independent ones that tell as much
           level: float=0.95) -> tuple:
    "(low, high): the p from which `share` lies z of p's own errors away at most (Wilson 1927)."
    z = normal_quantile(level)
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2))**0.5 / (1 + z**2 / n)
    return min(max(0.0, center - half), share), max(min(1.0, center + half), share)


def share_interval(hits, # (n,) of 0 and 1: what is right about each image
                   strata=None, # int64 (n,): labels fixed beforehand; None: images were drawn
                   level: float=0.95) -> tuple:
    "(low, high) within 0..1: Wilson's interval, with strata for the n that tells as much."
    hits = torch.as_tensor(hits).double()
    if not len(hits) or not ((hits == 0) | (hits == 1)).all():
        raise ValueError(f"got {len(hits)} hits; expected at least one, each 0 or 1")
    return wilson(hits.mean().item(), effective_number(hits, strata), level)


def effective_number(hits, # float64 (n,) of 0 and 1
                     strata): # int64 (n,) or None
    """As many drawn images give a share the variance that n with fixed labels do (Kish 1965).

    Each stratum gets one more image, with the overall share: a small one that is all hits or all
    misses by luck must not count as sure."""
    n = len(hits)
    share = hits.mean()
    if strata is None or share in (0, 1): return n
    groups = torch.as_tensor(strata).unique(return_inverse=True)[1]
    size = groups.bincount().double()
    p = (groups.bincount(hits) + share) / (size + 1)
    within = (size * p * (1 - p) * (size + 2) / (size + 1)).sum() / n # p scatters, too
    return n * max(1.0, (share * (1 - share) / within).item())


def share_difference(a, # (n,) of 0 and 1
                     b, # the same of other images, or of the same in the same order
                     paired: bool) -> Estimate: # whether image i of both started from the same
    """The difference of two shares, pulled a little to 0; its error is above 0 always.

    Pairs: one more image of each kind that differs (Bonett & Price 2012). Otherwise one more hit
    and one more miss on either side (Agresti & Caffo 2000). Strata would make it narrower."""
    a = torch.as_tensor(a).double()
    b = torch.as_tensor(b).double()
    if paired:
        if len(a) != len(b): raise ValueError(f"got {len(a)} and {len(b)} images; pairs need "
                                              "as many of both")
        n = len(a) + 2
        more = (((a > b).sum() + 1) / n).item()
        less = (((a < b).sum() + 1) / n).item()
        return Estimate(more - less, ((more + less - (more - less)**2) / n)**0.5)
    first, second = ((x.sum().item() + 1) / (len(x) + 2) for x in (a, b))
    variance = sum(p * (1 - p) / (len(x) + 2) for p, x in ((first, a), (second, b)))
    return Estimate(first - second, variance**0.5)
