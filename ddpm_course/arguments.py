"Checks at a function's door: arguments by their names, annotations, or as it is told."

import inspect
import typing
from functools import wraps

import torch

from .kinds import (
    a_call, a_path, a_schedule, amount, class_names_of, clip_size, count, flag, having, is_number,
    listed, number, one_of, optional, refuse, seed_of_run, share, sizes, some_images, some_labels,
    tensor, text, timestep, whole)

some_names = listed(text, what="a name, or a list of names")


def one_or_more(value, name):
    "The kind of one name, or of several."
    return some_names([value] if isinstance(value, str) else value, name)


NAMES_OF_COUNTS = "T steps n batch batch_size chunk shard columns k size workers iterations splits"
KNOWN_NAMES = { # what parameters of these names are, wherever they stand
    **dict.fromkeys(NAMES_OF_COUNTS.split(), count),
    **dict.fromkeys(["seed", "shuffle_seed"], seed_of_run),
    **dict.fromkeys(["beta_start", "beta_end", "max_beta", "drop", "smoothing"], share),
    **dict.fromkeys(["x_t", "x0", "eps"], some_images),
    **dict.fromkeys(["call", "statistic", "loss", "model"], a_call),
    **dict.fromkeys(["step", "warmup", "resamples"], whole(0)),
    **dict.fromkeys(["folder", "root", "file"], a_path),
    "schedule": a_schedule, "predicts": one_of("eps", "x0", "v"), "t": timestep, "shape": sizes(),
    "groups": some_labels, "clip": clip_size, "offset": amount, "level": number(above=0, below=1),
    "eta": number(0, 1, expected="0 (deterministic) to 1 (noisy as DDPM)"),
    "strata": some_labels, "most": whole(2),
    "levels": whole(1, 255, "1..255, what uint8 can hold"),
    "vary": one_or_more,
    "rng": having("rand", "randint", "randn_like", what="a BatchRandom")}
ANNOTATED = {int: whole(), float: number(), bool: flag, str: text}


def kind_of(parameter):
    "The kind that a parameter's name stands for, or else its annotation; None if neither says."
    if parameter.name in KNOWN_NAMES: return KNOWN_NAMES[parameter.name]
    options = typing.get_args(parameter.annotation) or (parameter.annotation,)
    kind = next((ANNOTATED[option] for option in options if option in ANNOTATED), None)
    return optional(kind) if kind and type(None) in options else kind


def kinds_of(f, more):
    "{name of a parameter: kind} of a function; `more` goes before what names and annotations say."
    parameters = inspect.signature(f).parameters
    found = {name: more.get(name, kind_of(p)) for name, p in parameters.items()}
    return {name: kind for name, kind in found.items() if kind is not None}


def bound(signature, name, args, kwargs):
    "What a call gives to which parameter; a TypeError says which parameters there are."
    try: return signature.bind(*args, **kwargs)
    except TypeError as e:
        known = [p for p in signature.parameters if p != "self"]
        raise TypeError(f"{name}: {e}; expected {', '.join(known)}") from None


def checked(f=None, **more):
    """Decorate a function: its arguments are looked at, and converted, before it runs.

    What a parameter may be is said by its name, by its annotation, or here: by `more`, and by a
    table `f` of kinds that several functions share. What is its default is passed on as it is, so
    that a default of None needs no kind."""
    if not callable(f): return lambda g: checked(g, **(f or {}) | more)
    signature = inspect.signature(f)
    kinds = kinds_of(f, more)

    @wraps(f)
    def call(*args, **kwargs):
        given = bound(signature, f.__name__, args, kwargs)
        for name, kind in kinds.items():
            default = signature.parameters[name].default
            value = given.arguments.get(name, default)
            if value is not default: given.arguments[name] = kind(value, name)
        return f(*given.args, **given.kwargs)
    return call


def explained(f=None, **more):
    """Decorate a function that is called at every step: only where it fails are its arguments
    looked at, as by `checked`, for an error that says more."""
    if not callable(f): return lambda g: explained(g, **more)
    door = checked(f, **more)

    @wraps(f)
    def call(*args, **kwargs):
        try: return f(*args, **kwargs)
        except (TypeError, AttributeError, ValueError, IndexError, RuntimeError) as e:
            if isinstance(e, torch.OutOfMemoryError): raise
            return door(*args, **kwargs) # raises what it finds, or the same again
    return call


