"The data sets of the experiments by name: where they are, how many images, what cards call them."

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

from ..data import cifar10, image_folder, imagenet100_classes
from ..images import Images, load_digits
from ..reading import find_images
from .preparation import load_prepared

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                   "truck")


class Loaded(NamedTuple):
    "A split of a data set in memory."
    images: Images
    title: str # what cards call it, with its split


@dataclass(frozen=True)
class Source:
    "A named data set."
    title: str
    shape: tuple # (C, H, W), where a plan says no other size
    classes: int
    splits: dict # {split: images}; the first is trained on
    load: Callable # (root, split, `DataSet`) -> `Loaded`
    levels: int = 255 # largest gray level
    needs_folder: bool = True


def check_root(root, name):
    "The folder of a data set as a `Path`; an error says what to pass."
    if root is None:
        raise ValueError(f"{SETS[name].title} has to be on this machine; pass its folder with "
                         f"--data, or get it there with: ddpm-course prepare {name} --out FOLDER")
    root = Path(root).expanduser()
    if not root.is_dir(): raise FileNotFoundError(f"--data: no folder {root}")
    return root


def check_unneeded(root, name):
    "ValueError where a folder is given for a data set that needs none."
    if root is None or SETS[name].needs_folder: return
    raise ValueError(f"--data {root}: the data here are the {SETS[name].title}, which need no "
                     "folder; leave --data out, or choose a --size whose data lie in one")


def check_split(name, split):
    "ValueError unless a data set has a split."
    if split not in SETS[name].splits:
        raise ValueError(f"split={split!r}; {name} has {', '.join(SETS[name].splits)}")


def load_split(data, # `DataSet`
               root, # its folder; None for the digits
               split: str): # "train", "test" or "val"
    "A split of a data set, counted and complete: `Loaded`."
    if data.name not in SETS:
        raise ValueError(f"no data set {data.name!r}; there are {', '.join(SETS)}")
    check_split(data.name, split)
    source = SETS[data.name]
    loaded = source.load(check_root(root, data.name) if source.needs_folder else None, split, data)
    expected = source.splits[split]
    if len(loaded.images) != expected:
        raise ValueError(f"{root}: {split} holds {len(loaded.images):,} images of "
                         f"{source.title}; expected {expected:,}; it was copied or unpacked by "
                         "half: get it again")
    return loaded


# ---- each of them ----

def digits_split(root, split, data):
    "scikit-learn's digits, which come with it."
    return Loaded(load_digits(split), f"digits {split}")


def cifar10_split(root, split, data):
    "CIFAR-10 from its official archive, or from folders by class: root/train/airplane/0000.png."
    from torchvision.datasets import CIFAR10
    flip = data.flip and split == "train"
    if (root / CIFAR10.base_folder).is_dir():
        return Loaded(cifar10(root, split == "train", flip=flip), f"CIFAR-10 {split}")
    if not (root / split).is_dir():
        raise FileNotFoundError(f"no CIFAR-10 in {root}: neither {CIFAR10.base_folder}/ nor "
                                f"{split}/airplane/...; get it with: ddpm-course prepare cifar10 "
                                f"--out {root}")
    check_class_folders(root / split, CIFAR10_CLASSES, "CIFAR-10")
    images = image_folder(root / split, classes=CIFAR10_CLASSES, flip=flip)
    return Loaded(images, f"CIFAR-10 ({kind_of_files(root / split)}) {split}")


def kind_of_files(folder):
    "\"JPEG\" or \"PNG\" or ...: what copies of a data set were compressed by; ValueError if mixed."
    names = {"jpg": "JPEG", "jpeg": "JPEG"}
    endings = {p.suffix[1:].lower() for p in find_images(folder)[0]}
    kinds = sorted({names.get(ending, ending.upper()) for ending in endings})
    if len(kinds) != 1: raise ValueError(f"{folder} holds files of several kinds ({kinds}); copies "
                                         "of one data set are of one kind")
    return kinds[0]


def is_copy(title):
    "Whether a title is that of a copy in files, which is another data set than the official one."
    return re.search(r"\(\w+\) (train|test|val)", title) is not None


