"What a `UNet` accepts: the arguments that it is built from, and the inputs that it is called with."

import torch

from .images import check_images
from .kinds import flag, listed, number, one_of, optional, whole
from .unet_blocks import Context
from .unet_options import Options, options_given

A_WIDTH = whole(1, 2**15)
SOME_WIDTHS = listed(A_WIDTH, 1, "a list of widths")
ARGUMENTS = { # of networks made of levels, of which a name means the same in all
    "in_channels": A_WIDTH, "channels": SOME_WIDTHS, "layers": whole(1, 64),
    "attention": listed(flag, what="a list of True and False"),
    "num_classes": optional(whole(1, 2**24)), "predicts": one_of("eps", "x0", "v"),
    "learn_variance": flag, "dropout": number(0, below=1), "groups": A_WIDTH,
    "head_dim": optional(A_WIDTH), "norm_eps": number(1e-12, 0.1),
    "downsample_padding": whole(0, 1), "flip_sin_to_cos": flag, "freq_shift": whole(0, 99),
    "latent_channels": A_WIDTH,
    # of `unet_options.Options`
    "base": optional(A_WIDTH), "scale_shift": flag, "halve": one_of("conv", "residual"),
    "double": one_of("conv", "residual"), "resample_conv": flag,
    "skip_scale": number(above=0), "up_attention": one_of("all", "last"),
    "mid_attention": flag, "mid_groups": optional(whole(0, 2**15)), "linear_embedding": flag,
    "augment": whole(0, 2**15), "cross_attention": optional(A_WIDTH), "cross_resolution": flag}


def check_arguments(c): # {name: value}
    "The same with NumPy's numbers as Python's; TypeError or ValueError where one cannot be."
    found = {name: ARGUMENTS[name](value, name) for name, value in c.items()}
    for name, value in c.items(): # a tuple stays one
        if isinstance(value, tuple): found[name] = tuple(found[name])
    levels = len(c["channels"])
    if levels > 10 or levels * c["layers"] > 256: # one that takes seconds to build is none
        raise ValueError(f"channels: got {levels} levels of layers={c['layers']}; expected at most "
                         "10 levels, and 256 layers in all of them")
    return found


def check_config(given): # what `UNet.__init__` knows by name: its arguments, and itself
    "The arguments by name, or an error where they are none, or contradict one another."
    c = {name: value for name, value in given.items() if name not in ("self", "__class__", "more")}
    c = check_arguments(c | options_given(given["more"]).unusual())
    o = Options.of(c)
    channels = c["channels"]
    groups = c["groups"]
    head_dim = c["head_dim"]
    if len(c["attention"]) != len(channels):
        raise ValueError(f"attention={c['attention']}; expected one flag for each of the "
                         f"{len(channels)} levels")
    attends = [*c["attention"][:-1], c["attention"][-1] or o.mid_attention]
    if bad := [n for n, heads in zip(channels, attends)
               if n % groups or n % 2 or heads and n % (head_dim or 1)]:
        raise ValueError(f"channels={channels}: {bad[0]} is odd, or does not divide into {groups} "
                         f"groups or heads of {head_dim or bad[0]}; choose other widths or groups")
    if o.cross_attention is not None and not any(attends):
        raise ValueError(f"cross_attention={o.cross_attention}: no level attends, so nothing would "
                         "look at the tokens; choose attention at a level, or in the middle")
    check_base(o.base, channels, groups, c["freq_shift"])
    return c


def check_base(base, channels, groups, freq_shift):
    "ValueError unless the first width divides into groups and can hold the waves of a time."
    if base is not None and (base % groups or base % 2):
        raise ValueError(f"base={base} is odd, or does not divide into {groups} groups")
    if (base or channels[0]) // 2 <= freq_shift:
        raise ValueError(f"channels={channels}: {base or channels[0]} are too few to embed the "
                         f"time in; choose at least {2 * freq_shift + 2} at first")


def check_waves(dim, freq_shift):
    "The width of an embedding; ValueError unless it has sines and cosines that can be spaced."
    if dim % 2 == 0 and dim // 2 > freq_shift: return dim
    raise ValueError(f"dim={dim}; expected an even number above {2 * freq_shift}")


