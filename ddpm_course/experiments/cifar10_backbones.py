"CIFAR-10 by class: a U-Net against a transformer of as many operations."

from dataclasses import replace

from ..transformer import DiT
from .backbones import WIDTHS
from .cifar10 import BOTH_PROTOCOLS, FIELD, FIELD_FIT, conditional
from .cifar10_cpu import CPU_FIT, CPU_PLAN
from .color import COLOR_MARGIN
from .families import Family
from .plans import Evaluation, Experiment, Part, Scale, samplers
from .small import small_scales

# DiT-S/2 (Peebles & Xie 2023, table 1) on pixels: 12.1 GFLOP an image, the U-Net 12.4
DIT_S2 = dict(patch=2, width=384, depth=12, heads=6)
# 0.539 GFLOP an image, where the U-Net of the CPU has 0.525
CPU_DIT = {"DiT, squares of 2": dict(patch=2, width=128, depth=4, heads=4)}
EQUAL_FIT = FIELD_FIT | {"steps": 94_000, "lr": 1e-4} # the rate of the transformer's paper


def rivals(plan, transformers): # {name: options of `DiT`, but for channels and classes}
    "The plan as it is, and with each transformer in place of the U-Net; all predict v."
    known = {"num_classes": plan.network.options["num_classes"], "predicts": "v"}
    networks = {"U-Net": Part(plan.network.make, plan.network.options | known)} | {
        name: Part(DiT, options | known) for name, options in transformers.items()}
    return {name: replace(plan, network=network) for name, network in networks.items()}


def digits_rivals(plan):
    "The U-Net of the digits, and a transformer of as many operations as the whole one."
    return rivals(plan, {"DiT": dict(patch=1, width=WIDTHS[1], depth=5, heads=4)})


CPU_RIVALS = rivals(replace(CPU_PLAN, recipe=CPU_FIT | {"steps": 1_200}), CPU_DIT)
CPU_GUIDANCE = (1.0, 3.0)


def against_unet(scales=CPU_GUIDANCE):
    "The transformer of the CPU against its U-Net, by guidance: set before any was trained."
    pairs = {f"{name}, guidance {s:g}": (dict(variant=name, guidance=s),
                                         dict(variant="U-Net", guidance=s))
             for s in scales for name in CPU_DIT}
    return Family({"distance": pairs}, ("variant", "weights"), {"distance": COLOR_MARGIN})


CIFAR10_BACKBONES = Experiment(
    "cifar10-backbones", "CIFAR-10 by class: a U-Net against a transformer at equal arithmetic.",
    small_scales(digits_rivals, samplers("DDIM", [50]), samplers("DDIM", [5]))
    | {"cpu": Scale(CPU_RIVALS, samplers("DDIM", [25], CPU_GUIDANCE),
                    (Evaluation(500, "test"),)),
       "full": Scale(rivals(conditional(replace(FIELD, recipe=EQUAL_FIT)), {"DiT": DIT_S2}),
                     samplers("DDIM", [50], (1.0, 1.5)), BOTH_PROTOCOLS)},
    table="backbones")
