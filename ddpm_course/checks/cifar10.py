"Checkers of chapter 91: what a run is made of, and how its score is counted."

import math

import torch

from ddpm_course.checks import Exercise, randn


def decays():
    "(decay of a step, images of a step)."
    return [(0.9999, 128), (0.999, 128), (0.9999, 512), (0.99, 4)]


halflife = Exercise(
    lambda decay, batch: batch * math.log(0.5) / math.log(decay), decays,
    {"these are steps; a step shows the average `batch` images":
         lambda decay, batch: math.log(0.5) / math.log(decay),
     "this is how long until a share of 1/e is left; ask for one half":
         lambda decay, batch: -batch / math.log(decay),
     "1 / (1 - decay) is how far the average looks back in the mean, not where a half is left":
         lambda decay, batch: batch / (1 - decay),
     "the logarithms are exchanged": lambda decay, batch:
         batch * math.log(decay) / math.log(0.5),
     "images are steps times the batch; this divides by it": lambda decay, batch:
         math.log(0.5) / math.log(decay) / batch},
    "A recipe that says it in images can be run at any batch.", tol=1e-6)


def moments(x): return x.mean(), x.var()


def apart(a, b):
    "The Fréchet distance of one feature."
    m, v = moments(a)
    n, w = moments(b)
    return (m - n)**2 + v + w - 2 * (v * w).sqrt()


def two_sets():
    "(features of generated images, of real ones, parts): one number an image."
    return [(randn(1000), randn(1000, seed=1), 10), (1.1 * randn(600, seed=2) + 0.1,
            randn(600, seed=3), 6), (randn(400, seed=4), randn(400, seed=5) + 0.2, 40)]


def in_parts(a, b, parts): return list(zip(a.chunk(parts), b.chunk(parts)))


split_distance = Exercise(
    lambda a, b, parts: torch.stack([apart(x, y) for x, y in in_parts(a, b, parts)]).mean(),
    two_sets,
    {"this is the distance of the whole sets; take the mean over the parts":
         lambda a, b, parts: apart(a, b),
     "this is the sum over the parts, not their mean": lambda a, b, parts:
         torch.stack([apart(x, y) for x, y in in_parts(a, b, parts)]).sum(),
     "each part of the generated images belongs against a part of the real ones, not all of them":
         lambda a, b, parts: torch.stack([apart(x, b) for x in a.chunk(parts)]).mean(),
     "`parts` is their number; this takes it for their length": lambda a, b, parts:
         torch.stack([apart(x, y) for x, y in zip(a.split(parts), b.split(parts))]).mean(),
     "this is the median of the parts, not their mean": lambda a, b, parts:
         torch.stack([apart(x, y) for x, y in in_parts(a, b, parts)]).median(),
     "the standard deviations are compared, not the variances: (s - t)^2 is v + w - 2 sqrt(v w)":
         lambda a, b, parts: torch.stack([
             (x.mean() - y.mean())**2 + (x.std() - y.std()).abs()
             for x, y in in_parts(a, b, parts)]).mean()},
    "Ten scores of 5,000 images are no score of 50,000.", tol=1e-6)


def plans():
    "(images, epochs, batch, operations an image in 10^9, rate in 10^12 a second, share)."
    return [(50_000, 50, 4, 12.4, 312, 0.3), (126_689, 50, 4, 124.7, 312, 0.3),
            (50_000, 2048, 128, 12.4, 8.1, 0.5)]


def seconds(n, epochs, batch, gflop, rate, share, passes=3):
    return passes * n * epochs * gflop / (1000 * rate * share)


training_hours = Exercise(
    lambda *plan: seconds(*plan) / 3600, plans,
    {"a training step also goes backward, which costs two forward passes more": lambda *plan:
         seconds(*plan, passes=1) / 3600,
     "the backward pass costs about two forward ones: three in all, not two": lambda *plan:
         seconds(*plan, passes=2) / 3600,
     "these are seconds; an hour has 3,600": seconds,
     "these are minutes": lambda *plan: seconds(*plan) / 60,
     "only a share of the card's rate is reached; this counts all of it":
         lambda n, epochs, batch, gflop, rate, share:
         seconds(n, epochs, batch, gflop, rate, 1) / 3600,
     "the share divides the time: half the rate takes twice as long":
         lambda n, epochs, batch, gflop, rate, share:
         seconds(n, epochs, batch, gflop, rate, 1 / share) / 3600,
     "10^12 operations are 1,000 times 10^9": lambda *plan: 1000 * seconds(*plan) / 3600,
     "steps are images / batch, but an image costs its operations in any batch":
         lambda n, epochs, batch, gflop, rate, share:
         seconds(n, epochs, batch, gflop, rate, share) / 3600 / batch,
     "this is one epoch; the run has several": lambda n, epochs, batch, gflop, rate, share:
         seconds(n, 1, batch, gflop, rate, share) / 3600},
    "An estimate like this is wrong by a factor of two, and still says whether to begin.",
    tol=1e-6)
