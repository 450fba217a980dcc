"What a model folder may say: its description against one schema, its weights against both."

import json
import math

import torch
from safetensors import safe_open

from .kinds import (
    a_mapping, class_names_of, clip_size, described, listed, number, one_of, optional, share, sizes,
    text, whole)
from .models import MODELS, split_output, said_by
from .noising import NoiseSchedule

LARGEST = 10_000_000 # bytes of a description: a thousand betas take 25,000
MOST = 2**24 # numbers of a picture: 3 x 2048 x 2048 fits
REQUIRED = ("format", "model", "arguments", "betas", "shape", "clip")


def picture_shape(value, name):
    "The kind of shapes of what a model makes: (C, H, W), of a size that memory can hold."
    shape = sizes("(C, H, W)")(value, name)
    if math.prod(shape) <= MOST: return shape
    raise ValueError(f"{name}={described(value)}; expected (C, H, W) of at most {MOST:,} numbers")


def a_list_of_betas(value, name):
    "The kind of schedules in a file: a list of numbers that make a `NoiseSchedule`."
    NoiseSchedule(listed(number(), what="a list of betas")(value, name))
    return value


ENTRIES = { # of config.json; what else it says is not looked at
    "model": text, "arguments": a_mapping, "betas": optional(a_list_of_betas),
    "predicts": optional(one_of("eps", "x0", "v", "denoised", "velocity")),
    "num_classes": optional(whole(1, MOST)),
    "shape": optional(picture_shape), "clip": clip_size, "classes": optional(class_names_of),
    "levels": optional(whole(1, 65535)), "label_drop": optional(share)}
LATENT_ENTRIES = { # of the entry "latent" of an autoencoder that is part of a `LatentSpace`
    "vae": text, "mean": listed(number(-1e9, 1e9), 1, "a list of numbers"),
    "std": listed(number(1e-9, 1e9), 1, "a list of numbers above 0"), "image_shape": picture_shape}
MAY_HAVE_LATENT = {"latent": optional(a_mapping)} # a model of latents: it names its space


def latent_of(trained, file):
    "(mean, std, image_shape) of the entry `latent` of an autoencoder's folder; else ValueError."
    check_entries(trained.config, {"latent": a_mapping}, file)
    latent = trained.config["latent"]
    check_entries(latent, LATENT_ENTRIES, file)
    channels = getattr(trained.model, "latent_channels", None)
    if not len(latent["mean"]) == len(latent["std"]) == channels:
        raise ValueError(f"{file}: got {len(latent['mean'])} means and {len(latent['std'])} stds; "
                         f"expected one for each of the {channels} latent channels")
    if latent["image_shape"] != trained.config["shape"]:
        raise ValueError(f"{file}: image_shape={latent['image_shape']} beside shape="
                         f"{trained.config['shape']}; expected the same")
    return latent["mean"], latent["std"], latent["image_shape"]


def check_entries(config, entries, file):
    "ValueError that names the file and the entry that is not what it should be."
    for name, kind in entries.items():
        try: kind(config.get(name), name)
        except (TypeError, ValueError) as e:
            raise ValueError(f"{file}: {e}; copy the folder again, or correct it") from None


def read_json(file):
    "The JSON in a file; ValueError if it is none, or too large or too deep to be a description."
    if not file.is_file(): raise ValueError(f"{file} is no file; copy the folder again")
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{file} has {size:,} bytes; expected a description, at most {LARGEST:,}")
    try: return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise ValueError(f"{file} is damaged or cut short ({e}); copy the folder again") from e


def check_description(config, file):
    "ValueError unless this is a description of format 1 that keeps to the schema."
    known = isinstance(config, dict) and {*REQUIRED} <= config.keys()
    if not known or config["format"] is True or config["format"] != 1:
        raise ValueError(f"{file} is no model description of format 1; expected at least "
                         f"{sorted(REQUIRED)}")
    check_entries(config, ENTRIES, file)
    if config["model"] not in MODELS:
        raise ValueError(f"{file} names the architecture {config['model']!r}; known: "
                         f"{', '.join(MODELS)}; import the chapter that defines it")


# ---- weights ----

