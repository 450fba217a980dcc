"Schedules against independent derivations, zero terminal SNR, equal shares, min-SNR weights."

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers.scheduling_ddim import betas_for_alpha_bar, rescale_zero_terminal_snr
from scipy.integrate import quad

from ddpm_course.ddpm import DDPMLoss, ddpm_loss
from ddpm_course.randomness import BatchRandom
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import PREDICTS, NoiseSchedule, x0_from
from ddpm_course.noising import cosine_schedule, linear_schedule
from ddpm_course.schedules import (
    MinSNR,
    adaptive_schedule,
    log_snr,
    scaled_linear_schedule,
    schedule_from,
    sigmoid_schedule,
    zero_terminal_snr,
)

SCHEDULES = {
    "linear": linear_schedule(),
    "scaled-linear": scaled_linear_schedule(),
    "cosine": cosine_schedule(),
    "sigmoid": sigmoid_schedule(),
    "short": NoiseSchedule([0.1, 0.3, 0.5, 0.9]),
}
ORDINARY = pytest.mark.parametrize("name", SCHEDULES)
EVERY_T = torch.arange(1000)


# Formulas


@pytest.mark.parametrize("T, start, end", [(1000, 0.00085, 0.012), (50, 1e-4, 0.5), (2, 0.1, 0.2)])
def test_scaled_linear_agrees_with_diffusers(T, start, end):
    ours, theirs = (
        scaled_linear_schedule(T, start, end),
        DDPMScheduler(T, start, end, beta_schedule="scaled_linear"),
    )
    assert torch.allclose(ours.betas.float(), theirs.betas, rtol=1e-5) and torch.allclose(
        ours.alpha_bars.float(), theirs.alphas_cumprod, rtol=1e-4
    )


def test_scaled_linear_is_the_square_of_a_line():
    assert scaled_linear_schedule(5, 0.04, 0.64).betas.tolist() == pytest.approx(
        [0.2**2, 0.35**2, 0.5**2, 0.65**2, 0.8**2], rel=1e-14
    )
    latent = scaled_linear_schedule()
    assert len(latent) == 1000 and latent.betas[[0, -1]].tolist() == pytest.approx(
        [0.00085, 0.012], rel=1e-14
    )
    assert latent.alpha_bar(999) == pytest.approx(
        0.004660, abs=1e-6
    )  # Lin et al. 2023, table 1: sqrt is 0.068265


@pytest.mark.parametrize("T", [1000, 7, 1])
def test_cosine_agrees_with_diffusers(T):
    theirs = torch.tensor(betas_for_alpha_bar(T).tolist())
    assert torch.allclose(
        cosine_schedule(T).betas.float(), theirs, rtol=1e-5, atol=1e-7
    )  # theirs is rounded to float32


def test_the_formula_without_offset_and_clipping_ends_in_noise():
    schedule = cosine_schedule(40, offset=0, max_beta=1)
    expected = [math.cos(math.pi / 2 * (t + 1) / 40) ** 2 for t in range(39)]
    assert schedule.alpha_bars[:-1].tolist() == pytest.approx(expected, rel=1e-12)
    assert schedule.betas[-1] == 1 and schedule.alpha_bar(39) == 0 and schedule.ends_in_noise


@pytest.mark.parametrize("start, end, tau", [(-3, 3, 1.0), (0, 3, 0.3), (-3, 3, 0.2), (-1, 2, 5.0)])
def test_sigmoid_follows_its_formula(start, end, tau):
    sigma = lambda u: 1 / (1 + math.exp(-(start + u * (end - start)) / tau))
    expected = [(sigma(1) - sigma((t + 1) / 30)) / (sigma(1) - sigma(0)) for t in range(29)]
    schedule = sigmoid_schedule(30, start, end, tau)
    assert schedule.alpha_bars[:-1].tolist() == pytest.approx(expected, rel=1e-9)
    assert schedule.betas[-1] == 0.999 and schedule.alpha_bar(29) == pytest.approx(
        expected[-1] * 0.001
    )


