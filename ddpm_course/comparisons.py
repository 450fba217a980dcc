"Two scores with the influence of each image: their intervals, their difference, in pairs or not."

from typing import NamedTuple

from .estimates import Estimate
from .influence import Influence, estimate_score, same_strata
from .protocols import NOT_RECORDED
from .shares import share_difference, share_interval

PAIRED = "in pairs: the same noise and labels"
UNPAIRED = "unpaired: independent sets"


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
    known = all(isinstance(seed, int) for seed in seeds) and NOT_RECORDED not in seeds
    alike = len(influence_a.first) == len(influence_b.first) and a.reference == b.reference
    return known and seeds[0] == seeds[1] and alike and same_strata(influence_a.strata,
                                                                    influence_b.strata)
