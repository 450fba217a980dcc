"Checkers for the exercises of 09b: what tables of guidance may claim."

import torch

from ddpm_course.checks import Exercise


def runs(): return [(list(range(980, -1, -20)), 3.0, None), (list(range(980, -1, -20)), 3.0, (100, 600)), ([999, 500, 0], 1.0, (0, 999)), ([900, 600, 300, 0], 0.0, None),
                    ([900, 600, 300, 0], 0.0, (300, 700)), ([900, 600, 300, 0], 1.5, (300, 600))]


def calls(timesteps, scale, interval, double=lambda scale: scale not in (0, 1), acts=lambda t, low, high: low <= t <= high):
    return sum(1 + (double(scale) and (interval is None or acts(t, *interval))) for t in timesteps)


evaluations = Exercise(
    right=calls,
    cases=runs,
    wrong={
        "this counts two calls at every step; outside the interval one is enough": lambda timesteps, scale, interval: calls(timesteps, scale, None),
        "at scale 1 the unconditional pass has weight 0, and at scale 0 the conditional one; one call does": lambda timesteps, scale, interval: calls(timesteps, scale, interval, double=lambda scale: True),
        "one call is enough at scale 0, too: the conditional pass has weight 0 there": lambda timesteps, scale, interval: calls(timesteps, scale, interval, double=lambda scale: scale != 1),
        "the ends of the interval belong to it": lambda timesteps, scale, interval: calls(timesteps, scale, interval, acts=lambda t, low, high: low < t < high),
        "the lower end belongs to the interval, too": lambda timesteps, scale, interval: calls(timesteps, scale, interval, acts=lambda t, low, high: low < t <= high),
        "these are the steps, not the network evaluations": lambda timesteps, scale, interval: len(timesteps),
        "this counts the steps at which guidance acts; the others cost a call as well": lambda timesteps, scale, interval: 2 * sum(interval is None or interval[0] <= t <= interval[1] for t in timesteps),
    },
    praise="A fair comparison puts this number on the axis, not the steps.")


def scores(): return [([10, 20, 40, 80, 100], [5.0, 3.0, 3.5, 2.0, 2.5]), ([100, 50, 50, 20, 20, 10], [1.0, 1.0, 2.0, 2.0, 1.5, 4.0]), ([1, 2, 3], [3.0, 2.0, 1.0])]


def dominated(costs, distances, beats): return [any(beats(c, d, costs[i], distances[i]) for c, d in zip(costs, distances)) for i in range(len(costs))]


def kept(costs, distances, beats): return [not lost for lost in dominated(costs, distances, beats)]


def better(c, d, cost, distance): return c <= cost and d <= distance and (c < cost or d < distance)


front = Exercise(
    right=lambda costs, distances: kept(costs, distances, better),
    cases=scores,
    wrong={
        "these are the rows that lose; keep the others": lambda costs, distances: dominated(costs, distances, better),
        "a row that costs as much and is better beats this one, too; so does one as good that costs less": lambda costs, distances: kept(costs, distances, lambda c, d, cost, distance: c < cost and d < distance),
        "a row does not beat itself: it has to be better in one of the two": lambda costs, distances: kept(costs, distances, lambda c, d, cost, distance: c <= cost and d <= distance),
        "this asks for the smallest distance alone; a worse one that costs less may be worth its price": lambda costs, distances: [d == min(distances) for d in distances],
        "this asks for the smallest cost alone": lambda costs, distances: [c == min(costs) for c in costs],
    },
    praise="Of the rows that are left, each is the best for its cost.")


def noisy():
    "Distances (settings, seeds), lower is better."
    draw = lambda k, n, seed: 3 + torch.randn(k, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return [(draw(8, 6, 0),), (draw(11, 4, 3),), (draw(5, 10, 2) + torch.arange(5.0).view(5, 1) / 10,)]


def tuned(values, choose, report): return report(values)[choose(values).mean(1).argmin()].mean()


def half(values): return values.shape[1] // 2


best_of_many = Exercise(
    right=lambda values: (tuned(values, lambda v: v, lambda v: v), tuned(values, lambda v: v[:, :half(v)], lambda v: v[:, half(v):])),
    cases=noisy,
    wrong={
        "both numbers are the same: the second has to come from seeds that did not choose": lambda values: (tuned(values, lambda v: v, lambda v: v),) * 2,
        "the second number still chooses with all the seeds; let the first half choose": lambda values: (
            tuned(values, lambda v: v, lambda v: v), tuned(values, lambda v: v, lambda v: v[:, half(v):])),
        "the second number reports the seeds that chose; report the others": lambda values: (
            tuned(values, lambda v: v, lambda v: v), tuned(values, lambda v: v[:, :half(v)], lambda v: v[:, :half(v)])),
        "this chooses the largest distance; the smallest is the best": lambda values: (
            tuned(-values, lambda v: v, lambda v: -v), tuned(-values, lambda v: v[:, :half(v)], lambda v: -v[:, half(v):])),
        "the first number is the best single run; the bug takes the setting with the best mean, and reports that mean": lambda values: (
            values.min(), tuned(values, lambda v: v[:, :half(v)], lambda v: v[:, half(v):])),
        "the two are swapped: first the number that flatters, then the honest one": lambda values: (
            tuned(values, lambda v: v[:, :half(v)], lambda v: v[:, half(v):]), tuned(values, lambda v: v, lambda v: v)),
    },
    praise="The more settings you try, the more the first number flatters.")
