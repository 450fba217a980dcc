"What a `DiT` accepts: the arguments that it is built from, and the inputs that it is called with."

import torch

from .images import check_images
from .noising import PREDICTS

DIT_COUNTS = ("in_channels", "patch", "width", "depth", "heads")


def check_dit(given): # what `DiT.__init__` knows by name: its arguments, and itself
    "The arguments by name, or a ValueError where they contradict one another."
    c = {name: value for name, value in given.items() if name not in ("self", "__class__")}
    for name in DIT_COUNTS:
        if not isinstance(c[name], int) or c[name] < 1:
            raise ValueError(f"{name}={c[name]!r}; expected a whole number, 1 or more")
    if c["width"] % c["heads"]:
        raise ValueError(f"width={c['width']} does not divide into heads={c['heads']}")
    if c["width"] % 4:
        raise ValueError(f"width={c['width']}; expected a multiple of 4: sines and cosines of "
                         "row and column")
    if c["predicts"] not in PREDICTS:
        raise ValueError(f"predicts={c['predicts']!r}; expected one of {', '.join(PREDICTS)}")
    return c


def check_dit_inputs(x, t, y, config):
    "TypeError or ValueError where inputs don't fit the network."
    C, H, W = check_images(x, "x_t").shape[1:]
    p = config["patch"]
    if C != config["in_channels"]:
        raise ValueError(f"x_t: got {C} channels; this network has {config['in_channels']}")
    if H % p or W % p:
        raise ValueError(f"x_t: got {H}x{W} pixels; this network cuts them into squares of "
                         f"{p}x{p}: expected multiples of {p}")
    if not isinstance(t, torch.Tensor) or t.shape != (len(x),):
        given = f"shape {tuple(t.shape)}" if isinstance(t, torch.Tensor) else repr(t)
        raise ValueError(f"t: got {given}; expected a tensor of one time an image, ({len(x)},)")
    if y is not None and config["num_classes"] is None: # labels are checked where they are embedded
        raise ValueError("this model has no classes (num_classes is None) and got labels; "
                         "call it without y")
