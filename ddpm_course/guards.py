"What guidance refuses, what it warns of, and how a score names what was asked for."

import hashlib
import warnings
from numbers import Integral

import torch

from .kinds import a_call, described, number, tensor
from .models import Wrapper, predicts_of, said_by


a_scale = number(0, expected="a finite number of at least 0: 1 is the model without guidance, "
                 "above 1 is guided, 0 is only what it would be guided away from")
a_rescale = number(0, 1, expected="0 (leave the spread of the prediction) to 1 (give it the "
                   "conditional one's)")


def check_guidance(scale, interval=None, rescale=0.0):
    "An error unless the scale is finite and >= 0, the interval two steps, rescale in 0..1."
    a_scale(scale, "scale")
    an_interval(interval, "interval")
    a_rescale(rescale, "rescale")


def some_times(value, name):
    "The kind of times (B,): timesteps, and also those between two, at which a denoiser asks."
    between = isinstance(value, torch.Tensor) and value.is_floating_point()
    return tensor("(B,)", floating=between)(value, name)


def an_interval(interval, name):
    "The kind of intervals: (low, high), two whole numbers with 0 <= low <= high, or None."
    if interval is None: return None
    two = isinstance(interval, (tuple, list)) and len(interval) == 2
    if two and all(isinstance(t, Integral) and not isinstance(t, bool) for t in interval):
        if 0 <= interval[0] <= interval[1]: return interval
    raise ValueError(f"{name}={interval!r}; expected (low, high), whole timesteps from and up to "
                     "which to guide, 0 <= low <= high; noise levels sigma have to be converted")


def check_classes(model):
    "ValueError unless the model has classes to be guided to."
    if said_by(a_call(model, "model"), "num_classes") is None:
        raise ValueError("cfg: this model has no classes (num_classes is None): unconditional, or "
                         "its labels are bound already; pass the class-conditional model itself, "
                         "or see autoguidance")


def check_pair(model, bad):
    "ValueError unless the two models have the same labels bound, if any, and predict the same."
    for name, m in (("model", model), ("bad", bad)):
        if (n := said_by(a_call(m, name), "num_classes")) is not None:
            raise ValueError(f"autoguidance: {name} has {n} classes and no labels; "
                             f"bind them first: condition({name}, y)")
    predicts = predicts_of(model)
    other = predicts_of(bad)
    if predicts != other:
        raise ValueError(f"autoguidance: the model predicts {predicts!r} and the bad one {other!r};"
                         " expected two models that predict the same")
    check_same_labels(model, bad)


def bound_labels(model):
    "What labels a model is bound to, (B,) or (), and which of them is none; None where unbound."
    while isinstance(model, Wrapper):
        if "y" in vars(model): return model.y.cpu(), said_by(model.model, "num_classes")
        model = model.model
    return None


def check_same_labels(model, bad):
    "ValueError where images would be led away from another class; away from `no label` they may."
    bound = bound_labels(model), bound_labels(bad)
    if None in bound: return
    (y, _), (other, none) = bound
    fit = y.ndim * other.ndim == 0 or len(y) == len(other)
    if fit and ((y == other) | (other == none)).all(): return
    raise ValueError(f"autoguidance: the model is bound to labels {described(y.tolist())} and the "
                     f"bad one to {described(other.tolist())}; expected the same, image by image")


def warn_undropped(model, negative):
    "Warn of a model that guidance would ask about `no label`, which it never saw in training."
    none = said_by(model, "num_classes")
    if said_by(model, "label_drop") != 0 or not (negative == none).any(): return
    warnings.warn(f"this model was trained without label dropout: it never saw the label "
                  f"{none} (\"no label\"), so what it answers there is arbitrary, and "
                  "samples will be distorted or saturated, the more so the larger the scale; train "
                  "with DDPMLoss(schedule, drop=0.1), or pass negative labels", stacklevel=3)


def labels_for(y, x_t):
    "Bound labels y, (B,) or (), as (B,) on the device of the images x_t (B, C, H, W)."
    if y.ndim and len(y) != len(x_t):
        raise ValueError(f"guidance was bound to {len(y)} labels and got {len(x_t)} images; bind "
                         "one label an image, or one int for all")
    return y.to(x_t.device).expand(len(x_t))


def named_labels(y, num_classes):
    "Labels as JSON has them: None for `no label`, an int where all are equal, else a list."
    values = y.reshape(-1).tolist()
    if len({*values}) != 1: return values
    return None if values[0] == num_classes else values[0]


def named_interval(interval):
    "An interval as JSON has it: [low, high], or None."
    return None if interval is None else [int(t) for t in interval]


def named_model(model):
    "What tells a model from others: all it was asked for, and a digest of its weights if any."
    digest = hashlib.sha256()
    for p in getattr(model, "parameters", tuple)():
        digest.update(p.detach().float().cpu().contiguous().numpy().tobytes())
    return getattr(model, "options", {}) | {"weights": digest.hexdigest()[:16]}
