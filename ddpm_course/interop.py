"A `UNet` as diffusers' UNet2DModel, and back: one table of names, read in both directions."

import importlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .kinds import described
from .unet_options import Options


def from_extra(name, extra="course"):
    "A module that only some of the course needs; ImportError with advice where it is missing."
    try: return importlib.import_module(name)
    except ModuleNotFoundError as e:
        raise ModuleNotFoundError(f"this needs {e.name}, which is not installed: "
                                  f"pip install 'ddpm_course[{extra}]'", name=e.name) from e


FIXED = { # what a UNet2DModel must have, if it says anything about it
    "act_fn": "silu", "center_input_sample": False, "time_embedding_type": "positional",
    "mid_block_type": "UNetMidBlock2D", "mid_block_scale_factor": 1, "class_embed_type": None}
NAMES = {"in_channels": "in_channels", "layers_per_block": "layers", "norm_num_groups": "groups",
         "attention_head_dim": "head_dim", "norm_eps": "norm_eps", "freq_shift": "freq_shift",
         "downsample_padding": "downsample_padding", "flip_sin_to_cos": "flip_sin_to_cos"}
ENDINGS = { # how a level ends, by its block's name without Down or Up
    "Block2D": "conv", "AttnBlock2D": "its own", "ResnetsampleBlock2D": "resnet"}
OURS = {"conv": "conv", "resnet": "residual"}


def whole_config(config):
    "The config of a UNet2DModel as a dict, or ValueError where it describes something else."
    found = dict(config) if hasattr(config, "keys") else {}
    needed = {*NAMES, "block_out_channels", "out_channels", "down_block_types", "up_block_types"}
    if lacks := sorted(needed - found.keys()):
        name = found.get("_class_name", type(config).__name__)
        hint = "of a pipeline, pass its .unet, or the folder with subfolder='unet'"
        raise ValueError(f"got the configuration of a {name}, which lacks {lacks[:3]}; expected a "
                         f"UNet2DModel: {hint}")
    return found


def config_from_diffusers(config): # the config of a UNet2DModel
    "The arguments of `UNet` that build the same network; ValueError where there is none."
    c = whole_config(config)
    down = [name.replace("Down", "") for name in c["down_block_types"]]
    up = [name.replace("Up", "") for name in c["up_block_types"]]
    if odd := not_ours(c, down, up):
        told = ", ".join(f"{name}={value!r}" for name, value in odd.items())
        raise ValueError(f"this UNet2DModel has {told}; UNet can only be DDPM's or ADM's: blocks "
                         "DownBlock2D, AttnDownBlock2D, ResnetDownsampleBlock2D, mirrored on the "
                         "way up, all levels of a path ending alike")
    return {ours: c[theirs] for theirs, ours in NAMES.items()} | {
        "channels": tuple(c["block_out_channels"]), "dropout": c.get("dropout", 0.0),
        "attention": tuple(block == "AttnBlock2D" for block in down),
        "num_classes": c.get("num_class_embeds"),
        "learn_variance": c["out_channels"] == 2 * c["in_channels"], **beyond_ddpm(c, down, up)}


def not_ours(c, down, up):
    "{name: value} of what a UNet2DModel's configuration has that `UNet` cannot be."
    odd = {name: c[name] for name, value in FIXED.items() if c.get(name, value) != value}
    if c["out_channels"] not in (c["in_channels"], 2 * c["in_channels"]):
        odd["out_channels"] = c["out_channels"]
    if c.get("time_embedding_dim") not in (None, 4 * c["block_out_channels"][0]):
        odd["time_embedding_dim"] = c["time_embedding_dim"]
    if c.get("resnet_time_scale_shift", "default") not in ("default", "scale_shift"):
        odd["resnet_time_scale_shift"] = c["resnet_time_scale_shift"]
    attends = lambda blocks: [block == "AttnBlock2D" for block in blocks]
    if {*down, *up} - ENDINGS.keys() or attends(down) != attends(up[::-1]):
        odd |= {name: list(c[name]) for name in ("down_block_types", "up_block_types")}
    elif len(endings(c, down, "down")) > 1 or len(endings(c, up, "up")) > 1:
        odd |= {name: c.get(name) for name in ("downsample_type", "upsample_type")}
    elif unknown := {*endings(c, down, "down"), *endings(c, up, "up")} - OURS.keys():
        odd["downsample_type or upsample_type"] = sorted(map(str, unknown))
    return odd