def check_fields(record, **more):
    "The same for the fields of a dataclass, frozen or not, in its __post_init__."
    cls = type(record)
    for name, kind in kinds_of(cls, more).items():
        value = getattr(record, name)
        if value is not cls.__dataclass_fields__[name].default:
            object.__setattr__(record, name, kind(value, name))


def check_same_shape(value, like, name, of):
    "TypeError or ValueError unless two tensors are of floats and of one shape, or both numbers."
    if is_number(value) and is_number(like): return
    for x, called in ((value, name), (like, of)):
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            tensor(like=None)(x, called)
    if value.shape != like.shape:
        raise ValueError(f"{name}: got shape {tuple(value.shape)}; expected that of {of}, "
                         f"{tuple(like.shape)}")


def check_same_rows(value, like, name, of):
    "ValueError unless the rows of two tensors (N, ...) and (M, ...) are of one shape."
    if value.shape[1:] != like.shape[1:]:
        raise ValueError(f"{name}: got shape {tuple(value.shape)}; expected rows like those of "
                         f"{of}, (N, {', '.join(map(str, like.shape[1:]))})")


def a_multiple(of):
    "The kind of counts that are a multiple of this one."
    def check(value, name):
        n = count(value, name)
        return n if n % of == 0 else refuse(n, name, f"a multiple of {of}")
    return check


def check_broadcast(**tensors):
    "ValueError unless tensors, or numbers, have shapes that broadcast to one."
    shapes = {name: tuple(x.shape) for name, x in tensors.items() if isinstance(x, torch.Tensor)}
    try: torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"got {got}; expected shapes that broadcast to one") from None


def check_keys(q, k, v, mask=None):
    "TypeError or ValueError unless these are queries, keys, values and a mask that fit together."
    for x, name in ((q, "q"), (k, "k"), (v, "v")): tensor(like=None)(x, name)
    fit = min(q.ndim, k.ndim, v.ndim) >= 2 and q.shape[-1] == k.shape[-1]
    if not fit or not k.shape[-2] == v.shape[-2] > 0 or not q.dtype == k.dtype == v.dtype:
        got = ", ".join(f"{n} {x.dtype} {tuple(x.shape)}" for n, x in dict(q=q, k=k, v=v).items())
        raise ValueError(f"got {got}; expected q (..., N, d), k (..., L, d), v (..., L, c), of one "
                         "dtype")
    if mask is not None and getattr(mask, "dtype", None) != torch.bool:
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"attn_mask: got {got}; expected bool, True where a source may be seen")
    check_broadcast(q=q[..., :1], k=k[..., :1].mT, v=v[..., :1].mT, attn_mask=mask)


def check_rows(t, x, name="t"):
    "ValueError unless there is one number for each of the images x, or one for all."
    if t.shape not in ((), (1,), x.shape[:1]):
        raise ValueError(f"{name}: got shape {tuple(t.shape)} for {len(x)} images; expected one "
                         "number an image, or one for all")


def some_noise(rate): # of noise, a float or (B, 1, 1, 1)
    "The rate, to be divided by; ValueError where it is 0, as of clean data."
    none = rate == 0
    if isinstance(none, torch.Tensor): none = none.device.type == "cpu" and none.any()
    if not none: return rate
    raise ValueError("t holds -1, clean data, which have no noise to divide by; expected timesteps "
                     "of at least 0")


def expanded(x, like, name):
    "A tensor with the shape of another one, or ValueError where it does not broadcast to it."
    try: return x.expand_as(like)
    except RuntimeError:
        raise ValueError(f"{name}: got shape {tuple(x.shape)}; expected that of the others, "
                         f"{tuple(like.shape)}, or one number") from None


def check_levels(pixels, levels): # uint8 (N, C, H, W), in memory or not
    "ValueError if some of the pictures, evenly spaced, have a gray level above the largest one."
    if levels == 255 or not isinstance(pixels, torch.Tensor) or not pixels.numel(): return
    high = int(pixels[::max(1, len(pixels) // 1000)].max())
    if high > levels:
        raise ValueError(f"pixels up to {high} with levels={levels}; expected 0..{levels}: pass "
                         "levels=255 for photographs")


def check_set(images): # `Images`
    "(pixels, labels, classes) of a set, when its other fields are what they should be."
    check_fields(images, classes=class_names_of)
    check_levels(images.pixels, images.levels)
    return images.pixels, images.labels, images.classes
