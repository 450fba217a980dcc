"Files of pixels: formats that are opened, how many are decoded at a time, and JPEGs fast."

import threading
from contextlib import contextmanager

import torch

FORMATS = ( # of pixels; Pillow hands others, such as EPS, to programs of their own
    "AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO",
    "MSP", "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM")
IN_FLIGHT = 2**26 # pixels that are decoded at a time by all threads; a larger image comes alone


class Room:
    "A number of pixels that threads share: `with room(n):` waits until n are free, or all."
    def __init__(self, most):
        self.most = most
        self.used = 0
        self.changed = threading.Condition()

    @contextmanager
    def __call__(self, n):
        with self.changed:
            self.changed.wait_for(lambda: not self.used or self.used + n <= self.most)
            self.used += n
        try: yield
        finally:
            with self.changed:
                self.used -= n
                self.changed.notify_all()


room = Room(IN_FLIGHT)


def open_raster(file):
    "A Pillow image of one of the FORMATS that this Pillow knows, its pixels not yet read."
    from PIL import Image
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def jpeg_pixels(im, data): # a Pillow image not yet read, and its file as a uint8 array
    "uint8 (3, H, W) of a complete gray or RGB JPEG, turned; else None."
    try: from torchvision.io import ImageReadMode, decode_image
    except ImportError: return None # torchvision means to move its decoders
    if im.format not in ("JPEG", "MPO") or im.mode not in ("L", "RGB"): return None
    if data[-2:].tolist() != [0xFF, 0xD9]: return None # cut off, which this decoder lets pass
    try: return decode_image(torch.from_numpy(data), ImageReadMode.RGB, apply_exif_orientation=True)
    except RuntimeError: return None # Pillow says what is wrong