def test_sigmoid_limits():
    assert torch.allclose(
        sigmoid_schedule(100, tau=1e4).alpha_bars[:-1],
        1 - torch.arange(1, 100, dtype=torch.float64) / 100,
        rtol=1e-5,
    )  # a straight line
    even = sigmoid_schedule(100).alpha_bars  # symmetric about the middle
    assert torch.allclose(
        even[:-1] + even[:-1].flip(0), torch.ones(99, dtype=torch.float64), atol=1e-12
    ) and even[49] == pytest.approx(0.5)
    assert sigmoid_schedule(100, max_beta=1.0).ends_in_noise


@pytest.mark.parametrize(
    "arguments",
    [
        dict(start=3, end=-3),
        dict(start=1, end=1),
        dict(tau=0),
        dict(tau=-1.0),
        dict(tau=float("nan")),
    ],
)
def test_sigmoid_refuses_what_does_not_fall(arguments):
    with pytest.raises(ValueError, match="expected start < end and tau > 0"):
        sigmoid_schedule(10, **arguments)


@ORDINARY
def test_schedule_from_undoes_the_product(name):
    schedule = SCHEDULES[name]
    assert torch.allclose(
        schedule_from(torch.cat([torch.ones(1), schedule.alpha_bars]), max_beta=1).betas,
        schedule.betas,
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    "make", [linear_schedule, scaled_linear_schedule, cosine_schedule, sigmoid_schedule]
)
def test_every_schedule_takes_T_first_and_is_used_with_a_single_step_too(make):
    assert [len(make(T)) for T in (1, 2, 77)] == [1, 2, 77]
    assert 0 < make().alpha_bar(999) < 0.005


# Zero terminal SNR


@ORDINARY
def test_zero_terminal_snr_agrees_with_diffusers(name):
    theirs = rescale_zero_terminal_snr(SCHEDULES[name].betas)
    assert torch.allclose(zero_terminal_snr(SCHEDULES[name]).betas, theirs, rtol=1e-9, atol=1e-14)


@ORDINARY
def test_zero_terminal_snr_shifts_and_stretches_the_signal_rate(name):
    schedule, zero = SCHEDULES[name], zero_terminal_snr(SCHEDULES[name])
    assert (
        zero.betas[0] == schedule.betas[0]
        and zero.betas[-1] == 1
        and zero.alpha_bar(len(zero) - 1) == 0
        and zero.ends_in_noise
    )
    old, new = schedule.alpha_bars.sqrt(), zero.alpha_bars.sqrt()
    stretch = (new[:-1] - new[1:]) / (old[:-1] - old[1:])
    assert torch.allclose(
        stretch, torch.full_like(stretch, (old[0] / (old[0] - old[-1])).item()), rtol=1e-6
    )


def test_zero_terminal_snr_leaves_a_schedule_that_has_it():
    once = zero_terminal_snr(SCHEDULES["scaled-linear"])
    assert torch.allclose(zero_terminal_snr(once).betas, once.betas, rtol=1e-9)
    with pytest.raises(ValueError, match="T=1; expected at least 2"):
        zero_terminal_snr(linear_schedule(1))


# Equal shares


def shares(schedule, loss):
    "What each step from t to t+1 carries, by adaptive quadrature of loss(log-SNR)."
    levels = log_snr(schedule).tolist()
    return [quad(loss, b, a)[0] for a, b in zip(levels, levels[1:])]


def test_log_snr_is_a_difference_of_logarithms():
    schedule = SCHEDULES["short"]
    assert log_snr(schedule).tolist() == pytest.approx(
        [math.log(ab) - math.log(1 - ab) for ab in schedule.alpha_bars.tolist()]
    )


