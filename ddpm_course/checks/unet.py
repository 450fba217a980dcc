"Checkers of chapter 12."

import math

import torch
import torch.nn.functional as F

from ddpm_course.checks import Exercise
from ddpm_course.unet import timestep_embedding


def waves(t, freqs, order=("sin", "cos")):
    angles = t[:, None] * freqs.double()
    return torch.cat([getattr(angles, name)() for name in order], 1)


def spread(n, last): return 10_000 ** (-torch.arange(n, dtype=torch.float64) / last)


clock = Exercise(
    lambda t, n: waves(t, spread(n, n - 1)),
    lambda: [(torch.tensor([0., 1, 10, 500, 999]), n) for n in (4, 16)],
    {"the exponents go up to (n-1)/n; with i / (n - 1) the slowest hand turns at exactly 1/10000": lambda t, n: waves(t, spread(n, n)),
     "the cosines come first here; sines first, then cosines": lambda t, n: waves(t, spread(n, n - 1), ("cos", "sin")),
     "sines and cosines alternate; put all sines first, then all cosines":
         lambda t, n: waves(t, spread(n, n - 1)).view(len(t), 2, n).transpose(1, 2).flatten(1),
     "whole-number division rounds the exponents, and all frequencies but one are equal": lambda t, n: waves(t, 10_000. ** (-(torch.arange(n) // (n - 1)))),
     "the frequencies rise to 10000; the exponent is negative": lambda t, n: waves(t, 1 / spread(n, n - 1)),
     "there is a 2 pi too many: frequencies are in radians a step": lambda t, n: waves(t, 2 * math.pi * spread(n, n - 1))},
    "One hand that turns fast, one that hardly moves, and no two times alike.", tol=1e-4) # float32 is enough


def gather(scores, v, axis=-1): return scores.softmax(axis) @ v


def tokens():
    z = torch.randn(3, 2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [(z[0], z[1], z[2]), (3 * z[2], z[0], z[1])]


attention = Exercise(
    lambda q, k, v: gather(q @ k.transpose(1, 2) / q.shape[-1]**0.5, v),
    tokens,
    {"the scores are not divided by sqrt(d): the wider the layer, the sharper the softmax": lambda q, k, v: gather(q @ k.transpose(1, 2), v),
     "the scores are divided by d; the square root of d is their standard deviation": lambda q, k, v: gather(q @ k.transpose(1, 2) / q.shape[-1], v),
     "the softmax runs over queries; for every query the weights of the keys (last axis) sum to 1":
         lambda q, k, v: gather(q @ k.transpose(1, 2) / q.shape[-1]**0.5, v, -2),
     "queries and keys have changed places": lambda q, k, v: gather(k @ q.transpose(1, 2) / q.shape[-1]**0.5, v),
     "there is no softmax: weights are to be positive and to sum to 1": lambda q, k, v: q @ k.transpose(1, 2) / q.shape[-1]**0.5 @ v},
    "PyTorch's function does this without ever storing the N x N matrix.")


def walk(channels, layers, first=True, halvings=True, newest=-1, extra=1, after_last=0):
    "The input widths on the way up, with one thing or another done wrong."
    skips = [channels[0]] * first
    for level, width in enumerate(channels): skips += [width] * (layers + (halvings and level < len(channels) - 1 + after_last))
    below, widths = channels[-1], []
    for width in reversed(channels):
        for _ in range(layers + extra):
            widths.append(below + (skips.pop(newest) if skips else 0))
            below = width
    return widths


widths_up = Exercise(
    walk,
    lambda: [((32, 64), 1), ((8, 16, 32), 2), ((128, 256, 256, 256), 2)],
    {"the oldest skip is taken first; a pile gives back the newest": lambda channels, layers: walk(channels, layers, newest=0),
     "the skip of conv_in, the very first, is missing": lambda channels, layers: walk(channels, layers, first=False),
     "the downsamplings leave a skip each, too": lambda channels, layers: walk(channels, layers, halvings=False),
     "there is no downsampling after the last level, and no skip of one": lambda channels, layers: walk(channels, layers, after_last=1),
     "on the way up each level has one block more than on the way down": lambda channels, layers: walk(channels, layers, extra=0),
     "the skips are missing: each block takes what comes from below beside the newest skip":
         lambda channels, layers: [c for i, c in enumerate(reversed(channels)) for c in [channels[min(len(channels) - i, len(channels) - 1)], *[c] * layers]]},
    "As many blocks on the way up as skips: the pile ends empty.")


def cosine(t, s, a, b): return F.cosine_similarity(timestep_embedding(t * a, 32), timestep_embedding(s * b, 32))


likeness = Exercise(
    lambda t, s, scale: cosine(t, s, scale, scale),
    lambda: [(torch.tensor([0., 10, 500, 999]), torch.tensor([1., 500, 500, 0]), scale) for scale in (1, 0.001)],
    {"only t was multiplied by scale; s needs it too": lambda t, s, scale: cosine(t, s, scale, 1),
     "only s was multiplied by scale; t needs it too": lambda t, s, scale: cosine(t, s, 1, scale),
     "scale was not used": lambda t, s, scale: cosine(t, s, 1, 1),
     "times are divided by scale; multiply": lambda t, s, scale: cosine(t, s, 1 / scale, 1 / scale),
     "this is the inner product; a cosine divides by both lengths":
         lambda t, s, scale: (timestep_embedding(t * scale, 32) * timestep_embedding(s * scale, 32)).sum(1)},
    "In units of 1/1000 any two times look almost alike.")
