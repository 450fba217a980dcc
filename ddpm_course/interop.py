"The configuration and weights of diffusers' UNet2DModel under our names."

import torch
from torch import nn


def config_from_diffusers(config): # the config of a UNet2DModel
    "The arguments of `UNet` that build the same network; ValueError where there is no such network."
    c = dict(config)
    fixed = dict(act_fn="silu", center_input_sample=False, time_embedding_type="positional", time_embedding_dim=None, downsample_type="conv",
                 upsample_type="conv", mid_block_type="UNetMidBlock2D", mid_block_scale_factor=1, resnet_time_scale_shift="default",
                 class_embed_type=None, num_class_embeds=None, attn_norm_num_groups=None, add_attention=True)
    odd = {name: c[name] for name, value in fixed.items() if c.get(name, value) != value}
    if c["out_channels"] not in (c["in_channels"], 2 * c["in_channels"]): odd["out_channels"] = c["out_channels"]
    down, up = c["down_block_types"], c["up_block_types"]
    if odd or set(down) - {"DownBlock2D", "AttnDownBlock2D"} or [b.replace("Up", "Down") for b in up[::-1]] != list(down):
        raise ValueError(f"this UNet2DModel has {odd or (down, up)}; UNet can only be DDPM's: DownBlock2D or AttnDownBlock2D, mirrored on the way up")
    return dict(in_channels=c["in_channels"], channels=tuple(c["block_out_channels"]), layers=c["layers_per_block"],
                attention=tuple(b == "AttnDownBlock2D" for b in down), learn_variance=c["out_channels"] == 2 * c["in_channels"],
                dropout=c.get("dropout", 0.0), groups=c["norm_num_groups"], head_dim=c["attention_head_dim"], norm_eps=c["norm_eps"],
                downsample_padding=c["downsample_padding"], flip_sin_to_cos=c["flip_sin_to_cos"], freq_shift=c["freq_shift"])


RENAMED = {"time_embedding.linear_1": "embed.lin1", "time_embedding.linear_2": "embed.lin2", "conv_norm_out": "norm_out",
           "time_emb_proj": "emb", "conv_shortcut": "skip", "group_norm": "norm", "to_out.0": "proj"}


def weights_from_diffusers(theirs, # state dict of a UNet2DModel
                           model): # the `UNet` that will load them
    "diffusers' weights under our names: levels flattened to one list a path; q, k and v joined, as 1x1 convolutions."
    prefix = {"mid_block.resnets.0.": "mid.0.", "mid_block.attentions.0.": "mid.1.", "mid_block.resnets.1.": "mid.2."}
    for path in ("down", "up"):
        level = layer = 0
        for i, block in enumerate(getattr(model, path)): # "down_blocks.1.resnets.0." -> "down.3.0."
            if isinstance(block, nn.Sequential):
                for j, name in enumerate(("resnets", "attentions")): prefix[f"{path}_blocks.{level}.{name}.{layer}."] = f"{path}.{i}.{j}."
                layer += 1
            else:
                prefix[f"{path}_blocks.{level}.{path}samplers.0."] = f"{path}.{i}."
                level, layer = level + 1, 0
    ours = {}
    for name, weight in theirs.items():
        for old, new in prefix.items(): name = new + name.removeprefix(old) if name.startswith(old) else name
        for old, new in RENAMED.items(): name = name.replace(old, new)
        ours[name] = weight
    for q in [name for name in ours if ".to_q." in name]:
        ours[q.replace("to_q", "qkv")] = torch.cat([ours.pop(q.replace("to_q", f"to_{part}")) for part in "qkv"])
    return {name: w[:, :, None, None] if w.ndim == 2 and (".qkv." in name or ".proj." in name) else w for name, w in ours.items()}
