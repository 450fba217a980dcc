"What an argument may be: one check for each kind of numbers, names, tensors and images."

# A kind is a function kind(value, name) that returns the value as the function will use it; else
# a TypeError (another sort of thing) or ValueError (out of range) says what was given and expected.

import math
import operator
import warnings
from numbers import Real
from pathlib import Path

import torch


def described(value):
    "What was given, in few words: arrays by dtype and shape, anything else as Python writes it."
    shape = getattr(value, "shape", None) # of a score, None
    if hasattr(value, "dtype") and isinstance(shape, tuple) and shape != ():
        return f"{value.dtype} of shape {tuple(shape)}"
    if isinstance(value, torch.nn.Module): return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:80]}... ({type(value).__name__})"


def python_number(value):
    "One number of NumPy or torch as Python's; anything else as it is."
    return value.item() if getattr(value, "shape", None) == () else value


def is_number(value):
    "Is this one real number, of Python, NumPy or torch, and no bool and no text?"
    return isinstance(python_number(value), Real) and not isinstance(python_number(value), bool)


def refuse(value, name, expected):
    "Raise ValueError for a number, TypeError for anything else."
    error = ValueError if is_number(value) else TypeError
    raise error(f"{name}={described(value)}; expected {expected}")


def _range(low, high):
    if low is None and high is None: return ""
    if low is None: return f" of at most {high}"
    return f" of at least {low}" if high is None else f" from {low} to {high}"


# ---- kinds of numbers ----

def whole(low=None, high=None, expected=None): # both ends included
    "The kind of counts: a whole number within a range, NumPy's included; no float, bool or text."
    expected = expected or f"a whole number{_range(low, high)}"

    def check(value, name):
        if not is_number(value): refuse(value, name, expected)
        try: n = operator.index(python_number(value))
        except TypeError: refuse(value, name, expected)
        if low is not None and n < low or high is not None and n > high:
            refuse(value, name, expected)
        return n
    return check


def number(low=-math.inf, high=math.inf, above=None, below=None, expected=None):
    "The kind of amounts: a finite number within a range; `above` and `below` leave out the end."
    ends = _range(*(None if math.isinf(end) else end for end in (low, high)))
    ends += f" above {above}" * (above is not None)
    ends += " and" * (bool(ends) and below is not None) + f" below {below}" * (below is not None)
    expected = expected or f"a finite number{ends}"

    def check(value, name):
        if not is_number(value): refuse(value, name, expected)
        found = python_number(value)
        v = float(found) if abs(found) < 1e308 else math.nan # NaN is in no range
        inside = low <= v <= high and (above is None or v > above) and (below is None or v < below)
        return found if inside else refuse(value, name, expected)
    return check


share = number(0, 1)
positive = number(above=0)
amount = number(0) # of which there may be none
count = whole(1)
seed_of_run = whole(0, 2**63 - 1)


def optional(kind):
    "The kind that also lets None through."
    def check(value, name):
        return None if value is None else kind(value, name)
    return check


clip_size = optional(number(0, expected="a finite number of at least 0, 1 for pixels, or None for "
                            "latents and exact models"))


# ---- kinds of other things ----

def one_of(*names):
    "The kind of choices: one of these names."
    def check(value, name):
        if isinstance(value, str) and value in names: return value
        wanted = " or ".join(map(repr, names)) if len(names) == 2 else f"one of {', '.join(names)}"
        raise ValueError(f"{name}={described(value)}; expected {wanted}")
    return check


def flag(value, name):
    "The kind of switches: True or False, NumPy's included."
    if isinstance(python_number(value), bool): return python_number(value)
    raise TypeError(f"{name}={described(value)}; expected True or False")


def text(value, name):
    "The kind of names and titles."
    if isinstance(value, str): return value
    raise TypeError(f"{name}={described(value)}; expected a text")


def anything(value, name):
    "The kind of arguments that are looked at elsewhere."
    return value


def a_call(value, name):
    "The kind of functions."
    if callable(value): return value
    raise TypeError(f"{name}={described(value)}; expected something that can be called")


def listed(kind, at_least=0, what="a list"):
    "The kind of lists, tuples, arrays (N,) and tensors (N,) of one kind, as a Python list."
    def check(value, name):
        if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
            raise TypeError(f"{name}={described(value)}; expected {what}")
        if getattr(value, "shape", None) == ():
            raise TypeError(f"{name}={described(value)}; expected {what}, not a single number")
        values = value.tolist() if hasattr(value, "tolist") else list(value)
        if len(values) < at_least:
            raise ValueError(f"{name}: got {len(values)} entries; expected {what} of at least "
                             f"{at_least}")
        return [kind(v, f"{name}[{i}]") for i, v in enumerate(values)]
    return check


def class_names_of(value, name):
    "The kind of names of classes: texts, of which no two are alike."
    names = listed(text, what="a list of names")(value, name)
    if len({*names}) == len(names): return names
    twice = next(v for v in names if names.count(v) > 1)
    raise ValueError(f"{name}: got {twice!r} twice; expected each class once")


def odd_size(value, name):
    "The kind of sides of patches: an odd number of pixels, or a function of t that gives one."
    expected = "an odd number: 1, 3, 5, ..., or a function of t"
    if callable(value): return value
    n = whole(1, expected=expected)(value, name)
    return n if n % 2 else refuse(n, name, expected)


def sizes(what="(B, C, H, W)", low=1, high=2**31):
    "The kind of shapes, as a tuple: as many whole numbers of at least 1 as `what` has names."
    n = what.count(",") + 1
    expected = f"{what}, whole numbers of at least {low}"
    entries = listed(whole(low, high), what=expected)

    def check(value, name):
        found = tuple(entries(value, name))
        if len(found) == n: return found
        raise ValueError(f"{name}={described(value)}; expected {expected}")
    return check


