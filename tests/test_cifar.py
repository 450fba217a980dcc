"The color network: folded images, a short training, weights that are fetched and checked."

import hashlib

import pytest
import torch
from torch.testing import assert_close

from ddpm_course import cards, cifar
from ddpm_course.cards import load_scores
from ddpm_course.cifar import NAME, cifar_model, train_cifar
from ddpm_course.ddim import ddim_sample
from ddpm_course.folded import FoldedUNet
from ddpm_course.images import Images, from_uint8
from ddpm_course.models import condition
from ddpm_course.noising import cosine_schedule
from ddpm_course.saving import Trained, load_model, save_model

SMALL = dict(channels=(8, 16), layers=1, attention=(False, True), groups=4)


def small(**options):
    torch.manual_seed(0)
    model = FoldedUNet(2, **SMALL | options).eval()
    torch.nn.init.normal_(model.net.conv_out.weight, std=0.1)
    return model


def folded(x, fold):
    "Each channel's pixels (i, j) of every square, one after the other."
    parts = [
        x[:, c, i::fold, j::fold]
        for c in range(x.shape[1])
        for i in range(fold)
        for j in range(fold)
    ]
    return torch.stack(parts, 1)


@pytest.mark.parametrize("fold", [2, 4])
def test_the_network_within_sees_squares_of_pixels_as_channels(fold):
    model = small(fold=fold, num_classes=3)
    x, t, y = torch.randn(2, 2, 8 * fold, 4 * fold), torch.tensor([3, 900]), torch.tensor([0, 3])
    with torch.no_grad():
        out = model(x, t, y)
        assert out.shape == x.shape
        assert_close(folded(out, fold), model.net(folded(x, fold), t, y))


def test_variance_channels_come_after_all_of_the_prediction():
    model = small(learn_variance=True)
    x, t = torch.randn(1, 2, 8, 8), torch.tensor([5])
    with torch.no_grad():
        out, inner = model(x, t), model.net(folded(x, 2), t)
    assert out.shape == (1, 4, 8, 8)
    assert_close(folded(out[:, :2], 2), inner[:, :8])  # 2 channels of 4 pixels a square
    assert_close(folded(out[:, 2:], 2), inner[:, 8:])


def test_it_keeps_what_a_model_says_of_itself_and_loads_as_it_was_saved(tmp_path):
    model = small(num_classes=3, predicts="v", fold=4)
    assert (model.predicts, model.num_classes, model.config["in_channels"]) == ("v", 3, 2)
    save_model(tmp_path / "m", model, cosine_schedule(), ema=model, shape=[2, 16, 16])
    trained = load_model(tmp_path / "m")
    x, t = torch.randn(1, 2, 16, 16), torch.tensor([7])
    y = torch.tensor([1])
    with torch.no_grad():
        assert torch.equal(trained.model(x, t, y), model(x, t, y))
    bound = condition(trained.model, y)
    assert ddim_sample(bound, trained.schedule, (1, 2, 16, 16), 2).shape == (1, 2, 16, 16)


def test_a_size_that_does_not_fold_is_refused():
    with pytest.raises(
        ValueError,
        match="x_t: got 6x6 pixels; this network folds and halves them "
        "to 1/4: expected multiples of 4",
    ):
        small()(torch.randn(1, 2, 6, 6), torch.tensor([0]))
    with pytest.raises(ValueError, match="x_t: got 8 channels; this network has 2"):
        small()(torch.randn(1, 8, 8, 8), torch.tensor([0]))  # already folded


def test_the_recipe_trains_a_conditional_v_network(tmp_path):
    torch.manual_seed(0)
    pixels = torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
    data = Images(pixels, torch.arange(20) % 10, list("abcdefghij"), flip=True)
    train_cifar(data, tmp_path / "run", 2, batch_size=4, progress=False)
    trained = load_model(tmp_path / "run" / "model")
    assert (trained.spec.predicts, trained.spec.num_classes) == ("v", 10)
    assert (trained.spec.label_drop, trained.clip, trained.shape) == (0.1, 1.0, (3, 32, 32))
    assert trained.schedule.betas.equal(cosine_schedule().betas)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    "A model folder under the name of the color network, with its checksums."
    folder = tmp_path / "there" / NAME
    save_model(
        folder,
        small(num_classes=10).half(),
        cosine_schedule(),
        ema=small(num_classes=10).half(),
        shape=[2, 8, 8],
    )
    found = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in cifar.SHA256
    }
    monkeypatch.setattr(cifar, "SHA256", found)
    return folder


def test_weights_that_are_there_are_loaded_as_float32(stand_in, monkeypatch):
    monkeypatch.setattr(cards.urllib.request, "urlretrieve", None)  # nothing is fetched
    model = cifar_model(stand_in.parent).model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_the_network_of_the_repository_is_the_one_that_is_asked_for():
    trained = cifar_model()
    folder = cifar.results_folder() / NAME
    assert sum(p.stat().st_size for p in folder.glob("*.safetensors")) <= 9_000_000
    assert isinstance(trained.model, FoldedUNet) and trained.spec.classes[1] == "automobile"
    y = torch.tensor([8, 6]).repeat_interleave(8)  # ships, of sea and sky; frogs, of earth
    x = ddim_sample(condition(trained.model, y), trained.schedule, (16, 3, 32, 32), 10, seed=0)
    blue = (x[:, 2] - x[:, 0]).mean((1, 2))  # over red
    assert x.std() > 0.2 and blue[:8].mean() > blue[8:].mean() + 0.1


