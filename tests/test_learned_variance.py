"""The bound term by term against closed forms and quadrature, the losses that learn a variance, the
sampler that uses it, and the importance sampling of timesteps."""

import math
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import norm

from conformance.adapters import given_noise, peer
from conformance.rules import reached
from ddpm_course import ancestral, learned_variance
from ddpm_course.ancestral import ddpm_sample, ddpm_steps, q_posterior
from ddpm_course.ddpm import ddpm_loss
from ddpm_course.exact import GaussianMixture
from ddpm_course.experiments.advanced import advanced_row
from ddpm_course.experiments.samplers import Sampler
from ddpm_course.guidance import cfg
from ddpm_course.images import Images
from ddpm_course.importance import ImportanceSampler
from ddpm_course.learned_variance import (
    HybridLoss,
    VLBLoss,
    binned_nll,
    bits_per_dim,
    bound_term,
    gaussian_kl,
    learned_range,
    log_variances,
    optimal_variance,
    simple_and_bound,
    variational_bound,
)
from ddpm_course.models import condition, split_output
from ddpm_course.noising import NoiseSchedule, cosine_schedule, linear_schedule, q_sample
from ddpm_course.randomness import BatchRandom
from ddpm_course.residuals import x0_errors
from ddpm_course.respacing import respaced
from ddpm_course.runs import checkpoints
from ddpm_course.saving import Trained
from ddpm_course.training import fit
from ddpm_course.unet import UNet
from fakes import randn, same_run

OURS = SimpleNamespace(ancestral=ancestral, learned_variance=learned_variance)
MEAN, STD = 0.3, 0.5
LINEAR = linear_schedule()
BITS = 1 / math.log(2)


def chain(T):
    "A linear schedule of T steps that ends in the same noise for every T."
    return linear_schedule(T, 0.1 / T, 15 / T)


def variances(betas, t, prev):
    "(the posterior's variance, beta) of a step, from floats alone."
    ab, ab_prev = (math.prod(1 - b for b in betas[: s + 1]) for s in (t, prev))
    beta = 1 - ab / ab_prev
    return beta * (1 - ab_prev) / (1 - ab), beta


# ---- the range of variances ----


@pytest.mark.parametrize("t, prev", [(1, 0), (5, 4), (999, 998), (999, 500), (40, 3)])
def test_the_range_is_the_posteriors_variance_and_beta(t, prev):
    small, large = (float(v.exp()) for v in log_variances(LINEAR, t, prev))
    assert (small, large) == pytest.approx(variances(LINEAR.betas.tolist(), t, prev), rel=1e-9)


@pytest.mark.parametrize("schedule", [LINEAR, cosine_schedule()])
def test_the_step_to_clean_data_takes_the_small_variance_of_the_second(schedule):
    small, large = log_variances(schedule, torch.arange(3))
    assert small.isfinite().all() and small[0] == small[1]  # the posterior's own is 0, log -inf
    assert small[0].exp().item() == pytest.approx(variances(schedule.betas.tolist(), 1, 0)[0])
    assert large[0].exp().item() == pytest.approx(schedule.betas[0].item())


def interpolates_logarithms(course):
    "Channels of -1 and 1 are the ends of the range, and 0 their geometric mean."
    betas = LINEAR.betas.tolist()
    for t, prev in ((700, 500), (700, 699)):
        small, large = variances(betas, t, prev)
        for v, expected in ((-1, small), (1, large), (0, (small * large) ** 0.5)):
            out = torch.full((2, 1, 2, 2), float(v), dtype=torch.float64)
            found = course.learned_variance.learned_range(LINEAR, t, prev, out)
            assert found.shape == out.shape and torch.allclose(
                found, torch.full_like(out, expected), rtol=1e-9
            )


def test_the_range_is_interpolated_in_logarithms():
    interpolates_logarithms(OURS)


def test_a_model_without_the_channels_is_told_so():
    with pytest.raises(ValueError, match="learn_variance=True"):
        ddpm_sample(lambda x, t: x, LINEAR, (1, 1, 2, 2), 5, learned_range)


def is_beta_without_a_second_step(course):
    for schedule, t in ((linear_schedule(1), 0), (LINEAR, LINEAR.T - 1)):
        beta = 1 - schedule.alpha_bar(t)  # of the one step from t to clean data
        ends = course.learned_variance.log_variances(schedule, t, -1)
        assert [v.exp().item() for v in ends] == pytest.approx([beta, beta])


def test_without_a_second_step_both_ends_are_beta():
    is_beta_without_a_second_step(OURS)
    options = dict(levels=16, timesteps=[LINEAR.T - 1])
    one = variational_bound(lambda x, t: x, LINEAR, digits_like(2), **options)
    assert one.shape == (2, 2) and one.isfinite().all()


