"What fit is given: networks, recipes and data that it refuses, and why."

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpm_course.ddpm import DDPMLoss
from ddpm_course.devices import DatasetAdapter
from ddpm_course.images import load_digits
from ddpm_course.noising import cosine_schedule
from ddpm_course.training import every, fit, loss_by_t
from ddpm_course.unet import UNet

DIGITS = load_digits("train")
LOSS = DDPMLoss(cosine_schedule(), drop=0.1)
NET = dict(in_channels=1, channels=(8, 8), layers=1, attention=(False, True), groups=4)


def net():
    torch.manual_seed(0)
    return UNet(**NET, num_classes=10)


def train(**given):
    options = dict(model=net(), data=DIGITS, loss=LOSS, steps=4, batch_size=16, lr=1e-2, warmup=3)
    options |= dict(ema_halflife=64, device="cpu", precision="no", progress=False)
    return fit(**options | given)


def same(a, b):
    pairs = zip(a.ema.model.parameters(), b.ema.model.parameters(), strict=True)
    return a.losses == b.losses and all(torch.equal(p, q) for p, q in pairs)


class Pairs(torch.utils.data.Dataset):
    "A torch Dataset of digits, changed by `change(x, y)`."

    def __init__(self, change=lambda x, y: (x, y), n=64):
        self.change, self.n = change, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.change(*DIGITS[i])


class Batches(Pairs):
    "The same, read batch by batch."

    def batch(self, index, rng=None):
        pairs = [self[i] for i in index.tolist()]
        return torch.utils.data.default_collate(pairs)

    def to(self, device):
        return self


@pytest.mark.parametrize("data", [DIGITS, DatasetAdapter(Pairs())], ids=["images", "adapted"])
def test_one_number_is_a_batch_of_one(data):
    one, row = data.batch(3), data.batch([3])
    assert one[0].shape == (1, 1, 8, 8) and all(torch.equal(a, b) for a, b in zip(one, row))


def from_one(x, y):
    return x, y + 1


@pytest.mark.parametrize("kind", [Pairs, Batches])
@pytest.mark.parametrize(
    "change, message",
    [
        (from_one, "labels go up to 10.*expects 0..9: labels that start at 1 need y - 1"),
        (lambda x, y: (x, y + 5), "y from .*expected 0..9"),
        (lambda x, y: (x, y - 1), "y from -1"),
        (lambda x, y: (x, float(y)), "y: got torch.float64; expected int64"),
        (lambda x, y: (x, torch.eye(10)[y]), "y: got torch.float32; expected int64"),
        (lambda x, y: (x, torch.eye(10)[y].long()), "y: got shape .*expected one label an image"),
        (lambda x, y: (x, str(y)), "y: got (list|tuple); expected int64"),
        (lambda x, y: ((x + 1) * 255, y), "values from 0 to .*from_uint8"),
        (lambda x, y: (x[None], y), r"expected (\(B, )?(C, H, W)|\(C, H, W\)"),
        (lambda x, y: ((x * 8 + 8).byte(), y), "uint8.*from_uint8"),
        (lambda x, y: {"image": x, "label": y}, "data.*pair"),
        (lambda x, y: x, "data.*pair"),
    ],
)
def test_labels_and_images_that_would_teach_something_else(kind, change, message):
    "The labels 1 to 10 were learned as nine digits and `no label`, in silence."
    with pytest.raises((TypeError, ValueError), match=message):
        train(data=kind(change), steps=40)


@pytest.mark.parametrize("name", ["steps", "batch_size", "warmup", "save_every", "accumulate"])
def test_a_run_that_would_never_end_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}=10{{10}}; expected .* at most 1,000,000,000"):
        train(**{name: 10**10})


