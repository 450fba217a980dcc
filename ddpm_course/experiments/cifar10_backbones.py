"CIFAR-10 by class: a U-Net against a transformer of as many operations."

from dataclasses import replace

from ..transformer import DiT
from .backbones import WIDTHS
from .cifar10 import BOTH_PROTOCOLS, FIELD, FIELD_FIT, conditional
from .plans import Experiment, Part, Scale, samplers
from .small import small_scales

# DiT-S/2 (Peebles & Xie 2023, table 1) on pixels: 12.1 GFLOP an image, the U-Net 12.4
DIT_S2 = dict(patch=2, width=384, depth=12, heads=6)
EQUAL_FIT = FIELD_FIT | {"steps": 94_000, "lr": 1e-4} # the rate of the transformer's paper


def rivals(plan, transformer): # options of `DiT`, but for channels and classes
    "The plan as it is, and with a transformer in place of the U-Net; both predict v."
    known = {"num_classes": plan.network.options["num_classes"], "predicts": "v"}
    networks = {"U-Net": Part(plan.network.make, plan.network.options | known),
                "DiT": Part(DiT, transformer | known)}
    return {name: replace(plan, network=network) for name, network in networks.items()}


def digits_rivals(plan):
    "The U-Net of the digits, and a transformer of as many operations as the whole one."
    return rivals(plan, dict(patch=1, width=WIDTHS[1], depth=5, heads=4))


CIFAR10_BACKBONES = Experiment(
    "cifar10-backbones", "CIFAR-10 by class: a U-Net against a transformer at equal arithmetic.",
    small_scales(digits_rivals, samplers("DDIM", [50]), samplers("DDIM", [5]))
    | {"full": Scale(rivals(conditional(replace(FIELD, recipe=EQUAL_FIT)), DIT_S2),
                     samplers("DDIM", [50], (1.0, 1.5)), BOTH_PROTOCOLS)},
    table="backbones")
