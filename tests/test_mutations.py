"""The checks of test_samplers, test_guidance and test_learned_variance can fail: each is run
against a copy of the package with one authentic bug in it, and must notice."""

import pytest

from ddpm_course.ddim import spaced_timesteps
from mutants import BUGS
from test_guidance import (
    acts_within_the_interval,
    agrees_with_diffusers_rescaling,
    follows_the_formula,
    keeps_the_variance,
)
from test_learned_variance import (
    agrees_with_diffusers,
    interpolates_logarithms,
    is_beta_without_a_second_step,
    keeps_the_closed_form,
    lands_exactly,
    respaces,
    scores_the_decoder,
    stops_the_gradient,
    weighs_the_whole_bound,
)
from test_solvers import asks_at_sigma_hat, has_order, is_ddim, meets_both_ends
from test_samplers import (
    SCHEDULES,
    agrees_with_diffusers_ddim,
    agrees_with_diffusers_ddpm,
    follows_the_recursion,
    keeps_zero_terminal_snr_real,
)


def ddim_parity(course):
    for eta in (0, 0.5, 1):
        for clip in (None, 1.0):
            agrees_with_diffusers_ddim(
                course, SCHEDULES["linear"], "trailing", "eps", eta, clip, steps=20
            )


def ddpm_parity(course):
    for variance in ("small", "large"):
        agrees_with_diffusers_ddpm(course, SCHEDULES["linear"], "leading", "eps", variance, 1.0, 20)


def ddpm_goes_on(course):
    "Ancestral sampling never asks the posterior for a step that goes nowhere, which it refuses."
    try:
        ddpm_parity(course)
    except ValueError as e:
        raise AssertionError(e) if "expected an earlier timestep than t=" in str(e) else e


def recursion(course):
    for eta in (0, 1):
        for spacing in ("trailing", "linspace"):
            follows_the_recursion(
                course, SCHEDULES["linear"], spaced_timesteps(1000, 20, spacing), eta
            )


def guided(course):
    follows_the_formula(course.guidance)


def guided_variance(course):
    keeps_the_variance(course.guidance)


def guided_within(course):
    acts_within_the_interval(course.guidance)


def rescaled(course):
    agrees_with_diffusers_rescaling(course.guidance, 0.7)


def learned_parity(course):
    agrees_with_diffusers(course, 20, "leading")


def zero_snr(course):
    keeps_zero_terminal_snr_real(course)


def euler_order(course):
    has_order(course, "euler")


def heun_order(course):
    has_order(course, "heun")


def dpmpp_order(course):
    has_order(course, "dpmpp_2m")


def ancestral(course):
    is_ddim(course, SCHEDULES["linear"], 0.5)


NOTICED = {  # bug: (checks that notice, checks that cannot)
    "previous is off by one": ([ddim_parity, ddpm_parity, recursion], []),
    "previous is t - T//n, right only where neighbors are that far apart (diffusers#12633)": (
        [recursion],
        [ddim_parity, ddpm_parity],
    ),
    "the last step lands on alpha_bar of t = 0": ([ddim_parity, ddpm_goes_on, recursion], []),
    "sigma without eta": ([ddim_parity, recursion], [ddpm_parity]),
    "eta squared": ([ddim_parity], [ddpm_parity]),
    "the direction ignores sigma": ([ddim_parity, recursion], [ddpm_parity]),
    "no noise at all": ([ddim_parity, recursion], [ddpm_parity]),
    "stale eps after clipping": (
        [ddim_parity],
        [ddpm_parity, recursion],
    ),  # the posterior uses x_t, and an oracle is not clipped
    "no clipping": ([ddim_parity, ddpm_parity], [recursion]),
    "betas not respaced": ([ddpm_parity], [ddim_parity]),
    "variance for a standard deviation": ([ddpm_parity], [ddim_parity]),
    "a rounding error below zero": ([zero_snr], [ddim_parity]),
    "the conditional prediction is the base (s read as w)": (
        [guided, guided_within, rescaled],
        [guided_variance],
    ),
    "the two halves of the batch are swapped": ([guided, guided_variance, rescaled], []),
    "the variance is extrapolated, too": ([guided_variance], [guided, rescaled]),
    "one timestep for the whole batch": ([guided_within], [guided, guided_variance]),
    "one spread for the whole batch": ([rescaled], [guided, guided_within]),
    "variances are interpolated, and not their logarithms (diffusers#3006)": (
        [interpolates_logarithms, learned_parity, keeps_the_closed_form],
        [stops_the_gradient],
    ),
    "the ends of the range are exchanged": (
        [learned_parity, keeps_the_closed_form],
        [lands_exactly],
    ),
    "channels taken for 0 to 1": ([interpolates_logarithms, learned_parity], [lands_exactly]),
    "the learned range of the long chain": (
        [interpolates_logarithms, learned_parity, respaces],
        [keeps_the_closed_form],
    ),  # a chain without gaps has no other betas
    "the log of no variance at the first step": ([scores_the_decoder], [learned_parity]),
    "a range where there is no second step": (
        [is_beta_without_a_second_step],
        [scores_the_decoder],
    ),
    "the bound trains the mean": ([stops_the_gradient], [learned_parity, keeps_the_closed_form]),
    "a thousandth of the bound": ([weighs_the_whole_bound, stops_the_gradient], [learned_parity]),
    "one term for the whole bound": ([weighs_the_whole_bound], [keeps_the_closed_form]),
    "bins closed at the ends": ([scores_the_decoder], [keeps_the_closed_form]),
    "bins of half the width": ([scores_the_decoder], [keeps_the_closed_form]),
    "the KL of the other direction": ([keeps_the_closed_form], [scores_the_decoder]),
    "the error of x0 without its factor squared": ([lands_exactly], [learned_parity]),
    "after churn the old level is asked at": ([asks_at_sigma_hat], [heun_order]),
    "Heun goes along the second slope alone": ([heun_order], [euler_order]),
    "small powers are lost beside large ones": ([meets_both_ends], [heun_order]),
    "DPM-Solver++ extrapolates by a whole step": ([dpmpp_order], [heun_order]),
    "Euler steps along a slope of the wrong level": ([euler_order, heun_order], []),
    "the variance for the standard deviation, on the way up": ([ancestral], [euler_order]),
}


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("bug", NOTICED)
def test_the_bug_is_noticed(bug, broken):
    notice, cannot = NOTICED[bug]
    course = broken(*BUGS[bug])
    for check in notice:
        with pytest.raises(AssertionError):
            check(course)
    for check in cannot:
        check(course)  # what each witness is blind to, so that we know why there are several


@pytest.mark.parametrize(
    "check",
    [
        ddim_parity,
        ddpm_parity,
        recursion,
        zero_snr,
        guided,
        guided_variance,
        guided_within,
        rescaled,
        interpolates_logarithms,
        is_beta_without_a_second_step,
        keeps_the_closed_form,
        lands_exactly,
        learned_parity,
        respaces,
        scores_the_decoder,
        stops_the_gradient,
        weighs_the_whole_bound,
        euler_order,
        heun_order,
        dpmpp_order,
        ancestral,
        asks_at_sigma_hat,
    ],
)
def test_an_unbroken_copy_passes(check, broken):
    check(broken("ddim", "sigma**2", "sigma**2"))