@pytest.mark.parametrize("t, prev", [(5, 5), (5, 7), (torch.tensor([9, 5]), torch.tensor([8, 6]))])
def test_a_step_leads_to_an_earlier_timestep(t, prev):
    for call in (log_variances, lambda *args: optimal_variance(*args, 0.1)):
        with pytest.raises(ValueError, match="expected an earlier timestep than t=5"):
            call(LINEAR, t, prev)


# ---- the terms ----


def test_kl_is_that_of_torch():
    m1, m2 = randn(2, 50)
    v1, v2 = randn(2, 50, seed=1).exp()
    one, two = (torch.distributions.Normal(m, v**0.5) for m, v in ((m1, v1), (m2, v2)))
    expected = torch.distributions.kl_divergence(one, two)
    assert torch.allclose(gaussian_kl(m1, v1, m2, v2), expected, atol=1e-12)
    assert gaussian_kl(m1, v1, m1, v1).abs().max() == 0


@pytest.mark.parametrize("levels", [1, 16, 255])
@pytest.mark.parametrize("std", [0.004, 0.3, 5.0])
def test_the_bins_hold_all_of_the_normal(levels, std):
    x0 = torch.linspace(-1, 1, levels + 1, dtype=torch.float64)
    for mean in (-3.0, 0.17, 1.0):
        mass = (-binned_nll(x0, torch.tensor(mean), torch.tensor(std**2), levels)).exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-9)  # the bins at the ends are open
    inner = norm.cdf((x0 + 1 / levels - 0.17) / std) - norm.cdf((x0 - 1 / levels - 0.17) / std)
    mass = (-binned_nll(x0, torch.tensor(0.17), torch.tensor(std**2), levels)).exp()
    assert torch.allclose(mass[1:-1], torch.as_tensor(inner)[1:-1], atol=1e-12)


def test_far_from_its_pixel_a_bin_has_a_finite_logarithm_and_gradient():
    x0 = torch.linspace(-1, 1, 17)
    mean = torch.full((17,), 0.9, requires_grad=True)
    log_var = torch.full((17,), -11.0, requires_grad=True)
    nll = binned_nll(x0, mean, log_var.exp(), 16)  # in float32, 460 standard deviations away
    nll.sum().backward()
    assert nll.isfinite().all() and mean.grad.isfinite().all() and log_var.grad.isfinite().all()
    z = (0.9 - float(x0[0]) - 1 / 16) / math.exp(-5.5)
    assert nll[0].item() == pytest.approx(-norm.logcdf(-z), rel=1e-5)


def test_pixels_between_the_levels_are_refused():
    with pytest.raises(ValueError, match="levels=255"):
        binned_nll(torch.linspace(-1, 1, 17), torch.zeros(17), torch.ones(17), 255)


# ---- the bound on the exact oracle ----


def quadrature(n=80):
    "Points and weights of an integral over a standard normal."
    z, w = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(z), torch.from_numpy(w / w.sum())


def expected_term(course, schedule, oracle, x0, p, t, variance):
    "E[L_t] in bits over x0 (K,) with probabilities p, and over x_t given x0, by quadrature."
    z, w = quadrature()
    clean = x0.repeat_interleave(len(z)).view(-1, 1, 1, 1)
    eps = z.repeat(len(x0)).view(-1, 1, 1, 1)
    now = torch.full((len(clean),), t)
    x_t = q_sample(schedule, clean, now, eps)
    x0_hat = x_t if oracle is None else ancestral.predict_x0(oracle, schedule, x_t, t, None)[0]
    out = torch.full_like(clean, {"small": -1.0, "large": 1.0, "middle": 0.2}[variance])
    lv = course.learned_variance
    terms = lv.bound_term(schedule, clean, x_t, now, x0_hat, lv.learned_range, out, SLOTS)
    return (terms.view(len(x0), -1) @ w) @ p


SLOTS = 16
SCALE = torch.linspace(-1, 1, SLOTS + 1, dtype=torch.float64)
BELL = (-0.5 * ((SCALE - MEAN) / STD) ** 2).softmax(0)  # a normal, seen on 17 levels
M, S2 = (SCALE @ BELL).item(), ((SCALE**2 @ BELL) - (SCALE @ BELL) ** 2).item()


class Affine:
    "The best affine estimate of data of mean M and variance S2: E[x0 | x_t] of a normal."

    predicts, num_classes = "x0", None

    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, x_t, t):
        ab = self.schedule.alpha_bar(t, x_t)
        return M + ab**0.5 * S2 / (ab * S2 + 1 - ab) * (x_t - ab**0.5 * M)


