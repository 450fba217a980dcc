"The configuration and weights of diffusers' DiTTransformer2DModel under our names."

from pathlib import Path

import torch

from .interop import from_extra
from .kinds import described

DIT_FIXED = { # what a DiTTransformer2DModel must have, if it says anything about it
    "dropout": 0.0, "attention_bias": True, "activation_fn": "gelu-approximate",
    "upcast_attention": False, "norm_type": "ada_norm_zero", "norm_elementwise_affine": False}
EMBEDDER = "transformer_blocks.{}.norm1.emb."
DIT_NAMES = {"pos_embed.proj": "patch_in", "proj_out_1": "ada_out", "proj_out_2": "patch_out",
         EMBEDDER.format(0) + "timestep_embedder.linear_1": "embed.lin1",
         EMBEDDER.format(0) + "timestep_embedder.linear_2": "embed.lin2",
         EMBEDDER.format(0) + "class_embedder.embedding_table": "embed.label"}
IN_BLOCK = {"norm1.linear": "ada", "attn1.to_out.0": "proj", "ff.net.0.proj": "lin1",
            "ff.net.2": "lin2"}


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
    heads = c["num_attention_heads"]
    return {"in_channels": C, "patch": c["patch_size"], "heads": heads, "depth": c["num_layers"],
            "width": heads * c["attention_head_dim"], "num_classes": c["num_embeds_ada_norm"],
            "learn_variance": c.get("out_channels") == 2 * C, "freq_shift": 1,
            "norm_eps": 1e-6, "mlp_norm_eps": c["norm_eps"]} # diffusers fixes the other norms


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


def dit_weights_from_diffusers(theirs, config): # a state dict; our arguments
    "diffusers' weights under our names: q, k and v joined, squares as patchify lays them out."
    names = DIT_NAMES | {f"transformer_blocks.{i}.{block}": f"blocks.{i}.{ours}"
                     for i in range(config["depth"]) for block, ours in IN_BLOCK.items()}
    kinds = ("weight", "bias")
    ours = {f"{new}.{kind}": theirs[f"{old}.{kind}"] for old, new in names.items()
            for kind in kinds if f"{old}.{kind}" in theirs}
    for i in range(config["depth"]):
        for kind in kinds:
            parts = [theirs[f"transformer_blocks.{i}.attn1.to_{part}.{kind}"] for part in "qkv"]
            ours[f"blocks.{i}.qkv.{kind}"] = torch.cat(parts)
    p = config["patch"]
    ours["patch_in.weight"] = ours["patch_in.weight"].flatten(1) # (D, C, p, p)
    for kind in kinds: # their last dimension is the channel, ours the first
        out = ours[f"patch_out.{kind}"].unflatten(0, (p, p, -1))
        ours[f"patch_out.{kind}"] = out.movedim(2, 0).flatten(0, 2)
    return ours


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
