"What guidance refuses, what it warns of, and how a score names what was asked for."

import hashlib
import math
import warnings
from numbers import Integral, Real

import torch

from .models import check_labels, predicts_of


def check_guidance(scale, interval=None, rescale=0.0):
    "ValueError unless the scale is finite and >= 0, the interval two steps, rescale in 0..1."
    if not (isinstance(scale, Real) and 0 <= scale < math.inf): # NaN compares false
        raise ValueError(f"scale={scale!r}; expected a finite number of at least 0: 1 is the model "
                         "without guidance, above 1 is guided, 0 is only what it would be guided "
                         "away from")
    if interval is not None and not is_interval(interval):
        raise ValueError(f"interval={interval!r}; expected (low, high), whole timesteps from and "
                         "up to which to guide, 0 <= low <= high; noise levels sigma have to be "
                         "converted")
    if not 0 <= rescale <= 1:
        raise ValueError(f"rescale={rescale!r}; expected 0 (leave the spread of the prediction) "
                         "to 1 (give it the conditional one's)")


def is_interval(interval):
    "Whether this is (low, high), two whole numbers with 0 <= low <= high."
    if not (isinstance(interval, (tuple, list)) and len(interval) == 2): return False
    low, high = interval
    return isinstance(low, Integral) and isinstance(high, Integral) and 0 <= low <= high


def check_bound(y, # labels (B,), or one int for all images
                model, # a model with num_classes
                name="y"): # what the message calls them
    "Labels as an int64 tensor (B,) or (), each a class of the model or num_classes for none."
    y = torch.as_tensor(y)
    if y.ndim > 1:
        raise ValueError(f"{name}: got shape {tuple(y.shape)}; expected one label an image, (B,), "
                         "or one int for all")
    check_labels(y.reshape(-1).cpu(), model.num_classes, y.numel())
    return y


def check_classes(model):
    "ValueError unless the model has classes to be guided to."
    if getattr(model, "num_classes", None) is None:
        raise ValueError("cfg: this model has no classes (num_classes is None): unconditional, or "
                         "its labels are bound already; pass the class-conditional model itself, "
                         "or see autoguidance")


def check_pair(model, bad):
    "ValueError unless the two models have their labels bound and predict the same."
    for name, m in (("model", model), ("bad", bad)):
        if getattr(m, "num_classes", None) is not None:
            raise ValueError(f"autoguidance: {name} has {m.num_classes} classes and no labels; "
                             f"bind them first: condition({name}, y)")
    predicts = predicts_of(model)
    other = predicts_of(bad)
    if predicts != other:
        raise ValueError(f"autoguidance: the model predicts {predicts!r} and the bad one {other!r};"
                         " expected two models that predict the same")


def warn_undropped(model, negative):
    "Warn of a model that guidance would ask about `no label`, which it never saw in training."
    if getattr(model, "label_drop", None) != 0 or not (negative == model.num_classes).any(): return
    warnings.warn(f"this model was trained without label dropout: it never saw the label "
                  f"{model.num_classes} (\"no label\"), so what it answers there is arbitrary, and "
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