def keeps_the_closed_form(course):
    """With the best affine estimate, E[(x0 - x0_hat)^2] is known for data of mean M and variance S2
    whatever its form, and with it every KL term."""
    schedule = chain(50)
    betas = schedule.betas.tolist()
    for t in (1, 2, 7, 30, 49):
        small, large = variances(betas, t, t - 1)
        ab, ab_prev = (math.prod(1 - b for b in betas[: s + 1]) for s in (t, t - 1))
        error = 1 / (1 / S2 + ab / (1 - ab)) * ab_prev * large**2 / (1 - ab) ** 2  # of the mean
        shares = {"small": 0, "large": 1, "middle": 0.6}
        for name, share in shares.items():
            var = large**share * small ** (1 - share)
            kl = 0.5 * (math.log(var / small) + (small + error) / var - 1)
            found = expected_term(course, schedule, Affine(schedule), SCALE, BELL, t, name)
            assert found.item() == pytest.approx(kl * BITS, abs=1e-6), (t, name)


def test_every_kl_term_of_the_oracle_is_its_closed_form():
    keeps_the_closed_form(OURS)


def scores_the_decoder(course):
    "L_0 against a sum over levels with mpmath's normal; the small variance is the second step's."
    schedule = chain(50)
    betas = schedule.betas.tolist()
    small, large = variances(betas, 1, 0)[0], betas[0]
    z, w = quadrature()
    for name, share in (("small", 0), ("large", 1), ("middle", 0.6)):
        std = (large**share * small ** (1 - share)) ** 0.5
        total = 0.0
        for x, p in zip(SCALE.tolist(), BELL.tolist()):
            for eps, weight in zip(z.tolist(), w.tolist()):
                mean = (1 - betas[0]) ** 0.5 * x + betas[0] ** 0.5 * eps  # the estimate is x_t
                a, b = ((x + side / SLOTS - mean) / std for side in (-1, 1))
                b = math.inf if x == 1 else b
                a = -math.inf if x == -1 else a
                a, b = (-b, -a) if a + b > 0 else (a, b)  # on the right ncdf loses digits
                total -= p * weight * float(mpmath.log(mpmath.ncdf(b) - mpmath.ncdf(a)))
        found = expected_term(course, schedule, None, SCALE, BELL, 0, name)
        assert found.item() == pytest.approx(total * BITS, abs=1e-6), name


def test_the_decoder_is_the_mass_of_a_bin():
    scores_the_decoder(OURS)


def test_the_prior_term_is_its_closed_form():
    x0 = SCALE.view(-1, 1, 1, 1)
    schedule = chain(20)
    terms = variational_bound(lambda x, t: x, schedule, x0, levels=SLOTS)
    ab = schedule.alpha_bar(19)
    kl = 0.5 * (ab * SCALE**2 + (1 - ab) - 1 - math.log(1 - ab))
    assert terms.shape == (17, 21) and torch.allclose(terms[:, -1], kl * BITS, atol=1e-12)


def total_bound(schedule):
    "The bound of the exact oracle of data on 17 levels, in bits: all terms by quadrature."
    oracle = GaussianMixture(SCALE, 1e-5, BELL).model(schedule)
    terms = [
        expected_term(OURS, schedule, oracle, SCALE, BELL, t, "small") for t in range(schedule.T)
    ]
    ab = schedule.alpha_bar(schedule.T - 1)
    prior = 0.5 * (ab * (SCALE**2 @ BELL).item() - ab - math.log(1 - ab)) * BITS
    return sum(map(float, terms)) + prior