def a_mapping(value, name):
    "The kind of dictionaries, as JSON has them."
    if isinstance(value, dict) and all(isinstance(key, str) for key in value): return value
    raise TypeError(f"{name}={described(value)}; expected names and values, {{...}}")


def having(*attributes, what):
    "The kind of objects that are told by what they have, such as networks with a `head`."
    def check(value, name):
        if all(hasattr(value, key) for key in attributes): return value
        raise TypeError(f"{name}={described(value)}; expected {what}")
    return check


def a_path(value, name):
    "The kind of paths: texts, or `Path`s."
    known = isinstance(value, (str, Path))
    if known and str(value).strip(): return Path(value)
    raise (ValueError if known else TypeError)(
        f"{name}={described(value)}; expected a path, such as 'runs/first.json'")


a_schedule = having("alpha_bar", "rates", what="a NoiseSchedule, such as cosine_schedule()")


def an_instance(cls, how=""):
    "The kind of objects of one class; `how` says where to have one from."
    def check(value, name):
        if isinstance(value, cls): return value
        raise TypeError(f"{name}={described(value)}; expected a {cls.__name__}{how}")
    return check


# ---- kinds of tensors ----

WHOLE_TYPES = (torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64)


def all_finite(value, name):
    "A tensor of floats without NaN or infinity; else ValueError."
    if value.isfinite().all(): return value
    raise ValueError(f"{name}: {int((~value.isfinite()).sum())} of {value.numel()} values are NaN "
                     "or infinite; expected finite numbers")


def tensor(like="(N, D)", floating=True, finite=False):
    "The kind of tensors with as many dimensions as `like` has names; `...` is any number of more."
    ndim = 0 if like is None else like.count(",") + (not like.rstrip(")").endswith((",", "...")))
    most = math.inf if like is None or "..." in like else ndim
    sort = "floats" if floating else "int64"
    expected = f"{like}, a tensor of {sort}" if like else f"a tensor of {sort}"

    def check(value, name):
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name}={described(value)}; expected {expected}")
        if floating != value.is_floating_point() or not floating and value.dtype != torch.int64:
            hint = "; convert gray levels with from_uint8" * (like == "(B, C, H, W)")
            raise TypeError(f"{name}: got dtype {value.dtype}; expected {expected}{hint}")
        if not ndim <= value.ndim <= most:
            hint = "; a single one needs x[None]" * (value.ndim == ndim - 1)
            raise ValueError(f"{name}: got shape {tuple(value.shape)}; expected {expected}{hint}")
        return all_finite(value, name) if finite else value
    return check


def reals(value, name, finite=False):
    "Numbers, an array or a tensor as a new float64 tensor on the CPU; TypeError if they are none."
    try:
        if isinstance(value, (str, bytes, dict)) or value is None: raise TypeError
        found = torch.as_tensor(value, dtype=torch.float64, device="cpu").detach().clone()
        kind = torch.as_tensor(value).dtype
        if kind == torch.bool or kind.is_complex: raise TypeError
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{name}={described(value)}; expected numbers, as a list, an array or a "
                        "tensor") from None
    return all_finite(found, name) if finite else found


def gray_levels(value, name):
    "The kind of gray levels: a tensor of whole numbers, of any shape."
    if isinstance(value, torch.Tensor) and value.dtype in WHOLE_TYPES: return value
    raise TypeError(f"{name}={described(value)}; expected a tensor of whole numbers, as files hold "
                    "them; converted twice?")


some_texts = listed(text, what="a list of texts")
some_timesteps = tensor("(B,)", floating=False)
some_labels = optional(tensor("(N,)", floating=False))
some_features = tensor("(N, D)", finite=True)
some_rows = tensor("(N, ...)", finite=True)


def as_labels(value, name):
    "Labels as a tensor, from numbers in any form; TypeError if they are none."
    try: return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}={described(value)}; expected int64 labels, one an image") from None


def timestep(value, name):
    "The kind of timesteps: one int for all images, or int64 (B,)."
    if isinstance(value, torch.Tensor) and value.ndim: return some_timesteps(value, name)
    if isinstance(python_number(value), float):
        raise TypeError(f"{name}={value!r} is a float; expected a whole number, or int64 (B,)")
    return whole(expected="a whole number, or int64 (B,)")(value, name) # the table has the range


some_images = tensor("(B, C, H, W)")


def in_range(x, name="images", most=math.inf, warn=True): # (N, ...), any floats
    "Images that keep to [-1, 1]: an error for 0..255 and sizes above `most`, a warning for 0..1."
    if not x.numel(): return x
    low, high = (bound.item() for bound in x.detach().aminmax())
    if high > 8 and low >= 0 or max(-low, high) > most:
        raise ValueError(f"{name}: values from {low:.3g} to {high:.3g}; expected [-1, 1]; convert "
                         "gray levels with from_uint8")
    if warn and low >= 0 and high > 0.5: # not one pixel darker than middle gray
        warnings.warn(f"{name}: no value below 0 ({low:.3g} to {high:.3g}); images are in [-1, 1] "
                      "here: x * 2 - 1 converts from [0, 1]", stacklevel=4)
    return x


def clean_images(x, name): # (B, C, H, W)
    "The kind of clean images: floats (B, C, H, W) without NaN, in [-1, 1] as far as one can see."
    return in_range(tensor("(B, C, H, W)", finite=True)(x, name), name)
