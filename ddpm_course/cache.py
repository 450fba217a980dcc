"Latents of a data set, encoded once and read from disk."

import errno, hashlib, io, json, math, shutil
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from .autoencoders import fingerprint
from .disk import as_folder, as_size, atomic_file, hold, sweep, write_whole
from .identity import digest_of_array
from .ranks import gathered, in_turn, is_first, of_first
from .sets import cache_arguments


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
            "pixels": digest.hexdigest()[:16], "labels": digest_of_array(data.labels),
            **space_identity(space)}


def shard_file(path, i):
    "The file of latents (n, 1 or 2 with flips, C, h, w) number i."
    return Path(path) / f"latents-{i:05d}.npy"


def npy_header(shape, dtype):
    "The first bytes of a .npy file."
    written = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    about = {"descr": descr, "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(written, about)
    return written.getvalue()


def write_array(file, array):
    "Write a .npy file that appears whole or not at all."
    array = np.ascontiguousarray(array)
    header = npy_header(array.shape, array.dtype)
    with atomic_file(file) as new:
        with open(new, "wb") as f: # by Python: NumPy's own tofile overlooks a full disk
            f.write(header)
            f.write(array.data.cast("B"))
        if new.stat().st_size != len(header) + array.nbytes:
            raise OSError(errno.ENOSPC, f"{new} was cut short")


def write_manifest(path, manifest):
    "Write manifest.json, which appears whole or not at all."
    write_whole(path / "manifest.json", json.dumps(manifest, indent=1))


def shard_shape(manifest, i):
    "What a shard holds: (n, 1 or 2 with flips, C, h, w)."
    n = min(manifest["shard"], manifest["count"] - i * manifest["shard"])
    return (n, 1 + manifest["flip"], *manifest["shape"])


def is_whole(path, manifest, i):
    "Is shard i there, and as long as it should be?"
    file = shard_file(path, i)
    shape = shard_shape(manifest, i)
    size = len(npy_header(shape, np.float16)) + 2 * math.prod(shape)
    return file.exists() and file.stat().st_size == size


def missing_shards(path, manifest):
    "The numbers of the shards that are not there yet, or were cut short."
    number = -(-manifest["count"] // manifest["shard"])
    return [i for i in range(number) if not is_whole(path, manifest, i)]


def check_folder(path, manifest):
    "ValueError or FileExistsError where a folder holds another cache, or something else."
    if (path / "manifest.json").exists():
        was = load_manifest(path)
        older = {k: v for k, v in manifest.items() if k in was or k != "labels"}
        differ = entry_differences(was, older)
        if differ: raise ValueError(f"{path} is a cache of other latents ({differ}); delete it, or "
                                    "choose another path")
        return
    left = lambda f: f.name == "labels.npy" or f.name[0] == "." # by a run that was killed at once
    if path.exists() and not all(map(left, path.iterdir())):
        raise FileExistsError(f"{path} is not empty and holds no cache; choose another path")


def check_space_on_disk(path, manifest):
    "OSError unless the disk holds what is missing."
    need = sum(2 * math.prod(shard_shape(manifest, i)) for i in missing_shards(path, manifest))
    if not (path / "manifest.json").exists(): need += 8 * manifest["count"] + 4096 # and labels
    free = shutil.disk_usage(path).free
    if need > free:
        raise OSError(errno.ENOSPC, f"{path} needs {as_size(need)} more for "
                      f"{manifest['count']:,} images, and its disk has {as_size(free)} free; "
                      "choose another path")


def make_folder(path):
    "Make the folder of a cache; OSError with advice where that cannot be."
    try: path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OSError(e.errno, f"{path} cannot be made ({e.strerror}); choose another path; for "
                      "what the course itself keeps, set DDPM_COURSE_CACHE to a folder that can "
                      "be written") from e


def open_cache(path, manifest, labels):
    "Make a cache folder, or check the one there, and that the disk is large enough."
    sweep(path, alone=True)
    check_folder(path, manifest)
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


@cache_arguments
def cache_latents(data, # labeled `Images`, in memory or on disk
                  space, # `LatentSpace`, its autoencoder on the device that shall encode
                  path, # folder of the cache; one that was left unfinished is finished
                  flip: bool=False, # also keep the latents of the mirrored images
                  shard: int=16384, # images a file
                  batch: int=64, # images encoded at a time
                  progress: bool=True): # show a bar
    "Encode a data set once, into memory-mapped files: the `CachedLatents` to train from."
    manifest = manifest_of(data, space, flip, shard)
    check_folder(path, manifest)
    done = (path / "manifest.json").exists() and not missing_shards(path, manifest)
    if gathered(done)[0]: return CachedLatents(path) # the folder may be read-only
    make_folder(path)
    with of_first(hold(path, wait=math.inf)): # who makes the same cache is waited for
        if is_first(): open_cache(path, manifest, data.labels)
        missing = gathered(missing_shards(path, manifest))[0]
        for i in tqdm(in_turn(missing), "encoding", unit="shard", disable=not progress):
            images = range(i * shard, min(len(data), (i + 1) * shard))
            write_array(shard_file(path, i), encode_shard(data, space, images, flip, batch).numpy())
    return CachedLatents(path)


def load_manifest(path):
    "manifest.json of a cache; ValueError where it is damaged."
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        numbers = [manifest["count"], manifest["shard"], *manifest["shape"]]
        if not all(type(n) is int and n > 0 for n in numbers): raise ValueError(f"{numbers}")
        if type(manifest["flip"]) is not bool: raise ValueError(f"flip is {manifest['flip']!r}")
        return manifest
    except (ValueError, TypeError, KeyError, RecursionError) as e:
        raise ValueError(f"{file} is damaged ({type(e).__name__}: {e}); delete the cache {path}, "
                         "and make it again") from e


def read_manifest(path):
    "The manifest of a finished cache; FileNotFoundError or ValueError where it is none."
    if not (path / "manifest.json").exists():
        raise FileNotFoundError(f"{path} is no cache of latents: it has no manifest.json; make one "
                                "with cache_latents")
    manifest = load_manifest(path)
    lacks = [i for i in missing_shards(path, manifest) if not shard_file(path, i).exists()]
    if lacks:
        raise ValueError(f"the cache {path} is half written ({len(lacks)} shards are missing, the "
                         f"first is {lacks[0]}); call cache_latents with the same arguments to "
                         "finish it")
    return manifest


def read_array(file):
    "A .npy file as a tensor on the disk, which is never written back; ValueError if damaged."
    try: return torch.from_numpy(np.load(file, mmap_mode="c"))
    except (ValueError, TypeError, EOFError) as e:
        raise ValueError(f"{file} has other sizes than its manifest says, or is damaged ({e}); "
                         "call cache_latents with the same arguments to make it again") from e


def check_shards(path, manifest, shards):
    "ValueError unless shards have their sizes and are finite; of large ones, some rows are read."
    for i, shard in enumerate(shards):
        shape = shard_shape(manifest, i)
        if tuple(shard.shape) != shape or shard.dtype != torch.float16:
            raise ValueError(f"the cache {path} has shards of other sizes than its manifest says: "
                             f"{shard_file(path, i).name} holds {shard.dtype} "
                             f"{tuple(shard.shape)}; expected torch.float16 {shape}; delete it, "
                             "and call cache_latents with the same arguments")
        some = shard if manifest["count"] * shard[0].nbytes < 2**25 else \
            shard[torch.linspace(0, len(shard) - 1, 64).long()]
        if not some.isfinite().all():
            raise ValueError(f"{shard_file(path, i)} holds latents that are not finite; delete it, "
                             "and call cache_latents with the same arguments")


def read_labels(path, manifest):
    "The labels of a cache, int64 (count,), as its manifest knows them; else ValueError."
    labels = read_array(path / "labels.npy").clone()
    right = labels.dtype == torch.int64 and labels.shape == (manifest["count"],)
    if not right or manifest.get("labels", digest_of_array(labels)) != digest_of_array(labels):
        raise ValueError(f"{path / 'labels.npy'} holds {labels.dtype} {tuple(labels.shape)}, which "
                         f"are not the labels of its cache; expected torch.int64 "
                         f"({manifest['count']},), as they were written; delete the cache and "
                         "make it again")
    if not 0 <= int(labels.min()) <= int(labels.max()) < len(manifest["classes"]):
        raise ValueError(f"{path / 'labels.npy'} has labels {labels.min()} to {labels.max()}; "
                         f"its cache has {len(manifest['classes'])} classes")
    return labels


class CachedLatents:
    "The latents of a data set on disk: what `fit` reads in place of `Images`, batch by batch."
    def __init__(self, path, # folder that `cache_latents` made
                 device="cpu"): # where batches go
        self.path = as_folder(path, "path")
        self.device = torch.device(device)
        self.manifest = manifest = read_manifest(self.path)
        self.shard = manifest["shard"]
        self.shape = tuple(manifest["shape"])
        self.flip = manifest["flip"]
        self.classes = manifest["classes"]
        self.labels = read_labels(self.path, manifest)
        number = -(-len(self) // self.shard)
        self.shards = [read_array(shard_file(self.path, i)) for i in range(number)]
        check_shards(self.path, manifest, self.shards)
        space = {key: manifest[key] for key in ("vae", "mean", "std", "image_shape")}
        self.about = {"latent": space} # goes into the model folder

    def __len__(self): return self.manifest["count"]
    def to(self, device): return CachedLatents(self.path, device)

    def batch(self, index, # int64 (B,)
              rng=None): # `BatchRandom`: of a cache with flips it decides which of the two
        "Latents (B, C, h, w), float32, and labels (B,)."
        index = torch.as_tensor(index, device="cpu").view(-1)
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
