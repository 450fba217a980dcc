"Checkers of chapter 90: what tables may claim."

import torch

from ddpm_course.checks import Exercise

FIFTY = list(range(980, -1, -20))
FOUR = [900, 600, 300, 0]


def runs():
    "(timesteps, scale, interval): every end of an interval is a timestep of some run."
    return [(FIFTY, 3.0, None), (FIFTY, 3.0, (100, 600)), ([999, 500, 0], 1.0, (0, 999)),
            (FOUR, 0.0, None), (FOUR, 0.0, (300, 700)), (FOUR, 1.5, (300, 600)), (FOUR, 0.5, None),
            (FOUR, 2.0, (0, 0)), (FOUR, 2.0, (0, 500)), (FOUR, 2.0, (500, 900))]


def inside(t, low, high): return low <= t <= high


def calls(timesteps, scale, interval, acts=inside, single=(0, 1)):
    "One call a step, and another where guidance acts."
    if scale in single: return len(timesteps)
    return len(timesteps) + sum(interval is None or acts(t, *interval) for t in timesteps)


def inner(timesteps, interval):
    return [t for t in timesteps if interval is None or inside(t, *interval)]


def spanned(timesteps, scale, interval, ends):
    "Steps, and the integers of the interval."
    if interval is None or scale in (0, 1): return calls(timesteps, scale, interval)
    return len(timesteps) + interval[1] - interval[0] + ends


evaluations = Exercise(
    calls, runs,
    {"this counts two calls at every step; outside the interval one is enough":
         lambda ts, s, interval: calls(ts, s, None),
     "this is twice the steps, whatever the scale; at 0 and 1 one call does":
         lambda ts, s, interval: 2 * len(ts),
     "at scale 1 the unconditional pass has weight 0, and at scale 0 the conditional one; "
     "one call does":
         lambda ts, s, interval: calls(ts, s, interval, single=()),
     "one call is enough at scale 0, too: the conditional pass has weight 0 there":
         lambda ts, s, interval: calls(ts, s, interval, single=(1,)),
     "one call is enough at scale 1, too: the unconditional pass has weight 0 there":
         lambda ts, s, interval: calls(ts, s, interval, single=(0,)),
     "between 0 and 1 both passes have weight: 0.5 costs two calls":
         lambda ts, s, interval: len(ts) if s <= 1 else calls(ts, s, interval),
     "`in` asks whether t is one of the two ends; it may lie between them":
         lambda ts, s, interval: calls(ts, s, interval, lambda t, low, high: t in (low, high)),
     "the interval is one of timesteps; this takes it for one of positions in the list":
         lambda ts, s, interval: calls(range(len(ts)), s, interval),
     "without an interval guidance acts everywhere, not nowhere": lambda ts, s, interval:
         len(ts) if interval is None else calls(ts, s, interval),
     "this counts all integers of the interval; the sampler walks `timesteps` alone":
         lambda ts, s, interval: spanned(ts, s, interval, 1),
     "this takes the width of the interval; the sampler walks `timesteps` alone":
         lambda ts, s, interval: spanned(ts, s, interval, 0),
     "outside the interval every step still costs a call; none is skipped": lambda ts, s, interval:
         len(inner(ts, interval)) * (1 if s in (0, 1) else 2),
     "these are the steps at which guidance acts; the others cost one call each, and these two":
         lambda ts, s, interval: len(inner(ts, interval)),
     "a step at which guidance acts costs two calls; this counts three": lambda ts, s, interval:
         2 * calls(ts, s, interval) - len(ts),
     "at scale 0 the unconditional pass is left: one call": lambda ts, s, interval:
         0 if s == 0 else calls(ts, s, interval),
     "the ends of the interval belong to it": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low < t < high),
     "the lower end belongs to the interval, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low < t <= high),
     "the upper end belongs to the interval, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low <= t < high),
     "the interval has an upper end, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low <= t),
     "the interval has a lower end, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: t <= high),
     "guidance acts inside the interval, not outside": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: not low <= t <= high),
     "these are the steps, not the network evaluations": lambda ts, s, interval: len(ts),
     "this counts the steps at which guidance acts; the others cost a call as well":
         lambda ts, s, interval: 2 * (calls(ts, 2.0, interval) - len(ts)),
     "this counts the second calls alone; every step costs a first one":
         lambda ts, s, interval: calls(ts, s, interval) - len(ts)},
    "A fair comparison puts this number on the axis, not the steps.")