@pytest.mark.parametrize("kind", [Pairs, Batches])
def test_images_from_0_to_1_are_told(kind):
    with pytest.warns(UserWarning, match="data: x: no value below 0 .*x \\* 2 - 1"):
        train(data=kind(lambda x, y: ((x + 1) / 2, y)), steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(data=kind(lambda x, y: (x * 0.1 - 0.9, y)), steps=2)  # dim


@pytest.mark.parametrize(
    "data, message",
    [
        ("runs/pictures", "image_folder\\('runs/pictures'\\) reads a folder"),
        (Path("pictures"), "image_folder"),
        (torch.utils.data.DataLoader(Pairs()), "expected its set, loader.dataset"),
        ({"x": torch.zeros(3, 1, 8, 8)}, "expected a set with batch"),
        (torch.zeros(3, 1, 8, 8), "expected a set with batch"),
        (None, "expected a set with batch"),
        (Pairs(n=0), "empty set"),
        (Batches(n=0), "empty set"),
        ([], "empty set"),
        ((i for i in range(3)), "expected a set with batch"),
    ],
)
def test_what_is_no_set_is_refused(data, message):
    with pytest.raises((TypeError, ValueError), match=message):
        train(data=data)


@pytest.mark.parametrize(
    "labels", [torch.arange(64.0), torch.zeros(64, 1).long(), torch.zeros(63).long(), [0] * 64]
)
def test_labels_of_a_set_are_one_number_an_image(labels):
    data = Batches()
    data.labels = labels
    with pytest.raises((TypeError, ValueError), match="data.labels.*(expected|got 63)"):
        train(data=data)


@pytest.mark.parametrize(
    "bad",
    [
        *[dict(steps=v) for v in (1000 / 96, "3", True, None, math.nan)],
        *[dict(batch_size=v) for v in (16.0, "16", True)],
        *[dict(lr=v) for v in ("1e-3", None, math.inf, True)],
        *[dict(ema_halflife=v) for v in (math.nan, -1, "x", math.inf)],
        *[dict(weight_decay=v) for v in (math.nan, -1)],
        *[dict(warmup=v) for v in (-1, 2.5, "0")],
        *[dict(clip_grad=v) for v in (math.nan, 0, "1")],
        *[dict(seed=v) for v in (1.5, "12", -1, None, True)],
        *[dict(stop_at=v) for v in (6.5, -1, "6", True)],
        *[dict(save_every=v) for v in (-1, 0.5, None, "x")],
        *[dict(accumulate=v) for v in (0, 1.5, "2")],
        *[dict(clip=v) for v in (-1, math.nan, "1", True)],
        *[dict(callbacks=v) for v in (print, [3], "print")],
        *[dict(resume=1), dict(progress="no"), dict(precision=16)],
        *[dict(loss=None), dict(loss="mse"), dict(model=None), dict(model=lambda x, t, y: x)],
        dict(model=net().bfloat16()),
        dict(model=net().half()),
        dict(model=net().requires_grad_(False)),
        dict(model=torch.nn.DataParallel(net())),
        dict(model=torch.nn.Conv2d(1, 1, 1)),  # it does not say what it predicts
    ],
    ids=lambda bad: re.sub(r" at 0x\w+", "", str(bad)),
)
def test_arguments_are_looked_at_before_a_folder_is_claimed(bad, tmp_path):
    with pytest.raises((TypeError, ValueError), match="expected|call model|uses"):
        train(**{"out": tmp_path / "run"} | bad)
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_make_the_same_run():
    a = train(steps=np.int64(3), batch_size=np.int32(16), lr=np.float64(1e-3), seed=np.int64(2))
    b = train(steps=3, batch_size=16, lr=1e-3, seed=2)
    assert a.config == b.config and same(a, b)


def test_callbacks_and_curves_look_at_their_arguments():
    for n in (0, 2.5, "3"):
        with pytest.raises((TypeError, ValueError), match="n=.*expected"):
            every(n, print)
    x = torch.zeros(2, 1, 8, 8)
    for ts in ("95", [], [1.5], 3):
        with pytest.raises((TypeError, ValueError), match="ts.*expected"):
            loss_by_t(net(), cosine_schedule(), x, torch.tensor([0, 1]), ts)
