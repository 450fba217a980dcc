"Latents of a data set, encoded once and read from disk."

import errno, hashlib, json, math, os, shutil
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from .autoencoders import fingerprint
from .disk import sync


def space_identity(space):
    "What must be equal for latents to mean the same: autoencoder, measured numbers, image size."
    _ = space.shape # a ValueError where the space was not told the size of its images
    return {"vae": fingerprint(space.vae), "mean": space.mean.tolist(), "std": space.std.tolist(),
            "image_shape": list(space.image_shape)}


def is_measured(entry):
    "Is this a list of measured numbers, and no count or name?"
    return isinstance(entry, list) and all(isinstance(v, float) for v in entry)


def same_entry(a, b):
    "Are two entries equal? Measured numbers may differ by 1e-4, as devices round differently."
    if not (is_measured(a) and is_measured(b)): return a == b
    return len(a) == len(b) and np.allclose(a, b, rtol=1e-4, atol=1e-5)


def entry_differences(was, now):
    "Which entries of two identities differ, as text; empty if none does."
    differ = (k for k in was | now if not same_entry(was.get(k), now.get(k)))
    return "; ".join(f"{k}: {was.get(k)} there, {now.get(k)} here" for k in differ)


def check_space(config, # `Trained.config` of a latent model
                space): # `LatentSpace`
    "ValueError unless a model makes latents of this very space, as far as it says."
    if config["shape"] != list(space.shape):
        raise ValueError(f"the model makes {config['shape']} and the autoencoder takes "
                         f"{list(space.shape)}: they do not belong together; load the space that "
                         "the model was trained in")
    differ = entry_differences(config.get("latent") or {}, space_identity(space))
    if config.get("latent") is not None and differ:
        raise ValueError(f"the model was trained on other latents ({differ}); load the space that "
                         "it was trained in")


def manifest_of(data, space, flip, shard):
    "What the latents in a cache depend on; the labels and up to 64 pictures as a digest."
    some = torch.linspace(0, len(data) - 1, min(64, len(data))).long()
    digest = hashlib.sha256(data.labels.cpu().numpy().tobytes())
    digest.update(data.pixels[some].cpu().numpy().tobytes())
    return {"format": 1, "count": len(data), "shape": list(space.shape), "dtype": "float16",
            "flip": flip, "shard": shard, "classes": list(data.classes), "levels": data.levels,
            "pixels": digest.hexdigest()[:16], **space_identity(space)}


def shard_file(path, i):
    "The file of latents (n, 1 or 2 with flips, C, h, w) number i."
    return Path(path) / f"latents-{i:05d}.npy"


def write_array(file, array):
    "Write a .npy file that appears whole or not at all."
    new = file.with_name(f".{file.name}.{os.getpid()}")
    with open(new, "wb") as f: np.save(f, array)
    sync(new)
    new.replace(file)


def write_manifest(path, manifest):
    "Write manifest.json, which appears whole or not at all."
    new = path / f".manifest.{os.getpid()}.new"
    new.write_text(json.dumps(manifest, indent=1))
    sync(new)
    new.replace(path / "manifest.json")