def test_the_bound_is_at_least_the_entropy_and_tends_to_it():
    entropy = -(BELL @ BELL.log()).item() * BITS
    gaps = [total_bound(chain_to(T)) - entropy for T in (25, 100, 400)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert 3.5 < gaps[1] / gaps[2] < 5  # like 1 / T
    assert (
        abs(gaps[2] - (gaps[1] - gaps[2]) / 3) < 0.005 * entropy
    )  # what that leaves at infinite T


def chain_to(T):
    "From noise far below a bin to pure noise, even in log-SNR."
    level = torch.linspace(11, -9, T, dtype=torch.float64)
    ab = torch.cat([torch.ones(1, dtype=torch.float64), level.sigmoid()])
    return NoiseSchedule(1 - ab[1:] / ab[:-1])


def test_drawn_terms_have_the_expectation_of_the_quadrature():
    schedule = chain(20)
    oracle = GaussianMixture([MEAN], STD).model(schedule)
    k = torch.multinomial(BELL, 4000, True, generator=torch.Generator().manual_seed(0))
    x0 = SCALE[k].view(-1, 1, 1, 1)
    terms = variational_bound(oracle, schedule, x0, levels=SLOTS, variance="large", clip=None)
    for t in (0, 1, 5, 19):
        exact = expected_term(OURS, schedule, oracle, SCALE, BELL, t, "large")
        error = terms[:, t].std() / len(x0) ** 0.5
        assert abs(terms[:, t].mean() - exact) < 4 * error
    found = bits_per_dim(terms)
    assert found.value == pytest.approx(terms.sum(1).mean().item())
    assert found.error == pytest.approx(terms.sum(1).std().item() / 4000**0.5)
    with pytest.raises(ValueError, match="at least 2 images"):  # no spread, and so no error
        bits_per_dim(terms[:1])


def test_a_bound_repeats_and_does_not_depend_on_the_batch():
    model, x0 = wide_net(), digits_like(6)
    options = dict(levels=16, variance=learned_range, seed=3, timesteps=[19, 12, 4])
    terms = variational_bound(model, chain(20), x0, **options)
    again = variational_bound(model, chain(20), x0[:2], **options)
    assert terms.shape == (6, 4) and torch.allclose(terms[:2], again, atol=1e-5)


# ---- the best fixed variance ----


def lands_exactly(course):
    "On a Gaussian, where Var[x0 | x_t] is known, five steps with the best variance are exact."

    def best(schedule, t, prev, _):
        ab = schedule.alpha_bar(t)
        error = 1 / (1 / STD**2 + ab / (1 - ab))
        return course.learned_variance.optimal_variance(schedule, t, prev, error)

    def sample(model, betas, timesteps, x_T, noise):
        return course.ancestral.ddpm_sample(
            model,
            NoiseSchedule(betas),
            x_T.shape,
            timesteps=timesteps,
            x_T=x_T,
            noise=noise,
            variance=best,
            clip=None,
        )

    ts = [999, 700, 420, 100, 3]
    ab = LINEAR.alpha_bar(999)
    start = (ab**0.5 * MEAN, (ab * STD**2 + 1 - ab) ** 0.5)
    mean, std = reached(sample, LINEAR.betas, ts, True, start)
    ab = LINEAR.alpha_bar(3)  # the last step goes to the mean, and adds no noise
    shrunk = (ab * STD**4 / (ab * STD**2 + 1 - ab)) ** 0.5
    assert (mean, std) == pytest.approx((MEAN, shrunk), abs=1e-9)


def test_the_best_fixed_variance_makes_a_gaussian_exact():
    lands_exactly(OURS)


def test_no_other_fixed_variance_gives_a_lower_term():
    schedule, t = chain(50), 7
    small, large = variances(schedule.betas.tolist(), t, t - 1)
    oracle = GaussianMixture([MEAN], STD).model(schedule)
    x0 = GaussianMixture([MEAN], STD).sample(20_000).double()
    error = x0_errors(oracle, schedule, x0, [t], clip=None)[0]
    known = 1 / (1 / STD**2 + schedule.alpha_bar(t) / (1 - schedule.alpha_bar(t)))
    assert error.item() == pytest.approx(known, rel=0.04)  # four standard errors
    best = optimal_variance(schedule, t, t - 1, known)
    assert small < best < large

    def term(var):  # KL of a Gaussian whose mean is wrong by so much on average
        a = q_posterior(schedule, torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), t)[0].item()
        return math.log(var / small) + (small + a**2 * known) / var

    assert term(best) < min(term(0.99 * best), term(1.01 * best), term(small), term(large))


def test_errors_are_measured_with_the_clip_of_the_sampler():
    x0 = torch.full((4, 1, 2, 2), 0.5)
    wild = lambda x, t: torch.full_like(x, 100.0)
    assert x0_errors(wild, LINEAR, x0, [999, 500], clip=1.0).tolist() == [2.25, 2.25]
    assert x0_errors(wild, LINEAR, x0, [999], clip=None)[0] > 1e3


# ---- the losses ----


def wide_net(predicts="eps", num_classes=None, seed=0):
    "A small U-Net with variance channels that answers with something."
    torch.manual_seed(seed)
    net = UNet(
        1,
        (8,),
        layers=1,
        attention=(False,),
        groups=4,
        learn_variance=True,
        predicts=predicts,
        num_classes=num_classes,
    )
    torch.nn.init.normal_(net.conv_out.weight, std=0.1)
    return net


def digits_like(n, seed=0):
    "Images of 4x4 pixels on 17 levels."
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(17, (n, 1, 4, 4), generator=rng) / 8 - 1.0


def gradients(loss, net):
    "The gradient of a loss with respect to the last bias: (of the mean, of the variance)."
    net.zero_grad()
    loss.mean().backward()
    return net.conv_out.bias.grad.clone()


