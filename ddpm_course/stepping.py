"What all samplers share: timesteps, the state they begin with, and what a step says."

import inspect
import warnings
from functools import wraps
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from .arguments import bound, checked
from .images import check_images
from .kinds import a_call, described, flag, is_number, listed, tensor, whole
from .models import a_device, device_of, inference_mode, predicts_of, said_by
from .randomness import ImageNoise, image_seeds, seeds_of_images


@checked
def trailing_timesteps(T: int, # length of the schedule
                       n: int) -> list[int]: # number of steps, 1..T
    "n timesteps from T-1 downwards, T/n apart (\"trailing\" spacing)."
    if n > T:
        raise ValueError(f"steps={n} for a schedule of T={T}; use a whole number from 1 to {T}")
    return [round(T - i * T / n) - 1 for i in range(n)]


list_of_timesteps = listed(whole(), what="a strictly decreasing list of whole numbers")


@checked(timesteps=list_of_timesteps)
def check_timesteps(timesteps, # ints
                    T: int) -> list[int]: # length of the schedule
    "`timesteps` as a list of ints, strictly decreasing within 0..T-1; else ValueError."
    ts = timesteps
    if not ts: raise ValueError("timesteps: got an empty list; expected at least one timestep")
    if any(a <= b for a, b in zip(ts, ts[1:])):
        got = f"{ts[:5]}{'...' * (len(ts) > 5)}"
        raise ValueError(f"timesteps: expected a strictly decreasing list; got {got}")
    if ts[0] >= T or ts[-1] < 0:
        raise ValueError(f"timesteps from {ts[0]} to {ts[-1]}; this schedule has 0..{T - 1}")
    return ts


class Step(NamedTuple):
    "What a sampler yields at every step."
    t: float # the timestep that it left; of samplers in sigma, the noise level
    x_t: torch.Tensor # (B, C, H, W)
    x0_hat: torch.Tensor # the model's belief at t
    x_prev: torch.Tensor # where it went


def a_bound_model(value, name):
    "The kind of models that samplers call as model(x_t, t): what they predict is known."
    predicts_of(a_call(value, name))
    if (n := said_by(value, "num_classes")) is None: return value
    raise ValueError(f"this model has {n} classes and got no labels; bind them first: "
                     f"condition(model, y), or y = {n} for no label")


def checked_variance(var, f, step): # (schedule, t, prev, channels)
    "What a function f says of the variance of a step, as a tensor; ValueError if it cannot be one."
    if is_number(var): var = torch.as_tensor(var, dtype=torch.float64)
    name = f"variance: what {getattr(f, '__name__', type(f).__name__)} returned"
    var = tensor(like=None)(var, name)
    if var.ndim == 1: var = var.view(-1, 1, 1, 1) # one an image
    if var.device.type != "cpu" or ((0 <= var) & (var < torch.inf)).all(): return var
    t = torch.as_tensor(step[1]).flatten()[0]
    raise ValueError(f"{name} at t={t} has values from {var.min():.4g} to {var.max():.4g}; "
                     "expected finite ones of at least 0")


def a_variance(value, name):
    "The kind of variances of ancestral steps: a name, or a function such as `learned_range`."
    if callable(value): return lambda *step: checked_variance(value(*step), value, step)
    if isinstance(value, str) and value in ("small", "large"): return value
    raise ValueError(f"{name}={described(value)}; expected 'small' (the posterior's), 'large' "
                     "(beta) or a function, such as learned_range")


SAMPLER = { # what arguments of every sampler are, beside those that their names say
    "model": a_bound_model, "seed": seeds_of_images,
    "timesteps": list_of_timesteps, "x_T": tensor("(B, C, H, W)", finite=True), "device": a_device,
    "variance": a_variance,
    "noise": tensor("(steps, B, C, H, W)", finite=True)}


def warn_of_signal(schedule, t):
    "Warn where sampling starts from pure noise and the schedule does not end in it, or not there."
    end = schedule.alpha_bar(len(schedule) - 1)
    here = schedule.alpha_bar(t)
    if end > 0.01:
        warnings.warn(f"sampling starts from pure noise, but this schedule ends at alpha_bar = "
                      f"{end:.3g}: the model never saw such noise, and samples will be off; train "
                      "with one that ends below 0.01, such as cosine_schedule, or "
                      "linear_schedule(T, rescale=True)", stacklevel=4)
    elif here > 0.1:
        warnings.warn(f"sampling starts from pure noise at t={t}, where alpha_bar is {here:.3g}; "
                      f"start at {len(schedule) - 1}, or pass x_T, noised to t={t}", stacklevel=4)


