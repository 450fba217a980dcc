"How far real photographs are from real ones, over their number: what a perfect model scores."

import torch

from ..data import image_folder
from ..features import extract
from ..metrics import frechet


def seen_in_order(judge, root, seed):
    "`Features` of a folder of images, mixed; 1,000 images are in memory at a time."
    folder = image_folder(root, flip=False)
    rows = torch.arange(len(folder)).split(1000)
    seen = extract(judge, (folder.batch(some)[0] for some in rows))
    return seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))]


def real_distances(judge, # a network of `train_features`
                   root, # folder with train/ and test/, such as CIFAR-10's
                   counts=(200, 1000, 2000, 5000, 10_000)): # images on one side
    "A row for each n: test against training images, training images against others, the bias."
    train, test = (seen_in_order(judge, f"{root}/{part}", seed)
                   for seed, part in enumerate(("train", "test")))
    others = train[max(counts):]
    def row(n):
        drawn = frechet(test[:n], train)
        floor = frechet(train[:n], others)
        bias = drawn.notes["bias"]
        return {"n": n, "test": (drawn.value, *drawn.interval),
                "training": (floor.value, *floor.interval), "bias": bias,
                "test less bias": drawn.value - bias}
    return [row(n) for n in counts]
