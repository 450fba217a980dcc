"Tests and intervals against SciPy and hand values; families of comparisons; shares."

import math

import pytest
import scipy.stats
import torch

from ddpm_course.estimates import (
    ALIKE,
    APART,
    METHOD,
    NETWORK,
    OPEN,
    SMALL,
    Estimate,
    holm,
    over_seeds,
    verdicts,
)
from ddpm_course.experiments.families import Family, of_card
from ddpm_course.scores import Score, average
from ddpm_course.shares import share_difference, share_interval, wilson


# ---- one number ----


def test_seeds_are_students():
    values = [1.0, 1.5, 0.8, 1.1]
    found, theirs = over_seeds(values), scipy.stats.ttest_1samp(values, 0)
    assert found.claim == METHOD and found.degrees == 3 and Estimate(0, 1).claim == NETWORK
    assert found.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert found.p_value(1.0) == pytest.approx(scipy.stats.ttest_1samp(values, 1.0).pvalue)
    with pytest.raises(ValueError, match="got 1 values; a claim about a method needs at least 2"):
        over_seeds([1.0])


def test_many_images_are_normal():
    low, high = Estimate(2.0, 0.5).interval()
    assert (low, high) == pytest.approx((2 - 1.959964 * 0.5, 2 + 1.959964 * 0.5))
    assert Estimate(1.959964, 1.0).p_value() == pytest.approx(0.05, abs=1e-7)


@pytest.mark.parametrize("value", [-1.0, 0.3, 2.0])
@pytest.mark.parametrize("degrees", [2, 30, math.inf])
def test_a_p_value_is_below_5_percent_where_the_interval_lacks_the_null(value, degrees):
    found = Estimate(value, 0.4, degrees)
    low, high = found.interval()
    for null in (-2.0, 0.0, 0.4, 1.0, 3.0):
        assert (found.p_value(null) < 0.05) == (not low <= null <= high)


@pytest.mark.parametrize("margin", [0.1, 0.5, 2.0])
def test_equivalence_is_two_one_sided_tests(margin):
    values = [0.1, -0.2, 0.15, 0.05, 0.2]
    below = scipy.stats.ttest_1samp(values, margin, alternative="less").pvalue
    above = scipy.stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    found = over_seeds(values)
    assert found.equivalence(margin) == pytest.approx(max(below, above))
    low, high = found.interval(0.90)  # the two tests at 5 % are this interval
    assert (found.equivalence(margin) < 0.05) == (-margin < low and high < margin)


def test_the_errors_of_equivalence_are_named():
    assert Estimate(3.0, 0.1).equivalence(1.0) > 0.99  # far outside the margin
    assert Estimate(0.0, 0.0).equivalence(0.1) == 0 and Estimate(0.0, 0.0).p_value() == 1
    assert Estimate(0.1, 0.0).p_value() == 0
    with pytest.raises(ValueError, match="margin=0; expected a number above 0"):
        Estimate(0.0, 1.0).equivalence(0)


# ---- many numbers ----


def test_holm_is_the_textbooks():
    "Holm 1979, section 3's steps by hand: 4, 3, 2, 1 times the sorted, never falling."
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.5]).tolist() == pytest.approx([1.0, 1.0])
    assert holm([0.02]).tolist() == [0.02] and holm([]).tolist() == []
    assert holm([0.01, 0.01]).tolist() == pytest.approx([0.02, 0.02])


def test_holm_keeps_the_chance_of_even_one_wrong_verdict():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 10, generator=rng, dtype=torch.float64)
    z[:, 0] += 5  # one that is truly apart
    p = 2 * (1 - torch.special.ndtr(z.abs()))
    wrong = torch.stack([(holm(row) < 0.05)[1:].any() for row in p]).double().mean()
    assert 0.03 < wrong < 0.07 and (p[:, 1:] < 0.05).any(1).double().mean() > 0.3


def test_a_verdict_never_reads_not_apart_as_enough():
    family = {
        "far": Estimate(3.0, 0.2),
        "tiny": Estimate(0.2, 0.01),
        "same": Estimate(0.02, 0.05),
        "unknown": Estimate(0.2, 0.9),
    }
    found = verdicts(family, dict.fromkeys(family, 0.5))
    assert [v.said for v in found.values()] == [APART, SMALL, ALIKE, OPEN]
    assert found["far"].p == pytest.approx(holm([e.p_value() for e in family.values()])[0].item())
    assert [v.said for v in verdicts(family).values()] == [APART, APART, OPEN, OPEN]
    assert verdicts(family)["same"].p_margin is None and verdicts({}) == {}


def test_a_family_is_judged_together():
    "p = .03 alone is apart; among three it is not."
    one = Estimate(2.17, 1.0)
    assert verdicts({"a": one})["a"].said == APART
    assert verdicts({"a": one, "b": Estimate(0, 1), "c": Estimate(1, 1)})["a"].said == OPEN


def rows_of(**values):
    "Rows of averages over three seeds, {steps: values}; accuracies are a tenth of the distances."

    def card(name, steps, seed, value):
        return Score(name, value, None, 10, 10, steps=int(steps[1:]), seed=seed, train_seed=seed)

    def mean(name, steps, numbers):
        return average([card(name, steps, i, v) for i, v in enumerate(numbers)])

    return [
        {
            "distance": mean("distance", steps, numbers),
            "accuracy": mean("accuracy", steps, [v / 10 for v in numbers]),
        }
        for steps, numbers in values.items()
    ]