def check_signal(model, schedule, timesteps):
    "ValueError where the signal is too small to be divided by, which clean data are read from."
    first = 0 if predicts_of(model) == "eps" else 1 # v and x0 start from alpha_bar = 0, too
    if first == 0 and schedule.ends_in_noise and timesteps[0] == len(schedule) - 1: first = 1
    for t in timesteps[first:]:
        if schedule.alpha_bar(t) < 1e-75: # float32 cannot hold its square root
            raise ValueError(f"schedule: alpha_bar is {schedule.alpha_bar(t):g} at t={t}, where "
                             "nothing is left of an image; expected 0 at the last timestep alone: "
                             "take smaller betas")


def check_start(x_T, noise, shape, n):
    "Refuse an x_T or a noise of n steps that does not fit the shape of the images."
    if x_T is not None and check_images(x_T, "x_T").shape != shape:
        raise ValueError(f"x_T: got shape {tuple(x_T.shape)}; expected {shape}")
    if noise is not None and noise.shape != (n, *shape):
        raise ValueError(f"noise: got shape {tuple(noise.shape)}; "
                         f"expected one batch a step, {(n, *shape)}")


def begin(model, shape, times, x_T, noise, seed, device): # as for a sampler
    "x_T on its device, pairs (time, previous time) that end at -1, an iterator of noise."
    shape = tuple(shape)
    check_start(x_T, noise, shape, len(times))
    if x_T is None or noise is None:
        stream = ImageNoise(image_seeds(seed, shape[0]), shape)
        first = stream.draw(1)[0] # also when x_T is given: the steps' noise never equals it
    x = first if x_T is None else x_T.detach()
    x = x.to(device_of(model, x_T) if device is None else device)
    x = x.to(torch.promote_types(x.dtype, torch.float32)) # half precision is for networks alone
    return x, list(zip(times, [*times[1:], -1])), iter(stream if noise is None else noise)


def begin_chain(model, schedule, shape, timesteps, x_T, noise, seed, device):
    "The same for the timesteps of a schedule, at which the network has to know what it sees."
    begun = begin(model, shape, timesteps, x_T, noise, seed, device)
    check_signal(model, schedule, timesteps)
    if x_T is None: warn_of_signal(schedule, timesteps[0])
    return begun


def final_state(model, # the model that is sampled from
                steps, # a generator of Step
                n: int, # how many it will yield
                progress: bool=False) -> torch.Tensor: # show a bar
    "The last x_prev of a sampler's steps."
    with inference_mode(model):
        for step in tqdm(steps, total=n, disable=not progress, desc="sampling"): pass
    bad = int((~step.x_prev.isfinite()).flatten(1).any(1).sum())
    if not bad: return step.x_prev
    raise FloatingPointError(f"{bad} of {len(step.x_prev)} sampled images hold NaN or infinity; "
                             "look for NaN in the model's weights, sample in float32, or pass clip")


def count_steps(given):
    "How many steps a sampler with these arguments, {name: value}, takes."
    for name in ("timesteps", "sigmas"):
        if given.get(name) is not None: return len(given[name])
    return given["steps"] or len(given["schedule"])


def sampler(steps_of): # a generator of `Step`, of (model, schedule, shape, steps, ...)
    """Decorate `def x_sample(progress=False)` with `@sampler(x_steps)`: it then takes the arguments
    of `x_steps`, which are declared and documented there alone, and returns the last x_prev."""
    declared = inspect.signature(steps_of)

    def decorate(f):
        bar = inspect.signature(f).parameters["progress"]
        bar = bar.replace(kind=inspect.Parameter.KEYWORD_ONLY)

        @wraps(f)
        def sample(*args, progress=False, **kwargs):
            given = bound(declared, f.__name__, args, kwargs)
            given.apply_defaults()
            given = given.arguments
            progress = flag(progress, "progress")
            return final_state(given["model"], steps_of(**given), count_steps(given), progress)

        parameters = [*declared.parameters.values(), bar]
        sample.__signature__ = declared.replace(parameters=parameters,
                                                return_annotation=torch.Tensor)
        sample.__delwrap__ = steps_of # where fastcore's docments finds the comments of the others
        return sample
    return decorate
