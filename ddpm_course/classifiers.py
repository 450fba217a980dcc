"Networks to look at images through: the digits classifier, and a small ResNet for any images."

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .arguments import check_fields, checked
from .data import image_folder
from .images import Images, check_images, load_digits
from .kinds import having, number, some_images, whole
from .models import device_of, inference_mode, register
from .saving import load_model
from .sets import a_set
from .shipped import load_shipped
from .training import fit
from .unet_inputs import A_WIDTH


def as_seen(x, net, channels, sides=None): # images; a classifier with a head
    "Images in the dtype of a network's weights; TypeError or ValueError where it can't see them."
    got = check_images(x).shape[1:]
    if got[0] != channels:
        raise ValueError(f"images: got {got[0]} channels; {net.name} looks at {channels}")
    if sides not in (None, got[1:]):
        raise ValueError(f"images: got {got[1]}x{got[2]} pixels; {net.name} looks at "
                         f"{sides[0]}x{sides[1]}")
    return x.to(net.head.weight.dtype)


# ---- the digits classifier ----

def _conv_relu(c_in, c_out):
    return nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU()


@register
class DigitsClassifier(nn.Module):
    "A small CNN for 8x8 digits in [-1, 1]: 64 features (B, 64), and logits (B, 10) read from them."
    config = {}
    predicts = None
    num_classes = None
    name = "digits classifier"

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *_conv_relu(1, 32), *_conv_relu(32, 64), nn.MaxPool2d(2),
            *_conv_relu(64, 64), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def features(self, x): return self.body(as_seen(x, self, 1, (8, 8))) # (B, 64)

    def forward(self, x): return self.head(self.features(x))


@checked(x=some_images)
def jitter(x, # images (B, 1, H, W) in [-1, 1]
           rng, # the `BatchRandom` of the step
           turn: float=0.1, # largest turn, in radians
           zoom: float=0.05, # largest change of size, as a share
           shift: float=0.25): # largest move along each axis, in pixels
    "Each image turned, resized and moved a little, on a background of -1."
    H, W = x.shape[-2:]
    limits = (turn, zoom, 2 * shift / W, 2 * shift / H) # affine_grid's images are 2 wide and high
    turn, zoom, dx, dy = (most * (2 * rng.rand() - 1) for most in limits)
    cos = (1 + zoom) * turn.cos()
    sin = (1 + zoom) * turn.sin()
    affine = torch.stack([cos, -sin, dx, sin, cos, dy], 1).view(-1, 2, 3)
    grid = F.affine_grid(affine, x.shape, align_corners=False).to(x.dtype)
    return F.grid_sample(x + 1, grid, align_corners=False) - 1


CLASSIFIER_FIT = dict(
    steps=600, batch_size=128, lr=3e-3, ema_halflife=5_000, device="cpu", precision="no")


def classifier_loss(model, x, y, rng):
    "Cross-entropy per image (B,) on jittered digits, as `fit` calls it."
    return F.cross_entropy(model(jitter(x, rng)), y, reduction="none")


def train_classifier(out, # run folder
                     seed: int=0,
                     **kwargs): # for `fit`
    "Train the digits classifier on the 1,000 training digits into the run folder `out`."
    torch.manual_seed(seed)
    options = CLASSIFIER_FIT | {"progress": False} | kwargs
    data = load_digits("train")
    return fit(DigitsClassifier(), data, classifier_loss, out=out, seed=seed, **options)


def digits_classifier() -> DigitsClassifier:
    "The trained `DigitsClassifier`, as it ships with the package."
    return load_shipped("classifier").model


# ---- a residual network for images of any kind ----

def _conv_norm(c_in, c_out):
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)


class Residual(nn.Module):
    """x + f(x), with f a 3x3 convolution, batch normalization and ReLU.

    After He et al. 2016, who take two convolutions, and the ReLU after the sum.
    """
    def __init__(self, channels: int):
        super().__init__()
        self.f = nn.Sequential(*_conv_norm(channels, channels), nn.ReLU())

    def forward(self, x): return x + self.f(x)


@register
class ResNet(nn.Module):
    """A small residual classifier: logits (B, classes), read from features (B, 8 * width).

    Each of its three stages doubles the channels and halves the image.
    """
    predicts = None
    num_classes = None

    @checked(in_channels=A_WIDTH, classes=A_WIDTH, width=A_WIDTH, blocks=whole(1, 64))
    def __init__(self,
                 name: str, # what distances in its features are called
                 in_channels: int=3,
                 classes: int=10,
                 width: int=24, # channels at full size
                 blocks: int=1): # residual blocks a stage
        super().__init__()
        self.config = dict(
            name=name, in_channels=in_channels, classes=classes, width=width, blocks=blocks)
        self.name = name
        layers = [*_conv_norm(in_channels, width), nn.ReLU()]
        for c in (width, 2 * width, 4 * width):
            layers += [*_conv_norm(c, 2 * c), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]
            layers += [Residual(2 * c) for _ in range(blocks)]
        pool = nn.AdaptiveMaxPool2d(1) # a feature is there if it is anywhere
        self.body = nn.Sequential(*layers, pool, nn.Flatten())
        self.head = nn.Linear(8 * width, classes)

    def features(self, x): return self.body(as_seen(x, self, self.config["in_channels"]))

    def forward(self, x): return self.head(self.features(x))


