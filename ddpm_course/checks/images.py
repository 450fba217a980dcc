"Checkers for the exercises of chapter 10."

import torch

from . import Exercise


def images(*shape, spread=0.7, seed=0):
    "Normal random numbers: images that leave [-1, 1] here and there."
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * spread


# ---- 1: floats to bytes ----
def byte(k): return k.long().to(torch.uint8)


def stretch(x, axes):
    low = x.amin(axes, True)
    return (x - low) / (x.amax(axes, True) - low)


to_bytes = Exercise(
    right=lambda x: byte(((x.clamp(-1, 1) + 1) * 127.5).round()),
    cases=lambda: [(images(2, 3, 8, 8),), (images(1, 1, 6, 5, spread=0.2, seed=1),)],
    wrong={
        "this cuts the fraction off, which darkens by half a level on average; round first":
            lambda x: byte((x.clamp(-1, 1) + 1) * 127.5),
        "values outside [-1, 1] wrap around to the other end; clamp first":
            lambda x: byte(((x + 1) * 127.5).round()),
        "values outside [-1, 1] wrap around, and the fraction is cut off; clamp, then round":
            lambda x: byte((x + 1) * 127.5),
        "this stretches each image to its own minimum and maximum; black is -1, white is 1 for all":
            lambda x: byte((stretch(x, (1, 2, 3)) * 255).round()),
        "this stretches the batch to its own minimum and maximum; black is -1, white is 1 always":
            lambda x: byte((stretch(x, (0, 1, 2, 3)) * 255).round()),
        "this takes the range for [0, 1]; everything below 0 becomes black":
            lambda x: byte((x.clamp(0, 1) * 255).round()),
        "this stretches to minimum and maximum, and cuts; black is -1, white is 1 for all":
            lambda x: byte(stretch(x, (0, 1, 2, 3)) * 255),
        "this stops at 0..1: multiply by 255 before you round":
            lambda x: byte(((x.clamp(-1, 1) + 1) / 2).round()),
        "this stops at 0..1, and cuts that to 0: multiply by 255 first, and round":
            lambda x: byte((x.clamp(-1, 1) + 1) / 2),
        "this scales by 255, but -1 is not moved to 0: add 1 first, and halve":
            lambda x: byte((x.clamp(-1, 1) * 255).round()),
        "this rounds up, which brightens by half a level on average; round to the nearest":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 127.5).ceil()),
        "this adds one half and rounds; do one of the two, or add one half and cut":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 127.5 + 0.5).round()),
        "this scales by 255, so that 0 is white already; [-1, 1] is 2 wide: scale by 127.5":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 255).round().clamp(0, 255)),
        "this scales by 128: white becomes 256, which wraps or is clamped, and all levels are off":
            lambda x: byte(((x + 1) * 128).round().clamp(0, 255)),
        "this scales by 128 and cuts: with 127.5 and rounding, every level has its place":
            lambda x: byte(((x + 1) * 128).clamp(0, 255)),
        "this scales by 127: white becomes 254 or 255, and the levels in between are off":
            lambda x: byte((x.clamp(-1, 1) * 127 + 128).round()),
        "this scales by 127, so that white is 254; scale by 127.5":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 127).round()),
        "this scales by 128, so that white wraps around to 0; scale by 127.5":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 128).round()),
        "this scales to 256 and cuts, so that white wraps around to 0; scale by 127.5 and round":
            lambda x: byte((x.clamp(-1, 1) + 1) * 128),
        "this takes the range for [0, 1]; everything below 0 and above 1 wraps around":
            lambda x: byte((x * 255).round()),
        "this takes the range for [0, 1], and cuts the fraction off":
            lambda x: byte(x.clamp(0, 1) * 255),
        "this clamps to [0, 1]; black is -1":
            lambda x: byte(((x.clamp(0, 1) + 1) * 127.5).round()),
        "[-1, 1] is 2 wide: scaled by 255, everything above 0 wraps around; scale by 127.5":
            lambda x: byte(((x.clamp(-1, 1) + 1) * 255).round()),
        "this scales by 127.5, but -1 is not moved to 0: add 1 first":
            lambda x: byte((x.clamp(-1, 1) * 127.5).round()),
        "the 1 is added after scaling, where it is one gray level; add it first":
            lambda x: byte((x.clamp(-1, 1) * 127.5 + 1).round()),
        "without brackets 1 / 2 is added, not 1: (x + 1) / 2":
            lambda x: byte(((x + 1 / 2) * 255).round().clamp(0, 255)),
        "adding one half and cutting rounds rightly, but values outside [-1, 1] wrap: clamp first":
            lambda x: byte(x * 127.5 + 128)},
    praise="Clamp, then round: every level 0..255 survives the trip there and back.",
    tol=1e-9, dtype=torch.uint8, keeps_inputs=True)


