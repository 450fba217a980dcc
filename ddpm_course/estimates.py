"""Numbers with their errors: intervals, tests of difference and of equivalence, verdicts on many.

A claim is about one network, and then its error is over images; or it is about a method, which was
trained k times, and then its error is over those k seeds. An estimate says which."""

import math
from typing import NamedTuple

import torch

NETWORK = "this network, other images"
METHOD = "the method, other seeds"


class Estimate(NamedTuple):
    "A number and its standard error; intervals and tests are Student's (normal where degrees=inf)."
    value: float # a score, or a difference of two
    error: float # its standard error
    degrees: float = math.inf # of freedom, of the error
    claim: str = NETWORK # what else could have been drawn: NETWORK or METHOD

    def interval(self, level: float=0.95) -> tuple: # share of such intervals that hold the truth
        "(low, high), of this estimate alone: not adjusted for others beside it."
        from scipy.stats import t as student
        half = float(student.ppf((1 + level) / 2, self.degrees)) * self.error
        return self.value - half, self.value + half

    def p_value(self, null: float=0.0) -> float: # what the number would be if nothing were there
        "Two-sided p-value: below 0.05 just where the 95 % interval does not hold `null`."
        return min(1.0, 2 * self.above(abs(self.value - null)))

    def equivalence(self, margin: float) -> float: # above 0, set before the run
        "p-value of two one-sided tests (Schuirmann 1987): the number lies within +-margin of 0."
        if not margin > 0: raise ValueError(f"margin={margin}; expected a number above 0: the "
                                            "largest difference that does not matter")
        return max(self.above(margin - self.value), self.above(margin + self.value))

    def above(self, gap):
        "Chance of an error of at least `gap`: the tail of Student's curve."
        from scipy.stats import t as student
        if self.error == 0: return float(gap <= 0) # nothing varied
        return float(student.sf(gap / self.error, self.degrees))


def over_seeds(values) -> Estimate: # one number a training run, at least 2
    "The mean over training runs, or over differences seed by seed (Student 1908)."
    values = torch.as_tensor(values, dtype=torch.float64)
    k = len(values)
    if k < 2: raise ValueError(f"got {k} values; a claim about a method needs at least 2 seeds")
    return Estimate(values.mean().item(), values.std().item() / k**0.5, k - 1, METHOD)


def holm(p_values) -> torch.Tensor: # (m,): those of all comparisons that were planned
    "Adjusted p-values (m,): those below 0.05 hold together at 5 % (Holm 1979)."
    p = torch.as_tensor(p_values, dtype=torch.float64)
    order = p.argsort()
    steps = p[order] * torch.arange(len(p), 0, -1)
    adjusted = torch.empty_like(p)
    adjusted[order] = steps.cummax(0).values.clamp(max=1) if len(p) else steps
    return adjusted


APART = "apart"
ALIKE = "as good as, within the margin"
SMALL = "apart, by less than the margin"
OPEN = "not told apart"


class Verdict(NamedTuple):
    "What is said of one comparison among several."
    estimate: Estimate # its interval is unadjusted, and is to be labeled so
    p: float # that there is no difference, adjusted by `holm`
    p_margin: float | None # that the difference reaches the margin, adjusted; None without one
    said: str # APART, ALIKE, SMALL or OPEN; OPEN says nothing about being as good


def verdicts(estimates, # {label: `Estimate` of a difference}: the whole family, as it was planned
             margins=None, # {label: largest difference that does not matter}, set before the run
             level: float=0.05 # chance of even one wrong "apart", and of one wrong "as good as"
             ) -> dict:
    "{label: `Verdict`}; the differences and the equivalences are a family of `holm` each."
    margins = {label: margin for label, margin in (margins or {}).items() if margin is not None}
    different = holm([e.p_value() for e in estimates.values()]).tolist()
    alike = [estimates[label].equivalence(margin) for label, margin in margins.items()]
    within = dict(zip(margins, holm(alike).tolist()))
    words = {(True, False): APART, (True, True): SMALL, (False, True): ALIKE, (False, False): OPEN}
    return {label: Verdict(e, p, within.get(label),
                           words[p < level, within.get(label, 1.0) < level])
            for (label, e), p in zip(estimates.items(), different)}
