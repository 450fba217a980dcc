"""Solvers in sigma: exact conversions, orders on an oracle, diffusers' schedulers step by step."""

import math
from functools import partial

import pytest
import torch

from conformance.adapters import given_noise, peer
from conformance.rules import MIXTURE, quantile, rate
from ddpm_course import sampling
from ddpm_course.ddim import ddim_sample, ddim_steps
from ddpm_course.denoisers import ExactDenoiser, as_eps, check_sigmas, snapped
from ddpm_course.exact import GaussianMixture
from ddpm_course.flow import as_velocity, from_velocity
from ddpm_course.guidance import cfg
from ddpm_course.models import condition
from ddpm_course.noising import NoiseSchedule, cosine_schedule, linear_schedule
from ddpm_course.schedules import zero_terminal_snr
from ddpm_course.solvers import (
    Churn,
    as_denoiser,
    dpmpp_2m_sample,
    dpmpp_2m_steps,
    euler_ancestral_sample,
    euler_ancestral_steps,
    euler_sample,
    euler_steps,
    heun_sample,
    heun_steps,
    karras_sigmas,
)
from fakes import randn, small_unet

SCHEDULES = {"linear": linear_schedule(), "cosine": cosine_schedule()}
ORACLE = ExactDenoiser(MIXTURE)
OF_IMAGES = ExactDenoiser(  # of 2x2 pixels
    GaussianMixture(MIXTURE.means.expand(-1, 1, 2, 2), 0.3, MIXTURE.weights)
)
WALKS = {
    "euler": euler_steps,
    "heun": heun_steps,
    "dpmpp_2m": dpmpp_2m_steps,
    "ancestral": euler_ancestral_steps,
}
each_walk = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


class Recorded:
    "A crooked denoiser that notes at which levels it is asked."

    def __init__(self):
        self.asked = []

    def __call__(self, x, sigma):
        self.asked.append(sigma[0].item())
        s = sigma.view(-1, 1, 1, 1).to(x)
        return torch.sin(2 * x / (1 + s)) * 0.7 + 0.1 * s.log()


def apart(a, b):
    return ((a - b).abs().max() / (1 + b.abs().max())).item()


# ---- the two conversions ----


class Doubled:
    "An exact model with variance channels."

    num_classes = None

    def __init__(self, model):
        self.model, self.predicts = model, model.predicts

    def __call__(self, x_t, t):
        return torch.cat([self.model(x_t, t), torch.ones_like(x_t)], 1)


@each_schedule
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_there_and_back_is_exact(schedule, predicts, doubled):
    model = MIXTURE.model(schedule, predicts)
    model = Doubled(model) if doubled else model
    x_t, t = randn(1000, 1, 1, 1), torch.arange(1000)
    back = as_eps(as_denoiser(model, schedule), schedule)
    assert back.predicts == "eps"
    assert (back(x_t, t) - MIXTURE.model(schedule)(x_t, t)).abs().max() < 1e-10
    D = as_denoiser(model, schedule)
    x = x_t * (1 + D.sigmas**2).sqrt().view(-1, 1, 1, 1)
    assert (D(x, D.sigmas) - ORACLE(x, D.sigmas)).abs().max() < 1e-10


class Labeled:
    "Data that depend on the label, and their exact eps; no label is label 2."

    predicts, num_classes, label_drop = "eps", 2, 0.1

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, x_t, t, y):
        signal, noise = self.schedule.rates(t, x_t)
        mean = y.view(-1, 1, 1, 1).to(x_t) - 1
        return noise * (x_t - signal * mean) / ((0.4 * signal) ** 2 + noise**2)


