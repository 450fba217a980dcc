"""One metric, several libraries, the same features: the values have to agree to 1e-6 of their size,
in float64.

The features are pixels of real digits (64 numbers each), the "fakes" other real digits, paler and
with a little noise, the probabilities those of a nearest-mean classifier. No Inception network:
what is compared is the arithmetic after it."""

from functools import cache, partial
from typing import NamedTuple
from unittest.mock import patch

import torch

from ddpm_course import features, metrics
from ddpm_course.images import load_digits

TOLERANCE = 1e-6
PEERS = ("torchmetrics", "torch-fidelity")


class Agreement(NamedTuple):
    "What `compare` found."

    metric: str
    features: str
    library: str
    ours: float
    theirs: float | None  # None: the library lacks the metric
    measured: float | None  # difference as a share of ours
    passed: bool | None
    reason: str = ""  # why there is no value of theirs


# ---- features ----


def pixels(split, rows):
    return load_digits(split).batch(rows)[0].flatten(1).double()


def fakes(x):
    return 0.8 * x + 0.2 * torch.randn(
        x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype
    )


@cache
def pairs():
    "{what they are: (fakes, reals)}."
    return {
        "400 + 400 digits": (
            fakes(pixels("test", range(400))),
            pixels("train", range(400)),
        ),  # some pixels of the reals never change
        "40 + 40 digits, fewer than features": (
            fakes(pixels("test", range(40))),
            pixels("train", range(40)),
        ),
    }


@cache
def logits():
    "Of 400 digits: minus the squared distance to each class's mean, (400, 10)."
    data = load_digits("train")
    x, y = data.batch(range(len(data)))
    means = torch.stack([x[y == digit].flatten(1).double().mean(0) for digit in range(10)])
    return {"400 digits": (-0.5 * torch.cdist(pixels("test", range(400)), means) ** 2,)}


# ---- the libraries ----


def moments(x):
    return x.mean(0), x.T.cov()


def frechet_torchmetrics(fake, real):
    from torchmetrics.image.fid import _compute_fid

    return _compute_fid(*moments(fake), *moments(real)).item()


def frechet_fidelity(fake, real):
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    return fid_statistics_to_metric(
        fid_features_to_statistics(fake), fid_features_to_statistics(real), False
    )[KEY_METRIC_FID]


def kid_torchmetrics(fake, real):
    from torchmetrics.image.kid import poly_mmd

    return poly_mmd(real, fake).item()


def kid_fidelity(fake, real):
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    return kid_features_to_metric(
        fake, real, kid_subsets=1, kid_subset_size=len(fake), verbose=False
    )[KEY_METRIC_KID_MEAN]  # one subset: all


def isc_torchmetrics(splits, scores):
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(torch.nn.Identity(), splits=splits)
    metric.update(scores)
    with patch("torch.randperm", torch.arange):
        return metric.compute()[0].item()  # in the order given


def isc_fidelity(splits, scores):
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    return isc_features_to_metric(scores, splits, shuffle=False)[KEY_METRIC_ISC_MEAN]


def prc_fidelity(which, fake, real):
    from torch_fidelity.metric_prc import prc_features_to_metric

    return prc_features_to_metric(
        fake, real, prc_neighborhood=3, save_cpu_ram=False, verbose=False
    )[which]


def share(inside):
    return inside.double().mean().item()


METRICS = {  # {metric: (features, ours, {library: theirs, or why there is none})}
    "Fréchet distance": (
        pairs,
        lambda a, b: features.frechet_distance(*moments(a), *moments(b)),
        {"torchmetrics": frechet_torchmetrics, "torch-fidelity": frechet_fidelity},
    ),
    "KID, all pairs": (
        pairs,
        metrics.squared_mmd,
        {"torchmetrics": kid_torchmetrics, "torch-fidelity": kid_fidelity},
    ),
}
for splits in (1, 10):
    METRICS[f"Inception Score, {splits} split{'s' * (splits > 1)}"] = (
        logits,
        lambda scores, splits=splits: metrics.split_scores(scores.softmax(1), splits).mean().item(),
        {
            "torchmetrics": partial(isc_torchmetrics, splits),
            "torch-fidelity": partial(isc_fidelity, splits),
        },
    )
LACKS = "torchmetrics has no precision and recall of features"
METRICS |= {
    "precision, k = 3": (
        pairs,
        lambda fake, real: share(metrics.in_manifold(fake, real, 3)),
        {"torchmetrics": LACKS, "torch-fidelity": partial(prc_fidelity, "precision")},
    ),
    "recall, k = 3": (
        pairs,
        lambda fake, real: share(metrics.in_manifold(real, fake, 3)),
        {"torchmetrics": LACKS, "torch-fidelity": partial(prc_fidelity, "recall")},
    ),
}


def compare(metric):
    "The `Agreement` of every library on every set of features."
    features, ours, peers = METRICS[metric]
    for name, inputs in features().items():
        value = ours(*inputs)
        for library, theirs in peers.items():
            if isinstance(theirs, str):
                yield Agreement(metric, name, library, value, None, None, None, theirs)
                continue
            other = theirs(*inputs)
            off = abs(other - value) / abs(value)
            yield Agreement(metric, name, library, value, other, off, off <= TOLERANCE)
