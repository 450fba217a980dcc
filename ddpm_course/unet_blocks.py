"Blocks of U-Nets beyond DDPM's: those of ADM and DDPM++, and attention to tokens or other levels."

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .convolution import Conv3x3
from .memory import recompute
from .models import check_labels
from .resampling import Downsample, Upsample
from .unet_options import Options


def _silent(layer):
    for p in layer.parameters(): nn.init.zeros_(p)
    return layer


class AdaptiveResBlock(nn.Module):
    """A residual block that may halve or double, and be scaled: (B, c_out, H', W').

    With `scale_shift` the embedding gives the second norm's scale and shift (Dhariwal & Nichol
    2021, eq. 4), else it is added before it. `resample` acts on the branch and on the skip.
    """
    def __init__(self, c_in, c_out, c_emb, config, resample=None):
        super().__init__()
        o = Options.of(config)
        self.skip_scale = o.skip_scale
        self.scale_shift = o.scale_shift
        self.resample = resample or nn.Identity()
        self.norm1 = nn.GroupNorm(config["groups"], c_in, config["norm_eps"])
        self.conv1 = Conv3x3(c_in, c_out)
        self.emb = nn.Linear(c_emb, c_out * (1 + o.scale_shift))
        self.norm2 = nn.GroupNorm(config["groups"], c_out, config["norm_eps"])
        self.dropout = nn.Dropout(config["dropout"])
        self.conv2 = _silent(Conv3x3(c_out, c_out))
        convolved = c_in != c_out or resample is not None and o.resample_conv
        self.skip = nn.Conv2d(c_in, c_out, 1) if convolved else nn.Identity()

    def forward(self, x, emb, context=None):
        h = recompute(lambda x: self.conv1(self.resample(F.silu(self.norm1(x)))), x)
        told = self.emb(emb)[:, :, None, None]
        if self.scale_shift:
            scale, shift = told.chunk(2, 1)
            norm = lambda h: self.norm2(h) * (1 + scale) + shift
        else:
            h += told
            norm = self.norm2
        second = lambda h: self.conv2(self.dropout(F.silu(norm(h))))
        h = recompute(second, h, random=self.dropout.p > 0)
        return scaled_sum(self.skip(self.resample(x)), h, self.skip_scale)


def scaled_sum(x, h, scale):
    "(x + h) scale; h is written to."
    h += x
    return h if scale == 1 else h.mul_(scale)


def as_heads(x, heads): # (B, N, C)
    "(B, heads, N, C/heads)."
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def as_tokens(x): # (B, C, H, W)
    "Pixels as tokens: (B, H*W, C)."
    return x.flatten(2).transpose(1, 2)


class SelfAttention(nn.Module):
    "Attention over pixels with another norm, or none, and a scaled sum: (B, C, H, W)."
    kernel = staticmethod(F.scaled_dot_product_attention)

    def __init__(self, channels, config, groups=None):
        super().__init__()
        self.heads = channels // (config["head_dim"] or channels)
        self.skip_scale = Options.of(config).skip_scale
        groups = config["groups"] if groups is None else groups
        self.norm = nn.GroupNorm(groups, channels, config["norm_eps"]) if groups else nn.Identity()
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = _silent(nn.Conv2d(channels, channels, 1))

    def forward(self, x, emb, context=None):
        qkv = as_tokens(recompute(lambda x: self.qkv(self.norm(x)), x)).chunk(3, -1)
        h = self.kernel(*(as_heads(part, self.heads) for part in qkv))
        h = h.transpose(1, 2).flatten(2).transpose(1, 2).reshape(x.shape)
        return scaled_sum(x, self.proj(h), self.skip_scale)


class Context(NamedTuple):
    "What layers may attend to beside their own pixels."
    tokens: torch.Tensor | None = None # (B, L, D)
    mask: torch.Tensor | None = None # bool (B, L), False at padding; None: there is none
    middle: torch.Tensor | None = None # output of the U-Net's middle, (B, C, h, w)


class CrossAttention(nn.Module):
    "Pixels ask tokens (B, L, D) of the context: (B, C, H, W) -> (B, C, H, W)."
    kernel = staticmethod(F.scaled_dot_product_attention)

    def __init__(self, channels, width, config):
        super().__init__()
        self.heads = channels // (config["head_dim"] or channels)
        self.skip_scale = Options.of(config).skip_scale
        self.norm = nn.GroupNorm(config["groups"], channels, config["norm_eps"])
        self.q = nn.Conv2d(channels, channels, 1)
        self.kv = nn.Linear(width, 2 * channels)
        self.proj = _silent(nn.Conv2d(channels, channels, 1))

    def told(self, context): return context.tokens, context.mask

    def forward(self, x, emb, context):
        tokens, mask = self.told(context)
        q = as_tokens(self.q(self.norm(x)))
        k, v = self.kv(tokens.to(self.kv.weight.dtype)).chunk(2, -1) # (B, L, C)
        mask = None if mask is None else mask[:, None, None] # the same for all heads and pixels
        h = self.kernel(*(as_heads(part, self.heads) for part in (q, k, v)), attn_mask=mask)
        h = h.transpose(1, 2).flatten(2).transpose(1, 2).reshape(x.shape)
        return scaled_sum(x, self.proj(h), self.skip_scale)


