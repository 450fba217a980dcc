"Networks to look at images through: the digits classifier, and a residual network for images of any kind."

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .data import image_folder
from .images import Images, load_digits
from .models import device_of, inference_mode, register
from .saving import load_model
from .shipped import load_shipped
from .training import fit


@register
class DigitsClassifier(nn.Module):
    "A small CNN for 8x8 digits in [-1, 1]: 64 features (B, 64), and logits (B, 10) read from them."
    config, predicts, num_classes, name = {}, None, None, "digits classifier"

    def __init__(self):
        super().__init__()
        conv = lambda c_in, c_out: (nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())
        self.body = nn.Sequential(*conv(1, 32), *conv(32, 64), nn.MaxPool2d(2), *conv(64, 64), nn.MaxPool2d(2),
                                  nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def features(self, x): return self.body(x) # (B, 64)

    def forward(self, x): return self.head(self.body(x))


def jitter(x, # images (B, 1, H, W) in [-1, 1]
           rng, # the `BatchRandom` of the step
           turn=0.1, # largest turn, in radians
           zoom=0.05, # largest change of size, as a share
           shift=0.25): # largest move along each axis, in pixels
    "Each image turned, resized and moved a little, on a background of -1."
    limits = turn, zoom, 2 * shift / x.shape[-1], 2 * shift / x.shape[-2] # an image is 2 wide and 2 high in affine_grid's units
    turn, zoom, dx, dy = (most * (2 * rng.rand() - 1) for most in limits)
    cos, sin = (1 + zoom) * turn.cos(), (1 + zoom) * turn.sin()
    affine = torch.stack([cos, -sin, dx, sin, cos, dy], 1).view(-1, 2, 3)
    return F.grid_sample(x + 1, F.affine_grid(affine, x.shape, align_corners=False), align_corners=False) - 1


CLASSIFIER_FIT = dict(steps=600, batch_size=128, lr=3e-3, ema_halflife=5_000, device="cpu", precision="no")


def classifier_loss(model, x, y, rng):
    "Cross-entropy per image (B,) on jittered digits, as `fit` calls it."
    return F.cross_entropy(model(jitter(x, rng)), y, reduction="none")


def train_classifier(out, # run folder
                     seed: int=0,
                     **kwargs): # for `fit`
    "Train the digits classifier on the 1,000 training digits into the run folder `out`."
    torch.manual_seed(seed)
    options = CLASSIFIER_FIT | {"progress": False} | kwargs
    return fit(DigitsClassifier(), load_digits("train"), classifier_loss, out=out, seed=seed, **options)


def digits_classifier() -> DigitsClassifier:
    "The trained `DigitsClassifier`, as it ships with the package."
    return load_shipped("classifier").model


def conv_norm(c_in, c_out):
    "A 3x3 convolution and batch normalization."
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)


class Residual(nn.Module):
    "x + f(x), with f a 3x3 convolution, batch normalization and ReLU (after He et al. 2016, who take two convolutions, and the ReLU after the sum)."
    def __init__(self, channels):
        super().__init__()
        self.f = nn.Sequential(*conv_norm(channels, channels), nn.ReLU())

    def forward(self, x): return x + self.f(x)


@register
class ResNet(nn.Module):
    "A small residual classifier, three stages that each double the channels and halve the image: logits (B, classes), read from features (B, 8 * width)."
    predicts, num_classes = None, None

    def __init__(self, name, in_channels=3, classes=10, width=24, blocks=1): # channels at full size; residual blocks a stage
        super().__init__()
        self.config, self.name = dict(name=name, in_channels=in_channels, classes=classes, width=width, blocks=blocks), name
        layers = [*conv_norm(in_channels, width), nn.ReLU()]
        for c in (width, 2 * width, 4 * width):
            layers += [*conv_norm(c, 2 * c), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), *(Residual(2 * c) for _ in range(blocks))]
        self.body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten()) # a feature is there if it is anywhere
        self.head = nn.Linear(8 * width, classes)

    def features(self, x):
        if x.shape[1] != self.config["in_channels"]: raise ValueError(f"images: got {x.shape[1]} channels; {self.name} looks at {self.config['in_channels']}")
        return self.body(x)

    def forward(self, x): return self.head(self.features(x))