def missing_shards(path, manifest):
    "The numbers of the shards that are not there yet."
    number = -(-manifest["count"] // manifest["shard"])
    return [i for i in range(number) if not shard_file(path, i).exists()]


def check_folder(path, manifest):
    "ValueError or FileExistsError where a folder holds another cache, or something else."
    if (path / "manifest.json").exists():
        differ = entry_differences(json.loads((path / "manifest.json").read_text()), manifest)
        if differ: raise ValueError(f"{path} is a cache of other latents ({differ}); delete it, or "
                                    "choose another path")
        return
    left = lambda f: f.name == "labels.npy" or f.name[0] == "." # by a run that was killed at once
    if path.exists() and not all(map(left, path.iterdir())):
        raise FileExistsError(f"{path} is not empty and holds no cache; choose another path")


def check_space_on_disk(path, manifest):
    "OSError unless the disk holds what is missing."
    row = 2 * math.prod(manifest["shape"]) * (1 + manifest["flip"]) # bytes: float16
    missing = len(missing_shards(path, manifest)) * manifest["shard"]
    need = row * min(manifest["count"], missing)
    free = shutil.disk_usage(path).free
    if need > free:
        raise OSError(errno.ENOSPC, f"{path} needs {need / 1e6:,.0f} MB more for "
                      f"{manifest['count']:,} images, and its disk has {free / 1e6:,.0f} MB free; "
                      "choose another path")


def open_cache(path, manifest, labels):
    "Make a cache folder, or check the one there, and that the disk is large enough."
    check_folder(path, manifest)
    path.mkdir(parents=True, exist_ok=True)
    check_space_on_disk(path, manifest)
    if not (path / "manifest.json").exists():
        write_array(path / "labels.npy", labels.cpu().numpy())
        write_manifest(path, manifest)


def encode_shard(data, space, images, flip, batch):
    "Latents of the images numbered by the range `images`, float16 (n, 1 or 2 with flips, C, h, w)."
    index = torch.tensor(images).split(batch)
    parts = []
    for now, following in zip(index, [*index[1:], index[0][:0]]):
        x = data.batch(now)[0]
        data.prefetch(following)
        both = [x, x.flip(-1)] if flip else [x]
        parts.append(torch.stack([space.encode(v, batch) for v in both], 1).half().cpu())
    latents = torch.cat(parts)
    if not latents.isfinite().all():
        raise ValueError(f"images {images[0]} to {images[-1]}: the autoencoder gives latents that "
                         "are not finite in float16; nothing of them was written")
    return latents


def cache_latents(data, # labeled `Images`, in memory or on disk
                  space, # `LatentSpace`, its autoencoder on the device that shall encode
                  path, # folder of the cache; one that was left unfinished is finished
                  flip: bool=False, # also keep the latents of the mirrored images
                  shard: int=16384, # images a file
                  batch: int=64, # images encoded at a time
                  progress: bool=True): # show a bar
    "Encode a data set once, into memory-mapped files: the `CachedLatents` to train from."
    path = Path(path)
    manifest = manifest_of(data, space, flip, shard)
    open_cache(path, manifest, data.labels)
    missing = missing_shards(path, manifest)
    for i in tqdm(missing, "encoding", unit="shard", disable=not progress):
        images = range(i * shard, min(len(data), (i + 1) * shard))
        latents = encode_shard(data, space, images, flip, batch)
        write_array(shard_file(path, i), latents.numpy())
    return CachedLatents(path)


def read_manifest(path):
    "The manifest of a finished cache; FileNotFoundError or ValueError where it is none."
    file = path / "manifest.json"
    if not file.exists():
        raise FileNotFoundError(f"{path} is no cache of latents: it has no manifest.json; make one "
                                "with cache_latents")
    manifest = json.loads(file.read_text())
    if lacks := missing_shards(path, manifest):
        raise ValueError(f"the cache {path} is half written ({len(lacks)} shards are missing, the "
                         f"first is {lacks[0]}); call cache_latents with the same arguments to "
                         "finish it")
    return manifest


class CachedLatents:
    "The latents of a data set on disk: what `fit` reads in place of `Images`, batch by batch."
    def __init__(self, path, # folder that `cache_latents` made
                 device="cpu"): # where batches go
        self.path = Path(path)
        self.device = torch.device(device)
        self.manifest = manifest = read_manifest(self.path)
        self.shard = manifest["shard"]
        self.shape = tuple(manifest["shape"])
        self.flip = manifest["flip"]
        self.classes = manifest["classes"]
        first = range(0, len(self), self.shard)
        read = lambda i: np.load(shard_file(path, i), mmap_mode="c") # c: never written back
        self.shards = [torch.from_numpy(read(i)) for i in range(len(first))]
        self.labels = torch.from_numpy(np.load(self.path / "labels.npy"))
        sizes = [(min(self.shard, len(self) - f), 1 + self.flip, *self.shape) for f in first]
        if [tuple(s.shape) for s in self.shards] != sizes:
            raise ValueError(f"the cache {path} has shards of other sizes than its manifest says; "
                             "delete it and make it again")
        space = {key: manifest[key] for key in ("vae", "mean", "std", "image_shape")}
        self.about = {"latent": space} # goes into the model folder

    def __len__(self): return self.manifest["count"]
    def to(self, device): return CachedLatents(self.path, device)

    def batch(self, index, # int64 (B,)
              rng=None): # `BatchRandom`: of a cache with flips it decides which of the two
        "Latents (B, C, h, w), float32, and labels (B,)."
        index = torch.as_tensor(index, device="cpu")
        mirrored = torch.zeros_like(index)
        if self.flip and rng is not None: mirrored = (rng.rand().cpu() < 0.5).long()
        which = index // self.shard
        order = which.argsort() # shard by shard
        counts = which.bincount(minlength=len(self.shards)).tolist()
        rows = (index % self.shard)[order].split(counts)
        found = zip(self.shards, rows, mirrored[order].split(counts))
        z = torch.empty(len(index), *self.shape, dtype=torch.float16)
        z[order] = torch.cat([shard[row, version] for shard, row, version in found if len(row)])
        return z.to(self.device).float(), self.labels[index].to(self.device)