def test_a_constant_loss_makes_even_steps_in_log_snr():
    schedule = adaptive_schedule(50, linear_schedule(), [0, 999], [3.0, 3.0])
    assert torch.allclose(
        log_snr(schedule),
        torch.linspace(*log_snr(linear_schedule())[[0, -1]].tolist(), 50, dtype=torch.float64),
        atol=1e-9,
    )


@pytest.mark.parametrize("std", [0.5, 0.05])
def test_the_exact_loss_of_a_gaussian_has_a_closed_form(std):
    "Var[eps | x_t] = sigmoid(log-SNR + 2 log std), whose integral is a softplus."
    reference = cosine_schedule()
    losses = (log_snr(reference) + 2 * math.log(std)).sigmoid()
    ours = log_snr(adaptive_schedule(30, reference, range(1000), losses))
    softplus = lambda level: np.logaddexp(0, level + 2 * math.log(std))
    clean, noisy = (softplus(level.item()) for level in log_snr(reference)[[0, -1]])
    expected = np.log(np.expm1(np.linspace(clean, noisy, 30))) - 2 * math.log(std)
    assert ours[:-1].tolist() == pytest.approx(expected[:-1].tolist(), abs=2e-3) and ours[
        -1
    ] == pytest.approx(expected[-1], abs=1e-6)


def test_every_step_carries_the_same_share_of_measured_points():
    reference, ts, losses = (
        cosine_schedule(),
        [0, 10, 100, 400, 700, 999],
        torch.tensor([0.8, 0.6, 0.3, 0.1, 0.02, 0.002]),
    )
    knots = log_snr(reference)[ts].flip(0).numpy()
    got = shares(
        adaptive_schedule(20, reference, ts, losses),
        lambda level: np.interp(level, knots, losses.flip(0)),
    )
    assert got == pytest.approx([sum(got) / 19] * 19, rel=1e-4)


def test_the_ends_of_the_reference_stay_and_its_spacing_does_not_matter():
    loss = lambda level: torch.exp(-(((level - 1) / 3) ** 2)) + 0.05
    ends = torch.tensor([8.0, -7.0], dtype=torch.float64)
    made = []
    for bend in (
        1.0,
        2.0,
        0.5,
    ):  # three references that walk from the same first to the same last level in another rhythm
        levels = (
            ends[0] + (ends[1] - ends[0]) * torch.linspace(0, 1, 4000, dtype=torch.float64) ** bend
        )
        reference = schedule_from(torch.cat([torch.ones(1), levels.sigmoid()]), max_beta=1)
        made.append(log_snr(adaptive_schedule(100, reference, range(4000), loss(levels))))
        assert torch.allclose(made[-1][[0, -1]], ends, atol=1e-6)
    assert all(torch.allclose(levels, made[0], atol=2e-3) for levels in made)


def test_neither_the_order_nor_the_scale_of_the_measurement_matters():
    reference, ts, losses = (
        linear_schedule(),
        [0, 300, 700, 999],
        torch.tensor([0.9, 0.5, 0.1, 0.02]),
    )
    usual = adaptive_schedule(100, reference, ts, losses).betas
    assert torch.allclose(
        adaptive_schedule(100, reference, ts[::-1], losses.flip(0) * 1000).betas, usual, rtol=1e-6
    )
    assert torch.allclose(
        adaptive_schedule(100, reference, torch.tensor(ts), losses.tolist()).betas, usual, rtol=1e-6
    )


