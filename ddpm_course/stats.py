"Mean and covariance of features that arrive in batches, or on several machines."

import torch


class FeatureStats:
    "Mean and covariance of features in float64: up to rounding the same in any order and grouping."

    def __init__(self, name: str=""): # of the network
        self.name = name
        self.n = 0
        self.mean = 0.0
        self.scatter = 0.0 # sum of outer products of the deviations from the mean

    def update(self, features): # (B, D)
        "Take in a batch; returns self."
        f = torch.as_tensor(features).detach().cpu().double()
        if f.ndim != 2: raise ValueError(f"features: got shape {tuple(f.shape)}; expected (B, D)")
        bad = int((~f.isfinite()).any(1).sum())
        if bad: raise ValueError(f"features: {bad} of {len(f)} rows hold NaN or infinity; "
                                 "look for NaN in the images")
        new = FeatureStats(self.name)
        if not len(f): return self
        new.n = len(f)
        new.mean = f.mean(0)
        new.scatter = (f - new.mean).T @ (f - new.mean)
        return self.merge(new)

    def merge(self, other): # `FeatureStats` of other images
        "Take in what another one has seen (Chan et al. 1983); returns self."
        if self.name != other.name:
            raise ValueError(f"features of {self.name!r} and of {other.name!r} do not mix")
        if self.n and other.n and len(self.mean) != len(other.mean):
            raise ValueError(f"got {len(self.mean)} and {len(other.mean)} features; "
                             "expected as many in both")
        if other.n:
            n = self.n + other.n
            delta = other.mean - self.mean
            between = self.n * other.n / n * torch.outer(delta, delta)
            self.scatter = self.scatter + other.scatter + between
            self.mean = self.mean + other.n / n * delta
            self.n = n
        return self

    @property
    def cov(self): # (D, D)
        if self.n < 2: raise ValueError(f"got {self.n} features; a covariance needs at least 2")
        return self.scatter / (self.n - 1)


def gather_stats(stats): # `FeatureStats` of one rank
    "The `FeatureStats` of all ranks of torch.distributed together, the same on each."
    parts = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, stats)
    whole = FeatureStats(stats.name)
    for part in parts: whole.merge(part)
    return whole
