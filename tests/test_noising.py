"Chapter 11: schedules, the forward process and its posterior, conversions, the exact predictor."

import math

import numpy as np
import pytest
import torch

from ddpm_course.ancestral import q_posterior
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import (
    NoiseSchedule,
    cosine_schedule,
    eps_from_x0,
    linear_schedule,
    q_sample,
    score_from_eps,
    v_from,
    x0_from,
)
from ddpm_course.schedules import scaled_linear_schedule
from fakes import randn

SCHEDULES = {
    "linear": linear_schedule(),
    "cosine": cosine_schedule(),
    "short": NoiseSchedule([0.1, 0.3, 0.5]),
}


@pytest.mark.parametrize(
    "betas, says",
    [
        ([], "at least 1"),
        ([[0.1]], "shape"),
        ([0.1, 0.0], r"betas\[1\] = 0"),
        ([-0.1], "-0.1"),
        ([0.1, 1.5], "1.5"),
        ([float("nan")], "nan"),
        ([0.1, 1.0, 0.1], r"betas\[1\] = 1"),
    ],
)
def test_bad_betas_are_refused_by_place_and_value(betas, says):
    with pytest.raises(ValueError, match=says):
        NoiseSchedule(torch.tensor(betas, dtype=torch.float64))


def test_a_schedule_does_not_change_when_the_betas_it_was_given_do():
    betas = torch.tensor([0.1, 0.2], dtype=torch.float64)
    schedule = NoiseSchedule(betas)
    betas[0] = 0.9
    assert schedule.alpha_bar(0) == 0.9


def test_alpha_bar_is_a_product_of_alphas_indexed_from_clean_data():
    schedule = SCHEDULES["short"]
    expected = [1, 0.9, 0.9 * 0.7, 0.9 * 0.7 * 0.5]
    assert [schedule.alpha_bar(t) for t in range(-1, 3)] == pytest.approx(expected, rel=1e-15)
    assert schedule.alpha_bar(torch.tensor([-1, 2])).tolist() == pytest.approx(
        [1, expected[-1]], rel=1e-15
    )
    assert schedule.alpha_bar(np.int64(1)) == schedule.alpha_bar(1) and schedule.rates(
        np.int64(1)
    ) == schedule.rates(1)
    assert schedule.alpha_bar(torch.tensor(1)).item() == schedule.alpha_bar(
        1
    )  # one number, as a loop over a tensor gives


@pytest.mark.parametrize("t", [-2, 3, torch.tensor([0, 3]), torch.tensor([-2, 0])])
def test_timesteps_outside_the_schedule_are_refused(t):
    with pytest.raises(IndexError, match="-1 .clean data. to 2"):
        SCHEDULES["short"].alpha_bar(t)


def test_real_timesteps_do_not_index_a_schedule():
    with pytest.raises(TypeError, match="int64"):
        SCHEDULES["short"].alpha_bar(torch.tensor([0.5]))
    with pytest.raises(TypeError, match="float"):
        SCHEDULES["short"].alpha_bar(0.5)


@pytest.mark.parametrize("prev", [300, 301])
def test_a_posterior_goes_to_an_earlier_timestep(prev):
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=f"prev={prev}; expected an earlier timestep than t=300"):
        q_posterior(linear_schedule(), x, x, 300, prev)


def test_rates_keep_float32_images_in_float32_and_small_noise_exact():
    signal, noise = linear_schedule().rates(torch.tensor([0, 999]), torch.zeros(2, 3, 4, 4))
    assert signal.dtype == torch.float32 and signal.shape == (2, 1, 1, 1)
    assert noise[0].item() == pytest.approx(
        1e-2, rel=1e-6
    )  # sqrt(1 - alpha_bar_0), which float32 tables get wrong by 1e-4