@each_schedule
def test_a_guided_model_there_and_back(schedule):
    guided = cfg(Labeled(schedule), torch.tensor([0, 1] * 50), 3.0)
    x_t = randn(100, 1, 1, 1)
    t = torch.arange(0, 1000, 10)
    back = as_eps(as_denoiser(guided, schedule), schedule)
    assert (back(x_t, t) - guided(x_t, t)).abs().max() < 1e-10
    assert (guided(x_t, t) - condition(Labeled(schedule), 0)(x_t, t)).abs().max() > 0.1
    inside = as_denoiser(Labeled(schedule), schedule)  # guided in sigma: the same picture
    y = torch.tensor([0, 1] * 5)
    a, b = (
        heun_sample(m, (10, 1, 1, 1), 12, seed=0)
        for m in (cfg(inside, y, 3.0), as_denoiser(cfg(Labeled(schedule), y, 3.0), schedule))
    )
    assert apart(a, b) < 1e-5


def test_a_networks_own_levels():
    D = as_denoiser(small_unet(), SCHEDULES["linear"])
    assert D.num_classes == 3 and D.predicts == "denoised" and len(D.sigmas) == 1000
    ab = SCHEDULES["linear"].alpha_bar(500)
    assert D.sigmas[500].item() == pytest.approx((1 / ab - 1) ** 0.5, rel=1e-12)
    assert (D.sigmas.diff() > 0).all()
    assert D.round(D.sigmas[7].item() * 1.001) == D.sigmas[7].item()
    assert D.round(1e9) == D.sigmas[-1].item() and D.round(0) == D.sigmas[0].item()
    assert len(as_denoiser(abs, zero_terminal_snr(SCHEDULES["cosine"])).sigmas) == 999


def test_between_levels_the_network_is_asked_between_timesteps():
    seen = []

    def model(x_t, t):
        seen.append(t)
        return x_t * 0

    D = as_denoiser(model, SCHEDULES["linear"])
    x = randn(2, 1, 2, 2)
    half = (D.sigmas[500] * D.sigmas[501]).sqrt().item()
    D(x, torch.tensor([half, D.sigmas[3]], dtype=torch.float64))
    assert torch.allclose(seen[0], torch.tensor([500.5, 3.0], dtype=torch.float64), atol=1e-6)
    D(x, D.sigmas[[9, 3]])
    assert seen[1].dtype == torch.int64 and seen[1].tolist() == [9, 3]
    for sigma in (1e-3, 1e3):
        with pytest.raises(ValueError, match="trained from 0.01 to 157.*snap"):
            D(x, torch.tensor([sigma, 1.0]))


@pytest.mark.parametrize("sigma", [1.0, 3, torch.tensor([5, 3])], ids=["float", "int", "timesteps"])
def test_levels_are_floats_one_an_image(sigma):
    for D in (as_denoiser(abs, SCHEDULES["linear"]), ORACLE, from_velocity(as_velocity(ORACLE))):
        with pytest.raises(TypeError, match=r"sigma=.*expected floats \(B,\).*as_eps"):
            D(randn(2, 1, 2, 2), sigma)


def test_a_network_of_one_timestep_takes_one_step():
    schedule = NoiseSchedule([0.9])
    D = as_denoiser(MIXTURE.model(schedule), schedule)
    x_T = randn(4, 1, 1, 1)
    found = euler_sample(D, x_T.shape, 1, x_T=x_T)
    assert apart(found, D(3 * x_T, D.sigmas.expand(4))) < 1e-12
    with pytest.raises(ValueError, match="expected sigma_min below sigma_max"):
        euler_sample(D, x_T.shape, 2, x_T=x_T)


def test_clip():
    D = as_denoiser(MIXTURE.model(SCHEDULES["linear"]), SCHEDULES["linear"], clip=0.3)
    assert D(randn(9, 1, 1, 1), D.sigmas[:9]).abs().max() == 0.3


# ---- levels ----


def meets_both_ends(course):
    "Also where the powers of the two levels are so far apart that a sum forgets the smaller."
    for rho in (0.1, 1.0, 7.0, 1e6):
        ends = course.solvers.karras_sigmas(5, rho=rho)[[0, -1]]
        assert ends.tolist() == pytest.approx([80.0, 0.002], rel=1e-6)


