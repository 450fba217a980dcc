"Image files: any mode to RGB, class folders, threads that read into memory or ahead of time."

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

from .kinds import class_names_of
from .rasters import jpeg_pixels, open_raster, room


# ---- one file ----

def _eight_bits(im):
    "A 16-bit Pillow image, in any of its spellings, as 8 bits."
    import numpy as np
    from PIL import Image
    deep = np.asarray(im).astype(np.int64)
    if deep.min() < 0 or deep.max() > 65535:
        raise ValueError(f"its pixels are {deep.min()}..{deep.max()}; expected 0..65535")
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8))


def to_rgb(im): # a Pillow image of any mode
    "RGB: 16 bits scaled to 8, transparency laid on white."
    from PIL import Image
    if im.mode == "F":
        raise ValueError("its pixels are floats, which have no fixed range; "
                         "save it with 8 or 16 bits")
    if im.mode.startswith("I"): im = _eight_bits(im)
    if im.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in im.info:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    return im.convert("RGB")


def cut_square(x, size): # uint8 (C, H, W)
    "Resized so that the shorter side is `size`, then the centered square, as torchvision does it."
    import numpy as np
    short = min(x.shape[1:])
    ends = [max(0, (side - 2 * short) // 2) for side in x.shape[1:]] # nothing of them is seen
    x = x[:, ends[0]:x.shape[1] - ends[0], ends[1]:x.shape[2] - ends[1]]
    h, w = (size * side // short for side in x.shape[1:])
    if short != size:
        x = x[None].contiguous(memory_format=torch.channels_last)
        x = F.interpolate(x, (h, w), mode="bicubic", antialias=True)[0]
    top = round((h - size) / 2)
    left = round((w - size) / 2)
    x = x[:, top:top + size, left:left + size]
    return torch.from_numpy(np.ascontiguousarray(x.numpy())) # torch would wake threads that spin


def open_rgb(path, # an image file of any mode that Pillow reads
             size: int=None, # cut the centered square and resize it to size x size; None: as it is
             reduced: bool=False # decode a JPEG at 1/2, 1/4 or 1/8, but at 2 * size or more
             ) -> torch.Tensor: # uint8 (3, H, W)
    "One image file, turned as its EXIF header says."
    import numpy as np
    from PIL import ImageOps
    data = np.fromfile(path, np.uint8)
    with open_raster(BytesIO(data)) as im:
        full = im.size
        if reduced and size is not None: im.draft(None, (2 * size, 2 * size))
        with room(im.width * im.height):
            x = jpeg_pixels(im, data) if im.size == full else None
            if x is None:
                x = np.array(to_rgb(ImageOps.exif_transpose(im)))
                x = torch.from_numpy(x).permute(2, 0, 1)
            return x if size is None else cut_square(x, size)


def as_gray(x): # uint8 (3, H, W)
    "The brightness of a picture, uint8 (1, H, W): .299 R + .587 G + .114 B."
    import numpy as np
    from PIL import Image
    gray = Image.fromarray(x.permute(1, 2, 0).numpy()).convert("L")
    return torch.from_numpy(np.array(gray))[None]


def read_image(path, size=None, mode="RGB", decode=True, reduced=False):
    "`open_rgb`, with an error that names the file; without `decode` its header alone is looked at."
    try:
        if not decode: return open_raster(path).close()
        x = open_rgb(path, size, reduced)
        return as_gray(x) if mode == "L" else x
    except MemoryError as e:
        raise MemoryError(f"{path} does not fit into memory; make it smaller, or pass fewer "
                          "workers") from e
    except Exception as e:
        if isinstance(e, OSError) and e.errno: raise # the disk or the permissions, not the picture
        reason = str(e).split(" <_io")[0] # the file is named, not where its bytes lay in memory
        raise ValueError(f"{path} cannot be read as an image ({type(e).__name__}: {reason}); "
                         "remove it, or pass on_error='skip'") from e


# ---- a folder ----

def _visible(path, root): return not any(part[0] == "." for part in path.relative_to(root).parts)


def warn_of_numbers(names):
    "Warn of folders named by numbers whose order as text, which labels follow, is another one."
    if not all(name.isdecimal() for name in names): return
    wanted = sorted(names, key=int)
    label = next((i for i, pair in enumerate(zip(names, wanted)) if pair[0] != pair[1]), None)
    if label is None: return
    first = ", ".join(names[:3])
    warnings.warn(f"the class folders are numbers in the order of text, {first}, ...: "
                  f"label {label} is the folder {names[label]!r}; pass classes=[...] in another "
                  "order if labels should follow the numbers", stacklevel=4)


def class_names(root, # holds one folder a class
                classes): # a name, a list of names, or None for all
    "Names of the class folders below `root`, each of which is there."
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}; expected root/class/image.jpg")
    if classes is None:
        classes = sorted(p.name for p in root.iterdir() if p.is_dir() and _visible(p, root))
        warn_of_numbers(classes)
    names = [classes] if isinstance(classes, str) else class_names_of(classes, "classes")
    if not names:
        raise FileNotFoundError(f"{root} holds no class folders; expected root/class/image.jpg "
                                "(no classes? put all images into one folder there)")
    if missing := [name for name in names if not (root / name).is_dir()]:
        raise FileNotFoundError(f"{root} has no folders {missing[:5]}; "
                                f"{len(missing)} of {len(names)} classes are missing")
    return names


def files_below(folder):
    "Files below a folder, sorted, in linked folders too; hidden ones don't count."
    def refuse(error):
        raise PermissionError(error.errno, f"{error.filename} cannot be read ({error.strerror}); "
                              "mend its permissions, or leave its class out with classes=")
    found = []
    trail = {} # the real folders above each folder: a link to one of them goes around in a circle
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(here)
        above = trail.get(here, frozenset()) | {real}
        visible = [name for name in folders if name[0] != "."]
        folders[:] = [f for f in visible if os.path.realpath(os.path.join(here, f)) not in above]
        trail |= {os.path.join(here, f): above for f in folders}
        found += [Path(here, name) for name in files if name[0] != "."]
    return sorted(p for p in found if p.is_file())


def find_images(root, # holds one folder a class
                classes=None): # class folders to use, in this order; all, sorted, if None
    "Files below root/class/, their labels (N,), and the class names; hidden files don't count."
    root = Path(root).expanduser()
    names = class_names(root, classes)
    found = [files_below(root / name) for name in names]
    if empty := [name for name, files in zip(names, found) if not files]:
        raise FileNotFoundError(f"{root} has no images of {empty[:5]}; {len(empty)} of "
                                f"{len(names)} class folders are empty; "
                                "remove them, or pass classes=")
    counts = torch.tensor([len(files) for files in found])
    labels = torch.arange(len(names)).repeat_interleave(counts)
    return [p for files in found for p in files], labels, names


def first_shape(files, read, on_error):
    "(C, H, W) of the first image that can be read."
    for file in files:
        try: return tuple(read(file).shape)
        except ValueError:
            if on_error != "skip": raise
    raise ValueError(f"none of {len(files)} files can be read as an image; the first: {files[0]}")


# ---- many files ----

def readers(workers):
    "How many threads read: `workers`, or if None one a core, since they decode, but at most 8."
    return min(8, os.cpu_count() or 1) if workers is None else workers


def _attempts(files, read, workers):
    "What `read` gives for each file, or its ValueError, in order; read by threads."
    def attempt(file):
        try: return read(file)
        except ValueError as e: return e
    parts = [files[i:i + 8] for i in range(0, len(files), 8)] # fewer hand-overs between threads
    pool = ThreadPoolExecutor(readers(workers))
    try:
        for i in range(0, len(parts), 512): # a million at once would fill the memory
            for part in pool.map(lambda part: [attempt(file) for file in part], parts[i:i + 512]):
                yield from part
    finally: pool.shutdown(cancel_futures=True)


def read_all(files, # paths
             read, # path -> result; a ValueError says that the file is no image
             on_error: str="raise", # or "skip": leave such files out, and say how many
             keep=None, # keep(n, result) is called for the n-th readable file
             workers: int=None): # threads; None: `readers`
    "Call read(file) for all files, in threads; returns the indices of the readable ones."
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}; expected 'raise' or 'skip'")
    good = []
    bad = []
    with closing(_attempts(files, read, workers)) as results: # closing ends the threads at once
        bar = tqdm(results, "reading images", len(files), delay=2, disable=None)
        for i, result in enumerate(bar):
            if isinstance(result, ValueError):
                if on_error == "raise": raise result
                bad.append(result)
                continue
            if keep: keep(len(good), result)
            good.append(i)
    n = len(files)
    if not good: raise ValueError(f"none of {n} files can be read as an image; the first: {bad[0]}")
    if bad: warnings.warn(f"{len(bad)} of {n} files skipped; the first: {bad[0]}", stacklevel=3)
    return good


def _results(reads):
    "What futures give; what to do in the middle of a run is noted on the error of a bad picture."
    try: return [read.result() for read in reads]
    except ValueError as e:
        e.add_note("In the middle of a run: put a picture in its place that can be read, under the "
                   "same name; with resume=True the run goes on.")
        raise


class FilePixels:
    "Images on disk, indexed like a uint8 tensor (N, C, H, W); read by threads, ahead if asked."
    dtype = torch.uint8
    device = torch.device("cpu")

    def __init__(self, files, # paths
                 read, # path -> uint8 (C, H, W)
                 shape, # (C, H, W)
                 workers: int=None, # threads; None: `readers`
                 limit: int=2048): # images read ahead at most; the oldest are dropped
        self.files = files
        self.read = read
        self.shape = (len(files), *shape)
        self.workers = workers
        self.limit = limit
        self.ahead = {} # reads under way, by index
        self.pool = self.owner = None # their threads, and the process of these

    def __len__(self): return len(self.files)
    def to(self, device): return self

    def __getstate__(self): # copies start without threads
        return self.__dict__ | {"ahead": {}, "pool": None, "owner": None}

    def submit(self, index):
        "Start what is not under way; returns {i: future}."
        if self.owner != os.getpid(): # the first use, or after a fork, which threads do not survive
            self.ahead = {}
            self.pool = ThreadPoolExecutor(readers(self.workers))
            self.owner = os.getpid()
        start = lambda i: self.pool.submit(self.read, self.files[i])
        return {i: self.ahead.pop(i, None) or start(i) for i in dict.fromkeys(index)}

    def prefetch(self, index):
        "Start reading the images at `index`, to be asked for later."
        reads = self.submit(torch.as_tensor(index).tolist())
        self.ahead |= reads
        for i in list(self.ahead)[:-self.limit]: self.ahead.pop(i).cancel()

    def __getitem__(self, index): # whole numbers, or a mask
        index = torch.as_tensor(index)
        wanted = (index.nonzero()[:, 0] if index.dtype == torch.bool else index).tolist()
        reads = self.submit(wanted)
        return torch.stack(_results(reads[i] for i in wanted))
