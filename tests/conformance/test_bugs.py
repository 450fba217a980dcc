"""Each rule can fail: our samplers with one authentic bug in them break the rules that are named
here, and no others."""

from dataclasses import replace

import pytest

from conformance.adapters import ours
from conformance.rules import RULES
from mutants import BUGS

NOTICED = {  # bug: (sampler, the rules that it breaks)
    "previous is off by one": (
        "ddim_sample, eta 0",
        ["recursion", "previous step", "exactness", "order"],
    ),
    "previous is t - T//n, right only where neighbors are that far apart (diffusers#12633)": (
        "ddim_sample, eta 0",
        ["recursion", "previous step", "final step", "exactness", "order"],
    ),  # here over lists drawn by lot, too
    "the last step lands on alpha_bar of t = 0": (
        "ddim_sample, eta 0",
        ["recursion", "final step"],
    ),
    "sigma without eta": ("ddim_sample, eta 0", ["recursion", "exactness", "order"]),
    "eta squared": (
        "ddim_sample, eta 0.5",
        ["recursion"],
    ),  # a sampler in its own right, but not the one it says
    "the direction ignores sigma": ("ddim_sample, eta 1", ["recursion", "exactness"]),
    "no noise at all": ("ddim_sample, eta 0.5", ["recursion", "exactness"]),
    "betas not respaced": ("ddpm_sample, large variance", ["recursion", "exactness"]),
    "variance for a standard deviation": (
        "ddpm_sample, small variance",
        ["recursion", "exactness"],
    ),
    "noise in the last step": ("ddpm_sample, large variance", ["recursion", "final step"]),
    "one stream for the whole batch": ("ddim_sample, eta 1", ["batch"]),
    "the seed is not read": ("ddpm_sample, small variance", ["seed"]),
    "noise from the global generator": ("ddpm_sample, large variance", ["batch", "seed"]),
    # what no rule sees: an exact predictor is not clipped, and these schedules do not end in pure
    # noise
    "stale eps after clipping": ("ddim_sample, eta 0", []),
    "no clipping": ("ddim_sample, eta 0", []),
    "a rounding error below zero": ("ddim_sample, eta 1", []),
}


def broken_rules(course, sampler):
    adapter = next(a for a in ours(course) if a.name == sampler)
    adapter = replace(
        adapter, spacings={name: adapter.spacings[name] for name in ("trailing", "uneven")}
    )
    return [name for name, rule in RULES.items() if rule(adapter).passed is False]


@pytest.mark.parametrize("bug", NOTICED)
def test_the_rules_that_a_bug_breaks(bug, broken):
    sampler, rules = NOTICED[bug]
    assert broken_rules(broken(*BUGS[bug]), sampler) == rules


def test_every_rule_catches_a_bug_and_every_bug_is_tried():
    assert {rule for _, rules in NOTICED.values() for rule in rules} == RULES.keys()
    assert NOTICED.keys() == {
        bug
        for bug, (module, *_) in BUGS.items()
        if module not in ("guidance", "learned_variance", "denoisers", "solvers")
    }  # which are no samplers, or have rules of their own in test_solvers


def test_an_unbroken_copy_keeps_them_all(broken):
    assert broken_rules(broken("ddim", "sigma**2", "sigma**2"), "ddim_sample, eta 0") == []
