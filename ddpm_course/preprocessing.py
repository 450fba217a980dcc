"""From a photograph of any shape to a square, three ways, each known by its name.

A distance sees the difference between them: which one was used is part of every score's protocol.
"""

import torch

from .reading import open_rgb


def course_square(path, # an image file
                  size: int) -> torch.Tensor: # uint8 (3, size, size)
    "This course's: the short side becomes `size` (antialiased bicubic), then the middle is cut."
    return open_rgb(path, size)


def torchvision_square(path, # an image file
                       size: int) -> torch.Tensor: # uint8 (3, size, size)
    """torchvision's Resize(size) and CenterCrop(size): the short side becomes `size` (bilinear,
    antialiased; the long one is rounded down), then the middle is cut."""
    im = as_pillow(open_rgb(path))
    short, long = sorted(im.size)
    scaled = {short: size, long: size * long // short}
    W, H = (scaled[side] for side in im.size)
    if (W, H) != im.size: im = im.resize((W, H), 2) # bilinear
    left = round((W - size) / 2)
    top = round((H - size) / 2)
    return as_tensor(im.crop((left, top, left + size, top + size)))


def adm_square(path, # an image file
               size: int) -> torch.Tensor: # uint8 (3, size, size)
    """ADM's (Dhariwal & Nichol 2021), which DiT took over: halved by box filters while the short
    side is at least 2 * size, then resized to it (bicubic), then cut."""
    im = as_pillow(open_rgb(path))
    while min(im.size) >= 2 * size: im = im.resize(tuple(side // 2 for side in im.size), 4) # box
    scale = size / min(im.size)
    im = im.resize(tuple(round(side * scale) for side in im.size), 3) # bicubic
    left, top = ((side - size) // 2 for side in im.size)
    return as_tensor(im.crop((left, top, left + size, top + size)))


def as_pillow(x): # uint8 (3, H, W)
    "A Pillow image."
    from PIL import Image
    return Image.fromarray(x.permute(1, 2, 0).numpy())


def as_tensor(im): # an RGB Pillow image
    "uint8 (3, H, W)."
    import numpy as np
    return torch.from_numpy(np.array(im)).permute(2, 0, 1)


PREPROCESSING = {"course": course_square, "torchvision": torchvision_square, "adm": adm_square}


def preprocessing_of(name: str): # a key of `PREPROCESSING`
    "The function of this name; ValueError if there is none."
    if name not in PREPROCESSING:
        raise ValueError(f"preprocessing={name!r}; expected one of {', '.join(PREPROCESSING)}")
    return PREPROCESSING[name]