PAIRS = {"10 - 50": ({"steps": 10}, {"steps": 50}), "20 - 50": ({"steps": 20}, {"steps": 50})}


def test_a_tables_family_is_data():
    rows = rows_of(s10=[3.0, 4.0, 5.0], s20=[2.0, 3.01, 3.99], s50=[2.0, 3.0, 4.0])
    family = Family({"distance": PAIRS}, ("steps",), {"distance": 0.1})
    found = family.judge(rows)["distance"]
    assert [v.said for v in found.values()] == [APART, ALIKE]
    expected = over_seeds([0.0, 0.01, -0.01])
    assert found["20 - 50"].estimate == pytest.approx(expected) or (
        found["20 - 50"].estimate[:3] == pytest.approx(expected[:3], abs=1e-12)
    )
    assert found["20 - 50"].estimate.claim == METHOD
    with pytest.raises(ValueError, match="different protocols .steps"):
        Family({"distance": PAIRS}, ()).judge(rows)


def test_all_panels_of_a_table_are_one_family():
    rows = rows_of(s10=[3.0, 3.2, 3.1], s20=[2.0, 3.01, 3.99], s50=[2.0, 2.25, 2.2])
    both = {"distance": PAIRS, "accuracy": of_card("accuracy", PAIRS)}
    family = Family(both, ("steps",), {"accuracy": 0.5})
    found = family.judge(rows)
    assert found["accuracy"]["10 - 50"].estimate.value == pytest.approx(
        found["distance"]["10 - 50"].estimate.value / 10
    )
    p = [d.estimate.p_value() for d in family.compare(rows).values()]
    judged = [v.p for panel in found.values() for v in panel.values()]
    assert judged == pytest.approx(holm(p).tolist()) and judged[0] > p[0]
    assert found["distance"]["20 - 50"].p_margin is None  # no margin was set for it
    assert found["accuracy"]["20 - 50"].p_margin < 0.05


# ---- shares ----


@pytest.mark.parametrize("hits, n", [(0, 10), (3, 10), (99, 100), (100, 100), (499, 500)])
@pytest.mark.parametrize("level", [0.90, 0.95])
def test_wilson_agrees_with_scipy(hits, n, level):
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    found = share_interval(torch.tensor([1.0] * hits + [0.0] * (n - hits)), level=level)
    assert found == pytest.approx(tuple(theirs), abs=1e-12) == wilson(hits / n, n, level)
    assert 0 <= found[0] <= hits / n <= found[1] <= 1 and found[1] - found[0] > 0


def test_fixed_labels_narrow_a_share_by_what_they_explain():
    "Halves that are right with chance .5 and 1: the variance is half of that of a share of .75."
    strata = torch.arange(4000) % 2
    hits = torch.where(strata == 1, 1.0, (torch.arange(4000) // 2 % 2).double())
    low, high = share_interval(hits, strata)
    inner, outer = share_interval(hits)
    expected = ((0.25 + 0) / 2 / (0.75 * 0.25)) ** 0.5
    assert (high - low) / (outer - inner) == pytest.approx(expected, rel=0.01)
    assert share_interval(hits, torch.zeros(4000)) == pytest.approx((inner, outer), rel=1e-3)


def test_small_strata_that_explain_nothing_narrow_nothing():
    hits = (torch.rand(6000, generator=torch.Generator().manual_seed(0)) < 0.8).double()
    inner, outer = share_interval(hits, torch.arange(6000) // 4), share_interval(hits)
    assert (inner[1] - inner[0]) / (outer[1] - outer[0]) == pytest.approx(1, abs=0.01)


def test_small_strata_that_agree_by_luck_are_not_sure():
    hits, strata = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0, 0, 1, 1])
    low, high = share_interval(hits, strata)
    assert high - low > 0.5
    all_right = torch.ones(100)
    assert share_interval(all_right, torch.arange(100) % 10) == share_interval(all_right)
    with pytest.raises(ValueError, match="got 2 hits; expected at least one, each 0 or 1"):
        share_interval(torch.tensor([0.5, 1]))


def test_pairs_of_shares_count_what_differs():
    "Bonett & Price 2012 by hand: n = 100, 8 and 2 that differ."
    a = torch.tensor([1.0] * 88 + [1] * 8 + [0] * 2 + [0] * 2)
    b = torch.tensor([1.0] * 88 + [0] * 8 + [1] * 2 + [0] * 2)
    found = share_difference(a, b, True)
    p12, p21 = 9 / 102, 3 / 102
    assert found.value == pytest.approx(p12 - p21)
    assert found.error == pytest.approx(math.sqrt((p12 + p21 - (p12 - p21) ** 2) / 102))
    assert share_difference(b, a, True).value == -found.value
    assert share_difference(a, a, True).error > 0  # no difference seen is not none for certain
    assert found.error < share_difference(a, b, False).error
    with pytest.raises(ValueError, match="got 100 and 99 images"):
        share_difference(a, b[1:], True)


def test_unpaired_shares_have_a_hit_and_a_miss_more():
    "Agresti & Caffo 2000 by hand: 7 of 8 and 3 of 10."
    a, b = torch.tensor([1.0] * 7 + [0]), torch.tensor([1.0] * 3 + [0] * 7)
    found = share_difference(a, b, False)
    p, q = 8 / 10, 4 / 12
    assert found.value == pytest.approx(p - q)
    assert found.error == pytest.approx(math.sqrt(p * (1 - p) / 10 + q * (1 - q) / 12))
