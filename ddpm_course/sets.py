"What `fit` is given: network, recipe and data, looked at before training and while batches come."

import inspect
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch

from .arguments import check_fields, checked
from .disk import as_folder
from .images import Images
from .kinds import (
    a_call, amount, anything, clean_images, described, flag, having, in_range, listed,
    number, one_of, some_images, some_labels, tensor, whole)
from .models import check_labels, predicts_of, said_by

# ---- the network and the recipe ----

def a_network_to_train(model, name):
    "The kind of networks that can be trained as they are: float32 weights that take gradients."
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"{name}={described(model)}; expected a network, such as UNet(...)")
    if isinstance(model, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
        raise TypeError(f"{name}: got a {type(model).__name__}; expected the network inside it, "
                        "model.module: fit puts it onto all devices that accelerate launches")
    weights = dict(model.named_parameters())
    if not any(p.requires_grad for p in weights.values()):
        raise ValueError(f"{name}: none of {len(weights)} weights takes gradients; call "
                         "model.requires_grad_() first")
    for key, p in weights.items():
        if p.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name}: {key} is {p.dtype}, in which small steps are lost; call "
                             "model.float() first, and pass precision='bf16' to compute in it")
    return model


a_precision = one_of("auto", "bf16", "no") # "no": float32
LONGEST = 10**9 # run: what it may count to; more steps would never end


def counted(low):
    "The kind of what a run counts: a whole number that it can come to."
    return whole(low, LONGEST, f"a whole number of at least {low} and at most {LONGEST:,}")


def check_recipe(recipe): # `training.Recipe`
    "Its fields as Python's numbers, or an error that says what they should be."
    number_of = whole(1, LONGEST, f"more than 0, a whole number of at most {LONGEST:,}")
    rate = number(above=0, expected="more than 0, a finite number")
    check_fields(recipe, steps=number_of, batch_size=number_of, warmup=counted(0), lr=rate,
                 clip_grad=rate, weight_decay=amount, ema_halflife=amount,
                 precision=a_precision)


def recipe_of(cls, options): # `training.Recipe`, {name: value}
    "The recipe of these options; TypeError if one is unknown or steps missing."
    try: inspect.signature(cls).bind(**options)
    except TypeError as e:
        names = ", ".join(field.name for field in fields(cls))
        raise TypeError(f"{e}; a recipe has {names}, and needs steps") from None
    return cls(**options)


def a_compiler(value, name):
    "The kind of `compile`: True or False, or the name of a backend."
    return value if isinstance(value, str) else flag(value, name)


fit_arguments = checked({ # beside those that their names and annotations say
    "model": a_network_to_train, "callbacks": listed(a_call, what="a list of calls"),
    "compile": a_compiler, "save_every": counted(0), "accumulate": counted(1), "stop_at": whole(0),
    "device": anything, "start": anything, "out": anything})
preview_arguments = checked({
    "run": having("ema", "about", what="a Run, as fit gives to callbacks"), "y": some_labels})
curve_arguments = checked({"ts": listed(whole(), 1, "a list of timesteps"), "x0": clean_images})


# ---- the data ----

def check_data(data, model, loss):
    "TypeError or ValueError where training could not read a set, or would learn something else."
    if hasattr(loss, "schedule") and hasattr(loss, "drop"): predicts_of(model)
    if isinstance(data, (str, Path)):
        raise TypeError(f"data={described(data)}; expected a set of images: image_folder({data!r}) "
                        "reads a folder")
    if isinstance(data, torch.utils.data.DataLoader):
        raise TypeError("data: got a DataLoader; expected its set, loader.dataset: fit draws the "
                        "batches itself, so that a run can be repeated")
    if isinstance(data, (torch.Tensor, Mapping)) or not hasattr(data, "__len__"):
        raise TypeError(f"data={described(data)}; expected a set with batch(index, rng), such as "
                        "Images, or a torch Dataset of pairs (x, y) with a length")
    if not len(data): raise ValueError("data: got an empty set; expected at least one image")
    if not hasattr(data, "batch"): check_example(data[0])
    classes = said_by(model, "num_classes")
    labels = getattr(data, "labels", None)
    if classes and labels is not None: check_labels_of_set(labels, len(data))


def a_set(data, name):
    "The kind of sets that are read batch by batch, with at least one image."
    if not hasattr(data, "batch") or not hasattr(data, "__len__"):
        raise TypeError(f"{name}={described(data)}; expected a set of images, such as Images, or "
                        "what image_folder returns")
    if len(data): return data
    raise ValueError(f"{name}: got an empty set; expected at least one image")


cache_arguments = checked({
    "data": a_set, "path": as_folder,
    "space": having("encode", "shape", "vae", what="a LatentSpace")})


def check_example(pair):
    "TypeError or ValueError unless this is (float image (C, H, W), label)."
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"data[0]: got {described(pair)}; expected a pair (x, y): an image (C, H, "
                        "W) and its label")
    x = pair[0]
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        raise TypeError(f"data[0][0]: got {described(x)}; expected a float tensor (C, H, W) in "
                        "[-1, 1]: give the set a transform, of v2.PILToTensor() and from_uint8")
    if x.ndim != 3:
        raise ValueError(f"data[0][0]: got shape {tuple(x.shape)}; expected (C, H, W)")


def check_labels_of_set(labels, n):
    "TypeError or ValueError unless each of n images has one label; which, a run looks at."
    tensor("(N,)", floating=False)(labels, "data.labels")
    if len(labels) != n:
        raise ValueError(f"data.labels: got {len(labels)} for {n} images; expected one an image")


def check_classes_of(y, classes):
    "ValueError where data hold the label that means `no label`: it would be trained as a class."
    if len(y) and y.max() == classes:
        raise ValueError(f"the data's labels go up to {classes}, which a model of num_classes="
                         f"{classes} takes for no label; it expects 0..{classes - 1}: labels that "
                         "start at 1 need y - 1, one class more needs a larger num_classes")


def read_batch(data, index, rng, model, step):
    "data.batch(index, rng), with what was not looked at before training looked at here."
    batch = data.batch(index, rng)
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"data: batch(index, rng) gave {described(batch)}; expected a pair (x, y): "
                        "images (B, C, H, W) and labels (B,)")
    x, y = batch
    if isinstance(data, Images) or hasattr(data, "manifest"): return x, y
    some_images(x, "data: x")
    here = x.device.type == "cpu" or step % 100 == 0 # on a GPU, looking waits for it
    if step % 1000 == 0: in_range(x, "data: x")
    classes = said_by(model, "num_classes")
    if classes is None: return x, y
    check_labels(y, classes, len(x), "data: y")
    if here: check_classes_of(y, classes)
    return x, y