def stops_the_gradient(course):
    "The mean of a hybrid-trained network learns from L_simple alone, the variance from the bound."
    lv, x0 = course.learned_variance, digits_like(8)
    for predicts in ("eps", "x0", "v"):
        net = wide_net(predicts)
        t = torch.tensor([0, 0, 1, 5, 300, 500, 700, 900])
        given = dict(t=t, eps=randn(8, 1, 4, 4).float())
        simple = gradients(ddpm_loss(net, LINEAR, x0, **given), net)
        hybrid = gradients(lv.hybrid_loss(net, LINEAR, x0, levels=16, **given), net)
        _, term = lv.simple_and_bound(net, LINEAR, x0, levels=16, learn_mean=True, **given)
        bound = gradients(0.001 * 1000 * term, net)
        assert torch.allclose(hybrid[0], simple[0], rtol=1e-5, atol=0)
        assert torch.allclose(hybrid[1], bound[1], rtol=1e-5, atol=0) and simple[1] == 0
        assert bound[0] != 0 and not torch.allclose(bound[0] + simple[0], hybrid[0], rtol=1e-2)


def test_the_mean_learns_from_the_simple_loss_and_the_variance_from_the_bound():
    stops_the_gradient(OURS)


def weighs_the_whole_bound(course):
    "lambda weighs the sum of T terms, of which one is drawn: T, and no thousandth of it."
    lv, net, x0 = course.learned_variance, wide_net(), digits_like(8)
    for T in (20, 1000):
        schedule = chain(T)
        given = dict(t=torch.arange(8) % 5, eps=randn(8, 1, 4, 4).float())
        simple, term = lv.simple_and_bound(net, schedule, x0, levels=16, **given)
        loss = lv.hybrid_loss(net, schedule, x0, levels=16, bound=0.25, **given)
        assert torch.allclose(loss, simple + 0.25 * T * term, rtol=1e-6)
        rng = BatchRandom(0, 0, 8)
        drawn = dict(t=BatchRandom(0, 0, 8).randint(T))
        vlb = lv.VLBLoss(schedule, levels=16)(net, x0, None, rng)
        twin = BatchRandom(0, 0, 8)
        twin.randint(T)
        _, term = lv.simple_and_bound(net, schedule, x0, levels=16, rng=twin, **drawn)
        assert torch.allclose(vlb, T * term, rtol=1e-6)


def test_one_drawn_term_stands_for_all_of_them():
    weighs_the_whole_bound(OURS)