def test_karras_levels_are_those_of_the_paper():
    for n, low, high, rho in ((18, 0.002, 80.0, 7.0), (5, 0.1, 10.0, 1.0), (40, 0.02, 157.0, 3.0)):
        t = karras_sigmas(n, low, high, rho).tolist()
        for i in range(n):  # eq. 5, one number at a time
            a, b = high ** (1 / rho), low ** (1 / rho)
            assert t[i] == pytest.approx((a + i / (n - 1) * (b - a)) ** rho, rel=1e-10)
    assert karras_sigmas(1).tolist() == pytest.approx([80.0])
    assert karras_sigmas(1, 3.0, 3.0).tolist() == pytest.approx([3.0])  # a single level is a span
    meets_both_ends(sampling_package())
    assert karras_sigmas(18).dtype == torch.float64
    for bad in (
        dict(n=0),
        dict(n=5, sigma_min=0),
        dict(n=5, sigma_max=0.001),
        dict(n=5, sigma_min=3.0, sigma_max=3.0),
        dict(n=5, rho=0),
        dict(n=5, sigma_max=math.inf),
    ):
        with pytest.raises(ValueError, match="expected a .*number|expected sigma_min below"):
            karras_sigmas(**bad)


def test_snapping_keeps_the_number_of_steps():
    D = as_denoiser(abs, SCHEDULES["cosine"])
    for n in (1, 2, 18, 300, 1000):
        levels = snapped(karras_sigmas(n, 0.01, 80.0).tolist(), D.sigmas)
        assert len(levels) == n and all(a > b for a, b in zip(levels, levels[1:]))
        assert set(levels) <= set(D.sigmas.tolist())
    few = snapped([30.0, 2.0, 0.5], D.sigmas)  # where nothing collides: the nearest
    assert few == [D.round(s) for s in (30.0, 2.0, 0.5)]
    top = snapped([1e9, 1e8, 1e7], D.sigmas)
    assert top == D.sigmas[-3:].tolist()[::-1]
    with pytest.raises(ValueError, match="1001 levels; .* trained on 1000"):
        snapped(karras_sigmas(1001).tolist(), D.sigmas)


@each_walk
def test_a_network_is_asked_at_its_own_levels_unless_told_otherwise(walk):
    for snap in (True, False):
        seen = []

        def model(x_t, t):
            seen.append(t)
            return x_t * 0

        levels = karras_sigmas(7, 0.05, 50.0)
        D = as_denoiser(model, SCHEDULES["linear"])
        [*walk(D, (2, 1, 2, 2), sigmas=levels, seed=0, snap=snap)]
        assert all(t.dtype == torch.int64 for t in seen) == snap
        assert len({t[0].item() for t in seen}) == 7


@pytest.mark.parametrize(
    "sigmas",
    [[], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0, 0.0], [2.0, -1.0], [math.inf, 1.0], [math.nan]],
)
def test_levels_that_make_no_sense(sigmas):
    with pytest.raises(ValueError, match="strictly decreasing list above 0"):
        check_sigmas(sigmas)
    with pytest.raises(ValueError, match="goes to 0 by itself|expected a finite number"):
        euler_sample(ORACLE, (1, 1, 1, 1), sigmas=sigmas, seed=0)


# ---- order ----


def exact(sigma, u=torch.linspace(0.02, 0.98, 49, dtype=torch.float64)):
    "The solution of the ODE at a level, from quantiles u: in one dimension the flow keeps them."
    a = 1 / (1 + sigma**2)
    return quantile(u, a) / a**0.5


def order_of(walk, **options):
    "The order of convergence from 80 to 0.02 on Karras levels, and the error at 320 steps."
    ns, errors = (40, 80, 160, 320), []
    for n in ns:
        levels = karras_sigmas(n + 1, 0.02, 80.0)
        steps = [*walk(ORACLE, (49, 1, 1, 1), sigmas=levels, x_T=exact(80.0) / 80, **options)]
        errors.append((steps[-1].x_t - exact(0.02)).square().mean().sqrt().item())
    return rate(ns, errors), errors[-1]


