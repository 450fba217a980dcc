"A `DiT` as diffusers' DiTTransformer2DModel, and back: one table of names for both directions."

import re
from pathlib import Path

import torch

from .interop import from_extra, put_together, refuse_lost, taken_apart
from .kinds import described

DIT_FIXED = { # what a DiTTransformer2DModel must have, if it says anything about it
    "dropout": 0.0, "attention_bias": True, "activation_fn": "gelu-approximate",
    "upcast_attention": False, "norm_type": "ada_norm_zero", "norm_elementwise_affine": False}
EMBEDDER = "transformer_blocks.{}.norm1.emb."
DIT_NAMES = {"pos_embed.proj": "patch_in", "proj_out_1": "ada_out", "proj_out_2": "patch_out",
         EMBEDDER.format(0) + "timestep_embedder.linear_1": "embed.lin1",
         EMBEDDER.format(0) + "timestep_embedder.linear_2": "embed.lin2",
         EMBEDDER.format(0) + "class_embedder.embedding_table": "embed.label"}
IN_BLOCK = {"norm1.linear": "ada", "attn1.to_q": "qkv", "attn1.to_k": "qkv", "attn1.to_v": "qkv",
            "attn1.to_out.0": "proj", "ff.net.0.proj": "lin1", "ff.net.2": "lin2"}
DIT_SAME = {"in_channels": "in_channels", "patch_size": "patch", "num_attention_heads": "heads",
            "num_layers": "depth", "num_embeds_ada_norm": "num_classes", "norm_eps": "mlp_norm_eps"}
DIT_OURS = {"freq_shift": 1, "norm_eps": 1e-6} # what diffusers fixes


def dit_config_from_diffusers(config): # the config of a DiTTransformer2DModel
    "The arguments of `DiT` that build the same network; ValueError where there is none."
    c = dict(config)
    odd = {name: c[name] for name, value in DIT_FIXED.items() if c.get(name, value) != value}
    C = c["in_channels"]
    if c.get("out_channels") not in (None, C, 2 * C): odd["out_channels"] = c["out_channels"]
    if odd:
        told = ", ".join(f"{name}={value!r}" for name, value in odd.items())
        raise ValueError(f"this DiTTransformer2DModel has {told}; DiT can only be Peebles & Xie's: "
                         "adaLN-Zero, norms without weights, biases in attention, an approximate "
                         "GELU, no dropout, C or 2C channels out")
    width = c["num_attention_heads"] * c["attention_head_dim"]
    return {ours: c[theirs] for theirs, ours in DIT_SAME.items()} | DIT_OURS | {
        "width": width, "learn_variance": c.get("out_channels") == 2 * C}


def check_tied(theirs, depth): # a state dict; blocks
    "ValueError unless all blocks embed time and label with the same weights, as DiT does."
    first = EMBEDDER.format(0)
    for name in [name for name in theirs if name.startswith(first)]:
        for i in range(1, depth):
            other = EMBEDDER.format(i) + name.removeprefix(first)
            if not torch.equal(theirs[name], theirs[other]):
                raise ValueError(f"{other} is not {name}: this DiTTransformer2DModel embeds time "
                                 "and label in each block with other weights, as after training "
                                 "it in diffusers; DiT has one embedding for all blocks")


def dit_place(name): # in the state dict of a DiTTransformer2DModel
    "Our name of a weight; all blocks' embeddings are one."
    name = re.sub(EMBEDDER.format(r"\d+"), EMBEDDER.format(0), name)
    module, kind = name.rsplit(".", 1)
    if module in DIT_NAMES: return f"{DIT_NAMES[module]}.{kind}"
    block, rest = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", module).groups()
    return f"blocks.{block}.{IN_BLOCK[rest]}.{kind}"


def channels_turned(state, patch, back=False): # state dict under our names; side of a square
    "The weights of patch_out with the channel first, as `unpatchify` reads them; or back, last."
    sides, move = ((-1, patch, patch), (0, 2)) if back else ((patch, patch, -1), (2, 0))
    turn = lambda w: w.unflatten(0, sides).movedim(*move).flatten(0, 2)
    return {name: turn(w) if name.startswith("patch_out.") else w for name, w in state.items()}


def dit_weights_from_diffusers(theirs, config): # a state dict; our arguments
    "diffusers' weights under our names: q, k and v joined, squares as patchify lays them out."
    ours = channels_turned(put_together(theirs, dit_place), config["patch"])
    return ours | {"patch_in.weight": ours["patch_in.weight"].flatten(1)} # (D, C, p, p)


def dit_from_diffusers(cls, # our `DiT`
                       source, # folder or hub name of a DiTTransformer2DModel, or the model itself
                       predicts: str="eps", # what it was trained to predict: "eps", "x0" or "v"
                       **kwargs): # for DiTTransformer2DModel.from_pretrained: subfolder, ...
    "The same network as a diffusers DiTTransformer2DModel, with its weights, in evaluation mode."
    if isinstance(source, (str, Path)):
        source = from_extra("diffusers").DiTTransformer2DModel.from_pretrained(source, **kwargs)
    elif "num_embeds_ada_norm" not in getattr(source, "config", {}):
        raise TypeError(f"source={described(source)}; expected a DiTTransformer2DModel, its folder "
                        "or its name on the hub; of a pipeline, pass its .transformer")
    config = dit_config_from_diffusers(source.config)
    theirs = source.state_dict()
    check_tied(theirs, config["depth"])
    model = cls(**config, predicts=predicts).to(source.dtype)
    model.load_state_dict(dit_weights_from_diffusers(theirs, config))
    model.label_drop = 0.1 # diffusers drops one label in ten in training
    return model.eval()


# ---- the other way ----

def dit_config_to_diffusers(config): # `DiT.config`
    "The configuration of a DiTTransformer2DModel that is the same; ValueError where there is none."
    theirs = {theirs: config[ours] for theirs, ours in DIT_SAME.items()} | DIT_FIXED | {
        "attention_head_dim": config["width"] // config["heads"],
        "out_channels": config["in_channels"] * (1 + config["learn_variance"])}
    refuse_lost(config, dit_config_from_diffusers(theirs), "DiTTransformer2DModel")
    if config["num_classes"] is None:
        raise ValueError("num_classes=None: diffusers' DiTTransformer2DModel always embeds a "
                         "label; export a DiT with classes")
    return theirs


def dit_to_diffusers(model, # `DiT`
                     size): # of its images or latents, (H, W)
    "The same network as a DiTTransformer2DModel of diffusers, in evaluation mode."
    theirs = dit_config_to_diffusers(model.config)
    if size is None or size[0] != size[1]:
        raise ValueError(f"size={size}: a DiTTransformer2DModel takes squares of one size; "
                         "expected the side of a square, (H, H)")
    net = from_extra("diffusers").DiTTransformer2DModel(**theirs, sample_size=size[0])
    ours = channels_turned(model.state_dict(), model.config["patch"], back=True)
    net.to(model.patch_in.weight).load_state_dict(taken_apart(ours, net.state_dict(), dit_place))
    return net.eval()