def check_pixels(name, value, H, W):
    "The value as an int, if that many whole pixels leave something of an H x W image; else ValueError."
    if value != int(value) or not 0 <= value < min(H, W): raise ValueError(f"{name}={value}; expected whole pixels, 0..{min(H, W) - 1} for {H}x{W} images")
    return int(value)


def random_shift(x, # images (B, C, H, W)
         rng, # the `BatchRandom` of the step
         shift): # largest move along each axis, in whole pixels
    "Each image moved by whole pixels, so that it stays sharp; what the move uncovers is filled with its mirror image."
    B, C, H, W = x.shape
    if not (shift := check_pixels("shift", shift, H, W)): return x
    rows, columns = (torch.arange(n, device=x.device) + rng.randint(2 * shift + 1)[:, None] for n in (H, W))
    image, channel = torch.arange(B, device=x.device).view(-1, 1, 1, 1), torch.arange(C, device=x.device).view(-1, 1, 1)
    return F.pad(x, [shift] * 4, mode="reflect")[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut_out(x, # images (B, C, H, W)
            rng, # the `BatchRandom` of the step
            cut): # side of the square, in whole pixels
    "Each image with a gray square (0) somewhere, so that no one part may decide (DeVries & Taylor 2017); at the border it is cut off."
    H, W = x.shape[-2:]
    if not (cut := check_pixels("cut", cut, H, W)): return x
    offsets = (torch.arange(n, device=x.device) - rng.randint(n)[:, None] + cut // 2 for n in (H, W)) # from the first pixel of the square, (B, n)
    rows, columns = ((offset >= 0) & (offset < cut) for offset in offsets)
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


@dataclass(frozen=True)
class ClassifierLoss:
    "Cross-entropy per image (B,), as `fit` calls it, on images moved by up to `shift` pixels, each with a square of `cut` pixels cut out."
    shift: int = 0
    cut: int = 0
    smoothing: float = 0.0 # share of the probability that is spread over all classes (Szegedy et al. 2016)

    def __call__(self, model, x, y, rng):
        return F.cross_entropy(model(cut_out(random_shift(x, rng, self.shift), rng, self.cut)), y, reduction="none", label_smoothing=self.smoothing)


def train_features(data, # labeled `Images`, or a folder with one folder of images a class
                   out, # run folder; the trained network is left in out/model
                   name, # what to call distances in these features: "resnet-cifar10"
                   size=None, # of the images, for a folder: centered square cut and resized to size x size
                   width=24, blocks=1, # of the `ResNet`
                   shift=None, cut=None, smoothing=0.1, # of the `LabelsLoss`; None: an eighth of the image's side, and a quarter
                   steps=14_000, batch_size=128, lr=4e-3, **kwargs): # for `fit`
    "A `ResNet` trained to tell the classes apart, its weights averaged, for its features; stops and resumes as `fit` does. None if `stop_at` left it unfinished."
    data = data if isinstance(data, Images) else image_folder(data, size, flip=True)
    torch.manual_seed(kwargs.get("seed", 0))
    net, (H, W) = ResNet(name, data.shape[0], len(data.classes), width, blocks), data.shape[1:]
    shift, cut = (check_pixels(of, min(H, W) // share if value is None else value, H, W) for of, value, share in (("shift", shift, 8), ("cut", cut, 4)))
    run = fit(net, data, ClassifierLoss(shift, cut, smoothing), out=out, steps=steps, batch_size=batch_size, lr=lr, **{"ema_halflife": 20_000, "weight_decay": 0.2} | kwargs)
    return load_model(Path(out) / "model").model if run.step == steps else None


def accuracy(net, data, batch=500):
    "Share of labeled `Images` that a network reads correctly."
    if len(data.classes) != net.head.out_features: raise ValueError(f"{len(data.classes)} classes in the data, {net.head.out_features} in the network")
    with inference_mode(net):
        right = [(net(x.to(device_of(net))).argmax(1).cpu() == y.cpu()).double() for x, y in (data.batch(i) for i in torch.arange(len(data)).split(batch))]
    return torch.cat(right).mean().item()
