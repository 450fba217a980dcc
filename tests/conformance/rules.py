"""What a sampler must do, whoever wrote it. A rule takes an `Adapter` and returns a `Verdict`: a
figure, what it should be, and whether it is.

All is judged against closed forms: data of one pixel whose best predictor is known. No network, no
training; float64 where the library can."""

import math
from typing import NamedTuple

import torch

from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import NoiseSchedule, cosine_schedule, linear_schedule

MEAN, STD = 0.3, 0.5
GAUSSIAN = GaussianMixture([MEAN], STD)
FOUR_PIXELS = GaussianMixture(torch.full((1, 1, 2, 2), MEAN), STD)
MIXTURE = GaussianMixture(
    [-0.6, 0.5], 0.3, [0.4, 0.6]
)  # narrower components would hide the order of convergence
BETAS = {"linear": linear_schedule().betas, "cosine": cosine_schedule().betas}
STEPS = (10, 13, 30, 50)  # 13 and 30 do not divide the schedules' 1000


class Verdict(NamedTuple):
    "What a rule found."

    measured: float | None  # None: the rule cannot apply, and `note` says why
    expected: str
    passed: bool | None
    note: str = ""


def cannot_apply(why):
    return Verdict(None, "", None, why)


def conditions(adapter):
    "((spacing, schedule, steps), betas, timesteps) of everything that the first three rules try."
    for spacing, timesteps in adapter.spacings.items():
        for schedule, betas in BETAS.items():
            for n in STEPS:
                yield (spacing, schedule, n), betas, timesteps(len(betas), n)


def judge(
    deviations,  # {(spacing, schedule, steps): how far off}
    tolerance,
):
    "The verdict on the worst of them; NaN is the worst of all."
    deviations = {where: off if off == off else math.inf for where, off in deviations.items()}
    spacing, schedule, steps = max(deviations, key=deviations.get)
    failed = sorted({n for (_, _, n), off in deviations.items() if off > tolerance})
    note = (
        f"worst at {steps} steps, {spacing}, {schedule} schedule"
        + f"; fails at {', '.join(map(str, failed))} steps" * bool(failed)
    )
    return Verdict(
        max(deviations.values()), f"at most {tolerance:g}".replace("e-0", "e-"), not failed, note
    )


# ---- where it lands ----


def recursion(
    betas,  # floats
    timesteps,
    eta=0.0,
    large=0.0,  # share of log beta in the log of DDPM's variance: 0 small, 1 large
    start=(0.0, 1.0),
):  # mean and standard deviation of x_T
    """Mean and standard deviation that DDIM, or DDPM, reaches on N(MEAN, STD^2), with no code of
    the course.

    The exact denoiser of a Gaussian is affine, so every step is x -> k x + c + noise, and two
    numbers follow the whole distribution."""
    alpha_bar, product = [], 1.0
    for beta in betas:
        product *= 1 - beta
        alpha_bar.append(product)
    mean, var = start[0], start[1] ** 2
    for i, t in enumerate(timesteps):
        a, b = alpha_bar[t], alpha_bar[timesteps[i + 1]] if i + 1 < len(timesteps) else 1.0
        gain = (
            math.sqrt(a) * STD**2 / (a * STD**2 + 1 - a)
        )  # x0_hat = MEAN + gain (x - sqrt(a) MEAN)
        noise = eta**2 * (1 - b) / (1 - a) * (1 - a / b)
        direction = math.sqrt(max(0.0, 1 - b - noise) / (1 - a))  # of x - sqrt(a) x0_hat
        k = math.sqrt(b) * gain + direction * (1 - math.sqrt(a) * gain)
        c = (math.sqrt(b) - direction * math.sqrt(a)) * MEAN * (1 - gain * math.sqrt(a))
        if large and b < 1:
            noise = noise ** (1 - large) * (1 - a / b) ** large
        mean, var = k * mean + c, k**2 * var + noise
    return mean, math.sqrt(var)


def reached(sample, betas, timesteps, noisy, start=(0.0, 1.0)):
    """The same two numbers of a sampler, exactly: x_0 is linear in x_T and in the noise of each
    step, and is probed with unit vectors."""
    n = len(timesteps)
    shape = (2 + n * noisy, 1, 1, 1)
    x, noise = torch.zeros(shape, dtype=torch.float64), torch.zeros(n, *shape, dtype=torch.float64)
    x[0] = 1
    for i in range(shape[0] - 2):
        noise[i, 2 + i] = 1
    out = sample(GAUSSIAN.model(NoiseSchedule(betas)), betas, timesteps, x, noise).flatten()
    slopes = out - out[1]  # pixel 1 got nothing but zeros
    mean = out[1] + slopes[0] * start[0]
    slopes[0] *= start[1]
    return mean.item(), slopes.norm().item()  # the inputs are independent