def check_class_folders(folder, classes, title):
    "ValueError unless the class folders are just those of a list."
    there = {p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."}
    lacks = [name for name in classes if name not in there]
    more = sorted(there - {*classes})
    if lacks or more:
        raise ValueError(f"{folder}: {len(lacks)} of the {len(classes)} classes of {title} are "
                         f"missing ({', '.join(lacks[:3]) or 'none'}), and {len(more)} folders are "
                         f"none of them ({', '.join(more[:3]) or 'none'})")


IMAGENETTE_CLASSES = {"n01440764": "tench", "n02102040": "springer", "n02979186": "cassette player",
                      "n03000684": "chain saw", "n03028079": "church", "n03394916": "French horn",
                      "n03417042": "garbage truck", "n03425413": "gas pump",
                      "n03445777": "golf ball", "n03888257": "parachute"} # {WordNet id: name}
IMAGENETTE_FOLDER = "imagenette2-160" # what its archive unpacks to
IMAGENETTE_ARCHIVE = f"https://s3.amazonaws.com/fast-ai-imageclas/{IMAGENETTE_FOLDER}.tgz"
IMAGENETTE_MD5 = "e793b78cc4c9e9a4ccc0c1155377a412" # as torchvision has it


def fetch_imagenette(root):
    "Download Imagenette (99 MB), unless its archive is there, and unpack it into a folder."
    from torchvision.datasets.utils import download_and_extract_archive
    try: download_and_extract_archive(IMAGENETTE_ARCHIVE, root, md5=IMAGENETTE_MD5)
    except Exception as e:
        raise OSError(f"Imagenette could not be downloaded ({type(e).__name__}: {e}); put "
                      f"{IMAGENETTE_FOLDER}.tgz (MD5 {IMAGENETTE_MD5}) into {root}, and call "
                      "again") from e


def imagenette_split(root, split, data):
    "Imagenette, ten classes of ImageNet, in folders by class: root/train/n01440764/*.JPEG."
    if (root / IMAGENETTE_FOLDER).is_dir(): root = root / IMAGENETTE_FOLDER
    if not (root / split).is_dir():
        raise FileNotFoundError(f"no Imagenette in {root}: no {split}/n01440764/...; get it with: "
                                f"ddpm-course prepare imagenette --out {root}")
    check_class_folders(root / split, IMAGENETTE_CLASSES, "Imagenette")
    images = image_folder(root / split, data.size, data.flip and split == "train",
                          [*IMAGENETTE_CLASSES])
    return Loaded(images, f"Imagenette {split}, {images.shape[1]}x{images.shape[2]}")


def imagenet100_split(root, split, data):
    "ImageNet-100 as `ddpm-course prepare imagenet100` leaves it."
    flip = data.flip and split == "train"
    images, about = load_prepared(root, split, data.size, data.preprocessing, flip)
    if list(images.classes) != imagenet100_classes():
        raise ValueError(f"{root} was prepared with another list of classes; prepare it again")
    return Loaded(images, f"ImageNet-100 (CMC list) {split}, {about['preprocessing']}")


SETS = {
    "digits": Source("digits", (1, 8, 8), 10, {"train": 1000, "test": 797}, digits_split, 16,
                     needs_folder=False),
    "cifar10": Source("CIFAR-10", (3, 32, 32), 10, {"train": 50_000, "test": 10_000},
                      cifar10_split),
    "imagenette": Source("Imagenette", (3, 160, 160), 10, {"train": 9_469, "val": 3_925},
                         imagenette_split),
    "imagenet100": Source("ImageNet-100", (3, 128, 128), 100, {"train": 126_689, "val": 5_000},
                          imagenet100_split)}


def shape_of(data): # `DataSet`
    "(C, H, W) of its images, without a look at them."
    C, H, W = SETS[data.name].shape
    return (C, H, W) if data.size is None else (C, data.size, data.size)


def training_images(data): # `DataSet`
    "How many images it is trained on."
    return next(iter(SETS[data.name].splits.values()))