def scores():
    return [([10, 20, 40, 80, 100], [5.0, 3.0, 3.5, 2.0, 2.5]),
            ([100, 50, 50, 20, 20, 10], [1.0, 1.0, 2.0, 2.0, 1.5, 4.0]),
            ([1, 2, 3], [3.0, 2.0, 1.0]), ([1, 2], [1.0, 2.0]),
            ([30, 20, 10, 20, 30], [5.0, 2.0, 3.0, 2.0, 1.0])] # two rows are equal


def dominated(costs, distances, beats):
    rows = list(zip(costs, distances))
    return [any(beats(c, d, cost, distance) for c, d in rows) for cost, distance in rows]


def kept(costs, distances, beats): return [not lost for lost in dominated(costs, distances, beats)]


def of_others(costs, distances, beats):
    "Rows that are beaten by none of the others, whichever these are."
    rows = list(enumerate(zip(costs, distances)))
    return [not any(i != j and beats(*row, *other) for i, row in rows) for j, other in rows]


def walked(costs, distances, key):
    "From the cheapest row on, those that are better than all that were kept."
    out = [False] * len(costs)
    best = float("inf")
    for i in sorted(range(len(costs)), key=lambda i: key(costs[i], distances[i])):
        if distances[i] < best:
            out[i] = True
            best = distances[i]
    return out


def before(costs, distances):
    return [kept(costs[:i + 1], distances[:i + 1], better)[i] for i in range(len(costs))]


def better(c, d, cost, distance): return c <= cost and d <= distance and (c < cost or d < distance)


front = Exercise(
    lambda costs, distances: kept(costs, distances, better), scores,
    {"these are the rows that lose; keep the others":
         lambda costs, distances: dominated(costs, distances, better),
     "a row that costs as much and is better beats this one, too; "
     "so does one as good that costs less":
         lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x and d < y),
     "a row does not beat itself: it has to be better in one of the two":
         lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c <= x and d <= y),
     "two equal rows do not beat each other: one has to be better in one of the two":
         lambda costs, distances: of_others(costs, distances,
                                            lambda c, d, x, y: c <= x and d <= y),
     "of two equal rows only the first is kept; neither beats the other":
         lambda costs, distances: walked(costs, distances, lambda c, d: (c, d)),
     "of rows that cost the same, a worse one that comes first in the list is kept; sort by both":
         lambda costs, distances: walked(costs, distances, lambda c, d: c),
     "of rows that cost the same, the better one beats the other":
         lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x and d <= y),
     "of rows that are as good, the cheaper one beats the others":
         lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c <= x and d < y),
     "this compares a row with those before it; one after it may beat it, too": before,
     "one row that beats it is enough: any, not all": lambda costs, distances: [
         not all(better(c, d, x, y) for c, d in zip(costs, distances) if (c, d) != (x, y))
         for x, y in zip(costs, distances)],
     "these are the rows that beat another; asked for are those that none beats":
         lambda costs, distances: [
             any(better(x, y, c, d) for c, d in zip(costs, distances))
             for x, y in zip(costs, distances)],
     "this keeps the cheapest and the best alone; between them others may be worth their price":
         lambda costs, distances: [c == min(costs) or d == min(distances)
                                   for c, d in zip(costs, distances)],
     "less cost is better; this keeps the rows with more":
         lambda costs, distances: kept([-c for c in costs], distances, better),
     "it has to be at least as good in both; "
     "a row that is better in one and worse in the other beats nothing":
         lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x or d < y),
     "a smaller distance is better; this keeps the rows with the larger one":
         lambda costs, distances: kept(costs, [-d for d in distances], better),
     "less cost and less distance are better; this keeps the worst":
         lambda costs, distances: kept([-c for c in costs], [-d for d in distances], better),
     "this asks for the smallest distance alone; "
     "a worse one that costs less may be worth its price":
         lambda costs, distances: [d == min(distances) for d in distances],
     "this asks for the smallest cost alone":
         lambda costs, distances: [c == min(costs) for c in costs],
     "these are the rows themselves, or their numbers; return True or False for each row":
         lambda costs, distances: torch.tensor(kept(costs, distances, better)).nonzero()[:, 0]},
    "Of the rows that are left, each is the best for its cost.")