def lands_where_it_should(adapter):
    """Every spacing ends with the mean and spread that a recursion in two numbers gives for a
    Gaussian: the larger of the two errors. Every coefficient of every step counts, which no picture
    shows. Catches a wrong previous step (huggingface/diffusers#12633), or eta squared."""
    if not adapter.ddim:
        return cannot_apply("its step is not DDIM's, whose recursion this is")
    deviations = {}
    for where, betas, timesteps in conditions(adapter):
        is_at = reached(adapter.sample, betas, timesteps, adapter.eta > 0)
        should = recursion(betas.tolist(), timesteps, adapter.eta, adapter.large)
        deviations[where] = max(abs(a - b) for a, b in zip(is_at, should))
    return judge(deviations, adapter.tolerance)


# ---- from level to level ----


class Blank:
    """A network that sees no noise anywhere, and keeps what it is shown: every step only rescales,
    so x_t / sqrt(alpha_bar_t) should never change."""

    def __init__(self):
        self.shown = []

    def __call__(self, x, t):
        self.shown.append((int(t[0]), x[0].item()))
        return torch.zeros_like(x)


def walk(adapter, betas, timesteps):
    "What Blank was shown, and two ends: without any noise, and with noise in the last step alone."
    blank, x = Blank(), torch.ones(2, 1, 1, 1, dtype=torch.float64)
    noise = torch.zeros(len(timesteps), *x.shape, dtype=torch.float64)
    noise[-1, 1] = 1
    return blank.shown, adapter.sample(blank, betas, timesteps, x, noise).flatten().tolist()


def goes_to_the_next_in_its_list(adapter):
    """Each step lands on the noise level at which the network is asked next: the largest relative
    error of alpha_bar on the way. A step of fixed width t - T // n misses an uneven list
    (huggingface/diffusers#12633), and a trailing one when n does not divide T (#9261)."""
    deviations = {}
    for where, betas, timesteps in conditions(adapter):
        shown, _ = walk(adapter, betas, timesteps)
        if list(dict.fromkeys(t for t, _ in shown)) != timesteps:
            raise ValueError(f"{adapter.name} did not call the network at its timesteps")
        levels = [x**2 / (1 - betas[: t + 1]).prod().item() for t, x in shown]
        deviations[where] = max(abs(level / levels[0] - 1) for level in levels)
    return judge(deviations, adapter.tolerance)


def ends_on_clean_data(adapter):
    """The last step lands on alpha_bar = 1 and adds no noise: what is missing to 1, or what noise
    remains. Landing on alpha_bar of t = 0 leaves a veil of noise that no network sees again
    (set_alpha_to_one=False, huggingface/diffusers#6068)."""
    deviations = {}
    for where, betas, timesteps in conditions(adapter):
        shown, (quiet, noisy) = walk(adapter, betas, timesteps)
        t, x = shown[-1]
        deviations[where] = max(
            abs((quiet / x) ** 2 * (1 - betas[: t + 1]).prod().item() - 1), abs(noisy - quiet)
        )
    return judge(deviations, adapter.tolerance)


# ---- how fast it converges ----


def rate(ns, errors):
    "p of errors that fall like 1 / n^p, by least squares."
    n, e = (torch.tensor(v, dtype=torch.float64).log() for v in (ns, errors))
    return -((n - n.mean()) @ (e - e.mean()) / (n - n.mean()).square().sum()).item()


def becomes_exact_with_more_steps(adapter):
    """On a Gaussian the distance to the data's mean and spread falls like 1/n^p with p of about 1,
    or more, from 70 to 560 steps of a schedule of 4,096, which none of these numbers divides. A
    share of noise that is wrong at every step leaves an error that no number of steps removes, such
    as variances that are not respaced."""
    T, ns, rates = (
        4096,
        (70, 99, 140, 198, 280, 396, 560),
        {},
    )  # so many, since lists drawn by lot scatter
    betas = linear_schedule(T, 0.1 / T, 20 / T).betas
    for spacing, timesteps in adapter.spacings.items():
        errors = []
        for n in ns:
            ts = timesteps(T, n)
            a = (1 - betas[: ts[0] + 1]).prod().item()
            mean, std = reached(
                adapter.sample,
                betas,
                ts,
                adapter.eta > 0,
                start=(a**0.5 * MEAN, (a * STD**2 + 1 - a) ** 0.5),
            )  # the data's own x_T
            errors.append(math.hypot(mean - MEAN, std - STD))  # Wasserstein
        rates[spacing] = rate(ns, errors), errors[-1]
    fine = {
        spacing: p >= 0.85 or error < 1e-3 for spacing, (p, error) in rates.items()
    }  # a solver of high order is there before 70 steps
    spacing, (p, error) = min(rates.items(), key=lambda item: (fine[item[0]], item[1][0]))
    return Verdict(
        p,
        "at least 0.85, or an error below 1e-3",
        fine[spacing],
        f"{spacing}: off by {error:.1e} at {ns[-1]} steps",
    )


