"""Samplers as the rules call them: `sample(eps_model, betas, timesteps, x_T, noise=None,
seeds=None) -> x_0`.

betas (T,) float64; timesteps a strictly decreasing list; x_T the starting noise (B, C, H, W), or a
shape for which the library draws it from `seeds`, one int an image, like the noise of the steps
where `noise` (steps, B, C, H, W) is not given. A library of your own takes a few lines:

    def sample(model, betas, timesteps, x_T, noise=None, seeds=None):
        if seeds: x_T = my_noise(x_T, seeds)
        return my_ddim(model, betas, timesteps, x_T)
    mine = Adapter("mine", "my_ddim", sample, {"my list": lambda T, n: my_list(T, n)})
    for name, rule in RULES.items(): print(name, rule(mine))
"""

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import SimpleNamespace
from unittest.mock import patch

import torch

from ddpm_course import ancestral, ddim, solvers
from ddpm_course.learned_variance import learned_range
from ddpm_course.noising import NoiseSchedule


@dataclass(frozen=True, eq=False)
class Adapter:
    "A sampler with its settings, and what is known of it."

    library: str  # name of the distribution, whose version is published
    name: str
    sample: Callable  # as above
    spacings: dict  # {name: function (T, n) -> list of n timesteps}: the lists that it is made for
    eta: float = 0.0  # share of DDPM's noise that it adds
    large: float = 0.0  # share of log beta in the log of DDPM's variance: 0 small, 1 large
    order: int = 1  # of its ODE solver
    ddim: bool = True  # a step is DDIM's, or DDPM's
    # of a library that computes in float32: 5e-5, half of what a last step to t = 0 leaves
    tolerance: float = 1e-6
    fails: dict = field(default_factory=dict)  # {rule: reason} of the failures that are known


# ---- ours ----


def uneven(T, n):
    "n of T timesteps, drawn by lot."
    return (
        torch.randperm(T, generator=torch.Generator().manual_seed(n))[:n]
        .sort(descending=True)
        .values.tolist()
    )


def call(sample, model, betas, timesteps, x_T, noise=None, seeds=None, **settings):
    "Our samplers' arguments."
    x_T, shape = (x_T, x_T.shape) if torch.is_tensor(x_T) else (None, x_T)
    return sample(
        model,
        NoiseSchedule(betas),
        shape,
        timesteps=timesteps,
        x_T=x_T,
        noise=noise,
        seed=seeds,
        clip=None,
        **settings,
    )


def call_solver(sample, model, betas, timesteps, x_T, noise=None, seeds=None, **settings):
    "The same for samplers in sigma, on the levels of the timesteps; x_T is brought to their scale."
    schedule = NoiseSchedule(betas)
    D = solvers.as_denoiser(model, schedule)
    x_T, shape = (x_T, x_T.shape) if torch.is_tensor(x_T) else (None, x_T)
    if x_T is not None:  # x_t / sqrt(alpha_bar_t) is sigma times what they call x_T
        x_T = x_T / (1 - schedule.alpha_bar(timesteps[0])) ** 0.5
    given = {} if noise is None else {"noise": noise}
    return sample(D, shape, sigmas=D.sigmas[timesteps], x_T=x_T, seed=seeds, **given, **settings)


def ours_in_sigma(spacings):
    for name, sample, about in (
        ("euler_sample", solvers.euler_sample, {}),
        ("heun_sample", solvers.heun_sample, dict(order=2, ddim=False)),
        ("dpmpp_2m_sample", drop_noise(solvers.dpmpp_2m_sample), dict(order=2, ddim=False)),
        ("euler_ancestral_sample", solvers.euler_ancestral_sample, dict(eta=1.0)),
    ):
        yield Adapter("ddpm_course", name, partial(call_solver, sample), spacings, **about)


def drop_noise(sample):
    "A sampler that takes no noise, given some."
    return lambda *args, noise=None, **kwargs: sample(*args, **kwargs)


