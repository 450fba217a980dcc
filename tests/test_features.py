"The networks that metrics look through: digits classifier, ResNet, Inception up to its download."

import hashlib, json, math, warnings

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_course import classifiers, inception
from ddpm_course.data import image_folder
from ddpm_course.images import Images
from ddpm_course.training import fit
from ddpm_course.images import load_digits
from ddpm_course.randomness import BatchRandom
from ddpm_course.classifiers import (
    CLASSIFIER_FIT,
    DigitsClassifier,
    ClassifierLoss,
    Residual,
    ResNet,
    accuracy,
    classifier_loss,
    cut_out,
    digits_classifier,
    jitter,
    random_shift,
    train_classifier,
    train_features,
)
from ddpm_course.features import extract, nearest
from ddpm_course.inception import Inception, inception_weights
from ddpm_course.saving import load_model
from fakes import randn


@pytest.fixture(scope="module")
def digits():
    (real, labels), (unseen, asked) = (
        load_digits(split).batch(range(n)) for split, n in (("train", 1000), ("test", 797))
    )
    return real, labels, unseen, asked


def test_the_classifier_knows_digits_from_at_most_64_features(digits):
    net, (_, _, unseen, asked) = digits_classifier(), digits
    assert (net(unseen).argmax(1) == asked).float().mean() >= 0.99
    seen = net.features(unseen)
    assert seen.shape[1] <= 64 and torch.equal(net.head(seen), net(unseen))
    assert not net.training and not seen.requires_grad


def test_the_classifier_sees_the_training_split_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        classifiers, "load_digits", lambda split="train": asked.append(split) or load_digits(split)
    )
    monkeypatch.setattr(classifiers, "CLASSIFIER_FIT", CLASSIFIER_FIT | {"steps": 3})
    runs = [train_classifier(tmp_path / name) for name in "ab"]
    assert asked == ["train", "train"] and runs[0].config["examples"] == 1000
    a, b = (load_model(tmp_path / name / "model").model.state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)  # the recipe is repeatable