class CrossResolution(CrossAttention):
    "Pixels of one level ask those of the U-Net's middle, as their tokens."
    def told(self, context): return as_tokens(context.middle), None


class LinearEmbedding(nn.Module):
    """Time, class and augmentation as one vector (B, 4 * base) (Karras et al. 2022, DDPM++).

    A class is a vector of zeros with one entry of root(num_classes); "no label" is all zeros.
    """
    def __init__(self, base, num_classes, augment, waves):
        super().__init__()
        self.num_classes = num_classes
        self.waves = waves # (B,) -> (B, base)
        self.lin1 = nn.Linear(base, 4 * base)
        self.lin2 = nn.Linear(4 * base, 4 * base)
        self.label = None if num_classes is None else nn.Linear(num_classes, base)
        self.augment = nn.Linear(augment, base, bias=False) if augment else None

    def forward(self, t, y=None, augment=None):
        emb = self.waves(t).to(self.lin1.weight.dtype)
        if self.label is not None:
            K = self.num_classes
            rows = F.one_hot(check_labels(y, K, len(t)), K + 1)[:, :K] # the last is "no label"
            emb = emb + self.label(rows.to(emb.dtype) * K**0.5)
        if augment is not None: emb = emb + self.augment(augment.to(emb.dtype))
        return F.silu(self.lin2(F.silu(self.lin1(emb))))


class Parts(NamedTuple):
    "What a `UNet` is made of, and what makes its blocks."
    base: int # channels of conv_in
    embed: nn.Module # (t, y) -> (B, 4 * base)
    res: Callable # (c_in, c_out) -> residual block
    attend: Callable # level -> the layers after a residual block there, on the way down
    attend_up: Callable # (level, whether the block is its last) -> likewise, on the way up
    middle: Callable # c -> the layers in the middle
    halve: Callable # c -> block
    double: Callable # c -> block


def parts_of(config, # of the `UNet`
             ResBlock, Attention, Embedding, # DDPM's, of chapter 12
             waves): # its `timestep_embedding`
    "`Parts` that the options ask for: DDPM's own blocks where they are as in DDPM."
    o = Options.of(config)
    base = o.base or config["channels"][0]
    norm = (config["groups"], config["norm_eps"])
    adaptive = partial(AdaptiveResBlock, c_emb=4 * base, config=config)
    plain = lambda a, b: ResBlock(a, b, 4 * base, *norm, config["dropout"])
    own = lambda c: Attention(c, *norm, config["head_dim"])
    halve = lambda c: Downsample(c, config["downsample_padding"])
    if o.halve == "residual": halve = lambda c: adaptive(c, c, resample=nn.AvgPool2d(2))
    double = Upsample
    if o.double == "residual":
        double = lambda c: adaptive(c, c, resample=nn.Upsample(scale_factor=2.0))
    return Parts(base, embedding_of(config, base, Embedding, waves),
                 adaptive if o.scale_shift or o.skip_scale != 1 else plain,
                 *attention_of(config, own), halve, double)


def attention_of(config, own): # of the `UNet`; c -> DDPM's attention
    "`attend`, `attend_up` and `middle` of the `Parts`."
    o = Options.of(config)
    last = config["channels"][-1]
    other = partial(SelfAttention, config=config)
    if o.skip_scale != 1: own = other
    middle = own if o.mid_groups is None else partial(other, groups=o.mid_groups)
    def told(c):
        width = o.cross_attention
        return [] if width is None else [CrossAttention(c, width, config)]
    def asked(c): return [CrossResolution(c, last, config)] if o.cross_resolution else []
    def attend(level, here=True, asked=lambda c: []):
        c = config["channels"][level] # the layers are made in any case, as in all that was trained
        return [own(c), *told(c), *asked(c)] * bool(config["attention"][level] and here)
    attend_up = lambda level, end: attend(level, end or o.up_attention == "all", asked)
    return attend, attend_up, lambda c: [*[middle(c)] * o.mid_attention, *told(c)]


def embedding_of(config, base, Embedding, waves):
    "The embedding of time and class that the options ask for."
    o = Options.of(config)
    how = {name: config[name] for name in ("flip_sin_to_cos", "freq_shift")}
    if not o.linear_embedding: return Embedding(base, config["num_classes"], **how)
    return LinearEmbedding(base, config["num_classes"], o.augment, partial(waves, dim=base, **how))
