"What a machine is good for: one cell of a notebook chooses size and precision for all below it."

from typing import NamedTuple

import torch

from ..devices import auto_precision
from .training_runs import default_device


class Tier(NamedTuple):
    "How large and how precise the experiments of a page are on a kind of machine."
    name: str # "CPU", "T4" or "A100"
    size: str # of an experiment
    changes: dict # of its recipe
    images: int | None # that are scored for each sampler; None: as many as the protocol asks for


TIERS = {tier.name: tier for tier in (
    Tier("CPU", "smoke", {}, 100),
    # bfloat16 is emulated there: float32, and few enough images for a session
    Tier("T4", "full", {"steps": 5_000, "warmup": 500, "precision": "no"}, 1_000),
    Tier("A100", "full", {"precision": "bf16"}, None))}


def tier_of(device: str=None) -> Tier: # "cpu" or "cuda"; None: the accelerator where there is one
    "The tier of a machine: a GPU with fast bfloat16 is an A100, any other accelerator a T4."
    here = torch.device(default_device(device))
    if here.type == "cpu": return TIERS["CPU"]
    return TIERS["A100" if auto_precision(here) == "bf16" else "T4"]