def karras_betas(n, low=0.02, high=80.0, rho=7.0):
    "Betas of a schedule whose n + 1 levels are those of Karras et al. 2022, eq. 5, rising."
    u = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    alpha_bar = 1 / (
        1 + (low ** (1 / rho) + u * (high ** (1 / rho) - low ** (1 / rho))) ** (2 * rho)
    )
    return 1 - alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])


def quantile(u, a):
    """The x_t of MIXTURE at alpha_bar a below which lies a share u (N,), by bisection. In one
    dimension the ODE keeps u."""
    mean, std = a**0.5 * MIXTURE.means.flatten(), (a * MIXTURE.stds.flatten() ** 2 + 1 - a).sqrt()
    low, high = torch.full_like(u, -9), torch.full_like(u, 9)
    for _ in range(80):
        x = (low + high) / 2
        below = torch.special.ndtr((x[:, None] - mean) / std) @ MIXTURE.weights < u
        low, high = torch.where(below, x, low), torch.where(below, high, x)
    return x.view(-1, 1, 1, 1)


def has_its_order(adapter):
    """The p of an error that falls like 1/n^p, over 40 to 320 steps on Karras levels from 80 to
    0.02, against the exact solution of the ODE. It falls when steps go to other levels than the
    network is asked at: by one timestep, planted in our DDIM, and its order is 0.1."""
    if adapter.eta > 0:
        return cannot_apply("it adds noise, and so follows no ODE")
    ns, errors, u = (40, 80, 160, 320), [], torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    if not any(every(41, 41) == list(range(40, -1, -1)) for every in adapter.spacings.values()):
        return cannot_apply(
            "its list leaves timesteps out even where all are asked for, so that it "
            "cannot be put on given levels"
        )
    for n in ns:
        betas, at = karras_betas(n), {}
        exact = MIXTURE.model(NoiseSchedule(betas))

        def watched(x, t):
            at[int(t[0])] = x
            return exact(x, t)

        adapter.sample(
            watched, betas, list(range(n, -1, -1)), quantile(u, (1 - betas).prod().item())
        )
        errors.append(
            (at[0] - quantile(u, 1 - betas[0].item())).square().mean().sqrt().item()
        )  # at the lowest level, before the last step
    order = rate(ns, errors)
    return Verdict(
        order,
        f"{adapter.order} within 0.15",
        abs(order - adapter.order) <= 0.15,
        f"off by {errors[-1]:.1e} at {ns[-1]} steps",
    )


# ---- random numbers ----


def drawn(adapter, seeds):
    "Images of four pixels, one a seed; the library draws x_T and all noise."
    betas, timesteps = BETAS["cosine"], next(iter(adapter.spacings.values()))
    return adapter.sample(
        FOUR_PIXELS.model(NoiseSchedule(betas)),
        betas,
        timesteps(len(betas), 20),
        (len(seeds), 1, 2, 2),
        seeds=seeds,
    )


def image_is_its_seed_s(adapter):
    """An image depends on its seed and not on the images beside it: the largest difference between
    images drawn together and in parts. With one stream for the batch, a picture that was worth
    keeping is lost when the batch size changes."""
    seeds = list(range(100, 112))
    whole = drawn(adapter, seeds)
    apart = max(
        (drawn(adapter, seeds[part]) - whole[part]).abs().max().item()
        for part in (slice(7, 8), slice(0, 5), slice(5, 12))
    )
    return Verdict(
        apart, "at most 1e-6", apart <= 1e-6, "12 images, together and in parts of 1, 5 and 7"
    )


def same_seed_same_image(adapter):
    """The same seed gives the same image, bit for bit, and another seed another: the difference
    between two runs. Noise from a global generator makes a result that nobody can repeat; a seed
    that is not read makes every batch the same."""
    a, again, other = (
        drawn(adapter, [1, 2, 3]),
        drawn(adapter, [1, 2, 3]),
        drawn(adapter, [4, 5, 6]),
    )
    images = torch.cat([a, other]).flatten(1)
    nearest = torch.pdist(images).min().item()
    measured = (a - again).abs().max().item()
    return Verdict(
        measured,
        "0",
        measured == 0 and nearest > 1e-3,
        f"images of different seeds are at least {nearest:.2g} apart",
    )


RULES = {
    "recursion": lands_where_it_should,
    "previous step": goes_to_the_next_in_its_list,
    "final step": ends_on_clean_data,
    "exactness": becomes_exact_with_more_steps,
    "order": has_its_order,
    "batch": image_is_its_seed_s,
    "seed": same_seed_same_image,
}
