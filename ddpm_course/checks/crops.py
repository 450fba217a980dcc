"Squares cut out of images, right and wrong: what exercises 1 and 2 of chapter 23 compare."

import math

import torch
from torch.nn.functional import avg_pool2d, interpolate


def images(*shape, seed=0, smooth=0):
    "Random images; `smooth` times averaged with their neighbors, so that neighbors are alike."
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    for _ in range(smooth): x = avg_pool2d(x, 3, 1, 1)
    return x / x.std()


# ---- 1: center crop ----
def crop(x, size, top, left): return x[..., top:top + size, left:left + size]


def middle(side, size): return (side - size) // 2


def inside(side, size): return slice(middle(side, size), side - middle(side, size))


def upper(side, size): return -((size - side) // 2)


def centered(where): return lambda x, n: crop(x, n, where(x.shape[2], n), where(x.shape[3], n))


def half_around_center(x, n):
    (top, bottom), (left, right) = [(s // 2 - n // 2, s // 2 + n // 2) for s in x.shape[2:]]
    return x[..., top:bottom, left:right]


def margins_off(x, n):
    top, left = [middle(side, n) for side in x.shape[2:]]
    return x[..., top:-top, left:-left]


def both_margins(axis):
    "The margin of one axis, used for both."
    return lambda x, n: crop(x, n, middle(x.shape[axis], n), middle(x.shape[axis], n))


def without_batch(x, n):
    top, left = [middle(side, n) for side in x.shape[2:]]
    return x[:, top:top + n, left:left + n]


def middle_inputs():
    return [(images(2, 3, 8, 13), 6), (images(1, 1, 15, 8, seed=1), 7),
            (images(1, 3, 6, 6, seed=2), 6), (images(1, 3, 9, 10, seed=3), 6)]


OFF_CENTER = {
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
        lambda x, n: without_batch(x, n),
    "the margin at the top is used at the left, too; W has its own": both_margins(2),
    "the margin at the left is used at the top, too; H has its own": both_margins(3),
    "the margin of the shorter side is used for both; each has its own":
        lambda x, n: both_margins(2 if x.shape[2] <= x.shape[3] else 3)(x, n),
    "this is the largest square that fits; it is to be `size` pixels wide":
        lambda x, n: centered(middle)(x, min(x.shape[2:])),
    "a margin cut from both sides leaves one pixel too many where it is odd":
        lambda x, n: x[..., inside(x.shape[2], n), inside(x.shape[3], n)],
    "this begins one pixel too late": centered(lambda side, n: middle(side, n) + 1),
    "this resizes the whole image without a filter; cut, don't resize":
        lambda x, n: interpolate(x, (n, n), mode="bilinear"),
    "this resizes the whole image by averaging; cut, don't resize":
        lambda x, n: interpolate(x, (n, n), mode="area"),
    "only rows are cut away; columns have to be, too":
        lambda x, n: x[:, :, middle(x.shape[2], n):][:, :, :n],
    "only columns are cut away; rows have to be, too":
        lambda x, n: x[..., middle(x.shape[3], n):][..., :n],
    "the slice ends at `size`; it ends at top + size":
        lambda x, n: x[..., middle(x.shape[2], n):n, middle(x.shape[3], n):n],
}


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


def of_one_side(axes):
    "The crop whose top and left are scaled by the sides of these axes."
    def answer(x, n, u):
        places = [[scaled(x.shape[axis], n, a) for axis, a in zip(axes, pair)]
                  for pair in u.tolist()]
        return torch.stack([crop(image, n, *place) for image, place in zip(x, places)])
    return answer


def turned(x, n, u):
    "The crop whose top cuts the columns."
    places = [[scaled(side, n, a) for side, a in zip(x.shape[2:], pair)] for pair in u.tolist()]
    return torch.stack([crop(image, n, left, top) for image, (top, left) in zip(x, places)])


MISPLACED = {
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
        of_one_side((2, 2)),
    "W is used for both sides; the first number goes with H": of_one_side((3, 3)),
    "the sides are exchanged: the top has H - size + 1 places, the left W - size + 1":
        of_one_side((3, 2)),
    "top cuts columns here, and left cuts rows": turned,
    "the second number places top and left; u has a column for each":
        lambda x, n, u: pieces(x, n, u[:, 1:].expand_as(u)),
    "the first position never comes; cut the fraction off, neither round up nor add 1":
        lambda x, n, u: pieces(x, n, u, lambda side, n, a: math.floor(a * (side - n)) + 1),
    "u is multiplied by the size of the piece; scale it to the positions that fit":
        lambda x, n, u: pieces(x, n, u, lambda side, n, a: math.floor(a * n)),
    "1 - u is scaled here; scale u": lambda x, n, u: pieces(x, n, 1 - u),
    "the slice ends at `size`; it ends at top + size":
        lambda x, n, u: torch.stack([
            image[:, scaled(x.shape[2], n, a):n, scaled(x.shape[3], n, b):n]
            for image, (a, b) in zip(x, u.tolist())]),
    "every piece is cut out of the first image; each image has its own row of u":
        lambda x, n, u: pieces(x[:1].expand_as(x), n, u),
    "this piles up at the last position; scale u to the positions that fit":
        lambda x, n, u: pieces(x, n, u, lambda side, n, a: min(int(a * side), side - n)),
}
