"What a `UNet` accepts: the arguments that it is built from, and the inputs that it is called with."

import torch

from .images import check_images
from .kinds import flag, listed, number, one_of, optional, whole

A_WIDTH = whole(1, 2**15)
SOME_WIDTHS = listed(A_WIDTH, 1, "a list of widths")
ARGUMENTS = { # of networks made of levels, of which a name means the same in all
    "in_channels": A_WIDTH, "channels": SOME_WIDTHS, "layers": whole(1, 64),
    "attention": listed(flag, what="a list of True and False"),
    "num_classes": optional(whole(1, 2**24)), "predicts": one_of("eps", "x0", "v"),
    "learn_variance": flag, "dropout": number(0, below=1), "groups": A_WIDTH,
    "head_dim": optional(A_WIDTH), "norm_eps": number(1e-12, 0.1),
    "downsample_padding": whole(0, 1), "flip_sin_to_cos": flag, "freq_shift": whole(0, 99),
    "latent_channels": A_WIDTH}


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
    c = {name: value for name, value in given.items() if name not in ("self", "__class__")}
    c = check_arguments(c)
    channels = c["channels"]
    groups = c["groups"]
    head_dim = c["head_dim"]
    if len(c["attention"]) != len(channels):
        raise ValueError(f"attention={c['attention']}; expected one flag for each of the "
                         f"{len(channels)} levels")
    if bad := [n for n in channels if n % groups or n % (head_dim or 1) or n % 2]:
        raise ValueError(f"channels={channels}: {bad[0]} is odd, or does not divide into {groups} "
                         f"groups or heads of {head_dim or bad[0]}; choose other widths or groups")
    if channels[0] // 2 <= c["freq_shift"]:
        raise ValueError(f"channels={channels}: {channels[0]} are too few to embed the time in; "
                         f"choose at least {2 * c['freq_shift'] + 2} at first")
    return c


def check_vae(c): # {name: value} of the arguments of a `VAE`
    "The same for an autoencoder."
    rule = "expected whole numbers above 0, and channels that are multiples of groups"
    try: c = check_arguments(c)
    except (TypeError, ValueError) as e: raise type(e)(f"VAE: {e}; {rule}") from None
    if all(width % c["groups"] == 0 for width in c["channels"]): return c
    raise ValueError(f"VAE of {c}; {rule}")


def check_inputs(x, t, y, config):
    "TypeError or ValueError where inputs are not what the network was built for."
    channels = config["in_channels"]
    halvings = len(config["channels"]) - 1
    got = check_images(x, "x_t").shape
    if got[1] != channels:
        raise ValueError(f"x_t: got {got[1]} channels; this network has {channels}")
    if got[-2] % 2**halvings or got[-1] % 2**halvings:
        raise ValueError(f"x_t: got {got[-2]}x{got[-1]} pixels; this network halves them "
                         f"{halvings} times: expected multiples of {2**halvings}")
    if not isinstance(t, torch.Tensor) or t.shape != (len(x),):
        given = f"shape {tuple(t.shape)}" if isinstance(t, torch.Tensor) else repr(t)
        raise ValueError(f"t: got {given}; expected a tensor of one time an image, ({len(x)},)")
    if y is not None and config["num_classes"] is None: # labels are checked where they are embedded
        raise ValueError("this model has no classes (num_classes is None) and got labels; "
                         "call it without y")
