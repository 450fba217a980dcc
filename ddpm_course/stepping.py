"What all samplers share: timesteps, the state they begin with, and what a step says."

import inspect
from functools import wraps
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from .images import check_images
from .models import device_of, inference_mode
from .randomness import ImageNoise, image_seeds


def trailing_timesteps(T: int, # length of the schedule
                       n: int) -> list[int]: # number of steps, 1..T
    "n timesteps from T-1 downwards, T/n apart (\"trailing\" spacing)."
    if not (isinstance(n, int) and 1 <= n <= T):
        raise ValueError(f"steps={n} for a schedule of T={T}; use a whole number from 1 to {T}")
    return [round(T - i * T / n) - 1 for i in range(n)]


def check_timesteps(timesteps, # ints
                    T: int) -> list[int]: # length of the schedule
    "`timesteps` as a list of ints, strictly decreasing within 0..T-1; else ValueError."
    ts = [int(t) for t in timesteps]
    if not ts: raise ValueError("timesteps: got an empty list; expected at least one timestep")
    if any(a <= b for a, b in zip(ts, ts[1:])):
        got = f"{ts[:5]}{'...' * (len(ts) > 5)}"
        raise ValueError(f"timesteps: expected a strictly decreasing list; got {got}")
    if ts[0] >= T or ts[-1] < 0:
        raise ValueError(f"timesteps from {ts[0]} to {ts[-1]}; this schedule has 0..{T - 1}")
    return ts


class Step(NamedTuple):
    "What a sampler yields at every step."
    t: int # the timestep it left
    x_t: torch.Tensor # (B, C, H, W)
    x0_hat: torch.Tensor # the model's belief at t
    x_prev: torch.Tensor # where it went


def check_start(x_T, noise, shape, n):
    "Refuse an x_T or a noise of n steps that does not fit the shape of the images."
    if x_T is not None and check_images(x_T, "x_T").shape != shape:
        raise ValueError(f"x_T: got shape {tuple(x_T.shape)}; expected {shape}")
    if noise is not None and noise.shape != (n, *shape):
        raise ValueError(f"noise: got shape {tuple(noise.shape)}; "
                         f"expected one batch a step, {(n, *shape)}")


def begin(model, shape, timesteps, x_T, noise, seed, device): # as for a sampler
    "x_T on its device, pairs (t, previous t) that end at -1 (clean data), an iterator of noise."
    shape = tuple(shape)
    check_start(x_T, noise, shape, len(timesteps))
    if x_T is None or noise is None:
        stream = ImageNoise(image_seeds(seed, shape[0]), shape)
        first = stream.draw(1)[0] # also when x_T is given: the steps' noise never equals it
    x = first if x_T is None else x_T.detach()
    x = x.to(device_of(model, x_T) if device is None else device)
    x = x.to(torch.promote_types(x.dtype, torch.float32)) # half precision is for networks alone
    return x, list(zip(timesteps, [*timesteps[1:], -1])), iter(stream if noise is None else noise)


def final_state(model, # the model that is sampled from
                steps, # a generator of Step
                n: int, # how many it will yield
                progress: bool=False) -> torch.Tensor: # show a bar
    "The last x_prev of a sampler's steps."
    with inference_mode(model):
        for step in tqdm(steps, total=n, disable=not progress, desc="sampling"): pass
    return step.x_prev


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
            given = declared.bind(*args, **kwargs)
            given.apply_defaults()
            given = given.arguments
            return final_state(given["model"], steps_of(**given), count_steps(given), progress)

        parameters = [*declared.parameters.values(), bar]
        sample.__signature__ = declared.replace(parameters=parameters,
                                                return_annotation=torch.Tensor)
        sample.__delwrap__ = steps_of # where fastcore's docments finds the comments of the others
        return sample
    return decorate
