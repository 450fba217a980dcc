"Mean and covariance of features that arrive in batches, or on several machines."

from pathlib import Path

import numpy as np
import torch

from .kinds import (
    described, having, reals, some_features, some_rows, tensor, text, whole)
from .ranks import gathered

SEEN = having("values", "probabilities", what="Features, as extract makes them")
SEEN_OR_STATS = having("name", what="Features or FeatureStats")


def some_probabilities(value, name):
    "Probabilities (N, K), of which each row adds up to 1; else TypeError or ValueError."
    p = tensor("(N, K)", finite=True)(value, name)
    wrong = (p < 0).any(1) | ((p.double().sum(1) - 1).abs() > 0.01) # bfloat16 rounds so far
    if not wrong.any(): return p
    raise ValueError(f"{name}: {int(wrong.sum())} of {len(p)} rows are no probabilities; expected "
                     "rows of at least 0 that add up to 1: the softmax of logits")


METRICS = { # what the arguments of metrics are, beside those that their names say
    **dict.fromkeys(["a", "b", "x", "of"], some_features), "fake": SEEN, "real": SEEN,
    **dict.fromkeys(["fakes", "held_out", "train"], some_rows),
    "probabilities": some_probabilities}


def rows_of(features):
    "Features (B, D) in float64 on the CPU; else TypeError or ValueError."
    f = reals(features, "features")
    if f.ndim != 2: raise ValueError(f"features: got shape {tuple(f.shape)}; expected (B, D)")
    bad = int((~f.isfinite()).any(1).sum())
    if not bad: return f
    raise ValueError(f"features: {bad} of {len(f)} rows hold NaN or infinity; look for NaN in the "
                     "images")


def check_most(n, most, strata):
    "ValueError where some of n images would be used whose labels were fixed for all of them."
    if n <= most or strata is None: return
    raise ValueError(f"got strata of {n} images and most={most}; labels are fixed for all of them: "
                     "raise most")


def check_same_network(fake, real):
    "ValueError unless the features of two sets are of one network."
    if fake.name == real.name: return
    raise ValueError(f"features of {fake.name!r} for the fakes and of {real.name!r} for the reals; "
                     "extract both with one network")


def check_pairs(a, b): # features (N, D), (M, D)
    "ValueError where two sets have no pairs of different images."
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a, b: got {len(a)} and {len(b)} features; a comparison of pairs needs "
                         "at least 2 of each")


def some_of(n, most):
    "Indices of all n images, or of `most` random ones, always the same."
    if n <= most: return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most]


def check_neighbors(of, k): # features (M, D)
    "ValueError where features have no k-th nearest neighbor."
    if len(of) <= k:
        raise ValueError(f"of: got {len(of)} features; the {k}-th nearest neighbor needs at least "
                         f"{k + 1}")


def check_mergeable(a, b): # `FeatureStats`
    "TypeError or ValueError where two are not of features of one network."
    if not isinstance(b, FeatureStats):
        raise TypeError(f"other={described(b)}; expected FeatureStats of other images")
    if a.name != b.name:
        raise ValueError(f"features of {a.name!r} and of {b.name!r} do not mix")
    if a.n and b.n and len(a.mean) != len(b.mean):
        raise ValueError(f"got {len(a.mean)} and {len(b.mean)} features; expected as many in both")