def ours(course=SimpleNamespace(ddim=ddim, ancestral=ancestral)):  # or a broken copy
    spacings = {
        name: partial(course.ddim.spaced_timesteps, spacing=name) for name in course.ddim.SPACINGS
    } | {"uneven": uneven}
    for eta in (0.0, 0.5, 1.0):
        yield Adapter(
            "ddpm_course",
            f"ddim_sample, eta {eta:g}",
            partial(call, course.ddim.ddim_sample, eta=eta),
            spacings,
            eta,
        )
    for size in ("small", "large"):
        yield Adapter(
            "ddpm_course",
            f"ddpm_sample, {size} variance",
            partial(call, course.ancestral.ddpm_sample, variance=size),
            spacings,
            1.0,
            size == "large",
        )
    yield Adapter(
        "ddpm_course",
        "ddpm_sample, learned variance",
        doubled(partial(call, course.ancestral.ddpm_sample, variance=learned_range)),
        spacings,
        1.0,
        SHARE,
    )
    yield from ours_in_sigma(spacings)


SHARE = 0.9  # of log beta that a network with variance channels asks for, everywhere


def doubled(sample):
    "The sampler, given a network that has variance channels, too."

    def with_channels(model, *args, **settings):
        both = lambda x, t: torch.cat([model(x, t), torch.full_like(x, 2 * SHARE - 1)], 1)
        return sample(both, *args, **settings)

    return with_channels


# ---- diffusers ----


def peer(name, betas, **config):
    "A diffusers scheduler with alphas_cumprod in float64."
    import diffusers

    scheduler = getattr(diffusers, name)(
        num_train_timesteps=len(betas), trained_betas=betas.tolist(), **config
    )
    scheduler.alphas_cumprod = (1 - betas).cumprod(0)
    if not config.get("set_alpha_to_one", True):
        scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    return scheduler


@contextmanager
def given_noise(scheduler, noise):
    """Within, the scheduler's own draws are the batches of `noise`, one a step; None leaves them
    alone."""
    if noise is None:
        yield
        return
    batches = iter(noise)
    with patch(
        f"{type(scheduler).__module__}.randn_tensor",
        lambda *args, **kwargs: next(batches),
        create=True,
    ):
        yield


def set_timesteps(scheduler, n, timesteps=None):
    "Set n steps, or the list given, and return the list that results, each timestep once."
    scheduler.set_timesteps(n) if timesteps is None else scheduler.set_timesteps(
        timesteps=timesteps
    )
    if (scheduler.timesteps % 1).any():
        raise ValueError(
            f"{type(scheduler).__name__} takes timesteps between those of the schedule"
        )
    return list(dict.fromkeys(scheduler.timesteps.long().tolist()))


def drive(
    name, config, settings, takes_a_list, model, betas, timesteps, x_T, noise=None, seeds=None
):
    """Run a diffusers scheduler as its pipelines do: one generator an image, scaled model input,
    step by step."""
    from diffusers.utils.torch_utils import randn_tensor

    scheduler = peer(name, betas, **config)
    if (
        own := set_timesteps(scheduler, len(timesteps), timesteps if takes_a_list else None)
    ) != timesteps:
        raise ValueError(
            f"{name} takes no list; for {len(timesteps)} steps it has one of its own: {own[:3]}..."
        )
    generator = None if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]
    x = x_T if torch.is_tensor(x_T) else randn_tensor(x_T, generator=generator, dtype=torch.float64)
    x = x / scheduler.scale_model_input(
        torch.ones(1, dtype=x.dtype), scheduler.timesteps[0]
    )  # some keep x_t / sqrt(alpha_bar_t)
    if "generator" in inspect.signature(scheduler.step).parameters:
        settings = settings | {"generator": generator}
    with given_noise(scheduler, noise):
        for t in scheduler.timesteps:
            eps = model(scheduler.scale_model_input(x, t), t.long().expand(len(x)))
            x = scheduler.step(eps, t, x, **settings).prev_sample
    return x


def scheduler_adapter(name, spacing, label="", settings={}, config={}, takes_a_list=False, **about):
    "An adapter of a diffusers scheduler under one of its spacings."
    config = config | ({} if takes_a_list else {"timestep_spacing": spacing})
    own_list = cache(
        lambda T, n: set_timesteps(
            peer(name, torch.full((T,), 0.01, dtype=torch.float64), **config), n
        )
    )
    return Adapter(
        "diffusers",
        f"{name}, {spacing}{label}",
        partial(drive, name, config, settings, takes_a_list),
        {spacing: uneven if takes_a_list else own_list},
        **about,
    )