@pytest.mark.parametrize("T", [20, 1000])
def test_the_mean_of_the_loss_over_t_is_the_bound(T):
    net, x0 = wide_net(), digits_like(4)
    schedule = chain(T)
    terms = variational_bound(net, schedule, x0, levels=16, variance=learned_range, clip=None)
    t = torch.arange(0, T, max(1, T // 100))
    noise = learned_variance.ImageNoise(learned_variance.image_seeds(0, 4), x0.shape)
    drawn = [next(noise) for _ in range(T)]
    for i in t[:: max(1, len(t) // 10)].tolist():
        now = torch.full((4,), i)
        _, term = simple_and_bound(net, schedule, x0, levels=16, t=now, eps=drawn[i])
        assert torch.allclose(term.double(), terms[:, i], rtol=2e-3, atol=1e-4)


def test_a_variance_is_learned_where_the_closed_form_puts_it():
    "Channels trained by the bound on the best affine mean end at the best variance."
    schedule, t = chain(20), 5
    rng = torch.Generator().manual_seed(0)
    x0 = SCALE[torch.multinomial(BELL, 50_000, True, generator=rng)].view(-1, 1, 1, 1)
    x_t = q_sample(schedule, x0, t, torch.randn(x0.shape, generator=rng, dtype=torch.float64))
    now = torch.full((len(x0),), t)
    x0_hat = Affine(schedule)(x_t, now)
    v = torch.zeros(1, 1, 1, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([v], line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        out = v.expand_as(x0)
        terms = bound_term(schedule, x0, x_t, now, x0_hat, learned_range, out, SLOTS)
        terms.mean().backward()
        return terms.mean()

    for _ in range(3):
        optimizer.step(loss)
    ab = schedule.alpha_bar(t)
    best = optimal_variance(schedule, t, t - 1, 1 / (1 / S2 + ab / (1 - ab)))
    assert learned_range(schedule, t, t - 1, v.detach()).item() == pytest.approx(best, rel=0.01)


# ---- the sampler ----


def agrees_with_diffusers(course, steps, spacing):
    """A whole trajectory of a doubled-channel UNet2DModel within 1e-10 of DDPMScheduler's, which
    walks on its own results."""
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    net = (
        UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=2,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )
        .double()
        .eval()
    )
    model = torch.no_grad()(lambda x, t: net(x, t).sample)
    schedule = linear_schedule(100, 1e-3, 0.2)
    x, noise = randn(2, 1, 8, 8), randn(steps, 2, 1, 8, 8, seed=1)
    scheduler = peer(
        "DDPMScheduler",
        schedule.betas,
        timestep_spacing=spacing,
        clip_sample=True,
        variance_type="learned_range",
    )
    scheduler.set_timesteps(steps)
    walk = course.ancestral.ddpm_steps(
        model,
        schedule,
        x.shape,
        variance=course.learned_variance.learned_range,
        timesteps=scheduler.timesteps.tolist(),
        x_T=x,
        noise=noise,
    )
    with given_noise(scheduler, noise):
        for step in walk:
            if step.t != scheduler.timesteps[-1] or step.t == 0:
                x = scheduler.step(model(x, torch.full((2,), step.t)), step.t, x).prev_sample
                assert (step.x_prev - x).abs().max() < 1e-10, f"t={step.t}: differs from diffusers"
    assert x.abs().max() > 0.01  # something was drawn
    return scheduler, step, noise


@pytest.mark.parametrize("steps, spacing", [(100, "leading"), (20, "leading"), (13, "leading")])
def test_the_sampler_is_diffusers(steps, spacing):
    agrees_with_diffusers(OURS, steps, spacing)


def test_with_trailing_timesteps_only_diffusers_adds_noise_in_the_last_step():
    scheduler, last, noise = agrees_with_diffusers(OURS, 20, "trailing")
    out = torch.cat([torch.zeros_like(last.x_t), torch.zeros_like(last.x_t)], 1)
    assert last.t == 4
    with given_noise(scheduler, [torch.zeros_like(last.x_t)]):
        quiet = scheduler.step(out, last.t, last.x_t).prev_sample
    with given_noise(scheduler, noise[-1:]):
        noisy = scheduler.step(out, last.t, last.x_t).prev_sample
    assert (noisy - quiet).abs().max() > 1e-12  # its variance there is 1e-20 and not 0, or more


def respaces(course):
    "Some timesteps of a long chain are the whole of a short one, its variances its own."
    net, lv = wide_net().double(), course.learned_variance
    ts = [999, 640, 300, 41, 2]
    x, noise = randn(2, 1, 4, 4), randn(5, 2, 1, 4, 4, seed=1)
    long = course.ancestral.ddpm_sample(
        net, LINEAR, x.shape, timesteps=ts, x_T=x, noise=noise, variance=lv.learned_range
    )
    model, schedule = respaced(net, LINEAR, ts)
    assert torch.allclose(schedule.alpha_bars, LINEAR.alpha_bars[ts[::-1]], rtol=1e-12)
    mean, alike = x.clone(), x.clone()
    for i in range(4, -1, -1):  # by hand, with the betas of the short chain
        out, v = split_output(model(alike, torch.full((2,), i)).detach(), alike)
        ab = schedule.alpha_bar(i)
        x0_hat = ((alike - (1 - ab) ** 0.5 * out) / ab**0.5).clamp(-1, 1)
        mean, _ = q_posterior(schedule, x0_hat, alike, i)
        small, large = variances(schedule.betas.tolist(), i, i - 1)
        var = (large ** ((v + 1) / 2) * small ** ((1 - v) / 2)) if i else 0.0
        alike = mean + var**0.5 * noise[4 - i]
    assert torch.allclose(long, alike, atol=1e-9)


def test_a_sampler_with_few_steps_takes_the_variances_of_the_short_chain():
    respaces(OURS)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_learned_and_fixed_ends_agree(predicts):
    "Channels that say -1 or 1 everywhere are the small and the large variance."

    def always(v):
        def model(x, t):
            return torch.cat([torch.sin(3 * x), torch.full_like(x, v)], 1)

        model.predicts = predicts
        return model

    for v, name in ((-1.0, "small"), (1.0, "large")):
        options = dict(steps=12, seed=0, x_T=randn(2, 1, 4, 4))
        learned = ddpm_sample(always(v), LINEAR, (2, 1, 4, 4), variance=learned_range, **options)
        fixed = ddpm_sample(always(v), LINEAR, (2, 1, 4, 4), variance=name, **options)
        assert torch.allclose(learned, fixed, atol=1e-9)


def test_guidance_samples_with_the_variance_of_the_conditional_pass():
    net, y = wide_net(num_classes=3), torch.tensor([0, 2])
    for p in net.parameters():  # also those that begin as zeros
        torch.nn.init.normal_(p, std=0.3)
    x, noise = randn(2, 1, 4, 4).float(), randn(1, 2, 1, 4, 4, seed=1).float()
    step = dict(timesteps=[700, 300], x_T=x, noise=torch.cat([noise, 0 * noise]))
    guided = cfg(net, y, 3.0)
    found = next(ddpm_steps(guided, LINEAR, x.shape, variance=learned_range, **step))
    quiet = next(
        ddpm_steps(
            guided,
            LINEAR,
            x.shape,
            variance=learned_range,
            **step | dict(noise=torch.zeros(2, 2, 1, 4, 4)),
        )
    )
    now = torch.full((2,), 700)
    spread = (found.x_prev - quiet.x_prev) / noise[0]
    for labels, same in ((y, True), (torch.full((2,), 3), False)):
        _, v = split_output(net(x, now, labels).detach(), x)
        var = learned_range(LINEAR, 700, 300, v)
        assert torch.allclose(spread, var**0.5, rtol=1e-3) == same


# ---- importance sampling of timesteps ----


def filled(losses, keep=10):
    "A sampler that has seen each loss `keep` times."
    sampler = ImportanceSampler(len(losses), keep)
    for _ in range(keep):
        sampler.update(torch.arange(len(losses)), losses)
    sampler.end_step()
    return sampler


TOY = torch.tensor([8.0, 0.5, 0.1, 3.0, 0.4], dtype=torch.float64)


def test_until_all_have_been_seen_all_are_drawn_alike():
    sampler = ImportanceSampler(5, keep=2)
    assert torch.equal(sampler.probabilities(), torch.full((5,), 0.2, dtype=torch.float64))
    sampler.update(torch.tensor([0, 0, 1, 1, 2, 3, 4]), torch.ones(7))
    sampler.end_step()
    assert torch.equal(sampler.probabilities(), torch.full((5,), 0.2, dtype=torch.float64))
    assert sampler.draw(BatchRandom(0, 0, 50))[1].tolist() == [1.0] * 50


def test_probabilities_follow_the_second_moment_of_the_last_losses():
    sampler = ImportanceSampler(2, keep=3, uniform=0.1)
    for losses in ([9.0, 9.0], [1.0, 4.0], [2.0, 4.0], [2.0, 4.0]):  # the first is forgotten
        sampler.update(torch.arange(2), torch.tensor(losses))
        sampler.end_step()
    root = torch.tensor([(9 / 3) ** 0.5, 4.0], dtype=torch.float64)
    expected = 0.9 * root / root.sum() + 0.05
    assert torch.allclose(sampler.probabilities(), expected, rtol=1e-12)


def test_weighted_draws_have_the_expectation_of_uniform_ones_and_scatter_less():
    sampler = filled(TOY)
    p = sampler.probabilities()
    assert p.sum().item() == pytest.approx(1) and p.min() >= 0.001 / 5
    assert (p * TOY / (5 * p)).sum().item() == pytest.approx(TOY.mean().item())
    t, weight = sampler.draw(BatchRandom(0, 0, 20_000))
    assert torch.allclose(weight.double(), 1 / (5 * p[t]), rtol=1e-6)
    counts = torch.bincount(t, minlength=5) / 20_000
    assert ((counts - p).abs() < 4 * (p * (1 - p) / 20_000) ** 0.5).all()
    weighed = TOY[t] * weight
    error = max(weighed.std().item() / 20_000**0.5, 1e-5)
    assert abs(weighed.mean() - TOY.mean()) < 4 * error
    assert weighed.std() < 0.02 * TOY.std()  # losses that never vary: nearly one number
    assert abs(TOY[t].mean() - TOY.mean()) > 100 * error  # without weights it is another mean


def test_a_step_changes_nothing_before_its_end():
    sampler = filled(TOY)
    before = sampler.probabilities()
    sampler.update(torch.tensor([2]), torch.tensor([100.0]))
    assert torch.equal(sampler.probabilities(), before)
    sampler.end_step()
    assert sampler.probabilities()[2] > before[2]
    with pytest.raises(ValueError, match="keep=0"):
        ImportanceSampler(5, keep=0)


# ---- under fit ----

FOUR = NoiseSchedule([0.02, 0.3, 0.6, 0.9])


def pictures():
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(17, (20, 1, 4, 4), generator=rng).to(torch.uint8)
    return Images(pixels, torch.arange(20) % 3, list("abc"), levels=16)


def vlb():
    return VLBLoss(FOUR, levels=16, drop=0.1, importance=ImportanceSampler(4, keep=2))


def train(out=None, loss=None, seed=0, **options):
    settings = dict(steps=10, batch_size=8, save_every=2, device="cpu", precision="no", lr=1e-2)
    settings |= dict(progress=False, out=out) | options
    return fit(wide_net(num_classes=3, seed=seed), pictures(), loss or vlb(), **settings)


@pytest.fixture(scope="module")
def whole():
    return train()


def test_the_history_of_the_importance_sampler_is_resumed_bit_for_bit(whole, tmp_path):
    assert whole.memory["counts"].sum() == 80 and (whole.memory["counts"] >= 2).all()
    train(tmp_path, stop_at=4)
    resumed = train(tmp_path, seed=9, resume=True)
    assert same_run(resumed, whole)
    for name, value in whole.memory.items():
        assert torch.equal(resumed.memory[name], value)


def test_a_history_that_is_not_restored_is_noticed(whole, tmp_path, monkeypatch):
    train(tmp_path, stop_at=6)
    monkeypatch.setattr("ddpm_course.runs.put_state", forgetful)
    assert not same_run(train(tmp_path, resume=True), whole)


def forgetful(run, state):
    from ddpm_course.states import put_state

    put_state(run, state)
    for value in run.memory.values():
        value.zero_()


def test_what_a_run_draws_depends_on_that_run_alone(whole):
    loss = vlb()
    train(loss=loss, steps=3)
    assert same_run(train(loss=loss), whole)


def test_accumulation_draws_the_same(whole):
    split = train(accumulate=4)
    assert torch.equal(split.memory["counts"], whole.memory["counts"])
    assert torch.allclose(split.memory["losses"], whole.memory["losses"], rtol=1e-3)


def test_a_step_that_fails_leaves_no_trace_in_the_history(whole, tmp_path):
    class Failing(VLBLoss):
        def __call__(self, model, x, y, rng):
            loss = super().__call__(model, x, y, rng)
            if len(self.importance.pending) == 2 and self.importance.state["counts"].sum() == 40:
                raise MemoryError("the second pass of the sixth step")
            return loss

    fails = Failing(FOUR, levels=16, drop=0.1, importance=ImportanceSampler(4, keep=2))
    with pytest.raises(MemoryError):
        train(tmp_path, loss=fails, accumulate=2)
    from safetensors.torch import load_file

    state = load_file(checkpoints(tmp_path)[-1] / "training.safetensors")
    assert len(state["losses"]) == 5 and state["memory:counts"].sum() == 40


def test_a_damaged_history_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    train(tmp_path, stop_at=2)
    file = checkpoints(tmp_path)[-1] / "training.safetensors"
    save_file(load_file(file) | {"memory:counts": torch.zeros(3, dtype=torch.int64)}, file)
    with pytest.raises(ValueError, match="memory:counts"):
        train(tmp_path, resume=True)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
@pytest.mark.parametrize("loss", [HybridLoss, VLBLoss])
def test_both_losses_train_networks_of_every_kind(loss, predicts):
    torch.manual_seed(0)
    net = UNet(
        1,
        (8,),
        layers=1,
        attention=(False,),
        groups=4,
        learn_variance=True,
        predicts=predicts,
        num_classes=3,
    )
    options = dict(steps=30, batch_size=16, lr=3e-3, device="cpu", precision="no", progress=False)
    run = fit(net, pictures(), loss(chain(20), levels=16, drop=0.1), **options)
    assert sum(run.losses[-5:]) < sum(run.losses[:5])
    x, y = pictures().batch(range(20))
    model = condition(run.ema.model, y)
    terms = variational_bound(model, chain(20), x, levels=16, variance=learned_range)
    assert terms.isfinite().all()
    made = ddpm_sample(model, chain(20), x.shape, 5, learned_range, seed=0)
    assert made.isfinite().all()


# ---- the study ----


def test_a_row_of_the_study_samples_with_the_variance_that_its_cards_name():
    rows = advanced_row("combined", 0, 1, 100, [2], 3, 100)
    assert [(r["distance"].variance, r["distance"].steps) for r in rows] == [("learned", 2)]
    assert rows[0]["bits"].chain == 3 and rows[0]["bits"].variance == "learned"
    trained = Trained(wide_net(num_classes=3), chain(20), (1, 4, 4), 1.0, {})
    y = torch.arange(3)
    asked = Sampler("DDPM", 5, {"variance": "learned"})
    assert asked.protocol["variance"] == "learned"
    (*_, last) = asked.walk(condition(trained.model, y), trained, [7, 8, 9])
    direct = ddpm_sample(
        condition(trained.model, y),
        trained.schedule,
        (3, 1, 4, 4),
        5,
        learned_range,
        seed=[7, 8, 9],
    )
    assert torch.equal(last.x_prev, direct)