class FeatureStats:
    "Mean and covariance of features in float64: up to rounding the same in any order and grouping."

    def __init__(self, name: str=""): # of the network
        self.name = text(name, "name")
        self.n = 0
        self.mean = self.scatter = 0.0 # scatter: outer products of deviations from the mean

    def update(self, features): # (B, D)
        "Take in a batch; returns self."
        f = rows_of(features)
        new = FeatureStats(self.name)
        new.n = len(f)
        new.mean = f.mean(0) # NaN of no rows, which `merge` leaves alone
        new.scatter = (f - new.mean).T @ (f - new.mean)
        return self.merge(new)

    def merge(self, other): # `FeatureStats` of other images
        "Take in what another one has seen (Chan et al. 1983); returns self."
        check_mergeable(self, other)
        if other.n:
            n = self.n + other.n
            delta = other.mean - self.mean
            between = self.n * other.n / n * torch.outer(delta, delta)
            self.scatter = self.scatter + other.scatter + between
            self.mean = self.mean + other.n / n * delta
            self.n = n
        return self

    def to_npz(self, file):
        "Write mu and sigma, as FID programs exchange them, with n and the name of the network."
        found = dict(mu=self.mean, sigma=self.cov, n=self.n, name=self.name)
        with open(file, "wb") as f: np.savez(f, **found)

    @classmethod
    def from_npz(cls, file, # with mu (D,) and sigma (D, D), such as a published reference
                 name: str=None, n: int=None): # network and number of images, if it lacks them
        "The statistics in a file; ValueError where it holds none, or does not say of how many."
        return fill(cls, file, read_npz(file), name, n)

    @property
    def cov(self): # (D, D)
        if self.n < 2: raise ValueError(f"got {self.n} features; a covariance needs at least 2")
        return self.scatter / (self.n - 1)


def read_npz(file):
    "{name: array or Python's value} of an npz file with mu and sigma; nothing in it is run."
    try:
        with np.load(Path(file), allow_pickle=False) as found:
            arrays = {key: found[key] for key in {"mu", "sigma", "n", "name"} & {*found.files}}
    except OSError as e:
        if isinstance(e, FileNotFoundError): raise
        raise ValueError(f"{file} cannot be read as npz ({e}); get it again") from e
    except Exception as e: # a broken zip, a pickle, text
        raise ValueError(f"{file} cannot be read as npz ({type(e).__name__}: {e}); expected an npz "
                         "file with mu and sigma") from e
    if lacks := {"mu", "sigma"} - arrays.keys():
        raise ValueError(f"{file} has no {' and '.join(sorted(lacks))}; expected mu (D,) and sigma "
                         "(D, D), mean and covariance of features")
    return {key: a.item() if a.ndim == 0 else a for key, a in arrays.items()}


def said_once(file, key, given, found):
    "What the caller or the file says; ValueError where none does, or they differ."
    if given is None and found is None:
        what = "from how many images" if key == "n" else "through which network"
        raise ValueError(f"{file} does not say {what} it was computed; pass {key}=")
    if None not in (given, found) and given != found:
        raise ValueError(f"{file} says {key}={found!r}; got {key}={given!r}")
    return found if given is None else given


def fill(cls, file, found, name, n):
    "`FeatureStats` with what was found in a file."
    stats = cls(said_once(file, "name", name, found.get("name")))
    stats.n = whole(2)(said_once(file, "n", n, found.get("n")), "n")
    stats.mean = reals(found["mu"], "mu", finite=True)
    stats.scatter = reals(found["sigma"], "sigma", finite=True) * (stats.n - 1)
    check_moments(stats, file)
    return stats


def check_moments(stats, file):
    "ValueError unless mu is (D,) and sigma (D, D), symmetric, with no variance below 0."
    D = stats.mean.numel()
    if stats.mean.shape != (D,) or stats.scatter.shape != (D, D) or not D:
        raise ValueError(f"{file}: got mu {tuple(stats.mean.shape)} and sigma "
                         f"{tuple(stats.scatter.shape)}; expected (D,) and (D, D)")
    if (stats.scatter.diagonal() < 0).any() or not torch.allclose(stats.scatter, stats.scatter.T):
        raise ValueError(f"{file}: sigma is no covariance; expected a symmetric matrix without "
                         "variances below 0")


def gather_stats(stats): # `FeatureStats` of one rank
    "The `FeatureStats` of all ranks together, the same on each; of one alone, its own."
    whole = FeatureStats(stats.name)
    for part in gathered(stats): whole.merge(part)
    return whole
