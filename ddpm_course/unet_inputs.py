"What a `UNet` accepts: the arguments that it is built from, and the inputs that it is called with."

import torch

from .images import check_images
from .noising import PREDICTS


def check_config(given): # what `UNet.__init__` knows by name: its arguments, and itself
    "The arguments by name, or a ValueError where they contradict one another."
    c = {name: value for name, value in given.items() if name not in ("self", "__class__")}
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
    if c["predicts"] not in PREDICTS:
        raise ValueError(f"predicts={c['predicts']!r}; expected one of {', '.join(PREDICTS)}")
    return c


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