def noisy():
    "Distances (settings, seeds), lower is better."
    def draw(k, n, seed):
        rng = torch.Generator().manual_seed(seed)
        return 3 + torch.randn(k, n, generator=rng, dtype=torch.float64)
    slope = torch.arange(5.0).view(5, 1) / 10
    return [(draw(8, 6, 0),), (draw(11, 4, 3),), (draw(5, 10, 2) + slope,), (draw(9, 7, 5),)]


def first(values): return values[:, :values.shape[1] // 2]


def second(values): return values[:, values.shape[1] // 2:]


def whole(values): return values


def usual(values): return tuned(values, whole, whole)


def cut_at(n):
    "Both numbers, where the first n(values) seeds choose and the others report."
    return lambda values: (usual(values), tuned(
        values, lambda v: v[:, :n(v)], lambda v: v[:, n(v):]))


def halved(values, n): return values[n:][values[:n].mean(1).argmin()].mean()


def tuned(values, choose, report):
    "The mean of what `report` leaves, for the setting that is best in what `choose` leaves."
    return report(values)[choose(values).mean(1).argmin()].mean()


best_of_many = Exercise(
    lambda values: (usual(values), tuned(values, first, second)), noisy,
    {"both numbers are the same: the second has to come from seeds that did not choose":
         lambda values: (usual(values),) * 2,
     "the second number still chooses with all the seeds; let the first half choose":
         lambda values: (usual(values), tuned(values, whole, second)),
     "the second number reports the seeds that chose; report the others":
         lambda values: (usual(values), tuned(values, first, first)),
     "the second number reports all seeds; half of them chose, so leave those out":
         lambda values: (usual(values), tuned(values, first, whole)),
     "the second half chooses here; let the first half choose, and report the second":
         lambda values: (usual(values), tuned(values, second, first)),
     "the second number is the best of the second half, chosen by that half":
         lambda values: (usual(values), second(values).mean(1).min()),
     "the second number is the mean over all settings; report that of the chosen one":
         lambda values: (usual(values), second(values).mean()),
     "the first half has `seeds // 2`; of an odd number this takes one more":
         cut_at(lambda v: (v.shape[1] + 1) // 2),
     "this halves the number of settings; the seeds are the second dimension":
         cut_at(lambda v: len(v) // 2),
     "this splits the settings in halves; the seeds are to be split":
         lambda values: (usual(values), halved(values, len(values) // 2)),
     "one seed chooses here; the first half is to": cut_at(lambda v: 1),
     "all seeds but the last choose here; the first half is to": cut_at(lambda v: v.shape[1] - 1),
     "this takes every other seed; the first half chooses": lambda values: (
         usual(values), tuned(values, lambda v: v[:, ::2], lambda v: v[:, 1::2])),
     "the best single run chooses; the best mean of the first half is to": lambda values: (
         usual(values), second(values)[first(values).amin(1).argmin()].mean()),
     "the mean is over the settings; average the seeds of each, the second dimension":
         lambda values: (usual(values.T), tuned(values.T, first, second)),
     "the first number is the smallest mean of a seed; average the seeds of each setting":
         lambda values: (usual(values.T), tuned(values, first, second)),
     "the first number lets each seed choose its own setting; the best mean is one setting's":
         lambda values: (values.amin(0).mean(), tuned(values, first, second)),
     "the first number is a median; report the mean": lambda values: (
         values.median(1).values.min(), tuned(values, first, second)),
     "the first number is the largest mean; the smallest is the best":
         lambda values: (-usual(-values), tuned(values, first, second)),
     "these are the numbers of the settings; report their distances": lambda values: (
         values.mean(1).argmin(), first(values).mean(1).argmin()),
     "this chooses the largest distance; the smallest is the best":
         lambda values: (-tuned(-values, whole, whole), -tuned(-values, first, second)),
     "the first number is the best single run; take the setting with the best mean, and that mean":
         lambda values: (values.min(), tuned(values, first, second)),
     "the first number is of half the seeds; the usual one is of all":
         lambda values: (tuned(values, first, first), tuned(values, first, second)),
     "the first number is the mean of all settings; report the best one's":
         lambda values: (values.mean(), tuned(values, first, second)),
     "the two are swapped: first the number that flatters, then the honest one":
         lambda values: (tuned(values, first, second), usual(values))},
    "The more settings you try, the more the first number flatters.")
