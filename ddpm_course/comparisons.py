"Two scores with the influence of each image: their intervals, their difference, in pairs or not."

import math
from typing import NamedTuple

from .estimates import METHOD, NETWORK, Estimate, over_seeds
from .influence import Influence, estimate_score, same_strata
from .shares import share_difference, share_interval

PAIRED = "in pairs: the same noise and labels"
UNPAIRED = "unpaired: independent sets"
BY_SEED = "seed by seed: the same seeds"
OTHER_SEEDS = "unpaired: other seeds"
BY_INTERVALS = "from the two intervals, as if independent"


class Measured(NamedTuple):
    "A score and what each image did to it."
    value: float
    influence: Influence


def interval_of(measured, # `Measured`
                level: float=0.95, # share of such intervals that hold the expectation at this n
                least=None # what the score cannot fall below, as 0 for a distance
                ) -> tuple:
    "(low, high) over other images of the same network, against the same reals."
    value = measured.value
    if measured.influence.share:
        return share_interval(hits_of(measured), measured.influence.strata, level)
    low, high = estimate_score(value, measured.influence).interval(level)
    return (low if least is None else max(least, low)), high


def hits_of(measured):
    "The 0 and 1 (n,) that a share is the mean of."
    return (measured.influence.first.double() + measured.value).round()


def seeds_interval(values, # one number a training run, at least 2
                   influences) -> tuple: # the `Influence` of each, or None
    "(low, high) of their mean, Student's; that of shares is cut off at 0 and 1."
    low, high = over_seeds(values).interval()
    shares = all(found is not None and found.share for found in influences)
    return (max(0.0, low), min(1.0, high)) if shares else (low, high)


def difference(a, b, # `Measured`
               paired: bool # whether image i of both started from the same noise and label
               ) -> Estimate:
    "a - b: the one function for pairs and for independent sets, for shares and for other scores."
    if a.influence.share != b.influence.share:
        raise ValueError("got a share and a score that is none; expected two of one kind")
    if a.influence.share: return share_difference(hits_of(a), hits_of(b), paired)
    parts = [a.influence - b.influence] if paired else [a.influence, b.influence]
    return estimate_score(a.value - b.value, *parts)


def may_pair(a, b, # two `Score`s
             influence_a, influence_b # their `Influence`s
             ) -> bool:
    "Whether the cards say that image i of both started from the same noise and label."
    seeds = [score.settings.get("seed") for score in (a, b)]
    known = all(isinstance(seed, (int, tuple)) for seed in seeds)
    alike = len(influence_a.first) == len(influence_b.first) and a.reference == b.reference
    return known and seeds[0] == seeds[1] and alike and same_strata(influence_a.strata,
                                                                    influence_b.strata)


def contrast(a, b) -> tuple: # two `Score`s whose protocols may be compared
    "(`Estimate` of a - b or None, how it was reached): in pairs wherever the cards say they may."
    if a.influence is not None and b.influence is not None:
        paired = may_pair(a, b, a.influence, b.influence)
        sides = (Measured(s.value, s.influence) for s in (a, b))
        return difference(*sides, paired), PAIRED if paired else UNPAIRED
    runs = [s.notes.get("values") for s in (a, b)]
    if all(runs): return between_runs(a, b, *runs)
    if a.interval and b.interval:
        widths = [s.interval[1] - s.interval[0] for s in (a, b)]
        return Estimate(a.value - b.value, math.hypot(*widths) / (2 * Z)), BY_INTERVALS
    return None, ""


Z = 1.96 # half-widths of 95 % are so many errors


def between_runs(a, b, of_a, of_b): # `average`s, and the value of each of their runs
    "(`Estimate` of a - b, how): Student's over the differences, or Welch's where the seeds differ."
    claim = METHOD if METHOD in (a.claim, b.claim) else NETWORK
    if a.seed == b.seed:
        found = over_seeds([x - y for x, y in zip(of_a, of_b)])
        return found._replace(claim=claim), BY_SEED
    one = over_seeds(of_a)
    two = over_seeds(of_b)
    parts = [(e.error**2, e.degrees) for e in (one, two)]
    total = sum(v for v, _ in parts)
    degrees = total**2 / sum(v**2 / d for v, d in parts) if total else math.inf # Welch 1947
    return Estimate(one.value - two.value, total**0.5, degrees, claim), OTHER_SEEDS