def test_jitter_keeps_the_contract_and_moves_little(digits):
    real = digits[0][:200]
    assert torch.allclose(jitter(real, BatchRandom(0, 0, 200), 0, 0, 0), real, atol=1e-5)
    moved = jitter(real, BatchRandom(0, 0, 200))
    assert torch.equal(moved, jitter(real, BatchRandom(0, 0, 200))) and not torch.equal(
        moved, jitter(real, BatchRandom(0, 1, 200))
    )
    assert (
        -1 - 1e-5 <= moved.min()
        and moved.max() <= 1 + 1e-5
        and 0.005 < (moved - real).square().mean() < 0.2
    )
    fine = jitter(real.double(), BatchRandom(0, 0, 200))
    assert fine.dtype == torch.float64 and torch.allclose(
        fine.float(), jitter(real, BatchRandom(0, 0, 200)), atol=1e-4
    )
    dot = -torch.ones(400, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    weight = (
        jitter(dot, BatchRandom(0, 0, 400), turn=0, zoom=0, shift=0.5)[:, 0] + 1
    )  # half a pixel at most, along each axis
    across = (weight.sum(1) * torch.arange(-4, 5)).sum(1) / weight.sum((1, 2))
    assert 0.45 < across.abs().max() <= 0.5 + 1e-4 and abs(across.mean()) < 0.05


def test_move_is_by_whole_pixels_up_to_the_limit_along_each_axis():
    x = (
        torch.arange(6 * 7.0).view(1, 1, 6, 7).expand(300, 2, -1, -1)
    )  # every pixel tells where it came from
    moved = random_shift(x, BatchRandom(0, 0, 300), 2)
    assert (
        moved.shape == x.shape
        and torch.equal(moved[:, 0], moved[:, 1])
        and torch.equal(moved, random_shift(x, BatchRandom(0, 0, 300), 2))
    )
    down, right = moved[:, 0, 2, 3].div(7, rounding_mode="floor") - 2, moved[:, 0, 2, 3] % 7 - 3
    assert {(int(a), int(b)) for a, b in zip(down, right)} == {
        (a, b) for a in range(-2, 3) for b in range(-2, 3)
    }
    mirror = lambda i, n: -i if i < 0 else 2 * (n - 1) - i if i >= n else i
    for image, dy, dx in zip(moved[:40, 0], down.int().tolist(), right.int().tolist()):
        assert image.tolist() == [
            [7 * mirror(r + dy, 6) + mirror(c + dx, 7) for c in range(7)] for r in range(6)
        ]


@pytest.mark.parametrize("shift", [0.5, -1, 6])
def test_move_refuses_what_is_no_whole_pixel_of_the_image(shift):
    with pytest.raises(
        ValueError, match=rf"shift={shift}; expected whole pixels, 0\.\.5 for 6x7 images"
    ):
        random_shift(torch.zeros(2, 1, 6, 7), BatchRandom(0, 0, 2), shift)


def test_cut_out_is_one_gray_square_anywhere_on_the_image():
    x = torch.ones(800, 2, 9, 11)
    cut = cut_out(x, BatchRandom(0, 0, 800), 3)
    assert (
        x.eq(1).all()
        and cut.unique().tolist() == [0, 1]
        and torch.equal(cut[:, 0], cut[:, 1])
        and torch.equal(cut, cut_out(x, BatchRandom(0, 0, 800), 3))
    )
    gray, places = cut[:, 0] == 0, set()
    for image in gray:
        rows, columns = image.any(1).nonzero()[:, 0].tolist(), image.any(0).nonzero()[:, 0].tolist()
        assert (
            rows == list(range(rows[0], rows[-1] + 1))
            and columns == list(range(columns[0], columns[-1] + 1))
            and image.sum() == len(rows) * len(columns)
        )
        assert (
            (len(rows) == 3 or 0 in rows or 8 in rows)
            and 2 <= len(rows) <= 3
            and (len(columns) == 3 or 0 in columns or 10 in columns)
            and 2 <= len(columns) <= 3
        )
        places.add((rows[0] + rows[-1], columns[0] + columns[-1]))
    assert len(places) == 9 * 11  # every pixel is the middle of some square
    assert cut_out(x, BatchRandom(0, 0, 800), 0) is x


@pytest.mark.parametrize("cut", [1.5, -1, 6])
def test_cut_out_refuses_what_is_no_square_of_the_image(cut):
    with pytest.raises(
        ValueError, match=rf"cut={cut}; expected whole pixels, 0\.\.5 for 6x7 images"
    ):
        cut_out(torch.zeros(2, 1, 6, 7), BatchRandom(0, 0, 2), cut)


def test_labels_loss_moves_cuts_and_smooths():
    x, y, rng = torch.rand(6, 1, 8, 8), torch.arange(6), lambda: BatchRandom(3, 0, 6)
    model = lambda x: x.flatten(1)[:, :10] * 5
    r = rng()
    seen = cut_out(random_shift(x, r, 1), r, 2)
    log_p = model(seen).log_softmax(1)
    expected = -(
        0.8 * log_p.gather(1, y[:, None])[:, 0] + 0.2 * log_p.mean(1)
    )  # a fifth of the probability is spread over all ten
    torch.testing.assert_close(ClassifierLoss(1, 2, 0.2)(model, x, y, rng()), expected)
    torch.testing.assert_close(
        ClassifierLoss()(model, x, y, rng()), -model(x).log_softmax(1).gather(1, y[:, None])[:, 0]
    )


def test_train_features_sizes_moves_and_squares_by_the_image(tmp_path, monkeypatch):
    losses = []

    def note(net, data, loss, **kwargs):
        losses.append(loss)
        raise InterruptedError

    monkeypatch.setattr(classifiers, "fit", note)
    for kwargs in ({}, {"shift": 0, "cut": 0, "smoothing": 0.0}):
        for data in (
            load_digits("train"),
            Images(torch.zeros(4, 3, 32, 48, dtype=torch.uint8), torch.arange(4), list("abcd")),
        ):
            with pytest.raises(InterruptedError):
                train_features(data, tmp_path, "x", **kwargs)
    assert losses == [
        ClassifierLoss(1, 2, 0.1),
        ClassifierLoss(4, 8, 0.1),
        ClassifierLoss(),
        ClassifierLoss(),
    ]


def test_the_loss_is_one_value_an_image(digits):
    loss = classifier_loss(DigitsClassifier(), digits[0][:6], digits[1][:6], BatchRandom(0, 0, 6))
    assert loss.shape == (6,) and loss.requires_grad
    net, (real, labels, *_) = digits_classifier(), digits
    plain = torch.nn.functional.cross_entropy(net(real), labels, reduction="none")
    assert (
        classifier_loss(net, real, labels, BatchRandom(0, 0, 1000)) - plain
    ).abs().max() > 1e-3  # jittered


# ---- extract ----


def test_extract_is_independent_of_batches_and_restores_the_mode(digits):
    net, unseen = digits_classifier(), digits[2]
    whole = extract(net, unseen)
    assert (
        whole.name == "digits classifier"
        and len(whole) == 797
        and whole.values.dtype == torch.float32
    )
    assert torch.allclose(extract(net, unseen, batch=13).values, whole.values, atol=1e-5)
    assert torch.equal(extract(net, unseen[:9].double()).values, extract(net, unseen[:9]).values)
    assert torch.allclose(
        extract(net, iter(unseen.split(50))).values, whole.values, atol=1e-5
    )  # a stream of batches
    assert torch.allclose(whole.probabilities.sum(1), torch.ones(797)) and torch.equal(
        whole[:5].values, whole.values[:5]
    )
    net.train()
    assert (
        torch.allclose(extract(net, unseen).values, whole.values, atol=1e-5) and net.training
    )  # no dropout, and the mode is back
    net.eval()


def test_a_part_of_a_set_is_a_set(digits):
    "Of one image, too, of whatever kind its index is."
    seen = extract(digits_classifier(), digits[2][:9])
    for index in (3, -6, np.int64(3), torch.tensor(3), slice(3, 4), [3], torch.arange(9) == 3):
        part = seen[index]
        assert len(part) == 1 and part.name == seen.name
        assert torch.equal(part.values, seen.values[3:4])
        assert torch.equal(part.probabilities, seen.probabilities[3:4])
    assert torch.equal(seen[2:6].values, seen.values[2:6])
    for index in (9, (1, 2)):
        with pytest.raises(IndexError):
            seen[index]


@pytest.mark.parametrize(
    "x, says", [(randn(2, 3, 8, 8), "got 3 channels"), (randn(2, 1, 16, 16), "got 16x16 pixels")]
)
def test_the_classifier_says_what_it_looks_at(x, says):
    for see in (digits_classifier(), digits_classifier().features):
        with pytest.raises(ValueError, match=f"images: {says}; digits classifier looks at"):
            see(x)


def test_rows_of_one_number_are_rows():
    distances, index = nearest(torch.tensor([0.2, 3.0]), torch.tensor([1.0, 0.0, 2.5]))
    assert distances.tolist() == pytest.approx([0.2, 0.5]) and index.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"x: got shape \(\); expected \(N, ...\)"):
        nearest(torch.tensor(0.2), torch.zeros(3))


