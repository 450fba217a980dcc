"Image files read by threads, ahead of time, into memory or not."

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import torch
from tqdm import tqdm


def read_all(files, # paths
             read, # path -> result; a ValueError says that the file is no image
             on_error="raise", # or "skip": leave such files out, and say how many
             keep=None, # keep(n, result) is called for the n-th readable file
             workers=8): # threads
    "Call read(file) for all files, in threads; returns the indices of the readable ones."
    if on_error not in ("raise", "skip"): raise ValueError(f"on_error={on_error!r}; expected 'raise' or 'skip'")
    def attempt(file):
        try: return read(file)
        except ValueError as e: return e
    parts = (files[i:i + 4096] for i in range(0, len(files), 4096)) # a million at once would fill the memory
    good, bad, pool = [], [], ThreadPoolExecutor(workers)
    try:
        for i, result in enumerate(tqdm((r for part in parts for r in pool.map(attempt, part)), "reading images", len(files), delay=2, disable=None)):
            if isinstance(result, ValueError) and on_error == "raise": raise result
            if isinstance(result, ValueError): bad.append(result); continue
            if keep: keep(len(good), result)
            good.append(i)
    finally: pool.shutdown(cancel_futures=True)
    if not good: raise ValueError(f"none of {len(files)} files can be read as an image; the first: {bad[0]}")
    if bad: warnings.warn(f"{len(bad)} of {len(files)} files skipped; the first: {bad[0]}", stacklevel=3)
    return good


class FilePixels:
    "Images that stay on disk, indexed like a uint8 tensor (N, C, H, W); read by threads, ahead of time where asked."
    dtype, device = torch.uint8, torch.device("cpu")

    def __init__(self, files, # paths
                 read, # path -> uint8 (C, H, W)
                 shape, # (C, H, W)
                 workers=8, # threads
                 limit=2048): # images read ahead at most; the oldest are dropped
        self.files, self.read, self.shape, self.workers, self.limit = files, read, (len(files), *shape), workers, limit
        self.ahead, self.pool, self.owner = {}, None, None # reads under way by index; their threads; the process of these

    def __len__(self): return len(self.files)
    def to(self, device): return self
    def __getstate__(self): return self.__dict__ | {"ahead": {}, "pool": None, "owner": None} # copies start without threads

    def submit(self, index):
        "Start what is not under way; returns {i: future}."
        if self.owner != os.getpid(): # the first use, or after a fork, which threads do not survive
            self.ahead, self.pool, self.owner = {}, ThreadPoolExecutor(self.workers), os.getpid()
        return {i: self.ahead.pop(i, None) or self.pool.submit(self.read, self.files[i]) for i in dict.fromkeys(index)}

    def prefetch(self, index):
        "Start reading the images at `index`, to be asked for later."
        reads = self.submit(torch.as_tensor(index).tolist())
        self.ahead |= reads
        for i in list(self.ahead)[:-self.limit]: self.ahead.pop(i).cancel()

    def __getitem__(self, index): # whole numbers, or a mask
        index = torch.as_tensor(index)
        wanted = (index.nonzero()[:, 0] if index.dtype == torch.bool else index).tolist()
        reads = self.submit(wanted)
        return torch.stack([reads[i].result() for i in wanted])


def first_shape(files, read, on_error):
    "(C, H, W) of the first image that can be read."
    for file in files:
        try: return tuple(read(file).shape)
        except ValueError:
            if on_error != "skip": raise
    raise ValueError(f"none of {len(files)} files can be read as an image; the first: {files[0]}")