ORDERS = {"euler": 1, "heun": 2, "dpmpp_2m": 2}


def has_order(course, name):
    found, error = order_of(getattr(course.solvers, f"{name}_steps"))
    assert abs(found - ORDERS[name]) <= 0.15 and error < 5e-3, (found, error)


@pytest.mark.parametrize("name", ORDERS)
def test_each_solver_has_its_order(name):
    has_order(sampling_package(), name)
    assert order_of(partial(euler_ancestral_steps, eta=0.0))[0] == pytest.approx(1, abs=0.15)


def sampling_package():
    import ddpm_course

    return ddpm_course


# ---- the same as what is known already ----


def is_ddim(course, schedule, eta):
    "x_t / sqrt(alpha_bar_t) is the state in sigma; the noise of a step is the same noise."
    model, ts = MIXTURE.model(schedule, "v"), [950, 700, 333, 332, 90, 4, 0]
    D = as_denoiser(model, schedule)
    x_T, noise = randn(20, 1, 1, 1), randn(7, 20, 1, 1, 1, seed=1)
    first = schedule.alpha_bar(950) ** 0.5 * D.sigmas[950].item()
    theirs = [
        *ddim_steps(
            model, schedule, x_T.shape, timesteps=ts, eta=eta, x_T=x_T, noise=noise, clip=None
        )
    ]
    kwargs = dict(sigmas=D.sigmas[ts], x_T=x_T / first)
    walks = [course.solvers.euler_ancestral_steps(D, x_T.shape, eta=eta, noise=noise, **kwargs)]
    if eta == 0:
        walks.append(course.solvers.euler_steps(D, x_T.shape, **kwargs))
    for walk in walks:
        for step, t, theirs_ in zip(walk, ts, theirs, strict=True):
            assert step.t == D.sigmas[t].item() and apart(step.x0_hat, theirs_.x0_hat) < 1e-10
            assert apart(step.x_t * schedule.alpha_bar(t) ** 0.5, theirs_.x_t) < 1e-10
        assert apart(step.x_prev, theirs[-1].x_prev) < 1e-10


@each_schedule
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_euler_and_ancestral_are_ddim_on_the_same_levels(schedule, eta):
    is_ddim(sampling_package(), schedule, eta)


def test_heun_is_worked_out_by_hand():
    "Two steps, written out as algorithm 1 of the paper has them."
    D, x = Recorded(), randn(3, 1, 2, 2)
    ours = heun_sample(D, x.shape, sigmas=[3.0, 0.5], x_T=x)
    assert D.asked == [3.0, 0.5, 0.5]
    f = lambda x, s: (x - D(x, torch.full((3,), s, dtype=torch.float64))) / s
    y = 3.0 * x
    d = f(y, 3.0)
    e = y + (0.5 - 3.0) * d
    y = y + (0.5 - 3.0) * (d / 2 + f(e, 0.5) / 2)
    assert apart(ours, y + (0 - 0.5) * f(y, 0.5)) < 1e-12


@pytest.mark.parametrize(
    "walk,evaluations",
    [(euler_steps, 9), (dpmpp_2m_steps, 9), (heun_steps, 17), (euler_ancestral_steps, 9)],
)
def test_evaluations(walk, evaluations):
    D = Recorded()
    steps = [*walk(D, (2, 1, 2, 2), 9, seed=0)]
    assert len(steps) == 9 and len(D.asked) == evaluations
    assert D.asked[0] == pytest.approx(80) and min(D.asked) == pytest.approx(0.002)


# ---- diffusers ----


