"ImageNet-100 from a directory of ImageNet: squares of one size, a file a class, made once."

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..cache import write_array
from ..data import imagenet100_classes
from ..disk import as_folder, hold, sweep, write_whole
from ..identity import digest_of
from ..images import Images
from ..preprocessing import preprocessing_of
from ..reading import files_below, read_all
from .measuring import check_room

IMAGENET100_IMAGES = {"train": 126_689, "val": 5_000}


def safe_square(path, square, size):
    "A square of a file; ValueError that names a file that is no image."
    try: return square(path, size)
    except Exception as e:
        if isinstance(e, OSError) and e.errno: raise
        raise ValueError(f"{path} cannot be read as an image ({type(e).__name__}: {e})") from e


def images_of(source, split, classes, expected):
    "{class: its files}; errors where a class folder is missing, or files were lost on the way."
    folder = source / split
    if not folder.is_dir():
        raise FileNotFoundError(f"{source} has no folder {split}; expected ImageNet's layout, "
                                "train/n01558993/*.JPEG and val/n01558993/*.JPEG")
    if lacks := [name for name in classes if not (folder / name).is_dir()]:
        raise FileNotFoundError(f"{folder} lacks {len(lacks)} of the {len(classes)} classes, such "
                                f"as {lacks[0]}; images of val belong into folders by class, too")
    files = {name: files_below(folder / name) for name in classes}
    found = sum(map(len, files.values()))
    if expected is not None and found != expected:
        raise ValueError(f"{folder} holds {found:,} images of these {len(classes)} classes; "
                         f"expected {expected:,}: a copy was cut short, or has other images")
    return files


def class_file(out, split, name):
    "The file of one class: uint8 (n, 3, size, size)."
    return out / split / f"{name}.npy"


def is_finished(file, n, size):
    "Whether a class is there, with all its images."
    if not file.exists(): return False
    return np.load(file, mmap_mode="r").shape == (n, 3, size, size)


def claim(out, about):
    "Say what a folder is made of; ValueError where it was begun in another way."
    file = out / "prepared.json"
    if file.exists() and (was := json.loads(file.read_text(encoding="utf-8"))) != about:
        differ = [key for key in about if was.get(key) != about[key]]
        raise ValueError(f"{out} was prepared with another {', '.join(differ)}; choose another "
                         "--out")
    write_whole(file, json.dumps(about, indent=1))


def prepare_folders(source, # directory of ImageNet: train/WNID/*.JPEG, val/WNID/*.JPEG
                    out, # where the squares go
                    size: int=128, # pixels a side
                    preprocessing: str="course", # a key of `PREPROCESSING`
                    classes=None, # WordNet ids; ImageNet-100's if None
                    splits=None, # {split: images it must have, or None}; ImageNet-100's if None
                    workers: int=None): # threads; None: one a core, at most 8
    "Make squares of all images, a file a class; what is there is not made again. {split: images}."
    classes = imagenet100_classes() if classes is None else list(classes)
    splits = IMAGENET100_IMAGES if splits is None else splits
    square = partial(safe_square, square=preprocessing_of(preprocessing), size=size)
    source = as_folder(source, "--data")
    out = as_folder(out)
    found = {split: images_of(source, split, classes, n) for split, n in splits.items()}
    out.mkdir(parents=True, exist_ok=True)
    with hold(out):
        claim(out, {"preprocessing": preprocessing, "size": size, "classes": classes,
                    "list": digest_of(*classes)})
        todo = [(split, name, files) for split, by_class in found.items()
                for name, files in by_class.items()
                if not is_finished(class_file(out, split, name), len(files), size)]
        check_room(out, sum(len(files) for _, _, files in todo) * 3 * size**2)
        for job in tqdm(todo, "classes", disable=None):
            prepare_class(out, job, square, size, workers)
    return {split: sum(map(len, by_class.values())) for split, by_class in found.items()}


def prepare_class(out, job, square, size, workers):
    "Make the squares of one class."
    split, name, files = job
    folder = out / split
    folder.mkdir(exist_ok=True)
    sweep(folder, alone=True)
    squares = np.empty((len(files), 3, size, size), np.uint8)
    def keep(n, x): squares[n] = x.numpy()
    read_all(files, square, "raise", keep, workers)
    write_array(class_file(out, split, name), squares)


def load_prepared(root, split, size, preprocessing, flip=False):
    "(`Images` of a split, what is said of them); errors where they were prepared otherwise."
    root = Path(root)
    file = root / "prepared.json"
    if not file.exists():
        raise FileNotFoundError(f"{root} holds no prepared images; make them with: ddpm-course "
                                f"prepare imagenet100 --data IMAGENET --out {root} --size {size}")
    about = json.loads(file.read_text(encoding="utf-8"))
    asked = {"size": size, "preprocessing": preprocessing}
    if wrong := {k: v for k, v in asked.items() if about[k] != v}:
        there = ", ".join(f"{k} {about[k]}" for k in wrong)
        here = ", ".join(f"{k} {v}" for k, v in wrong.items())
        raise ValueError(f"{root} was prepared with {there}; this experiment asks for {here}: "
                         "prepare another folder")
    files = [class_file(root, split, name) for name in about["classes"]]
    if lacks := [f.stem for f in files if not f.exists()]:
        raise FileNotFoundError(f"{root}/{split} lacks {len(lacks)} classes, such as {lacks[0]}: "
                                "the preparation was stopped; the same command goes on")
    parts = [torch.from_numpy(np.load(f)) for f in files]
    labels = torch.arange(len(parts)).repeat_interleave(torch.tensor([len(p) for p in parts]))
    return Images(torch.cat(parts), labels, about["classes"], flip=flip), about
