"Latents of a data set, encoded once and read from disk."

import errno
import hashlib
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from .autoencoders import fingerprint
from .disk import sync


def space_identity(space):
    "What must be equal for latents to mean the same: the autoencoder's fingerprint, the measured numbers, the size of the images."
    _ = space.shape # a ValueError where the space was not told the size of its images
    return {"vae": fingerprint(space.vae), "mean": space.mean.tolist(), "std": space.std.tolist(), "image_shape": list(space.image_shape)}


def same_entry(a, b):
    "Whether two entries are equal; measured numbers may differ by a part in 10,000, as devices and versions round differently."
    measured = lambda v: isinstance(v, list) and all(isinstance(number, float) for number in v)
    return a == b or measured(a) and measured(b) and len(a) == len(b) and np.allclose(a, b, rtol=1e-4, atol=1e-5)


def entry_differences(was, now):
    "Which entries of two identities differ, as text; empty if none does."
    return "; ".join(f"{k}: {was.get(k)} there, {now.get(k)} here" for k in was | now if not same_entry(was.get(k), now.get(k)))


def manifest_of(data, space, flip, shard):
    "What the latents in a cache depend on; of the images, a digest of the labels and of up to 64 pictures as they are read."
    some = torch.linspace(0, len(data) - 1, min(64, len(data))).long()
    digest = hashlib.sha256(data.labels.cpu().numpy().tobytes())
    digest.update(data.pixels[some].cpu().numpy().tobytes())
    return {"format": 1, "count": len(data), "shape": list(space.shape), "dtype": "float16", "flip": flip, "shard": shard,
            "classes": list(data.classes), "levels": data.levels, "pixels": digest.hexdigest()[:16], **space_identity(space)}


def shard_file(path, i):
    "The file of latents (n, 1 or 2 with flips, C, h, w) number i."
    return Path(path) / f"latents-{i:05d}.npy"


def write_array(file, array):
    "Write a .npy file that appears whole or not at all."
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with open(new, "wb") as f: np.save(f, array)
    sync(new)
    new.replace(file)


def missing_shards(path, manifest):
    "The numbers of the shards that are not there yet."
    return [i for i in range(-(-manifest["count"] // manifest["shard"])) if not shard_file(path, i).exists()]


def open_cache(path, manifest, labels):
    "Make a cache folder, or check that the one there is of the same kind and that the disk holds what is missing."
    file = path / "manifest.json"
    if file.exists():
        if differences := entry_differences(json.loads(file.read_text()), manifest): raise ValueError(f"{path} is a cache of other latents ({differences}); delete it, or choose another path")
    elif path.exists() and any(f.name != "labels.npy" and f.name[0] != "." for f in path.iterdir()): # those two a run leaves that was killed at once
        raise FileExistsError(f"{path} is not empty and holds no cache; choose another path")
    path.mkdir(parents=True, exist_ok=True)
    row = 2 * math.prod(manifest["shape"]) * (1 + manifest["flip"]) # bytes: float16
    need, free = row * min(manifest["count"], len(missing_shards(path, manifest)) * manifest["shard"]), shutil.disk_usage(path).free
    if need > free: raise OSError(errno.ENOSPC, f"{path} needs {need / 1e6:,.0f} MB more for {manifest['count']:,} images, and its disk has {free / 1e6:,.0f} MB free; choose another path")
    if not file.exists():
        write_array(path / "labels.npy", labels.cpu().numpy())
        new = path / f".manifest.{os.getpid()}.new"
        new.write_text(json.dumps(manifest, indent=1))
        sync(new)
        new.replace(file)


def cache_latents(data, # labeled `Images`, in memory or on disk
                  space, # `LatentSpace`, its autoencoder on the device that shall encode
                  path, # folder of the cache; one that was left unfinished is finished
                  flip=False, # also keep the latents of the mirrored images
                  shard=16384, # images a file
                  batch=64, # images encoded at a time
                  progress=True): # show a bar
    "Encode a data set once, into memory-mapped files: the `CachedLatents` to train from."
    path, manifest = Path(path), manifest_of(data, space, flip, shard)
    open_cache(path, manifest, data.labels)
    for i in tqdm(missing_shards(path, manifest), "encoding", unit="shard", disable=not progress):
        parts, index = [], torch.arange(i * shard, min(len(data), (i + 1) * shard)).split(batch)
        for now, following in zip(index, [*index[1:], index[0][:0]]):
            x = data.batch(now)[0]
            data.prefetch(following)
            parts.append(torch.stack([space.encode(v, batch) for v in ([x, x.flip(-1)] if flip else [x])], 1).half().cpu())
        latents = torch.cat(parts)
        if not latents.isfinite().all(): raise ValueError(f"images {i * shard} to {i * shard + len(latents) - 1}: the autoencoder gives latents that are not finite in float16; nothing of them was written")
        write_array(shard_file(path, i), latents.numpy())
    return CachedLatents(path)


class CachedLatents:
    "The latents of a data set, memory-mapped: what `fit` reads in place of `Images`. Bytes stay on disk until a batch asks for them."
    def __init__(self, path, device="cpu"): # where batches go
        self.path, self.device, file = Path(path), torch.device(device), Path(path) / "manifest.json"
        if not file.exists(): raise FileNotFoundError(f"{path} is no cache of latents: it has no manifest.json; make one with cache_latents")
        self.manifest = json.loads(file.read_text())
        if lacks := missing_shards(path, self.manifest): raise ValueError(f"the cache {path} is half written ({len(lacks)} shards are missing, the first is {lacks[0]}); call cache_latents with the same arguments to finish it")
        count, self.shard = self.manifest["count"], self.manifest["shard"]
        self.shape, self.flip, self.classes = tuple(self.manifest["shape"]), self.manifest["flip"], self.manifest["classes"]
        self.shards = [torch.from_numpy(np.load(shard_file(path, i), mmap_mode="c")) for i in range(-(-count // self.shard))] # c: nothing is ever written back
        self.labels = torch.from_numpy(np.load(self.path / "labels.npy"))
        sizes = [min(self.shard, count - i * self.shard) for i in range(len(self.shards))]
        if [tuple(s.shape) for s in self.shards] != [(n, 1 + self.flip, *self.shape) for n in sizes]: raise ValueError(f"the cache {path} has shards of other sizes than its manifest says; delete it and make it again")
        self.about = {"latent": {key: self.manifest[key] for key in ("vae", "mean", "std", "image_shape")}} # goes into the model folder

    def __len__(self): return self.manifest["count"]
    def to(self, device): return CachedLatents(self.path, device)

    def batch(self, index, rng=None):
        "Latents (B, C, h, w), float32, and labels (B,); of a cache with flips `rng.rand()` decides which of the two."
        index = torch.as_tensor(index, device="cpu")
        mirrored = (rng.rand().cpu() < 0.5).long() if self.flip and rng is not None else torch.zeros_like(index)
        which, z = index // self.shard, torch.empty(len(index), *self.shape, dtype=torch.float16)
        order, counts = which.argsort(), which.bincount(minlength=len(self.shards)).tolist()
        rows = zip(self.shards, (index % self.shard)[order].split(counts), mirrored[order].split(counts)) # shard by shard
        z[order] = torch.cat([shard[row, version] for shard, row, version in rows if len(row)])
        return z.to(self.device).float(), self.labels[index].to(self.device)