def edm_output(D, x, sigma, data=0.5):
    """What diffusers' EDM classes want with prediction_type="epsilon": not the noise, but the raw
    output F of EDM's network, from which they make c_skip x + c_out F."""
    skip = data**2 / (sigma**2 + data**2)
    out = sigma * data / (sigma**2 + data**2) ** 0.5
    return (D(x, torch.full((len(x),), sigma, dtype=torch.float64)) - skip * x) / out


def edm_walk(scheduler, D, x, n):
    "x at every step of one of diffusers' EDM schedulers, and the levels, in float64."
    scheduler.set_timesteps(n)
    assert scheduler.init_noise_sigma == pytest.approx(
        (80**2 + 1) ** 0.5
    )  # 80.006, where EDM has 80
    levels, path = scheduler.sigmas.double().tolist(), [x]
    for sigma, t in zip(levels, scheduler.timesteps):
        assert t.item() == pytest.approx(math.log(sigma) / 4, rel=1e-5, abs=1e-5)  # c_noise
        assert apart(scheduler.scale_model_input(x, t), x / (sigma**2 + 0.25) ** 0.5) < 1e-6
        x = scheduler.step(edm_output(D, x, sigma), t, x).prev_sample
        path.append(x)
    return levels, path


@pytest.mark.parametrize("n", [7, 18, 40])
@pytest.mark.parametrize(
    "name,walk",
    [("EDMEulerScheduler", euler_steps), ("EDMDPMSolverMultistepScheduler", dpmpp_2m_steps)],
)
def test_diffusers_edm_schedulers(name, walk, n):
    import diffusers

    scheduler = getattr(diffusers, name)(sigma_data=0.5)
    for D in (OF_IMAGES, Recorded()):
        x = randn(5, 1, 2, 2)
        levels, path = edm_walk(scheduler, D, 80 * x, n)
        assert levels[:-1] == pytest.approx(karras_sigmas(n).tolist(), rel=1e-5) and levels[-1] == 0
        ours = [*walk(D, x.shape, sigmas=levels[:-1], x_T=80 * x / levels[0])]
        for step, a, b in zip(ours, path[:-1], path[1:], strict=True):
            assert apart(step.x_t, a) < 1e-5 and apart(step.x_prev, b) < 1e-5


def test_diffusers_takes_a_ramp_where_it_says_sigmas():
    from diffusers import EDMEulerScheduler

    scheduler = EDMEulerScheduler()
    levels = karras_sigmas(5).tolist()
    scheduler.set_timesteps(sigmas=torch.tensor(levels))
    first = scheduler.sigmas[0].item()
    assert first != pytest.approx(80, rel=0.5)  # 80 was read as a place on a ramp


def test_diffusers_euler_with_churn_asks_before_the_noise():
    """Why our churn is held against the oracle: their network gets its input at sigma, and its
    answer is used at sigma-hat."""
    from diffusers import EDMEulerScheduler

    scheduler = EDMEulerScheduler(sigma_max=1.0)
    scheduler.set_timesteps(5)
    x, t, sigma = randn(1, 1, 2, 2), scheduler.timesteps[0], scheduler.sigmas[0].item()
    scheduler.scale_model_input(x, t)  # a network's input, before `step` draws the noise
    F = edm_output(OF_IMAGES, x, sigma)  # the network's answer to that input
    z = randn(1, 1, 2, 2, seed=1)
    with given_noise(scheduler, [z]):
        theirs = scheduler.step(F, t, x, s_churn=2.0).pred_original_sample
    sigma_hat = sigma * (1 + min(2.0 / 5, 2**0.5 - 1))
    x_hat = x + (sigma_hat**2 - sigma**2) ** 0.5 * z
    data = sigma_hat**2 + 0.25
    assert apart(theirs, 0.25 / data * x_hat + 0.5 * sigma_hat / data**0.5 * F) < 1e-5
    right = OF_IMAGES(x_hat, torch.tensor([sigma_hat]))
    assert (theirs - right).abs().max() > 0.1