def check_vae(c): # {name: value} of the arguments of a `VAE`
    "The same for an autoencoder."
    rule = "expected whole numbers above 0, and channels that are multiples of groups"
    try: c = check_arguments(c)
    except (TypeError, ValueError) as e: raise type(e)(f"VAE: {e}; {rule}") from None
    if all(width % c["groups"] == 0 for width in c["channels"]): return c
    raise ValueError(f"VAE of {c}; {rule}")


def check_times_and_labels(x, t, y, config):
    "ValueError unless there is a time for each image, and no label for a network without classes."
    if not isinstance(t, torch.Tensor) or t.shape != (len(x),):
        given = f"shape {tuple(t.shape)}" if isinstance(t, torch.Tensor) else repr(t)
        raise ValueError(f"t: got {given}; expected a tensor of one time an image, ({len(x)},)")
    if y is not None and config["num_classes"] is None: # labels are checked where they are embedded
        raise ValueError("this model has no classes (num_classes is None) and got labels; "
                         "call it without y")


def check_inputs(x, t, y, context, config, augment=None):
    "The `Context` for layers; TypeError or ValueError where inputs don't fit the network."
    channels = config["in_channels"]
    halvings = len(config["channels"]) - 1
    got = check_images(x, "x_t").shape
    if got[1] != channels:
        raise ValueError(f"x_t: got {got[1]} channels; this network has {channels}")
    if got[-2] % 2**halvings or got[-1] % 2**halvings:
        raise ValueError(f"x_t: got {got[-2]}x{got[-1]} pixels; this network halves them "
                         f"{halvings} times: expected multiples of {2**halvings}")
    check_times_and_labels(x, t, y, config)
    A = config.get("augment", 0)
    if augment is not None and augment.shape != (len(x), A):
        raise ValueError(f"augment: got shape {tuple(augment.shape)}; expected ({len(x)}, {A}), "
                         "or None for a network that is told of no augmentation (augment=0)")
    return told(context, config, len(x))


def told(context, # tokens (B, L, D), or a pair of them and of a mask bool (B, L); or None
         config, batch): # of the `UNet`; images
    "The `Context` of layers; TypeError or ValueError where it is not what the network attends to."
    D = config.get("cross_attention")
    if context is None and D is None: return Context()
    if D is None:
        raise ValueError("this network attends to no tokens (cross_attention is None) and got "
                         "context; call it without")
    if context is None:
        raise ValueError(f"this network attends to tokens and got none; pass context (B, L, {D})")
    tokens, mask = context if isinstance(context, (tuple, list)) else (context, None)
    check_tokens(tokens, batch, D)
    if mask is not None: check_mask(mask, tokens.shape[:2])
    return Context(tokens, mask)


def check_tokens(tokens, batch, D):
    "TypeError or ValueError unless tokens are floats (batch, L, D), L at least 1."
    if not isinstance(tokens, torch.Tensor) or not tokens.is_floating_point():
        got = getattr(tokens, "dtype", type(tokens).__name__)
        raise TypeError(f"context: got {got}; expected float tokens ({batch}, L, {D})")
    if tokens.ndim != 3 or tokens.shape[::2] != (batch, D) or tokens.shape[1] == 0:
        raise ValueError(f"context: got shape {tuple(tokens.shape)}; "
                         f"expected tokens ({batch}, L, {D})")


def check_mask(mask, shape):
    "TypeError or ValueError unless the mask is bool (B, L) and leaves each image a token."
    if getattr(mask, "dtype", None) != torch.bool:
        got = getattr(mask, "dtype", type(mask).__name__)
        raise TypeError(f"mask: got {got}; expected bool, True at words and False at padding")
    if mask.shape != shape:
        raise ValueError(f"mask: got shape {tuple(mask.shape)}; expected {tuple(shape)}")
    if mask.device.type == "cpu" and not mask.any(1).all(): # on a GPU, looking would wait for it
        raise ValueError(f"mask: no token is left for image {(~mask.any(1)).nonzero()[0].item()}; "
                         "begin each text with a token that is always there")