def test_absent_weights_are_fetched_once(stand_in, tmp_path, monkeypatch):
    asked = []

    def fetch(url, file):
        asked.append(url)
        file.write_bytes((stand_in / url.rsplit("/", 1)[1]).read_bytes())

    monkeypatch.setattr(cards.urllib.request, "urlretrieve", fetch)
    monkeypatch.setenv("DDPM_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "__file__", str(tmp_path / "site-packages" / "p" / "cifar.py"))
    for _ in range(2):
        cifar_model()
    assert asked == [f"{cards.RESULTS}{NAME}/{name}" for name in cifar.SHA256]
    assert (tmp_path / "cache" / "results" / NAME / "ema.safetensors").exists()


def test_damaged_weights_are_told(stand_in):
    file = stand_in / "ema.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(
        ValueError,
        match=r"ema.safetensors is damaged.*SHA-256 is .*expected "
        r".*delete it, and call again",
    ):
        cifar_model(stand_in.parent)


class Judge(torch.nn.Module):
    "Reads an image by the brightest of its first ten pixels."

    name, config = "brightest", {}

    def features(self, x):
        return x[:, 0, 0, :10] + 0 * x.mean()

    def head(self, features):
        return 100 * features


def bright(labels, levels=255):
    "Images whose brightest pixel is that of their class, with some noise elsewhere."
    g = torch.Generator().manual_seed(len(labels))
    pixels = torch.randint(100, (len(labels), 3, 16, 16), generator=g, dtype=torch.uint8)
    pixels[torch.arange(len(labels)), 0, 0, labels] = levels
    return Images(pixels, labels, list("abcdefghij"), flip=True)


def test_scores_stand_beside_those_of_real_images():
    from ddpm_course.experiments.color import color_protocol

    train, test = bright(torch.arange(200) % 10), bright(torch.arange(60) % 10)
    test.labels[:6] = (test.labels[:6] + 1) % 10  # a tenth of the test images cannot be read
    protocol = color_protocol(train, test, Judge(), "toys")
    levels = from_uint8(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))
    assert torch.equal(protocol.rounding(levels + 0.003), levels)
    asked = protocol.held_out(40)[1]
    fakes = from_uint8(bright(asked, 180).pixels)  # too dim
    fakes[:10] = fakes[:10].roll(1, 3)  # a quarter shows the class after the one asked for
    cards = protocol.score(fakes, asked, sampler="by hand")
    real = protocol.held_out(40)[0][:, 0, 0, :10].argmax(1)
    assert cards.accuracy.value == 0.75
    assert cards.real_accuracy.value == (real == asked).double().mean() < 1
    assert cards.real_accuracy.sampler == "real" and cards.distance.reference == "toys, test"
    assert cards.floor.value < cards.distance.value
    assert cards.accuracy.settings["rounding"] == "256 gray levels"


def test_every_sampler_is_held_against_its_own_long_run(tmp_path):
    from ddpm_course.experiments.color import (
        against_long_runs,
        color_protocol,
        samplers_and_long_runs,
        score_samplers,
    )

    train, test = bright(torch.arange(200) % 10), bright(torch.arange(60) % 10)
    torch.manual_seed(0)
    model = FoldedUNet(3, **SMALL, num_classes=10).eval()
    trained = Trained(model, cosine_schedule(), (3, 16, 16), 1.0, {})
    samplers, file = samplers_and_long_runs((3, 5), 9), tmp_path / "rows.json"
    images = score_samplers(
        trained, color_protocol(train, test, Judge(), "toys"), file, samplers, 12, progress=False
    )
    rows = load_scores(file)
    spent = {"DDPM": (3, 5, 9), "DDIM": (3, 5, 9), "Heun": (3, 5), "DPM-Solver++(2M)": (3, 5)}
    for name, budgets in spent.items():
        assert [r["distance"].nfe for r in rows if r["distance"].sampler == name] == [*budgets]
    assert len(images) == 10 and not torch.equal(images[0], images[1])
    said = against_long_runs((3, 5), 9).judge(rows)["distance"]
    assert len(said) == 8
    values = {(r["distance"].sampler, r["distance"].nfe): r["distance"].value for r in rows}
    for name in ("Heun", "DPM-Solver++(2M)"):  # whose long run is that of DDIM
        difference = values[name, 5] - values["DDIM", 9]
        assert said[f"{name}, 5"].estimate.value == pytest.approx(difference)
    own = values["DDPM", 5] - values["DDPM", 9]
    assert said["DDPM, 5"].estimate.value == pytest.approx(own)
