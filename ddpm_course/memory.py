"What training keeps in memory for its backward pass: a meter, and a way to keep less."

import ctypes
import os
import sys

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def saved_bytes(f, # what is computed
                x): # its input, any shape
    "Bytes that f(x) keeps for its backward pass: each saved tensor once, without weights and x."
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        ours = not isinstance(tensor, nn.Parameter)
        if ours and storage.data_ptr() != x.untyped_storage().data_ptr():
            found[storage.data_ptr()] = tensor, storage.nbytes() # holding it keeps its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor): f(x)
    return sum(size for _, size in found.values())


def recompute(f, # layers that end in a convolution
              x, # their input (B, C, H, W)
              large: int=2**19, # elements of x from which on it is worth it
              random: bool=False): # there is dropout in f
    "f(x), the same; in training on large x, what the convolution needs is not kept but recomputed."
    if not torch.is_grad_enabled() or x.numel() < large: return f(x)
    return checkpoint(f, x, use_reentrant=False, preserve_rng_state=random)


def peak_bytes(f): # what is computed, without arguments
    "The most bytes that f() holds at once, on the CPU, beyond what was there before it."
    os.environ.setdefault("KINETO_LOG_LEVEL", "99") # else the profiler writes to stderr
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU],
                                profile_memory=True) as found: f()
    changes = [(e.start_ns(), e.nbytes()) for e in found.profiler.kineto_results.events()
               if e.name() == "[memory]"]
    held = most = 0
    for _, change in sorted(changes, key=lambda c: c[0]):
        held += change
        most = max(most, held)
    return most


def keep_freed():
    """On Linux, have malloc keep what is freed for the next layer; elsewhere nothing happens.

    glibc hands large blocks back to the system, which then clears pages anew for every layer."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None: return
    for threshold in (-1, -3): mallopt(threshold, 2**30) # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