# ---- 2: a grid cut apart ----
def pieces(grid, size, step, begin=0, by_column=False):
    tops, lefts = [range(begin, side, step) for side in grid.shape[:2]]
    places = [(i, j) for i in tops for j in lefts]
    if by_column: places.sort(key=lambda place: place[1])
    return torch.stack([grid[i:i + size, j:j + size] for i, j in places])


def counted(picture, size, padding, axes=(0, 1), missing=0, step=None):
    "The pieces, where rows and columns are counted along `axes` of the picture."
    counts = [(picture.shape[axis] + padding) // (size + padding) - missing for axis in axes]
    tops, lefts = [[i * (step or size + padding) for i in range(n)] for n in counts]
    cut = [picture[i:i + size, j:j + size] for i in tops for j in lefts]
    return torch.stack(cut).permute(0, 3, 1, 2)


def grid(rows, columns, size, padding, seed):
    rng = torch.Generator().manual_seed(seed)
    height, width = [n * (size + padding) - padding for n in (rows, columns)]
    return torch.randint(0, 256, (height, width, 3), generator=rng, dtype=torch.uint8)


def scrambled(picture, size, padding): return picture.reshape(-1, 3, size, size)


cut_grid = Exercise(
    right=lambda picture, size, padding: pieces(picture, size, size + padding).permute(0, 3, 1, 2),
    cases=lambda: [(grid(3, 3, 4, 2, seed=0), 4, 2), (grid(3, 2, 3, 0, seed=1), 3, 0),
                   (grid(1, 3, 2, 1, seed=2), 2, 1), (grid(1, 1, 5, 1, seed=3), 5, 1)],
    wrong={
        "the channels are still last; images are (B, 3, size, size)":
            lambda picture, size, padding: pieces(picture, size, size + padding),
        "rows and columns of each image are exchanged; permute to (0, 3, 1, 2)":
            lambda picture, size, padding:
                pieces(picture, size, size + padding).permute(0, 3, 2, 1),
        "the images come column by column; the first row of the grid comes first":
            lambda picture, size, padding:
                pieces(picture, size, size + padding, by_column=True).permute(0, 3, 1, 2),
        "the padding is not skipped, so that each image begins further off":
            lambda picture, size, padding: pieces(picture, size, size).permute(0, 3, 1, 2),
        "this expects padding at the margin too; the first image begins at the corner":
            lambda picture, size, padding:
                pieces(picture, size, size + padding, begin=padding).permute(0, 3, 1, 2),
        "a view alone mixes the images: neighbors in memory belong to one row of the grid":
            scrambled,
        "a view alone mixes the images, and then channels are moved; cut each image out":
            lambda picture, size, padding:
                scrambled(picture, size, padding).view(-1, size, size, 3).permute(0, 3, 1, 2),
        "the windows are right, and a reshape mixes them: move the channels behind them first":
            lambda picture, size, padding: picture.permute(2, 0, 1)
                .unfold(1, size, size + padding).unfold(2, size, size + padding)
                .reshape(-1, 3, size, size),
        "the padding is still at the right and the bottom of the images; cut `size` pixels":
            lambda picture, size, padding:
                pieces(picture, size + padding, size + padding).permute(0, 3, 1, 2),
        "the last row and the last column are missing: no padding follows them, so "
        "(side + padding) // (size + padding) images fit":
            lambda picture, size, padding: counted(picture, size, padding, missing=padding > 0),
        "W counts the rows here, and H the columns; a picture is (H, W, 3)":
            lambda picture, size, padding: counted(picture, size, padding, axes=(1, 0)),
        "H counts the columns, too; a picture may be wider than high":
            lambda picture, size, padding: counted(picture, size, padding, axes=(0, 0)),
        "a reshape moves no channels, it mixes pixels: permute(0, 3, 1, 2)":
            lambda picture, size, padding:
                scrambled(pieces(picture, size, size + padding), size, padding),
        "the rows and columns of the grid are still apart: one axis for all images":
            lambda picture, size, padding: picture.unfold(0, size, size + padding)
                .unfold(1, size, size + padding),
        "the padding is not skipped: image i begins at i * (size + padding)":
            lambda picture, size, padding: counted(picture, size, padding, step=size),
        "these are floats in [-1, 1]; leave the numbers as they are in the picture":
            lambda picture, size, padding:
                pieces(picture, size, size + padding).permute(0, 3, 1, 2) / 127.5 - 1,
        "this returns the first image alone":
            lambda picture, size, padding: picture[None, :size, :size].permute(0, 3, 1, 2)},
    praise="A batch again; from a JPEG it would not have come back exactly.", tol=1e-9,
    dtype=torch.uint8)


# ---- 3: dithering ----
def on_scale(x, levels): return (x + 1) * levels / 2


def back(k, levels): return 2 * k.clamp(0, levels) / levels - 1


def uniform(*shape, seed): return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


dither = Exercise(
    right=lambda x, levels, u: back((on_scale(x, levels) + u).floor(), levels),
    cases=lambda: [(images(2, 3, 8, 8), 3, uniform(2, 3, 8, 8, seed=5)),
                   (images(1, 1, 9, 9, seed=1), 16, uniform(1, 1, 9, 9, seed=6))],
    wrong={
        "this rounds to the nearest level after the noise, half a level too high on average; cut":
            lambda x, levels, u: back((on_scale(x, levels) + u).round(), levels),
        "this centers the noise and then cuts, half a level too low on average; add u as it is":
            lambda x, levels, u: back((on_scale(x, levels) + u - 0.5).floor(), levels),
        "there is no noise in this: it cuts":
            lambda x, levels, u: back(on_scale(x, levels).floor(), levels),
        "there is no noise in this: it rounds":
            lambda x, levels, u: back(on_scale(x, levels).round(), levels),
        "the noise is added before scaling, where a level is 2/levels wide and not 1":
            lambda x, levels, u: back(on_scale(x + u, levels).floor(), levels),
        "[-1, 1] is 2 wide: (x + 1) / 2 goes from 0 to 1":
            lambda x, levels, u: back((2 * on_scale(x, levels) + u).floor(), levels),
        "the noise is added, and nothing is cut: round down to whole levels":
            lambda x, levels, u: back(on_scale(x, levels) + u, levels),
        "the result lies in [0, 1]; return to [-1, 1]":
            lambda x, levels, u: (on_scale(x, levels) + u).floor().clamp(0, levels) / levels,
        "the result is in levels; return to [-1, 1]":
            lambda x, levels, u: (on_scale(x, levels) + u).floor().clamp(0, levels),
        "values beyond the range are left there; clamp to 0..levels":
            lambda x, levels, u: 2 * (on_scale(x, levels) + u).floor() / levels - 1,
        "this scales to 0..levels + 1; the largest gray level is `levels`":
            lambda x, levels, u: back(((x + 1) * (levels + 1) / 2 + u).floor(), levels),
        "this is for x in [0, 1]; here black is -1":
            lambda x, levels, u: back((x * levels + u).floor(), levels),
        "-1 is not moved to 0: add 1 before you scale":
            lambda x, levels, u: back((x * levels / 2 + u).floor(), levels),
        "the largest gray level is `levels` itself; this clamps to levels - 1":
            lambda x, levels, u: back((on_scale(x, levels) + u).floor().clamp(max=levels - 1),
                                      levels),
        "this takes `levels` for their number; it is the largest level, and 0 is one more":
            lambda x, levels, u: back((on_scale(x, levels - 1) + u).floor(), levels - 1),
        "this takes `levels` + 1 for the largest level; that is `levels`":
            lambda x, levels, u: back((on_scale(x, levels + 1) + u).floor(), levels + 1),
        "values below black are left there; clamp to 0..levels at both ends":
            lambda x, levels, u:
                2 * (on_scale(x, levels) + u).floor().clamp(max=levels) / levels - 1,
        "values above white are left there; clamp to 0..levels at both ends, not to 0..255":
            lambda x, levels, u: 2 * (on_scale(x, levels) + u).floor().clamp(min=0) / levels - 1,
        "this rounds up; cut the fraction off":
            lambda x, levels, u: back((on_scale(x, levels) + u).ceil(), levels),
        "u is stretched to [-1, 1); add it as it is, and cut":
            lambda x, levels, u: back((on_scale(x, levels) + 2 * u - 1).floor(), levels),
        "u is stretched to [-1, 1); add it as it is, and cut in place of rounding":
            lambda x, levels, u: back((on_scale(x, levels) + 2 * u - 1).round(), levels),
        "this has 256 levels, whatever `levels` is":
            lambda x, levels, u: back((on_scale(x, 255) + u).floor(), 255),
        "the result lies in [0, 2]; subtract 1":
            lambda x, levels, u: back((on_scale(x, levels) + u).floor(), levels) + 1,
        "the result lies in [-1, 0]: 2 k / levels - 1 ends at 1":
            lambda x, levels, u: (back((on_scale(x, levels) + u).floor(), levels) - 1) / 2,
        "u is subtracted; add it":
            lambda x, levels, u: back((on_scale(x, levels) - u).floor(), levels),
        "u is added after the fraction was cut; noise comes before rounding":
            lambda x, levels, u: back(on_scale(x, levels).floor() + u, levels),
        "this goes up where u is below one half; it is the fraction that u is added to":
            lambda x, levels, u: back(on_scale(x, levels).floor() + (u > 0.5), levels)},
    praise="The expected value is x itself: what single pixels lose, areas keep.",
    keeps_inputs=True)


# ---- 4: wrap-around ----
def levels(x): return ((x + 1) * 127.5).round()


def outside(k): return (k < 0) | (k > 255)


wrapped = Exercise(
    right=lambda x: outside(levels(x)),
    cases=lambda: [(images(1, 3, 16, 16),), (torch.tensor(
        [-1.5, -1.006, -1.001, -1.0, 0.0, 1.0, 1.001, 1.006, 1.5]).view(1, 1, 3, 3),)],
    wrong={
        "rounding forgives a little: values up to 1 + 1/255 still give 255": lambda x: x.abs() > 1,
        "at 255.5 rounding already gives 256, and it forgives a little below 0: round first":
            lambda x: ((x + 1) * 127.5 < 0) | ((x + 1) * 127.5 >= 256),
        "wrap-around happens below 0 as well": lambda x: levels(x) > 255,
        "wrap-around happens above 255 as well": lambda x: levels(x) < 0,
        "255 and 0 themselves fit a byte": lambda x: (levels(x) <= 0) | (levels(x) >= 255),
        "beyond 256 it wraps as well, and below 0": lambda x: levels(x) == 256,
        "rounding forgives a little, and values below -1 wrap as well": lambda x: x > 1,
        "1 and -1 themselves fit, and rounding forgives a little more": lambda x: x.abs() >= 1,
        "white itself fits a byte: 1 gives 255 with the factor 127.5, and 255 is not too large":
            lambda x: (levels(x) < 0) | (levels(x) >= 255),
        "black itself fits a byte: -1 gives 0": lambda x: (levels(x) <= 0) | (levels(x) > 255),
        "256 is one too many for a byte": lambda x: (levels(x) < 0) | (levels(x) > 256),
        "nothing is ever marked: no number is below 0 and above 255 at once (join by or), and "
        "after a clamp or a cast none is outside": lambda x: x != x,
        "this cuts toward 0; round to the nearest":
            lambda x: outside(((x + 1) * 127.5).trunc()),
        "-1 is not moved to 0: add 1 before you scale":
            lambda x: outside((x * 127.5).round()),
        "this is for images in [0, 1]; here black is -1":
            lambda x: outside((x * 255).round()),
        "[-1, 1] is 2 wide: scale by 127.5": lambda x: outside(((x + 1) * 255).round()),
        "this is the mask of the values that are right":
            lambda x: (levels(x) >= 0) & (levels(x) <= 255)},
    praise="Half of all digit pixels lie at the very end of the range: "
           "that is where the speckles come from.", tol=1e-9, dtype=torch.bool)