def endings(c, blocks, path):
    "How the levels of a path end that have a next one."
    own = c.get(f"{path}sample_type", "conv") # of blocks with attention alone
    return {ENDINGS[block].replace("its own", own) for block in blocks[:-1]}


def beyond_ddpm(c, down, up):
    "Arguments of `UNet` for what is ADM's, in a UNet2DModel's configuration."
    ends = [endings(c, *path) for path in ((down, "down"), (up, "up"))]
    halve, double = (OURS[next(iter(e), "conv")] for e in ends)
    scale_shift = c.get("resnet_time_scale_shift") == "scale_shift"
    groups = c.get("attn_norm_num_groups") or c["norm_num_groups"] * (not scale_shift)
    given = {"scale_shift": scale_shift, "halve": halve, "double": double,
             "mid_attention": c.get("add_attention", True),
             "mid_groups": None if groups == c["norm_num_groups"] else groups}
    return Options(**given).unusual()


RENAMED = {"time_embedding.linear_1": "embed.lin1", "time_embedding.linear_2": "embed.lin2",
           "class_embedding": "embed.label", "conv_norm_out": "norm_out",
           "time_emb_proj": "emb", "conv_shortcut": "skip",
           "group_norm": "norm", "to_out.0": "proj", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv"}


def _prefixes(model):
    "{start of the names of a block's weights in diffusers: here}."
    found = {"mid_block.resnets.0.": "mid.0.", "mid_block.attentions.0.": "mid.1.",
             "mid_block.resnets.1.": f"mid.{len(model.mid) - 1}."}
    for path in ("down", "up"):
        level = layer = 0
        for i, block in enumerate(getattr(model, path)):
            theirs = f"{path}_blocks.{level}"
            if isinstance(block, nn.Sequential):
                found[f"{theirs}.resnets.{layer}."] = f"{path}.{i}.0."
                found[f"{theirs}.attentions.{layer}."] = f"{path}.{i}.1."
                layer += 1
            else: # it halves or doubles: the level ends
                found[f"{theirs}.{path}samplers.0."] = f"{path}.{i}."
                level += 1
                layer = 0
    return found


def _renamed(name, prefixes):
    for old, new in prefixes.items():
        if name.startswith(old): name = new + name.removeprefix(old)
    for old, new in RENAMED.items(): name = name.replace(old, new)
    return name


def part_of(name):
    "Which third of our queries, keys and values a weight of diffusers is; None for any other."
    return next((i for i, part in enumerate("qkv") if f".to_{part}." in name), None)


def put_together(theirs, place): # a state dict of diffusers; their name -> ours
    "{our name: weights}: q, k and v as one, whatever their order."
    found = {}
    for name in sorted(theirs, key=lambda name: part_of(name) or 0):
        found.setdefault(place(name), {}).setdefault(part_of(name), theirs[name])
    return {name: torch.cat([*parts.values()]) for name, parts in found.items()}


def taken_apart(ours, like, place): # state dict; diffusers' own, for its names and shapes
    "{their name: weights}: what `put_together` does, undone."
    found = {}
    for name, old in like.items():
        w = ours[place(name)]
        if (part := part_of(name)) is not None: w = w.chunk(3)[part]
        found[name] = w[:len(old)].reshape(old.shape) # fewer rows: without the one of "no label"
    return found


def place_in(model): # `UNet`
    "The function that turns a name in a UNet2DModel's state dict into ours."
    prefixes = _prefixes(model)
    return lambda name: _renamed(name, prefixes)


def weights_from_diffusers(theirs, # state dict of a UNet2DModel
                           model): # the `UNet` that will load them
    """diffusers' weights under our names: one list a path; q, k and v joined, as 1x1 convolutions.

    A class embedding gets a last row of zeros, for "no label", where diffusers' network lacks it.
    """
    own = model.state_dict()
    ours = put_together(theirs, place_in(model))
    if (label := "embed.label.weight") in own:
        ours[label] = F.pad(ours[label], (0, 0, 0, len(own[label]) - len(ours[label])))
    return {name: w.reshape(own[name].shape) if name in own else w for name, w in ours.items()}


def network_from_diffusers(cls, # our `UNet`
                           source, # folder or hub name of a UNet2DModel, or the model itself
                           predicts: str="eps", # what it was trained to predict: "eps", "x0" or "v"
                           num_classes=None, # labels, where the last row of theirs is "no label"
                           **kwargs): # for UNet2DModel.from_pretrained: subfolder, revision, ...
    "The same network as a diffusers UNet2DModel, with its weights, in evaluation mode."
    if isinstance(source, (str, Path)):
        source = from_extra("diffusers").UNet2DModel.from_pretrained(source, **kwargs)
    if not isinstance(source, torch.nn.Module) or not hasattr(source, "config"):
        whole_config(getattr(source, "config", {"_class_name": type(source).__name__}))
        raise TypeError(f"source={described(source)}; expected a UNet2DModel, its folder or its "
                        "name on the hub; of a pipeline, pass its .unet")
    config = config_from_diffusers(source.config)
    rows = config["num_classes"]
    if num_classes is not None: config["num_classes"] = check_rows_of(num_classes, rows)
    model = cls(**config, predicts=predicts).to(source.dtype)
    model.load_state_dict(weights_from_diffusers(source.state_dict(), model))
    if rows is not None and rows == config["num_classes"]:
        model.label_drop = 0.0 # "no label" was never trained
    return model.eval()


def check_rows_of(num_classes, rows): # rows of a UNet2DModel's class embedding, or None
    "num_classes, if an embedding of so many rows has them, and at most \"no label\" besides."
    if rows in (num_classes, num_classes + 1): return num_classes
    raise ValueError(f"num_classes={num_classes}: got a UNet2DModel with num_class_embeds={rows}; "
                     f"expected {num_classes}, or {num_classes + 1} with a row for \"no label\"")


# ---- the other way ----

def config_to_diffusers(config): # `UNet.config`
    "The configuration of a UNet2DModel that is the same network; ValueError where there is none."
    o = Options.of(config)
    ends = {"Down": "resnet" if o.halve == "residual" else "conv",
            "Up": "resnet" if o.double == "residual" else "conv"}
    blocks = {path: [f"Attn{path}Block2D" if attends else f"Resnet{path}sampleBlock2D"
                     if end == "resnet" else f"{path}Block2D" for attends in config["attention"]]
              for path, end in ends.items()}
    groups = config["groups"] if o.scale_shift and o.mid_groups is None else o.mid_groups
    theirs = {theirs: config[ours] for theirs, ours in NAMES.items()} | {
        "block_out_channels": list(config["channels"]), "dropout": config["dropout"],
        "out_channels": config["in_channels"] * (1 + config["learn_variance"]),
        "down_block_types": blocks["Down"], "up_block_types": blocks["Up"][::-1],
        "downsample_type": ends["Down"], "upsample_type": ends["Up"],
        "resnet_time_scale_shift": "scale_shift" if o.scale_shift else "default",
        "add_attention": o.mid_attention, "attn_norm_num_groups": groups or None,
        "num_class_embeds": config["num_classes"]}
    refuse_lost(config, config_from_diffusers(theirs), "UNet2DModel")
    return theirs


ELSEWHERE = {"predicts"} # arguments that the scheduler holds in diffusers


def refuse_lost(config, back, name): # ours; ours after a way there and back; of their class
    "ValueError that names the arguments for which a class of diffusers has no place."
    plain = lambda value: list(value) if isinstance(value, tuple) else value
    lost = [f"{key}={value!r}" for key, value in config.items()
            if key not in ELSEWHERE and plain(value) != plain(back.get(key))]
    if lost:
        raise ValueError(f"diffusers' {name} has no place for {', '.join(lost)}; export a network "
                         "without, or use this one with load_model and the samplers of the course")


def network_to_diffusers(model, # `UNet`
                         size=None): # of its images, (H, W)
    "The same network as a UNet2DModel of diffusers, with its weights, in evaluation mode."
    theirs = config_to_diffusers(model.config)
    if theirs["num_class_embeds"] is not None: # a "no label" that was never trained stays here
        theirs["num_class_embeds"] += getattr(model, "label_drop", None) != 0
    net = from_extra("diffusers").UNet2DModel(**theirs, sample_size=size).to(model.conv_in.weight)
    net.load_state_dict(taken_apart(model.state_dict(), net.state_dict(), place_in(model)))
    return net.eval()
