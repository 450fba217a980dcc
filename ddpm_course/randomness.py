"Random numbers that do not depend on batch size, device or number of ranks."

import random
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch

from .arguments import checked
from .kinds import is_number, listed, optional, whole


class BatchRandom:
    "The random numbers of one training step: row i of the global batch, on any number of devices."
    @checked
    def __init__(self, seed: int, # of the run
                 step: int, # training step, 0...
                 size: int, # rows in the global batch
                 rows=slice(None), # the rows wanted here
                 device="cpu"): # a CPU's and a GPU's numbers differ
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 1) % 2**64
        seed = (mixed ^ mixed >> 32) % 2**32 # mt19937 reads 32 bits
        self.generator = torch.Generator(device).manual_seed(seed)
        self.options = {"generator": self.generator, "device": self.generator.device}
        self.size = size
        self.rows = rows

    def rand(self):
        "Uniform in [0, 1), (B,)."
        return torch.rand(self.size, **self.options)[self.rows]

    def randint(self, high):
        "Whole numbers 0..high-1, int64 (B,)."
        return torch.randint(high, (self.size,), **self.options)[self.rows]

    def randn_like(self, x):
        "Standard normal, with the shape, dtype and memory format of x (B, ...)."
        z = torch.randn(self.size, *x.shape[1:], dtype=x.dtype, **self.options)[self.rows]
        return torch.empty_like(x).copy_(z)


one_each = listed(whole(0, 2**32 - 1, f"0..{2**32 - 1}, the 32 bits that torch's CPU generators "
                        "read"), what="a whole number, or a list of one for each image")


def some_seeds(value, name):
    "The kind of seeds of images: a whole number, or one for each image."
    one = whole(expected="a whole number, or a list of one for each image")
    return one(value, name) if is_number(value) else one_each(value, name)


seeds_of_images = optional(some_seeds) # of samplers: None follows torch.manual_seed


@checked(seed=seeds_of_images, n=whole(0))
def image_seeds(seed, # int 0..65535, one int per image, or None: follow torch.manual_seed
                n: int) -> list[int]: # number of images
    "A 32-bit seed per image: image i of run `seed` has the same stream in any batch, on any rank."
    if seed is None: return torch.randint(2**32, (n,)).tolist()
    if isinstance(seed, list):
        if len(seed) == n: return seed
        raise ValueError(f"seed: got {len(seed)} seeds for {n} images; expected one int, or one "
                         "per image")
    if not (0 <= seed < 2**16 and n <= 2**16):
        raise ValueError(f"seed={seed} for {n} images; expected a seed of 0..65535 "
                         "and at most 65536 images, or one seed per image")
    return [seed * 2**16 + i for i in range(n)] # torch's CPU generators read 32 bits of a seed


class ImageNoise:
    "An endless iterator of normal batches shaped like x; image i reads its own CPU stream."
    ahead = 16 # steps drawn at a time, which costs no more than noise for the whole batch

    def __init__(self, seeds, x_shape):
        self.streams = [torch.Generator().manual_seed(s) for s in seeds]
        self.shape = tuple(x_shape)
        self.drawn = iter(())

    def draw(self, k):
        "k batches (k, B, C, H, W), float32 on the CPU."
        return torch.stack([torch.randn(k, *self.shape[1:], generator=g) for g in self.streams], 1)

    def __iter__(self): return self

    def __next__(self):
        z = next(self.drawn, None)
        if z is None:
            self.drawn = iter(self.draw(self.ahead))
            z = next(self.drawn)
        return z


@lru_cache(maxsize=2)
def epoch_order(n, seed, epoch):
    "A shuffle of 0..n-1 for one epoch, int64 (n,)."
    rng = torch.Generator().manual_seed((seed * 2**16 + epoch) % 2**32)
    return torch.randperm(n, generator=rng)


def batch_index(step, batch_size, n, seed):
    "Which of n examples a step's global batch holds, int64 (batch_size,), from shuffled epochs."
    position = torch.arange(step * batch_size, (step + 1) * batch_size)
    epochs = position // n
    parts = [epoch_order(n, seed, e)[position[epochs == e] % n] for e in epochs.unique().tolist()]
    return torch.cat(parts)


@contextmanager
def untouched_random(devices=()): # GPUs whose generators count, too
    "What the block draws from the global generators changes nothing after it."
    python = random.getstate()
    numpys = np.random.get_state()
    try:
        with torch.random.fork_rng([*devices]): yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)