FLOATS = ("F64", "F32", "F16", "BF16")
WHOLE = ("I64", "I32", "I16", "I8", "U8")


def read_header(file):
    "{name: (shape, type)} of the tensors in a safetensors file; ValueError if it is damaged."
    if not file.is_file(): raise ValueError(f"{file} is no file; copy the folder again")
    try:
        with safe_open(file, "pt") as f:
            slices = {name: f.get_slice(name) for name in f.keys()}
            return {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except Exception as e: # the library has errors of its own
        raise ValueError(f"{file} is damaged or cut short ({e}); copy it again") from e


def check_header(header, model, file): # model: on the device "meta", or anywhere
    "ValueError unless the tensors of a file are those of a model, of one precision."
    wanted = {name: v for name, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
    other = [f"{name}: {header[name][0] if name in header else 'nothing'} there, "
             f"{tuple(wanted[name].shape) if name in wanted else 'nothing'} expected"
             for name in wanted | header
             if name not in header or name not in wanted or header[name][0] != wanted[name].shape]
    if other:
        raise ValueError(f"{file} holds the weights of another architecture than its config.json: "
                         f"{'; '.join(other[:3])}; {len(other)} tensors differ")
    for name, (_, kind) in header.items():
        expected = FLOATS if wanted[name].is_floating_point() else WHOLE
        if kind not in expected:
            raise ValueError(f"{file}: {name} is of type {kind}; expected one of "
                             f"{', '.join(expected)}; save the model again")
    check_precision({name: kind for name, (_, kind) in header.items() if kind in FLOATS}, file)


def check_precision(kinds, what): # {name of a tensor of floats: its type}
    "ValueError if weights are of several precisions, of which a forward pass can use one."
    first = {kind: name for name, kind in reversed(kinds.items())}
    if len(first) > 1:
        raise ValueError(f"{what} mixes precisions: "
                         f"{', '.join(f'{name} is {kind}' for kind, name in first.items())}; "
                         "convert all weights to one, model.float()")


def check_values(state, file):
    "ValueError that names the first tensor with NaN, infinity, or numbers that lead to them."
    for name, value in state.items():
        if not value.is_floating_point() or not value.numel(): continue
        largest = value.abs().max().item() # NaN if one of them is
        if not largest < 1e9:
            raise ValueError(f"{file}: {name} holds {largest}; expected finite weights below 1e9; "
                             "take an earlier checkpoint, or copy it again")


# ---- the network ----

def construct(config, file):
    "The network that a description names, or a ValueError where its class refuses the arguments."
    try: return MODELS[config["model"]](**config["arguments"])
    except Exception as e: # whatever a class raises at arguments that it did not expect
        raise ValueError(f"{file} describes another {config['model']} than this version of the "
                         f"course builds: {type(e).__name__}: {str(e)[:400]}") from e


def try_shape(model, config, file):
    "ValueError unless a picture of the shape in a description goes through a network on `meta`."
    if config["shape"] is None: return
    x = torch.empty(1, *config["shape"])
    t = torch.zeros(1, dtype=torch.int64)
    labels = () if config.get("num_classes") is None else (t,)
    try:
        if config.get("predicts"): split_output(model(x, t, *labels), x)
        elif hasattr(model, "encode"): model.encode(x)
        elif hasattr(model, "features"): model.features(x)
    except Exception as e:
        raise ValueError(f"{file}: shape={config['shape']} does not go through its network "
                         f"({type(e).__name__}: {str(e)[:300]})") from e


def build(config, file, weights):
    """The network of a description, with initial weights that nobody will see.

    First without memory, on the device "meta": what does not fit its weights is never allocated."""
    header = read_header(weights)
    with torch.device("meta"), torch.no_grad():
        model = construct(config, file).eval()
        check_header(header, model, weights)
        for name in ("predicts", "num_classes"):
            if said_by(model, name) != config.get(name):
                raise ValueError(f"{file}: {name}={config.get(name)!r} beside arguments that build "
                                 f"a network of {said_by(model, name)!r}; expected the same")
        try_shape(model, config, file)
    with torch.random.fork_rng(devices=[]): # loading draws no random numbers
        return construct(config, file)