def test_a_bright_image_among_others_is_no_reason_to_warn():
    x = torch.ones(3, 1, 8, 8)
    x[0] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(digits_classifier(), x, batch=1)


@pytest.mark.parametrize(
    "images, error, says",
    [
        (
            torch.zeros(3, 1, 8, 8, dtype=torch.uint8),
            TypeError,
            "got dtype torch.uint8.*from_uint8",
        ),
        (torch.rand(3, 1, 8, 8) * 255, ValueError, r"expected \[-1, 1\]; convert gray levels"),
        (torch.rand(3, 1, 8, 8) * 16, ValueError, r"expected \[-1, 1\]"),
        (torch.full((3, 1, 8, 8), math.nan), ValueError, "NaN"),
        (torch.rand(1, 8, 8), ValueError, r"expected \(B, C, H, W\)"),
        ([], ValueError, "no images to look at"),
        (torch.zeros(0, 1, 8, 8), ValueError, "no images to look at"),
    ],
)
def test_extract_refuses_what_are_no_images(images, error, says):
    with pytest.raises(error, match=says):
        extract(digits_classifier(), images)


def test_extract_warns_of_images_from_0_to_1():
    with pytest.warns(UserWarning, match=r"no value below 0.*x \* 2 - 1"):
        extract(digits_classifier(), torch.rand(4, 1, 8, 8))


def test_features_that_are_nan_are_refused():
    net = DigitsClassifier().eval()
    torch.nn.init.constant_(net.body[-2].bias, math.nan)
    with pytest.raises(
        ValueError, match="digits classifier: 2 of 2 images have features that are NaN"
    ):
        extract(net, -torch.ones(2, 1, 8, 8))


# ---- trained features ----


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return train_features(
        load_digits("train"),
        tmp_path_factory.mktemp("features"),
        "resnet-digits",
        width=8,
        steps=120,
        device="cpu",
        progress=False,
    )


def test_a_small_resnet_learns_digits(resnet):
    assert accuracy(resnet, load_digits("test")) > 0.9 and resnet.name == "resnet-digits"
    seen = extract(resnet, load_digits("test").batch(range(9))[0])
    assert seen.values.shape == (9, 64) and seen.name == "resnet-digits"


def test_a_resnet_survives_its_folder_with_its_name(resnet, tmp_path):
    from ddpm_course.saving import save_model

    save_model(tmp_path / "net", resnet)
    again = load_model(tmp_path / "net", weights="model").model
    x = load_digits("test").batch(range(4))[0]
    assert again.name == "resnet-digits" and torch.equal(again(x), resnet(x))