def test_betas_are_valid_and_steps_go_where_the_loss_is():
    reference = cosine_schedule()
    for T in (2, 3, 10, 1000, 4000):
        assert (
            len(adaptive_schedule(T, reference, [0, 999], [1.0, 0.001])) == T
        )  # NoiseSchedule checks betas
    levels = log_snr(reference)
    peak = adaptive_schedule(100, reference, range(1000), torch.exp(-((levels - 2) ** 2)))
    assert ((log_snr(peak) - 2).abs() < 2).double().mean() > 0.95
    for losses in (
        [0, 0, 1, 0, 0],
        [1, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ):  # nothing to learn at some levels: no steps there, ends kept
        schedule = adaptive_schedule(
            40, reference, [0, 250, 500, 750, 999], torch.tensor(losses, dtype=torch.float64)
        )
        assert (
            torch.allclose(log_snr(schedule)[[0, -1]], levels[[0, -1]], atol=1e-6)
            and (log_snr(schedule).diff() < 0).all()
        )


@pytest.mark.parametrize(
    "ts, losses, says",
    [
        ([0, 999], [0.1, float("nan")], "finite numbers of at least 0"),
        ([0, 999], [0.1, float("inf")], "finite numbers"),
        ([0, 999], [0.2, -0.1], "losses from -0.1 to 0.2"),
        ([0, 999], [0.0, 0.0], "not all of them 0"),
        ([0, 500, 999], [0.1, 0.2], r"shape \(2,\).*one loss at each"),
        ([0, 999], [[0.1, 0.2]], r"shape \(1, 2\)"),
        ([5, 5], [0.1, 0.2], "different timesteps"),
        ([7], [0.1], "at least 2"),
        ([], [], "at least 2"),
        ([-1, 5], [0.1, 0.2], "0..999"),
    ],
)
def test_what_is_no_loss_curve_is_refused(ts, losses, says):
    with pytest.raises(ValueError, match=says):
        adaptive_schedule(100, linear_schedule(), ts, torch.tensor(losses))


def test_adaptive_schedules_refuse_other_bad_input():
    with pytest.raises(ValueError, match="T=1; expected at least 2"):
        adaptive_schedule(1, linear_schedule(), [0, 999], [1.0, 1.0])
    with pytest.raises(IndexError, match="999"):
        adaptive_schedule(10, linear_schedule(), [0, 1000], [1.0, 1.0])
    with pytest.raises(ValueError, match="measure before zero_terminal_snr"):
        adaptive_schedule(10, zero_terminal_snr(linear_schedule()), [0, 9], [1.0, 1.0])


# Min-SNR weights


@pytest.mark.parametrize("gamma", [5.0, 1.0, 0.1])
@ORDINARY
def test_min_snr_is_the_papers_weight_for_each_prediction(name, gamma):
    schedule = SCHEDULES[name]
    for t, ab in enumerate(schedule.alpha_bars.tolist()):
        snr = ab / (1 - ab)
        expected = {
            "x0": min(snr, gamma),
            "eps": min(snr, gamma) / snr,
            "v": min(snr, gamma) / (snr + 1),
        }
        if t % 97 == 0 or t > len(schedule) - 3:
            for p in PREDICTS:
                assert MinSNR(gamma)(schedule, torch.tensor([t]), p).item() == pytest.approx(
                    expected[p], rel=1e-9
                ), (t, p)


@pytest.mark.parametrize(
    "schedule", [zero_terminal_snr(linear_schedule()), cosine_schedule(offset=0, max_beta=1)]
)
def test_min_snr_at_zero_snr_is_its_limit(schedule):
    weights = {p: MinSNR()(schedule, EVERY_T, p) for p in PREDICTS}
    assert {p: w[-1].item() for p, w in weights.items()} == {"eps": 1, "x0": 0, "v": 0}
    assert all(
        w.isfinite().all() and (w[:-1] > 0).all() and w.shape == (1000,) for w in weights.values()
    )


def test_min_snr_makes_the_same_loss_of_every_prediction():
    data, schedule, delta = GaussianMixture([0.3], 0.5), SCHEDULES["cosine"], 0.1
    t, x0 = EVERY_T[:-1], data.sample(999).double()
    signal, noise = schedule.rates(t, x0)

    def off(p):  # the exact network, wrong by delta in x0
        model, error = (
            data.model(schedule, p),
            {"x0": delta, "eps": -delta * signal / noise, "v": -delta / noise}[p],
        )
        wrong = lambda x_t, t: model(x_t, t) + error
        wrong.predicts = p
        return wrong

    losses = {
        p: ddpm_loss(off(p), schedule, x0, t=t, rng=BatchRandom(0, 0, 999), weight=MinSNR())
        for p in PREDICTS
    }
    for p in ("eps", "v"):
        assert torch.allclose(losses[p], losses["x0"], rtol=1e-8)


@pytest.mark.parametrize("gamma", [0, -1.0, float("nan"), float("inf")])
def test_min_snr_refuses_a_gamma_that_is_no_snr(gamma):
    with pytest.raises(ValueError, match="expected a finite number above 0"):
        MinSNR(gamma)
    with pytest.raises(ValueError, match="expected one of eps, x0, v"):
        MinSNR()(linear_schedule(), torch.tensor([3]), "score")


# Whole schedules at work


@ORDINARY
@pytest.mark.parametrize("predicts", PREDICTS)
def test_the_exact_network_is_real_on_every_schedule_with_zero_terminal_snr(name, predicts):
    schedule, data = zero_terminal_snr(SCHEDULES[name]), GaussianMixture([0.3], 0.5)
    last, x = len(schedule) - 1, torch.randn(4, 1, 1, 1, dtype=torch.float64)
    ask = lambda: x0_from(
        schedule, x, last, data.model(schedule, predicts)(x, torch.full((4,), last)), predicts
    )
    if predicts == "eps":
        with pytest.raises(ValueError, match="predicts v or x0"):
            ask()
    else:
        assert torch.allclose(
            ask(), torch.full_like(x, 0.3)
        )  # noise says nothing: the mean of the data


def test_diffusers_reads_our_zero_terminal_schedule():
    theirs = DDIMScheduler(1000, 0.00085, 0.012, "scaled_linear", rescale_betas_zero_snr=True)
    assert torch.allclose(
        zero_terminal_snr(scaled_linear_schedule()).alpha_bars.float(),
        theirs.alphas_cumprod,
        atol=1e-5,
    )


# The argument `weight` of chapter 13's loss


def test_a_weight_multiplies_the_loss_of_each_image():
    data, schedule = GaussianMixture([0.3], 0.5), linear_schedule()
    x0, t = data.sample(50), torch.arange(0, 1000, 20)
    seen = []

    def weight(*args):
        seen.append(args)
        return args[1].double() / 100

    ask = lambda **kwargs: ddpm_loss(
        data.model(schedule, "v"), schedule, x0, t=t, rng=BatchRandom(0, 0, 50), **kwargs
    )
    assert (
        torch.allclose(ask(weight=weight), ask() * t / 100)
        and ask(weight=weight).dtype == torch.float32
        and torch.equal(ask(weight=None), ask())
    )
    assert seen[0][0] is schedule and torch.equal(seen[0][1], t) and seen[0][2] == "v"
    with pytest.raises(
        ValueError, match=r"shape \(50, 1\); expected one number per example, \(50,\)"
    ):
        ask(weight=lambda s, t, p: t[:, None])
    with pytest.raises(ValueError, match=r"shape \(\); expected one number per example, \(50,\)"):
        ask(weight=lambda s, t, p: 2.0)


def test_ddpm_loss_objects_pass_their_weight_on():
    data, schedule = GaussianMixture([0.3], 0.5), linear_schedule()
    model, x0, rng = data.model(schedule), data.sample(64), lambda: BatchRandom(1, 2, 64)
    plain, weighted = (
        DDPMLoss(schedule, weight=w)(model, x0, None, rng()) for w in (None, MinSNR(2.0))
    )
    assert torch.allclose(
        weighted, plain * MinSNR(2.0)(schedule, rng().randint(1000), "eps").float()
    ) and not torch.allclose(weighted, plain)