# ---- obstacles against learning by heart ----

def check_pixels(name, value, H, W):
    "The value as an int, if that many whole pixels leave some of an H x W image; else ValueError."
    if value != int(value) or not 0 <= value < min(H, W):
        raise ValueError(f"{name}={value}; expected whole pixels, 0..{min(H, W) - 1} "
                         f"for {H}x{W} images")
    return int(value)


@checked(x=some_images, shift=number())
def random_shift(x, # images (B, C, H, W)
                 rng, # the `BatchRandom` of the step
                 shift: int): # largest move along each axis, in whole pixels
    "Each image moved by whole pixels; what the move uncovers is filled with its mirror image."
    B, C, H, W = x.shape
    shift = check_pixels("shift", shift, H, W)
    if not shift: return x
    count = lambda n: torch.arange(n, device=x.device)
    rows, columns = (count(n) + rng.randint(2 * shift + 1)[:, None] for n in (H, W))
    image = count(B).view(-1, 1, 1, 1)
    channel = count(C).view(-1, 1, 1)
    padded = F.pad(x, [shift] * 4, mode="reflect")
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


@checked(x=some_images, cut=number())
def cut_out(x, # images (B, C, H, W)
            rng, # the `BatchRandom` of the step
            cut: int): # side of the square, in whole pixels
    "Each image with a gray square (0) somewhere, cut off at the border (DeVries & Taylor 2017)."
    H, W = x.shape[-2:]
    cut = check_pixels("cut", cut, H, W)
    if not cut: return x
    def inside(n): # whether each row, or column, crosses the square: (B, n)
        from_first = torch.arange(n, device=x.device) - rng.randint(n)[:, None] + cut // 2
        return (from_first >= 0) & (from_first < cut)
    rows, columns = (inside(n) for n in (H, W))
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


@dataclass(frozen=True)
class ClassifierLoss:
    "Cross-entropy per image (B,), as `fit` calls it, on images that are moved and partly hidden."
    shift: int = 0 # largest move, in pixels
    cut: int = 0 # side of the gray square, in pixels
    smoothing: float = 0.0 # share of the label spread over all classes (Szegedy et al. 2016)

    def __post_init__(self): check_fields(self, shift=whole(0), cut=whole(0))

    def __call__(self, model, x, y, rng):
        shown = cut_out(random_shift(x, rng, self.shift), rng, self.cut)
        return F.cross_entropy(model(shown), y, reduction="none", label_smoothing=self.smoothing)


def train_features(data, # labeled `Images`, or a folder with one folder of images a class
                   out, # run folder; the trained network is left in out/model
                   name: str, # what to call distances in these features: "resnet-cifar10"
                   size: int=None, # of a folder's images: cut to a centered square, resized to this
                   width: int=24, # of the `ResNet`
                   blocks: int=1, # of the `ResNet`
                   shift: int=None, # of the `ClassifierLoss`; None: an eighth of the image's side
                   cut: int=None, # of the `ClassifierLoss`; None: a quarter of the image's side
                   smoothing: float=0.1, # of the `ClassifierLoss`
                   steps: int=14_000,
                   batch_size: int=128,
                   lr: float=4e-3,
                   **kwargs): # for `fit`
    """A `ResNet` trained to tell the classes apart, its weights averaged, for its features.

    Stops and resumes as `fit` does; None if `stop_at` left it unfinished.
    """
    if not isinstance(data, Images): data = image_folder(data, size, flip=True)
    torch.manual_seed(kwargs.get("seed", 0))
    net = ResNet(name, data.shape[0], len(data.classes), width, blocks)
    H, W = data.shape[1:]
    shift = check_pixels("shift", min(H, W) // 8 if shift is None else shift, H, W)
    cut = check_pixels("cut", min(H, W) // 4 if cut is None else cut, H, W)
    options = {"ema_halflife": 20_000, "weight_decay": 0.2} | kwargs
    run = fit(net, data, ClassifierLoss(shift, cut, smoothing), out=out,
              steps=steps, batch_size=batch_size, lr=lr, **options)
    return load_model(Path(out) / "model").model if run.step == steps else None


@checked(net=having("head", "training", what="a classifier with a head"), data=a_set)
def accuracy(net, # with a `head`
             data, # labeled `Images`
             batch: int=500) -> float: # images at a time
    "Share of labeled `Images` that a network reads correctly."
    if len(data.classes) != net.head.out_features:
        raise ValueError(f"{len(data.classes)} classes in the data, "
                         f"{net.head.out_features} in the network")
    right = []
    with inference_mode(net):
        for index in torch.arange(len(data)).split(batch):
            x, y = data.batch(index)
            right.append((net(x.to(device_of(net))).argmax(1).cpu() == y.cpu()).double())
    return torch.cat(right).mean().item()
