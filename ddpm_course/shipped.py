"The small trained networks that come with the package: averaged weights in half precision."

# weights/NAME holds a model folder (config.json, ema.safetensors) and record.json: how it was made,
# its scores, and those of networks trained again. `ddpm-course train NAME` makes one again.

import hashlib, json
from functools import lru_cache
from pathlib import Path

from .saving import Trained, load_model

WEIGHTS = Path(__file__).with_name("weights")


def names():
    "The names of the networks that are there."
    return sorted(p.name for p in WEIGHTS.iterdir() if (p / "record.json").exists())


def folder_of(name):
    "The folder of a shipped network; ValueError if there is none of this name."
    if name not in names():
        raise ValueError(f"no shipped network {name!r}; there are {', '.join(names())}")
    return WEIGHTS / name


def load_shipped(name: str) -> Trained: # "digits", "classifier", "vae" or "latent"
    "A shipped network in float32, in evaluation mode, without gradients; a new copy at each call."
    trained = load_model(folder_of(name))
    trained.model.float().requires_grad_(False)
    return trained


@lru_cache
def fingerprint_of(name: str) -> str:
    "16 hex digits of SHA-256 over the weights file: part of each score seen through the network."
    return hashlib.sha256((folder_of(name) / "ema.safetensors").read_bytes()).hexdigest()[:16]


def record_of(name: str) -> dict:
    "How a shipped network was made, and what it scores."
    return json.loads((folder_of(name) / "record.json").read_text(encoding="utf-8"))
