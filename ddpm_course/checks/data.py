"Checkers for the exercises of chapter 23."

import math

import torch
from torch.nn.functional import avg_pool2d, interpolate

from . import Exercise


def images(*shape, seed=0, smooth=0):
    "Random images; `smooth` times averaged with their neighbors, so that neighbors are alike."
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    for _ in range(smooth): x = avg_pool2d(x, 3, 1, 1)
    return x / x.std()


# ---- 1: center crop ----
def crop(x, size, top, left): return x[..., top:top + size, left:left + size]


def middle(side, size): return (side - size) // 2


def upper(side, size): return -((size - side) // 2)


def centered(where): return lambda x, n: crop(x, n, where(x.shape[2], n), where(x.shape[3], n))


def half_around_center(x, n):
    (top, bottom), (left, right) = [(s // 2 - n // 2, s // 2 + n // 2) for s in x.shape[2:]]
    return x[..., top:bottom, left:right]


def margins_off(x, n):
    top, left = [middle(side, n) for side in x.shape[2:]]
    return x[..., top:-top, left:-left]


def without_batch(x, n):
    top, left = [middle(side, n) for side in x.shape[2:]]
    return x[:, top:top + n, left:left + n]


center_crop = Exercise(
    right=centered(middle),
    cases=lambda: [(images(2, 3, 8, 13), 6), (images(1, 1, 15, 8, seed=1), 7),
                   (images(1, 3, 6, 6, seed=2), 6), (images(1, 3, 9, 10, seed=3), 6)],
    wrong={
        "this cuts the corner at the top left": lambda x, n: crop(x, n, 0, 0),
        "this swaps the margins: H goes with the top, W with the left":
            lambda x, n: crop(x, n, middle(x.shape[3], n), middle(x.shape[2], n)),
        "this squeezes the whole image into the square; cut, don't resize":
            lambda x, n: interpolate(x, (n, n), mode="bilinear", antialias=True),
        "this resizes the whole image by picking pixels; cut, don't resize":
            lambda x, n: interpolate(x, (n, n)),
        "where the margin is odd, the smaller half belongs on the left and at the top":
            centered(upper),
        "where the margin is odd, Python's round goes to the even neighbor; use //":
            centered(lambda side, n: round((side - n) / 2)),
        "H // 2 - size // 2 cuts two fractions off instead of one; halve the difference":
            centered(lambda side, n: side // 2 - n // 2),
        "this starts at the center; it must start half a `size` before it":
            centered(lambda side, n: side // 2),
        "this ends one pixel too early: from top to top + size, the end not included":
            lambda x, n: centered(middle)(x, n)[..., :-1, :-1],
        "this cuts the corner at the bottom right": lambda x, n: x[..., -n:, -n:],
        "half of an odd size is cut off twice; from top to top + size":
            lambda x, n: half_around_center(x, n),
        "a margin cut from both sides leaves one pixel too many where it is odd, "
        "and nothing where it is 0": lambda x, n: margins_off(x, n),
        "this slices channels and rows; height and width are the last two axes":
            lambda x, n: without_batch(x, n)},
    praise="torchvision's CenterCrop does the same, but for the side that gets the odd pixel.",
    tol=1e-9)


# ---- 2: random crop ----
def scaled(side, size, u): return math.floor(u * (side - size + 1))


def pieces(x, size, u, place=scaled):
    corners = [(place(x.shape[2], size, a), place(x.shape[3], size, b)) for a, b in u.tolist()]
    return torch.stack([crop(image, size, top, left) for image, (top, left) in zip(x, corners)])


def crop_inputs():
    u = torch.rand(6, 2, generator=torch.Generator().manual_seed(3))
    u[0, 0] = 0.999 # the last position
    return [(images(6, 3, 9, 12), 4, u), (images(6, 1, 10, 7, seed=1), 5, u.flip(0)),
            (images(1, 2, 8, 9, seed=2), 6, u[1:2]), (images(1, 2, 6, 11, seed=3), 5, u[2:3])]


class RandomCrop(Exercise):
    "Also looks whether the same numbers give the same pieces."
    def __call__(self, answer):
        try: first, again = (answer(*self.cases()[0]) for _ in range(2))
        except Exception: first = None # told by the checker itself
        if isinstance(first, torch.Tensor) and not torch.equal(first, again):
            raise AssertionError("Not yet: two calls with the same u differ; draw nothing here, "
                                 "so that a resumed run sees the same pieces")
        super().__call__(answer)


random_crop = RandomCrop(
    right=pieces,
    cases=crop_inputs,
    wrong={
        "the last position never comes: side - size + 1 positions fit":
            lambda x, n, u: pieces(x, n, u, lambda side, n, a: math.floor(a * (side - n))),
        "rounding gives the first and the last position half their share; cut the fraction off":
            lambda x, n, u: pieces(x, n, u, lambda side, n, a: round(a * (side - n))),
        "one place for the whole batch; each image has its own row of u":
            lambda x, n, u: pieces(x, n, u[:1].expand_as(u)),
        "the first column of u is for the top, the second for the left":
            lambda x, n, u: pieces(x, n, u.flip(1)),
        "the same number places top and left; u has a column for each":
            lambda x, n, u: pieces(x, n, u[:, :1].expand_as(u)),
        "u is not scaled: it is below 1, and every piece starts at the corner":
            lambda x, n, u: crop(x, n, 0, 0),
        "this is the center of every image; u says where to cut":
            lambda x, n, u: centered(middle)(x, n),
        "u times the side lets pieces stick out; side - size + 1 positions fit":
            lambda x, n, u: pieces(x, n, u, lambda side, n, a: int(a * side)),
        "this rounds, so that pieces stick out; cut the fraction off":
            lambda x, n, u: pieces(x, n, u, lambda side, n, a: round(a * (side - n + 1))),
        "H is used for both sides; the second number goes with W":
            lambda x, n, u: torch.stack([crop(image, n, *(scaled(x.shape[2], n, a) for a in pair))
                                         for image, pair in zip(x, u.tolist())]),
        "this piles up at the last position; scale u to the positions that fit":
            lambda x, n, u: pieces(x, n, u, lambda side, n, a: min(int(a * side), side - n))},
    praise="The numbers come from outside: a resumed run sees the same pieces.", tol=1e-9)


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
    y = images(9, 1, 5, 5, seed=2)
    y[4] = y[1] + 0.2
    y[7] = y[8].mean() # as bright as its neighbor, and nothing else
    z = torch.zeros(3, 1, 2, 2)
    z[1, 0, 0, 0] = 1
    z[2] = 0.3 # less than 1 in squares, and more in absolute values
    return [(x,), (y,), (z,)]


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
        "this divides spreads; roughness is the mean absolute difference of neighbors":
            lambda x, k: (x[..., ::k, ::k].std() / avg_pool2d(x, k).std()).item()},
    praise="To shrink is to average first.")
