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
     "the ends of the interval belong to it": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low < t < high),
     "the lower end belongs to the interval, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low < t <= high),
     "the upper end belongs to the interval, too": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: low <= t < high),
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
            ([1, 2, 3], [3.0, 2.0, 1.0]), ([1, 2], [1.0, 2.0])]


def dominated(costs, distances, beats):
    rows = list(zip(costs, distances))
    return [any(beats(c, d, cost, distance) for c, d in rows) for cost, distance in rows]


def kept(costs, distances, beats): return [not lost for lost in dominated(costs, distances, beats)]


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
    return [(draw(8, 6, 0),), (draw(11, 4, 3),), (draw(5, 10, 2) + slope,)]


def first(values): return values[:, :values.shape[1] // 2]


def second(values): return values[:, values.shape[1] // 2:]


def whole(values): return values


def tuned(values, choose, report):
    "The mean of what `report` leaves, for the setting that is best in what `choose` leaves."
    return report(values)[choose(values).mean(1).argmin()].mean()


best_of_many = Exercise(
    lambda values: (tuned(values, whole, whole), tuned(values, first, second)), noisy,
    {"both numbers are the same: the second has to come from seeds that did not choose":
         lambda values: (tuned(values, whole, whole),) * 2,
     "the second number still chooses with all the seeds; let the first half choose":
         lambda values: (tuned(values, whole, whole), tuned(values, whole, second)),
     "the second number reports the seeds that chose; report the others":
         lambda values: (tuned(values, whole, whole), tuned(values, first, first)),
     "the second number reports all seeds; half of them chose, so leave those out":
         lambda values: (tuned(values, whole, whole), tuned(values, first, whole)),
     "the second half chooses here; let the first half choose, and report the second":
         lambda values: (tuned(values, whole, whole), tuned(values, second, first)),
     "the second number is the best of the second half, chosen by that half":
         lambda values: (tuned(values, whole, whole), second(values).mean(1).min()),
     "this chooses the largest distance; the smallest is the best":
         lambda values: (-tuned(-values, whole, whole), -tuned(-values, first, second)),
     "the first number is the best single run; take the setting with the best mean, and that mean":
         lambda values: (values.min(), tuned(values, first, second)),
     "the first number is the mean of all settings; report the best one's":
         lambda values: (values.mean(), tuned(values, first, second)),
     "the two are swapped: first the number that flatters, then the honest one":
         lambda values: (tuned(values, first, second), tuned(values, whole, whole))},
    "The more settings you try, the more the first number flatters.")
