"CIFAR-10 in color on a CPU: a class-conditional network that two cores train beside other work."

import hashlib
from pathlib import Path

import torch

from .cards import result_file
from .ddpm import DDPMLoss
from .folded import FoldedUNet
from .noising import cosine_schedule
from .runs import Run
from .saving import Trained, cache_folder, load_model
from .training import fit

CIFAR_UNET = dict(channels=(64, 128, 128), layers=1, attention=(False, True, False), groups=16,
                  num_classes=10, predicts="v") # inside `FoldedUNet`
CIFAR_FIT = dict(batch_size=64, lr=1e-3, warmup=200, ema_halflife=20_000, precision="bf16",
                 device="cpu")
NAME = "cifar10-cpu" # the folder of the trained network, its record and its pictures
SHA256 = {
    "config.json": "e452b651f7aed8275162392b5985f510e4de293842f31768e0b54ad542dc8f67",
    "ema.safetensors": "34a53128766a93f6adf8154c6bb4a4e908e1ef9cb074627b4db32b4755fa7293"}


def train_cifar(data, # CIFAR-10 as labeled `Images`, with flip=True
                out, # run folder
                steps: int, # optimizer steps
                seed: int=0,
                **kwargs) -> Run: # for `fit`
    "Train the network for CIFAR-10 on a CPU: class-conditional, v, cosine schedule, bfloat16."
    torch.manual_seed(seed)
    loss = DDPMLoss(cosine_schedule(), drop=0.1)
    options = CIFAR_FIT | {"steps": steps, "seed": seed, "out": out} | kwargs
    return fit(FoldedUNet(**CIFAR_UNET), data, loss, **options)


def results_folder():
    "Where results are: nbs/results of a checkout; elsewhere, a folder in the user's cache."
    own = Path(__file__).parents[1] / "nbs" / "results"
    return own if own.is_dir() else cache_folder() / "results"


def verified(file, sha256):
    "The path of a file; ValueError where its SHA-256 is another one."
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{file} is damaged, or of another version of the course: its SHA-256 is "
                         f"{found[:16]}..., expected {sha256[:16]}...; delete it, and call again "
                         "or get it from the repository")
    return file


def cifar_model(folder=None) -> Trained: # of results; None: the checkout's, or the user's cache
    """The color network of this course, trained on CIFAR-10 (JPEG); its record tells how.

    Its weights are not in the package: where they are absent, they are fetched once (9 MB).
    """
    folder = results_folder() if folder is None else Path(folder)
    for name, sha256 in SHA256.items(): verified(result_file(f"{NAME}/{name}", folder), sha256)
    trained = load_model(folder / NAME)
    trained.model.float().requires_grad_(False)
    return trained