def eps_walk(scheduler, D, x, n, noise=None):
    "The same for schedulers that take eps, and repeat their levels for a second-order step."
    scheduler.set_timesteps(n)
    path, levels = [], []
    with given_noise(scheduler, noise):
        for t in scheduler.timesteps:
            sigma = scheduler.sigmas[
                scheduler.index_for_timestep(t)
                if scheduler.step_index is None
                else scheduler.step_index
            ]
            scheduler.scale_model_input(x, t)
            sigma = sigma.double().item()
            levels.append(sigma)
            path.append(x)
            eps = (x - D(x, torch.full((len(x),), sigma, dtype=torch.float64))) / sigma
            x = scheduler.step(eps, t, x).prev_sample
    return levels, [*path, x]


def test_diffusers_heun():
    scheduler = peer("HeunDiscreteScheduler", SCHEDULES["linear"].betas, use_karras_sigmas=True)
    for D in (OF_IMAGES, Recorded()):
        x = randn(5, 1, 2, 2)
        scheduler.set_timesteps(12)
        top = scheduler.sigmas[0].double().item()
        levels, path = eps_walk(scheduler, D, top * x, 12)
        assert (scheduler.timesteps % 1 != 0).any()  # it asks between timesteps: compared unsnapped
        own = [*dict.fromkeys(levels)]
        ours = [*heun_steps(D, x.shape, sigmas=own, x_T=x)]
        assert len(ours) == 12 and len(levels) == 23
        for step, theirs in zip(ours, [*path[::2][1:], path[-1]]):
            assert apart(step.x_prev, theirs) < 1e-5


def test_diffusers_euler_ancestral():
    scheduler = peer(
        "EulerAncestralDiscreteScheduler", SCHEDULES["linear"].betas, timestep_spacing="trailing"
    )
    noise = randn(10, 5, 1, 2, 2, seed=1)
    for D in (OF_IMAGES, Recorded()):
        x = randn(5, 1, 2, 2)
        scheduler.set_timesteps(10)
        top = scheduler.sigmas[0].double().item()
        levels, path = eps_walk(scheduler, D, top * x, 10, noise)
        ours = [*euler_ancestral_steps(D, x.shape, sigmas=levels, x_T=x, noise=noise)]
        for step, theirs in zip(ours, path[1:], strict=True):
            assert apart(step.x_prev, theirs) < 1e-5


# ---- churn ----


def asks_at_sigma_hat(course):
    "After noise to sigma-hat the network is asked at sigma-hat: the oracle's variance stays right."
    churn = course.solvers.Churn(S_churn=20.0)
    x_T = randn(20_000, 1, 1, 1)
    x = course.solvers.heun_sample(ORACLE, x_T.shape, 80, churn=churn, x_T=x_T, seed=3)
    mean, std = -0.6 * 0.4 + 0.5 * 0.6, (0.3**2 + 0.4 * 0.6 * 1.1**2) ** 0.5
    assert abs(x.mean() - mean) < 4 * std / 20_000**0.5  # four standard errors, more than enough
    assert abs(x.std() - std) < 4 * std / 40_000**0.5, x.std()  # for a mixture with light tails


def test_churn_on_the_oracle():
    asks_at_sigma_hat(sampling_package())


def test_churn_is_worked_out_by_hand():
    D, x, z = Recorded(), randn(3, 1, 2, 2), randn(2, 3, 1, 2, 2, seed=1)
    churn = Churn(S_churn=0.4, S_tmin=1.0, S_tmax=5.0, S_noise=1.1)
    ours = heun_sample(D, x.shape, sigmas=[3.0, 0.5], x_T=x, noise=z, churn=churn)
    assert D.asked == pytest.approx([3.6, 0.5, 0.5])  # gamma = 0.2 within the bounds, 0 below
    f = lambda x, s: (x - D(x, torch.full((3,), s, dtype=torch.float64))) / s
    y = 3.0 * x + 1.1 * (3.6**2 - 3.0**2) ** 0.5 * z[0]
    d = f(y, 3.6)
    e = y + (0.5 - 3.6) * d
    y = y + (0.5 - 3.6) * (d + f(e, 0.5)) / 2
    assert apart(ours, y - 0.5 * f(y, 0.5)) < 1e-12
    assert churn.gamma(5.01, 2) == churn.gamma(0.99, 2) == 0
    assert Churn(S_churn=100.0).gamma(1.0, 2) == 2**0.5 - 1
    with pytest.raises(ValueError, match="S_tmin=5.0 is above S_tmax=1.0"):
        Churn(S_churn=1.0, S_tmin=5.0, S_tmax=1.0)