STRIDE = "its step goes to t - T // n, not to the next timestep in its list"
LINSPACE = {
    rule: f"{STRIDE} (huggingface/diffusers#12633)"
    for rule in ("recursion", "previous step", "exactness")
}
TRAILING = {
    rule: f"{STRIDE}: right only where n divides T (huggingface/diffusers#9261)"
    for rule in ("recursion", "previous step", "final step", "exactness")
}
LAST_NOISE = {
    rule: "adds noise in the last step of a list that ends above t = 0"
    for rule in ("recursion", "final step")
}
NOT_ONE = (
    "lands on alpha_bar of t = 0 where set_alpha_to_one=False, {} (huggingface/diffusers#6068)"
)


def ddim_and_ddpm():
    plain = dict(clip_sample=False)
    for spacing, fails in (("leading", {}), ("trailing", TRAILING), ("linspace", LINSPACE)):
        for eta in (0.0, 0.5, 1.0):
            seen = {
                rule: why for rule, why in fails.items() if rule != "exactness" or eta < 1
            }  # at eta 1 fresh noise covers most of what a step leaves
            yield scheduler_adapter(
                "DDIMScheduler",
                spacing,
                f", eta {eta:g}",
                dict(eta=eta),
                plain,
                eta=eta,
                fails=seen,
            )
    yield scheduler_adapter(
        "DDIMScheduler",
        "leading",
        ", eta 0, alpha not set to one",
        {},
        plain | dict(set_alpha_to_one=False),
        fails={
            rule: NOT_ONE.format("as Stable Diffusion sets it")
            for rule in ("recursion", "final step")
        },
    )
    for spacing in ("leading", "trailing", "linspace", "given list"):
        for size in ("small", "large"):
            yield scheduler_adapter(
                "DDPMScheduler",
                spacing,
                f", {size} variance",
                {},
                plain | dict(variance_type=f"fixed_{size}"),
                spacing == "given list",
                eta=1.0,
                large=size == "large",
                fails=LAST_NOISE
                if size == "large" and spacing in ("trailing", "given list")
                else {},
            )
        yield learned_scheduler(spacing)


def learned_scheduler(spacing):
    "DDPMScheduler with the variance channels of a network."
    adapter = scheduler_adapter(
        "DDPMScheduler",
        spacing,
        ", learned variance",
        {},
        dict(clip_sample=False, variance_type="learned_range"),
        spacing == "given list",
        eta=1.0,
        large=SHARE,
        fails=LAST_NOISE if spacing in ("trailing", "given list") else {},
    )
    return replace(adapter, sample=doubled(adapter.sample))


def other_solvers():
    rough = dict(tolerance=5e-5)
    yield scheduler_adapter(
        "EulerDiscreteScheduler", "trailing", **rough
    )  # at linspace it takes timesteps between those of the schedule
    yield scheduler_adapter("EulerAncestralDiscreteScheduler", "trailing", eta=1.0, **rough)
    yield scheduler_adapter("HeunDiscreteScheduler", "trailing", order=2, ddim=False, **rough)
    yield scheduler_adapter("DPMSolverMultistepScheduler", "trailing", order=2, ddim=False, **rough)
    yield scheduler_adapter("UniPCMultistepScheduler", "trailing", order=3, ddim=False, **rough)
    yield scheduler_adapter(
        "DEISMultistepScheduler",
        "trailing",
        order=2,
        ddim=False,
        fails={"final step": "its last level is that of t = 0"},
        **rough,
    )
    not_one, pndm = (
        {"final step": NOT_ONE.format("its default")},
        dict(config=dict(skip_prk_steps=True), order=2, ddim=False),
    )
    yield scheduler_adapter("PNDMScheduler", "leading", fails=not_one, **pndm)
    yield scheduler_adapter(
        "PNDMScheduler",
        "trailing",
        fails=not_one | {rule: TRAILING[rule] for rule in ("previous step", "exactness")},
        **pndm,
    )


def everyone():
    return [*ours(), *ddim_and_ddpm(), *other_solvers()]
