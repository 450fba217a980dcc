"Equal shares of an area, right and wrong: what exercise 3 of chapter 40 compares."

import numpy as np
import torch


def even(a, b, n):
    return torch.linspace(a, b, n, dtype=torch.float64)


def swapped(level, loss, n):
    "np.interp asked for areas at levels."
    total = areas(level, loss)
    return torch.from_numpy(np.interp(np.linspace(0, total[-1].item(), n), level, total))


def areas(level, density, by_width=True):
    "The area under `density` up to each level, summed over widths or, if not by_width, points."
    middle = (density[1:] + density[:-1]) / 2
    parts = middle * (level[:-1] - level[1:]) if by_width else middle
    return torch.cat([torch.zeros(1, dtype=torch.float64), parts.cumsum(0)])


def placed(level, density, n, by_width=True, shares=even, sign=1):
    "n levels with equal shares of `density`: at the areas `shares(0, whole, n)`."
    total = sign * areas(level, density, by_width)
    return torch.from_numpy(np.interp(shares(0, total[-1].item(), n), total, level))


def by_points(level, loss, n):
    "Equal shares of the losses of the grid's points."
    total = loss.cumsum(0)
    return torch.from_numpy(np.interp(even(0, total[-1].item(), n), total, level))


def differences(level, loss, n):
    slices = (loss[:-1] - loss[1:]) * (level[:-1] - level[1:])
    total = torch.cat([torch.zeros(1, dtype=torch.float64), slices.cumsum(0)])
    return torch.from_numpy(np.interp(even(0, total[-1].item(), n), total, level))


def on_grid(level, loss, n):
    "Levels of the grid at which the shares are reached."
    total = areas(level, loss)
    return level[torch.searchsorted(total, even(0, total[-1].item(), n)).clamp(max=len(level) - 1)]


def off_by_one(first=None, last=None):
    "One area for each stretch, and a level too few."
    def function(level, loss, n):
        total = areas(level, loss)[1:]
        return torch.from_numpy(np.interp(np.linspace(0, total[-1].item(), n), total,
                                          level[first:last]))
    return function


MISSHARED = {
    "these levels are evenly spaced: the loss has no say": lambda level, loss, n: even(
        level[0], level[-1], n
    ),
    "this spaces them evenly over the points of the grid; the points are no measure of "
    "anything": lambda level, loss, n: (
        level[np.linspace(0, len(level) - 1, n).round()]
    ),
    "this adds up the losses of the grid's points; each stands for a stretch of levels, so "
    "multiply it by the width of that stretch": lambda level, loss, n: (
        placed(level, loss, n, by_width=False)
    ),
    "this adds up the losses of the grid's points, each for as much as any other; each stands for "
    "a stretch of levels, so multiply it by the width of that": by_points,
    "these are levels of the grid, the next ones each time; np.interp goes between two": on_grid,
    "here the steps crowd where the loss is small: this shares out 1 / "
    "loss": lambda level, loss, n: (
        placed(level, 1 / loss, n)
    ),
    "this shares out the square of the loss": lambda level, loss, n: placed(level, loss**2, n),
    "this shares out the root of the loss": lambda level, loss, n: placed(level, loss.sqrt(), n),
    "this adds up loss times level; multiply by the width between two levels":
        lambda level, loss, n: by_points(level, loss * level, n),
    "this shares out how much the loss changes; add two neighbors, and halve": differences,
    "n levels bound n - 1 shares; this makes one share too many, so the last level is not the "
    "end": lambda level, loss, n: (
        placed(level, loss, n + 1)[:-1]
    ),
    "n levels bound n - 1 shares; this makes one share too many, so the first level is not the "
    "beginning": lambda level, loss, n: placed(level, loss, n + 1)[1:],
    "this leaves out both ends, where `level` begins and where it ends":
        lambda level, loss, n: placed(level, loss, n + 2)[1:-1],
    "these are the middles of n shares; their ends are asked for, and n - 1 shares":
        lambda level, loss, n: placed(level, loss, 2 * n + 1)[1::2],
    "the areas go from 0 to the whole; this asks for those from 0 to 1":
        lambda level, loss, n: placed(level, loss, n, shares=lambda a, b, n: even(0, 1, n)),
    "these levels rise; begin where `level` does":
        lambda level, loss, n: placed(level, loss, n).flip(0),
    "the levels fall, so level[1:] - level[:-1] is negative, and np.interp needs areas that "
    "grow": lambda level, loss, n: placed(level, loss, n, sign=-1),
    "the arguments of np.interp are swapped: it is asked for levels at given areas, so the "
    "areas come second and the levels last": lambda level, loss, n: (
        swapped(level, loss, n)
    ),
    "there is an area for each stretch, one less than there are levels: put a 0 in front of the "
    "areas, or the first level is lost": off_by_one(first=1),
    "there is an area for each stretch, one less than there are levels: put a 0 in front of the "
    "areas, or the last level is lost": off_by_one(last=-1),
    "these are the areas; np.interp finds the levels at which they are reached":
        lambda level, loss, n: even(0, areas(level, loss)[-1], n),
}