def test_churned_levels_are_snapped_too():
    seen = []

    def model(x_t, t):
        seen.append(t)
        return x_t * 0

    D = as_denoiser(model, SCHEDULES["linear"])
    [*heun_steps(D, (2, 1, 2, 2), 6, churn=Churn(S_churn=1.0), seed=0)]
    assert all(t.dtype == torch.int64 for t in seen)
    assert len({t[0].item() for t in seen}) == 10  # 6 sigma-hat and 5 sigma; the lowest is both


# ---- contracts ----


@each_walk
def test_randomness_dtype_and_mode(walk):
    net = small_unet().train()
    D = as_denoiser(condition(net, 1), SCHEDULES["cosine"])
    last = lambda shape, **kw: [*walk(D, shape, 5, **kw)][-1].x_prev
    whole = last((4, 1, 8, 8), seed=5)
    assert net.training and whole.dtype == torch.float32 and not whole.requires_grad
    part = last((1, 1, 8, 8), seed=[5 * 2**16 + 2])
    assert (whole[2:3] - part).abs().max() < 1e-4 and torch.equal(whole, last((4, 1, 8, 8), seed=5))
    assert not torch.equal(whole, last((4, 1, 8, 8), seed=6))
    x = randn(2, 1, 8, 8)
    assert last(x.shape, x_T=x, seed=0).dtype == torch.float64


@pytest.mark.parametrize(
    "sample,steps",
    [
        (euler_sample, euler_steps),
        (heun_sample, heun_steps),
        (dpmpp_2m_sample, dpmpp_2m_steps),
        (euler_ancestral_sample, euler_ancestral_steps),
    ],
)
def test_sample_is_the_end_of_its_steps(sample, steps, capsys):
    x = sample(ORACLE, (3, 1, 1, 1), 6, seed=0, progress=True)
    assert torch.equal(x, [*steps(ORACLE, (3, 1, 1, 1), 6, seed=0)][-1].x_prev)
    assert "6/6" in capsys.readouterr().err
    sample(ORACLE, (3, 1, 1, 1), sigmas=[3.0, 1.0], seed=0, progress=True)
    assert "2/2" in capsys.readouterr().err
    assert getattr(sampling, sample.__name__) is sample


@each_walk
def test_a_network_is_no_denoiser(walk):
    schedule = SCHEDULES["linear"]
    with pytest.raises(ValueError, match=r"predicts 'eps'.*pass as_denoiser\(model, schedule\)"):
        [*walk(MIXTURE.model(schedule), (1, 1, 1, 1), seed=0)]
    D = as_denoiser(MIXTURE.model(schedule), schedule)
    with pytest.raises(ValueError, match=r"pass as_eps\(denoiser, schedule\)"):
        ddim_sample(D, schedule, (1, 1, 1, 1), 5, seed=0)
    with pytest.raises(ValueError, match="got a denoiser already"):
        as_denoiser(D, schedule)
    with pytest.raises(ValueError, match="as_eps: got a model that predicts 'eps'"):
        as_eps(MIXTURE.model(schedule), schedule)


def test_eta_of_the_ancestral_sampler():
    for eta in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="eta=.*expected 0 .*to 1"):
            euler_ancestral_sample(ORACLE, (1, 1, 1, 1), eta=eta, seed=0)
