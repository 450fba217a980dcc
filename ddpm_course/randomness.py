"Random numbers that do not depend on batch size, device or number of ranks."

from functools import lru_cache

import torch


class BatchRandom:
    "The random numbers of one training step, drawn for the whole global batch: row i gets the same on any number of devices."
    def __init__(self, seed, # of the run
                 step, # training step, 0...
                 size, # rows in the global batch
                 rows=slice(None), # the rows wanted here
                 device="cpu"): # a CPU's and a GPU's numbers differ
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 1) % 2**64
        self.size, self.rows = size, rows
        self.generator = torch.Generator(device).manual_seed((mixed ^ mixed >> 32) % 2**32) # mt19937 reads 32 bits

    def rand(self):
        "Uniform in [0, 1), (B,)."
        return torch.rand(self.size, generator=self.generator, device=self.generator.device)[self.rows]

    def randint(self, high):
        "Whole numbers 0..high-1, int64 (B,)."
        return torch.randint(high, (self.size,), generator=self.generator, device=self.generator.device)[self.rows]

    def randn_like(self, x):
        "Standard normal, with the shape, dtype and memory format of x (B, ...)."
        z = torch.randn(self.size, *x.shape[1:], generator=self.generator, device=self.generator.device, dtype=x.dtype)[self.rows]
        return torch.empty_like(x).copy_(z)


def image_seeds(seed, # int 0..65535, or one int per image
                n): # number of images
    "One 32-bit seed per image, for an int seed all different: image i of run `seed` has the same stream in any batch, on any rank."
    if seed is None: return torch.randint(2**32, (n,)).tolist() # follows torch.manual_seed
    if not isinstance(seed, int):
        seeds = [int(s) for s in seed]
        if len(seeds) != n: raise ValueError(f"seed: got {len(seeds)} seeds for {n} images; expected one int, or one per image")
        if any(not 0 <= s < 2**32 for s in seeds):
            raise ValueError(f"seed: got {seeds[:5]}...; expected 0..{2**32 - 1}, the 32 bits that torch's CPU generators read")
        return seeds
    if not (0 <= seed < 2**16 and n <= 2**16):
        raise ValueError(f"seed={seed} for {n} images; expected a seed of 0..65535 and at most 65536 images, or one seed per image")
    return [seed * 2**16 + i for i in range(n)] # torch's CPU generators read 32 bits of a seed


class ImageNoise:
    "An endless iterator of standard normal batches shaped like x; image i reads its own CPU stream."
    ahead = 16 # steps drawn at a time, which costs no more than noise for the whole batch

    def __init__(self, seeds, x_shape):
        self.streams, self.shape = [torch.Generator().manual_seed(s) for s in seeds], tuple(x_shape)
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
    return torch.randperm(n, generator=torch.Generator().manual_seed((seed * 2**16 + epoch) % 2**32))


def batch_index(step, batch_size, n, seed):
    "Which of n examples the global batch of a step holds, int64 (batch_size,): shuffled epochs laid end to end."
    position = torch.arange(step * batch_size, (step + 1) * batch_size)
    epochs = position // n
    return torch.cat([epoch_order(n, seed, e)[position[epochs == e] % n] for e in epochs.unique().tolist()])
