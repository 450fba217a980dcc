"Checkers for the exercises of chapter 23."

import torch
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from . import Exercise
from .crops import MISPLACED, OFF_CENTER, centered, crop_inputs, images
from .crops import middle, middle_inputs, pieces

# ---- 1: center crop ----
center_crop = Exercise(
    centered(middle), middle_inputs, OFF_CENTER,
    "torchvision's CenterCrop does the same, but for the side that gets the odd pixel.", tol=1e-9)


# ---- 2: random crop ----
random_crop = Exercise(
    pieces, crop_inputs, MISPLACED,
    "The numbers come from outside: a resumed run sees the same pieces.", tol=1e-9)


# ---- 3: the most similar pair ----
def distances(x):
    x = x.flatten(1).double()
    return torch.cdist(x, x)


def pair(distance, best=torch.argmin, diagonal=False):
    n = len(distance)
    hidden = torch.ones(n, n).tril(-1 if diagonal else 0).bool()
    worst = float("inf") if best is torch.argmin else -float("inf")
    return divmod(best(distance.masked_fill(hidden, worst)).item(), n)


def pair_inputs():
    x = images(7, 3, 4, 4)
    x[5] = x[2] + 0.1 * images(3, 4, 4, seed=1)
    x[0] = 3 * images(3, 4, 4, seed=4)
    x[1] = x[0] + 1 # strong contrast, and not the most similar
    x[6, 0] = x[3, 0] # in the first channel alone
    y = images(9, 1, 5, 5, seed=2)
    y[8] = y[1] + 0.2
    y[6] = y[7].mean() # as bright as its neighbor, and nothing else
    z = torch.zeros(4, 1, 2, 2)
    z[1, 0, 0, 0] = 1
    z[3] = 5
    z[2] = 0.3 # less than 1 in squares, and more in absolute values
    return [(x,), (y,), (z,)]


def with_nan(x):
    "Hides by adding infinity times 0 or 1, which is NaN or infinity."
    n = len(x)
    return divmod((distances(x) + torch.ones(n, n).tril() * float("inf")).argmin().item(), n)


def alike(x):
    "Distances of images brought to length 1."
    x = torch.nn.functional.normalize(x.flatten(1).double())
    return 1 - x @ x.T


def neighbors(x):
    i = distances(x).diagonal(1).argmin().item()
    return i, i + 1


nearest_pair = Exercise(
    right=lambda x: pair(distances(x)),
    cases=pair_inputs,
    wrong={
        "every image is most similar to itself: leave the diagonal out":
            lambda x: pair(distances(x), diagonal=True),
        "these are the two most different images": lambda x: pair(distances(x), torch.argmax),
        "i < j: the pair is reversed": lambda x: pair(distances(x))[::-1],
        "only neighbors in the list are compared": neighbors,
        "only the first image is compared with others; try all pairs":
            lambda x: (0, 1 + distances(x)[0, 1:].argmin().item()),
        "the last image is never compared": lambda x: pair(distances(x[:-1])),
        "only the first channel is compared": lambda x: pair(distances(x[:, :1])),
        "positions count from 0": lambda x: tuple(i + 1 for i in pair(distances(x))),
        "infinity times 0 is NaN, and argmin finds it; use masked_fill": with_nan,
        "this compares angles; take the sum of squared differences": lambda x: pair(alike(x)),
        "this is the smallest product; take the sum of squared differences":
            lambda x: pair(x.flatten(1).double() @ x.flatten(1).double().T),
        "this returns the distance, too; return i and j":
            lambda x: (*pair(distances(x)), distances(x)[pair(distances(x))].item()),
        "this returns the squared distance, too; return i and j":
            lambda x: (*pair(distances(x)), distances(x)[pair(distances(x))].item()**2),
        "these are the images; their positions are asked for":
            lambda x: tuple(x[i] for i in pair(distances(x))),
        "this counts through the pairs i < j; return i and j themselves":
            lambda x: torch.pdist(x.flatten(1)).argmin().item(),
        "argmin runs along one axis here; take it of the whole table":
            lambda x: distances(x).masked_fill(torch.ones(len(x), len(x)).tril().bool(),
                                               float("inf")).argmin(0),
        "without squares differences cancel, and pictures of one brightness seem to be alike":
            lambda x: pair((x[:, None] - x).double().sum((2, 3, 4)).abs()),
        "these are absolute differences; square them":
            lambda x: pair((x[:, None] - x).double().abs().sum((2, 3, 4))),
        "this takes the largest product; it grows with contrast, not with similarity alone":
            lambda x: pair(x.flatten(1).double() @ x.flatten(1).double().T, torch.argmax),
        "this is the most negative sum of differences; square them first":
            lambda x: pair((x[:, None] - x).double().sum((2, 3, 4))),
        "argmin counts through the whole table; divide by its width to get i and j":
            lambda x: torch.tensor(pair(distances(x))) @ torch.tensor([len(x), 1]),
        "this is the smallest distance; its position is asked for":
            lambda x: distances(x)[pair(distances(x))].item(),
        "this is the smallest squared distance; its position is asked for":
            lambda x: distances(x)[pair(distances(x))].item()**2},
    praise="Run it on every new folder, with the test set beside it.", tol=1e-9)


