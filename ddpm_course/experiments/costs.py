"What a plan costs before it is started: parameters, arithmetic, memory, and hours from a trial."

import time
from typing import NamedTuple

import torch

from ..flops import forward_flops
from .datasets import shape_of, training_images


class Cost(NamedTuple):
    "What one network takes."
    parameters: int
    gflop: float # of one image forward, a multiplication and an addition counted as two
    images: int # that training looks at
    bytes: int # of a step in float32: weights, average, gradients, moments, activations
    steps: int

    @property
    def training_gflop(self):
        "Of the whole training: a backward pass is counted as two forward ones."
        return 3 * self.gflop * self.images


def input_shape(plan):
    "(C, H, W) that the network of a plan looks at."
    C, H, W = shape_of(plan.data)
    if plan.latents is None: return C, H, W
    return plan.latents.channels, H // plan.latents.factor, W // plan.latents.factor


def on_meta(plan, n=1):
    "(network, its input, times, labels) on the device that holds no numbers."
    C, H, W = input_shape(plan)
    with torch.device("meta"):
        model = plan.network.build(in_channels=C)
        x = torch.empty(n, C, H, W)
        t = torch.zeros(n, dtype=torch.int64)
        y = [] if model.num_classes is None else [torch.zeros(n, dtype=torch.int64)]
    return model, x, t, y


def forward_gflop(plan):
    "10^9 operations of one image through the network of a plan."
    model, x, _, _ = on_meta(plan)
    return forward_flops(model.eval(), x.shape[1:]) / 1e9


def activation_bytes(plan, n): # images of a pass
    "Bytes that a pass leaves for the backward pass, each tensor once, without the weights."
    model, x, t, y = on_meta(plan, n)
    found = {}
    def pack(tensor):
        storage = tensor.untyped_storage()
        if not isinstance(tensor, torch.nn.Parameter): found[storage._cdata] = tensor
        return tensor # held, so that its storage stays the only one of its number
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor): model(x, t, *y)
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def cost_of(plan):
    "The `Cost` of a plan, counted without computing anything."
    model = on_meta(plan)[0]
    parameters = sum(p.numel() for p in model.parameters())
    steps = plan.steps(training_images(plan.data))
    batch = plan.batch_size // plan.recipe.get("accumulate", 1)
    held = 4 * 5 * parameters + activation_bytes(plan, batch)
    return Cost(parameters, forward_gflop(plan), steps * plan.batch_size, held, steps)


def as_hours(seconds):
    "Seconds for people."
    if seconds < 90: return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


# dense matrix rates of the makers' data sheets, in 10^12 operations a second, and the precision
# that `fit` would choose there; networks of convolutions reach a part of them
CARDS = {"A100": (312, "bf16"), "H100": (989, "bf16"), "T4": (8.1, "float32")}
SHARE = 0.3 # of the rate, taken for the estimate and said beside it


def hours_on(gflop, card, share=SHARE):
    "Hours that so many 10^9 operations take on a card, at a share of its rate: arithmetic."
    return gflop / (CARDS[card][0] * 1000 * share) / 3600


def trial(plan, device, steps=20):
    "Seconds a step of training on a device, on noise in place of images: the mean of `steps`."
    from ..images import Images
    from ..training import fit
    shape = input_shape(plan)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (256, *shape), generator=rng, dtype=torch.uint8)
    model = plan.network.build(in_channels=shape[0])
    classes = model.num_classes or 1
    data = Images(pixels, torch.arange(256) % classes, [str(k) for k in range(classes)])
    times = []
    clock = lambda run: times.append(synchronized_time(device))
    options = {k: v for k, v in plan.recipe.items() if k not in ("epochs", "save_every")}
    fit(model, data, plan.loss.build(plan.schedule.build()), progress=False, callbacks=[clock],
        device="cpu" if str(device) == "cpu" else None, **options | {"steps": steps + 3})
    return (times[-1] - times[2]) / steps # the first ones warm up


def synchronized_time(device):
    "Seconds on the clock when a device has done what it was given."
    if str(device).startswith("cuda"): torch.cuda.synchronize()
    return time.perf_counter()
