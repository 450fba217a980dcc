"Checkers of chapter 90: what tables may claim."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.fronts import MISFRONTED, better, kept

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
     "only the steps inside the interval are counted; each of the others costs a call, too":
         lambda ts, s, interval: len(ts) if s in (0, 1) else 2 * len(inner(ts, interval)),
     "the second calls alone are counted where there is an interval; every step costs a first one":
         lambda ts, s, interval: calls(ts, s, interval) - len(ts) * (
             interval is not None and s not in (0, 1)),
     "two calls a step, and another inside the interval; outside it one is enough":
         lambda ts, s, interval: calls(ts, s, interval) + len(ts) * (
             interval is not None and s not in (0, 1)),
     "outside the interval every step still costs a call; none is skipped": lambda ts, s, interval:
         len(inner(ts, interval)) * (1 if s in (0, 1) else 2),
     "these are the steps at which guidance acts; the others cost one call each, and these two":
         lambda ts, s, interval: len(inner(ts, interval)),
     "a step at which guidance acts costs two calls; this counts three": lambda ts, s, interval:
         2 * calls(ts, s, interval) - len(ts),
     "below 1 both passes have weight: 0.5 costs two calls": lambda ts, s, interval:
         len(ts) if s < 1 else calls(ts, s, interval, single=()),
     "the ends of the interval are exchanged: low comes first": lambda ts, s, interval:
         calls(ts, s, interval, lambda t, low, high: high <= t <= low),
     "one step is not counted; every timestep of the list costs a call": lambda ts, s, interval:
         calls(ts, s, interval) - (interval is not None and s not in (0, 1)),
     "one step is not counted; every timestep of the list costs a call, at any scale":
         lambda ts, s, interval: calls(ts, s, interval) - 1,
     "this counts the largest timestep; the steps are as many as the list is long":
         lambda ts, s, interval: calls(ts, s, interval) + (max(ts) - len(ts)) * (
             2 if interval is None and s not in (0, 1) else 1),
     "an interval that ends at 0 is an interval, too: ask whether it `is None`":
         lambda ts, s, interval: calls(ts, s, interval if interval and interval[1] else None),
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


front = Exercise(
    lambda costs, distances: kept(costs, distances, better), scores,
    MISFRONTED,
    "Of the rows that are left, each is the best for its cost.", keeps_inputs=True)


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
     "the numbers of seeds choose the setting: average the seeds of each, the second dimension":
         lambda values: (usual(values.T), second(values)[first(values).mean(0).argmin()].mean()),
     "this halves the settings, and reports all seeds; the seeds are to be split": lambda values: (
         usual(values), values[values[:len(values) // 2].mean(1).argmin()].mean()),
     "one seed is reported by neither half: the second begins where the first ends":
         lambda values: (usual(values), tuned(values, first, lambda v: second(v)[:, 1:])),
     "the first half chooses the largest distance; the smallest is the best":
         lambda values: (usual(values), -tuned(-values, first, second)),
     "a median chooses; the mean of the first half is to": lambda values: (
         usual(values), second(values)[first(values).median(1).values.argmin()].mean()),
     "the first number is the number of a setting; report its mean": lambda values: (
         values.mean(1).argmin(), tuned(values, first, second)),
     "the first number is the mean of each setting's best run; report the best setting's mean":
         lambda values: (values.amin(1).mean(), tuned(values, first, second)),
     "the second number is a sum; report the mean": lambda values: (
         usual(values), len(second(values).T) * tuned(values, first, second)),
     "the second number is the best single run of those left; report their mean": lambda values: (
         usual(values), second(values)[first(values).mean(1).argmin()].min()),
     "the first number is a sum; report the mean": lambda values: (
         len(values.T) * usual(values), tuned(values, first, second)),
     "the first half has `seeds // 2`; this takes one less": cut_at(lambda v: v.shape[1] // 2 - 1),
     "the first half has `seeds // 2`; this takes one more": cut_at(lambda v: v.shape[1] // 2 + 1),
     "the second number is the number of a setting; report its mean": lambda values: (
         usual(values), first(values).mean(1).argmin()),
     "the second number is the difference of the two; report the honest mean itself":
         lambda values: (usual(values), tuned(values, first, second) - usual(values)),
     "the second number is one distance for each seed that is left; report their mean":
         lambda values: (usual(values), second(values)[first(values).mean(1).argmin()]),
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