# ---- 4: the missing filter ----
def roughness(x, dim=-1, power=1): return (x.diff(dim=dim).abs()**power).mean().item()


def wrapped(x): return (x - x.roll(1, -1)).abs().mean().item()


def apart(x, k): return (x[..., k:] - x[..., :-k]).abs().mean().item()


def each(x): return x.diff().abs().mean((1, 2, 3))


def middling(x): return x.diff().abs().median().item()


def ratio(x, k, **kwargs):
    return roughness(x[..., ::k, ::k], **kwargs) / roughness(avg_pool2d(x, k), **kwargs)


roughness_ratio = Exercise(
    right=ratio,
    cases=lambda: [(images(2, 3, 24, 24, smooth=2), 2),
                   (images(1, 3, 24, 36, seed=1, smooth=3), 4)],
    wrong={
        "this is averaged over picked; the picked one comes first": lambda x, k: 1 / ratio(x, k),
        "these are vertical neighbors; horizontal ones follow each other along the last axis":
            lambda x, k: ratio(x, k, dim=-2),
        "differences are squared here; take their absolute values":
            lambda x, k: ratio(x, k, power=2),
        "this is the root of the mean square; take the mean of absolute values":
            lambda x, k: ratio(x, k, power=2)**0.5,
        "without absolute values the differences cancel":
            lambda x, k: (x[..., ::k, ::k].diff().mean() / avg_pool2d(x, k).diff().mean()).item(),
        "this compares with the full picture; average it in k x k blocks":
            lambda x, k: roughness(x[..., ::k, ::k]) / roughness(x),
        "rows are not thinned out: keep every k-th row and column":
            lambda x, k: roughness(x[..., ::k]) / roughness(avg_pool2d(x, k)),
        "this is the difference of the two; divide": lambda x, k:
            roughness(x[..., ::k, ::k]) - roughness(avg_pool2d(x, k)),
        "the blocks overlap: avg_pool2d(x, k) moves on by k pixels, with stride 1 by one":
            lambda x, k: roughness(x[..., ::k, ::k]) / roughness(avg_pool2d(x, k, 1)),
        "this thins out channels and rows; rows and columns are the last two axes":
            lambda x, k: roughness(x[:, ::k, ::k]) / roughness(avg_pool2d(x, k)),
        "this is the roughness of the picked picture; divide by that of the averaged one":
            lambda x, k: roughness(x[..., ::k, ::k]),
        "this is the roughness of the averaged picture; the picked one is divided by it":
            lambda x, k: roughness(avg_pool2d(x, k)),
        "columns are not thinned out: keep every k-th row and column":
            lambda x, k: roughness(x[..., ::k, :]) / roughness(avg_pool2d(x, k)),
        "this thins out images and channels; rows and columns are the last two axes":
            lambda x, k: roughness(x[::k, ::k]) / roughness(avg_pool2d(x, k)),
        "this compares the full picture; keep every k-th row and column of it":
            lambda x, k: roughness(x) / roughness(avg_pool2d(x, k)),
        "horizontal and vertical neighbors are compared; take horizontal ones alone":
            lambda x, k: sum(roughness(x[..., ::k, ::k], d) for d in (-1, -2))
                / sum(roughness(avg_pool2d(x, k), d) for d in (-1, -2)),
        "the last column is compared with the first: roll wraps around": lambda x, k:
            wrapped(x[..., ::k, ::k]) / wrapped(avg_pool2d(x, k)),
        "this takes pixels that are k apart in both; compare neighbors":
            lambda x, k: apart(x[..., ::k, ::k], k) / apart(avg_pool2d(x, k), k),
        "each image has its own ratio here; take the means over all images first":
            lambda x, k: each(x[..., ::k, ::k]) / each(avg_pool2d(x, k)),
        "this is the mean of the images' ratios; take the means over all images first":
            lambda x, k: (each(x[..., ::k, ::k]) / each(avg_pool2d(x, k))).mean(),
        "this takes the largest pixel of each block; average them":
            lambda x, k: roughness(x[..., ::k, ::k]) / roughness(max_pool2d(x, k)),
        "this interpolates between a few pixels; average whole blocks":
            lambda x, k: roughness(x[..., ::k, ::k]) / roughness(
                interpolate(x, scale_factor=1 / k, mode="bilinear")),
        "the picked picture is averaged here; average the full one":
            lambda x, k: roughness(x[..., ::k, ::k]) / roughness(avg_pool2d(x[..., ::k, ::k], k)),
        "picking begins at pixel k // 2; it begins at 0":
            lambda x, k: roughness(x[..., k // 2::k, k // 2::k]) / roughness(avg_pool2d(x, k)),
        "these are medians; take the mean of absolute values":
            lambda x, k: middling(x[..., ::k, ::k]) / middling(avg_pool2d(x, k)),
        "this divides spreads; roughness is the mean absolute difference of neighbors":
            lambda x, k: (x[..., ::k, ::k].std() / avg_pool2d(x, k).std()).item()},
    praise="To shrink is to average first.")
