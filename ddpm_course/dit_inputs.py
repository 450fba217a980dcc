"What a `DiT` accepts: the arguments that it is built from, and the inputs that it is called with."

from .images import check_images
from .kinds import count, flag, number, one_of, optional, tensor, whole
from .noising import PREDICTS
from .unet_inputs import check_times_and_labels

DIT_ARGUMENTS = dict.fromkeys(("in_channels", "patch", "width", "heads"), whole(1, 2**15)) | {
    "depth": whole(1, 256), "num_classes": optional(whole(1, 2**24)),
    "predicts": one_of(*PREDICTS), "learn_variance": flag, "freq_shift": whole(0, 99),
    "norm_eps": number(1e-12, 1), "mlp_norm_eps": number(1e-12, 1)}


def check_dit(given): # what `DiT.__init__` knows by name: its arguments, and itself
    "The arguments by name; TypeError or ValueError where they are none, or contradict one another."
    c = {name: kind(given[name], name) for name, kind in DIT_ARGUMENTS.items()}
    if c["width"] % c["heads"]:
        raise ValueError(f"width={c['width']} does not divide into heads={c['heads']}; choose "
                         "another width or number of heads")
    if c["width"] % 4:
        raise ValueError(f"width={c['width']}; expected a multiple of 4: sines and cosines of "
                         "row and column")
    return c


def check_squares(x, patch, name="x"): # images (B, C, H, W); side of a square
    "TypeError or ValueError unless images can be cut into squares."
    H, W = check_images(x, name).shape[2:]
    p = count(patch, "patch")
    if H % p or W % p:
        raise ValueError(f"{name}: got {H}x{W} pixels, to be cut into squares of {p}x{p}; "
                         f"expected multiples of {p}")


def check_joined(tokens, patch, height): # tokens (B, N, D); side of a square, of the image
    "TypeError or ValueError unless these tokens are squares of an image so high."
    N, D = tensor("(B, N, D)")(tokens, "tokens").shape[1:]
    p = count(patch, "patch")
    rows, rest = divmod(count(height, "height"), p)
    if rest or not rows or N % rows or D % p**2:
        raise ValueError(f"tokens: got {N} of width {D} for squares of patch={p} and an image of "
                         f"height={height}; expected rows of squares, of {p * p} numbers a channel")


def check_dit_inputs(x, t, y, config):
    "TypeError or ValueError where inputs don't fit the network."
    C = check_images(x, "x_t").shape[1]
    if C != config["in_channels"]:
        raise ValueError(f"x_t: got {C} channels; this network has {config['in_channels']}")
    check_squares(x, config["patch"], "x_t")
    check_times_and_labels(x, t, y, config)