def test_known_schedules():
    assert linear_schedule(beta_start=2e-4).betas[[0, -1]].tolist() == pytest.approx(
        [2e-4, 0.02], rel=1e-15
    )
    cosine = cosine_schedule(50)
    f = lambda i: math.cos((i / 50 + 0.008) / 1.008 * math.pi / 2) ** 2
    assert cosine.alpha_bar(24) == pytest.approx(f(25) / f(0), rel=1e-12)
    assert cosine.betas[-1] == 0.999


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_posterior_times_the_marginal_is_the_joint(name):
    "log q(prev | t, x0) + log q(t | x0) = log q(t | prev) + log q(prev | x0), for any prev < t."
    schedule, (x0, x_prev, x_t) = SCHEDULES[name], randn(3, 5, 1, 1, 1)
    T = len(schedule)
    log = lambda x, mean, var: -0.5 * ((x - mean) ** 2 / var + math.log(2 * math.pi * var))
    for prev, t in {(0, 1), (T // 3, T // 2 + 1), (T - 3, T - 1)}:
        alpha = schedule.alpha_bar(t) / schedule.alpha_bar(prev)
        marginal = lambda x, s: log(x, schedule.rates(s)[0] * x0, schedule.rates(s)[1] ** 2)
        mean, var = q_posterior(schedule, x0, x_t, t, prev)
        torch.testing.assert_close(
            log(x_prev, mean, var) + marginal(x_t, t),
            log(x_t, alpha**0.5 * x_prev, 1 - alpha) + marginal(x_prev, prev),
            rtol=1e-8,
            atol=1e-8,
        )


def test_posterior_takes_one_t_per_image():
    x0, x_t = randn(2, 4, 1, 2, 2)
    t = torch.tensor([0, 7, 300, 999])
    mean, var = q_posterior(linear_schedule(), x0, x_t, t)
    for i in range(4):
        mean_i, var_i = q_posterior(linear_schedule(), x0[i : i + 1], x_t[i : i + 1], int(t[i]))
        assert torch.allclose(mean[i], mean_i[0], rtol=1e-12) and var[i].item() == pytest.approx(
            var_i, abs=1e-15
        )


@pytest.mark.parametrize("t", [0, 500, torch.tensor([0, 10, 998])])
@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_every_prediction_leads_back_to_x0_and_eps(t, predicts):
    schedule, (x0, eps) = cosine_schedule(), randn(2, 3, 1, 2, 2)
    x_t = q_sample(schedule, x0, t, eps)
    out = {"eps": eps, "x0": x0, "v": v_from(schedule, t, x0, eps)}[predicts]
    back = x0_from(schedule, x_t, t, out, predicts)
    torch.testing.assert_close(back, x0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(eps_from_x0(schedule, x_t, t, back), eps, rtol=1e-6, atol=1e-6)


def test_eps_at_zero_terminal_snr_is_an_error_and_v_is_not():
    schedule, (x, out) = NoiseSchedule([0.1, 0.5, 1.0]), randn(2, 2, 1, 1, 1)
    for t in (2, torch.tensor([0, 2])):
        with pytest.raises(ValueError, match="predicts v or x0"):
            x0_from(schedule, x, t, out, "eps")
    assert torch.equal(x0_from(schedule, x, 2, out, "v"), -out)
    assert torch.isfinite(x0_from(schedule, x, 1, out, "eps")).all()


@pytest.mark.parametrize("t", [-1, torch.tensor([3, -1])])
def test_clean_data_hold_no_noise_to_divide_by(t):
    x, schedule = torch.zeros(2, 1, 4, 4), linear_schedule()
    for f in (lambda: eps_from_x0(schedule, x, t, x), lambda: score_from_eps(schedule, t, x)):
        with pytest.raises(ValueError, match="t holds -1, clean data.*timesteps of at least 0"):
            f()
    assert eps_from_x0(schedule, x, 0, x - 1).isfinite().all()  # where there is the least
    assert score_from_eps(schedule, torch.tensor([0, 999]), x).isfinite().all()


def test_bad_arguments_say_what_was_expected():
    x = torch.zeros(2, 1, 4, 4)
    with pytest.raises(ValueError, match="expected one of eps, x0, v"):
        x0_from(linear_schedule(), x, 3, x, "noise")
    with pytest.raises(TypeError, match="from_uint8"):
        q_sample(linear_schedule(), x.to(torch.uint8), 3, x)
    with pytest.raises(ValueError, match=r"\(2, 1, 4\)"):
        q_sample(linear_schedule(), x, 3, x[:, :, 0])
    for stds, weights in ((0.0, None), (0.5, [1.0]), (0.5, [1.0, -1.0])):
        with pytest.raises(ValueError, match="expected positive stds"):
            GaussianMixture([0.0, 1.0], stds, weights)
    with pytest.raises(ValueError, match="expected one of"):
        GaussianMixture([0.0], 1.0).model(linear_schedule(), "score")


def test_the_exact_predictor_is_the_score_of_the_noisy_density():
    "E[eps | x_t] = -noise * d/dx log q(x_t), the density being differentiated automatically."
    mixture = GaussianMixture(randn(3, 2, 2, 2), torch.tensor([0.2, 0.5, 1.0]), [0.2, 0.3, 0.5])
    schedule, t = linear_schedule(), 120
    signal, noise = schedule.rates(t)
    x = randn(6, 2, 2, 2).requires_grad_()
    log_q = torch.stack(
        [
            w.log()
            + torch.distributions.Normal(signal * m, ((signal * s) ** 2 + noise**2) ** 0.5)
            .log_prob(x)
            .sum((1, 2, 3))
            for w, m, s in zip(mixture.weights, mixture.means, mixture.stds)
        ]
    ).logsumexp(0)
    (score,) = torch.autograd.grad(log_q.sum(), x)
    torch.testing.assert_close(
        mixture.model(schedule)(x, torch.full((6,), t)), -noise * score, rtol=1e-9, atol=1e-9
    )


def test_the_three_exact_predictors_agree():
    mixture, schedule, t = (
        GaussianMixture([-0.5, 0.7], [0.1, 0.4]),
        cosine_schedule(),
        torch.tensor([3, 400, 990]),
    )
    x = randn(3, 1, 1, 1)
    x0s = [x0_from(schedule, x, t, mixture.model(schedule, p)(x, t), p) for p in ("eps", "x0", "v")]
    for x0 in x0s[1:]:
        torch.testing.assert_close(x0, x0s[0], rtol=1e-8, atol=1e-8)


def test_mixture_samples_have_its_moments():
    mixture = GaussianMixture([-1.0, 2.0], [0.5, 0.25], [1, 3])
    x = mixture.sample(200_000).double()
    mean, var = 0.25 * -1 + 0.75 * 2, 0.25 * (0.25 + 1) + 0.75 * (0.0625 + 4) - 1.25**2
    assert x.mean().item() == pytest.approx(mean, abs=4 * (var / 200_000) ** 0.5)
    assert x.var().item() == pytest.approx(var, rel=0.02)


@pytest.mark.parametrize("t", [120, torch.tensor([0, 120, 999, 120, 7, 500])])
def test_the_score_of_one_gaussian(t):
    "N(m, s^2) noised is a Gaussian of score (signal m - x) / (signal^2 s^2 + noise^2)."
    schedule, x = linear_schedule(), randn(6, 1, 1, 1)
    model = GaussianMixture([0.3], 0.5).model(schedule)
    signal, noise = schedule.rates(t, x)
    score = score_from_eps(schedule, t, model(x, torch.as_tensor(t).expand(6)))
    expected = (signal * 0.3 - x) / ((signal * 0.5) ** 2 + noise**2)
    torch.testing.assert_close(score, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "betas",
    ["linear", None, [], ["a"], [[0.1]], [0.1, math.nan], [1e-300, 0.1], [True]],
)
def test_betas_that_make_no_schedule(betas):
    "1e-300 adds nothing, not even in float64."
    with pytest.raises((TypeError, ValueError), match="betas"):
        NoiseSchedule(betas)


def test_betas_that_are_scaled_end_in_as_much_noise_at_any_length():
    for T in (50, 100, 400):
        assert linear_schedule(T).alpha_bar(T - 1) > 0.01
        assert linear_schedule(T, rescale=True).alpha_bar(T - 1) < 6e-5
        assert scaled_linear_schedule(T, rescale=True).alpha_bar(T - 1) < 6e-3
    assert torch.equal(linear_schedule(rescale=True).betas, linear_schedule().betas)
    with pytest.raises(ValueError, match="expected values above 1e-16 and below 1"):
        linear_schedule(10, rescale=True)  # betas up to 2


@pytest.mark.parametrize("make", [linear_schedule, cosine_schedule, scaled_linear_schedule])
@pytest.mark.parametrize("T", [0, -1, 10.0, "10", None, True, [10]])
def test_a_length_is_a_count(make, T):
    with pytest.raises((TypeError, ValueError), match="T=.*expected a whole number of at least 1"):
        make(T)


def test_what_does_not_fit_is_not_broadcast():
    x, schedule = torch.zeros(2, 1, 4, 4), linear_schedule()
    for f in (x0_from, eps_from_x0, q_sample, v_from):
        more = ("v",) if f is x0_from else ()
        given = (x, 3, x[:1]) if f in (x0_from, eps_from_x0) else (x, 3, x[:, :, :1])
        given = (3, x, x[:1]) if f is v_from else given
        given = (x, 3, x[:1]) if f is q_sample else given
        with pytest.raises(ValueError, match="got shape .*expected that of"):
            f(schedule, *given, *more)
    with pytest.raises(ValueError, match=r"t: got shape \(3,\) for 1 images"):
        q_sample(schedule, x[:1], torch.tensor([1, 2, 3]), x[:1])
    for bad in (x.numpy(), None, "x", [0.0]):
        with pytest.raises(TypeError, match="(x_t|eps)=.*expected"):
            x0_from(schedule, bad, 3, x, "eps")
        with pytest.raises(TypeError, match="schedule=.*expected a NoiseSchedule"):
            eps_from_x0(bad, x, 3, x)