def test_features_are_trained_from_a_folder_of_images(tmp_path):
    for name, color in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (20, 16), tuple(c + i for c in color)).save(
                tmp_path / "images" / name / f"{i}.png"
            )
    train = lambda **kwargs: train_features(
        tmp_path / "images",
        tmp_path / "run",
        "colors",
        **dict(
            size=16,
            width=4,
            shift=0,
            cut=0,
            steps=40,
            batch_size=16,
            warmup=5,
            weight_decay=0.0,
            device="cpu",
            progress=False,
        )
        | kwargs,
    )
    for wrong, says in (
        ({"cut": 16}, "cut=16; expected whole pixels"),
        ({"shift": 0.5}, "shift=0.5; expected whole pixels"),
    ):
        with pytest.raises(ValueError, match=says):
            train(**wrong)
    assert not (tmp_path / "run").exists()  # refused before the folder is claimed
    assert train(stop_at=20) is None
    net = train(resume=True)
    assert (
        json.loads((tmp_path / "run" / "model" / "config.json").read_text())["training"][
            "weight_decay"
        ]
        == 0
    )
    data = image_folder(tmp_path / "images", 16)
    assert (
        accuracy(net, data) == 1 and net.config["in_channels"] == 3 and net.config["classes"] == 2
    )
    with pytest.raises(ValueError, match="10 classes in the data, 2 in the network"):
        accuracy(net, load_digits("test"))


@pytest.mark.parametrize("change", ["shift", "cut", "smoothing"])
def test_a_changed_loss_is_another_run(change, tmp_path):
    train = lambda loss, **kwargs: fit(
        ResNet("toy", 1, 10, 4, 1),
        load_digits("train"),
        loss,
        out=tmp_path / "run",
        steps=2,
        batch_size=10,
        device="cpu",
        progress=False,
        **kwargs,
    )
    train(ClassifierLoss(1, 1, 0.1), stop_at=1)
    with pytest.raises(ValueError, match=f"another configuration.*{change}"):
        train(ClassifierLoss(**{"shift": 1, "cut": 1, "smoothing": 0.1, change: 0}), resume=True)


def test_widths_and_stages():
    net = ResNet("toy", in_channels=1, classes=3, width=4, blocks=2)
    assert net.features(torch.zeros(2, 1, 32, 32)).shape == (2, 32) and net(
        torch.zeros(2, 1, 33, 20)
    ).shape == (2, 3)
    assert net.body[:-2](torch.zeros(2, 1, 32, 32)).shape == (
        2,
        32,
        4,
        4,
    )  # each stage halves the image once, however many blocks it has
    assert sum(isinstance(m, Residual) for m in net.body) == 6 and net(
        torch.zeros(2, 1, 1, 1)
    ).shape == (2, 3)
    with pytest.raises(ValueError, match="images: got 3 channels; toy looks at 1"):
        net(torch.zeros(2, 3, 32, 32))
    block = Residual(5).eval()
    torch.nn.init.zeros_(block.f[0].weight)
    x = torch.randn(2, 5, 4, 4)
    assert torch.equal(block(x), x)  # what the convolution adds is added to x


# ---- Inception, as far as one gets without a network ----


def test_a_missing_file_and_a_wrong_file_say_what_to_do(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no Inception weights at .*w.pth; fetch https://.*6726825d.*begins with 6726825d",
    ):
        inception_weights(tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes(b"another network")
    with pytest.raises(ValueError, match="not the 2015 Inception network .SHA-256"):
        inception_weights(tmp_path / "w.pth")


def test_a_failed_download_names_the_file_its_place_and_its_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def refuse(url, dst, hash_prefix, progress):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(
        OSError,
        match=r"could not be downloaded to .*checkpoints.*no route to host.*fetch https://github.com.*6726825d",
    ):
        inception_weights()


def test_a_download_is_checked_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    calls = []

    def fetch(url, dst, hash_prefix, progress):
        calls.append((url, hash_prefix))
        with open(dst, "wb") as f:
            f.write(b"stand-in")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(inception, "WEIGHTS_SHA256", hashlib.sha256(b"stand-in").hexdigest()[:8])
    assert inception_weights().read_bytes() == b"stand-in" and inception_weights().exists()
    assert len(calls) == 1 and calls[0][0] == inception.WEIGHTS_URL  # the second time it is there


def test_inception_loads_weights_of_its_architecture_and_is_read_like_any_network(
    tmp_path, monkeypatch
):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    sizes = []
    monkeypatch.setattr(
        FeatureExtractorInceptionV3,
        "load_state_dict",
        lambda self, state: sizes.append(len(self.state_dict())),
    )  # random weights
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: {})
    (tmp_path / "w.pth").write_bytes(b"stand-in")
    monkeypatch.setattr(inception, "WEIGHTS_SHA256", hashlib.sha256(b"stand-in").hexdigest()[:8])
    net = Inception(tmp_path / "w.pth")
    seen = extract(
        net, 2 * torch.rand(3, 1, 32, 32) - 1
    )  # gray images are shown in all three channels
    assert (
        seen.name == "inception-2015"
        and seen.values.shape == (3, 2048)
        and seen.probabilities.shape == (3, 1008)
        and sizes[0] > 400
    )
    uint8 = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(net.features(uint8 / 127.5 - 1), net.net(uint8)[0])  # the same bytes go in
