"What a `UNet` may have beyond DDPM's: the options of ADM and of DDPM++, text, other resolutions."

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Options:
    "Arguments of `UNet`; the defaults are DDPM's network, and only others stand in its `config`."
    base: int | None = None # channels of conv_in and of the waves of t; None: channels[0]
    scale_shift: bool = False # the embedding scales and shifts the second norm (ADM), not added
    halve: str = "conv" # what ends a level on the way down: "conv", or "residual" (BigGAN, ADM)
    double: str = "conv" # what ends a level on the way up: likewise
    resample_conv: bool = False # residual halving and doubling have a 1x1 convolution as skip
    skip_scale: float = 1.0 # factor of every sum with a skip: 0.5**0.5 in DDPM++
    up_attention: str = "all" # blocks of a level on the way up that attend: "all", or the "last"
    mid_attention: bool = True # attention in the middle
    mid_groups: int | None = None # groups of its norm: None as elsewhere, 0 no norm at all
    linear_embedding: bool = False # labels enter by a linear layer, before those of the time
    augment: int = 0 # how many numbers tell of an augmentation; needs linear_embedding
    cross_attention: int | None = None # width D of tokens (B, L, D) to attend to, as `context`
    cross_resolution: bool = False # on the way up, levels that attend also ask the middle's pixels

    def __post_init__(self):
        if self.augment and not self.linear_embedding:
            raise ValueError(f"augment={self.augment} needs linear_embedding=True")

    @classmethod
    def of(cls, config): # arguments of `UNet` by name
        "The options among the arguments."
        return cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})

    def unusual(self):
        "{name: value} of the options that are not DDPM's."
        return {f.name: getattr(self, f.name) for f in fields(self)
                if getattr(self, f.name) != f.default}


ADM = dict( # Dhariwal & Nichol 2021, section 3; widths, layers and attention are each data set's
    scale_shift=True, halve="residual", double="residual", head_dim=64, norm_eps=1e-5)

DDPMPP = dict( # Song et al. 2021 as Karras et al. 2022 have it (table 7), for 32x32
    base=128, channels=(256, 256, 256), layers=4, attention=(False, True, False), dropout=0.13,
    halve="residual", double="residual", resample_conv=True, skip_scale=0.5**0.5,
    up_attention="last", linear_embedding=True)


def options_given(more): # arguments of `UNet` that are not DDPM's
    "The `Options`; TypeError that names them where one is unknown."
    try: return Options(**more)
    except TypeError:
        known = [f.name for f in fields(Options)]
        unknown = ", ".join(sorted(more.keys() - known))
        raise TypeError(f"UNet has no argument {unknown}; beyond DDPM's it has "
                        f"{', '.join(known)}") from None
