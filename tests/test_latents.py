"Latent spaces and caches: what comes back unchanged, is refused, and survives a killed process."

import json, os, shutil, signal, subprocess, sys, time, weakref

import numpy as np
import pytest
import torch

from ddpm_course import cache as caches
from ddpm_course.data import image_folder
from ddpm_course.images import Images, load_digits
from ddpm_course.ddpm import DDPMLoss
from ddpm_course.randomness import BatchRandom
from ddpm_course.saving import load_model, save_model
from ddpm_course.cache import (
    CachedLatents,
    cache_latents,
    missing_shards,
    shard_file,
    space_identity,
)
from ddpm_course.autoencoders import map_batches
from ddpm_course.cache import check_space
from ddpm_course.latents import LatentSpace
from ddpm_course.noising import cosine_schedule
from ddpm_course.training import fit
from ddpm_course.unet import UNet
from ddpm_course.vae import VAE


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return VAE(1, 2, (8, 16), groups=4).eval()


@pytest.fixture(scope="module")
def digits():
    return load_digits("train")


@pytest.fixture(scope="module")
def space(vae, digits):
    return LatentSpace.measure(vae, digits)


def some(digits, n):
    return Images(digits.pixels[:n], digits.labels[:n], digits.classes, levels=16)


def test_measured_by_channel_over_the_whole_set(vae, digits, space):
    with torch.no_grad():
        z = vae.encode(digits.batch(range(1000))[0])[0].double()
    assert torch.allclose(space.mean, z.mean((0, 2, 3)), atol=1e-6) and torch.allclose(
        space.std, z.std((0, 2, 3), correction=0), atol=1e-6
    )
    assert not torch.isclose(space.std[0], space.std[1], rtol=1e-3)  # or one number would do
    assert space.shape == (2, 4, 4)


def test_measuring_part_of_a_set_looks_all_over_it(vae, digits):
    by_class = digits.labels.argsort()
    ordered = Images(digits.pixels[by_class], digits.labels[by_class], digits.classes, levels=16)
    few = LatentSpace.measure(vae, ordered, n=200)
    every = ordered.batch(torch.linspace(0, 999, 200).long())[0]
    assert torch.allclose(few.mean.float(), vae.encode(every)[0].mean((0, 2, 3)), atol=1e-5)


def test_normalized_and_restored(vae, digits, space):
    x = digits.batch(range(1000))[0]
    z = space.encode(x)
    assert (
        z.dtype == torch.float32
        and torch.allclose(z.mean((0, 2, 3)), torch.zeros(2), atol=1e-4)
        and torch.allclose(z.std((0, 2, 3)), torch.ones(2), atol=1e-3)
    )
    with torch.no_grad():
        assert torch.allclose(space.decode(z[:50]), vae.decode(vae.encode(x[:50])[0]), atol=1e-5)
    assert not z.requires_grad and not space.decode(z[:2]).requires_grad


def test_slices_change_nothing(digits, space):
    x = digits.batch(range(50))[0]
    assert (
        torch.allclose(space.encode(x, batch=7), space.encode(x, batch=50), atol=1e-5)
        and space.decode(space.encode(x, 7), 7).shape == x.shape
    )


def test_smaller_slices_when_memory_runs_out():
    sizes = []

    def hungry(x):
        sizes.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError
        return 2 * x

    x = torch.arange(20.0)
    assert torch.equal(map_batches(hungry, x, 16), 2 * x) and max(sizes) == 16 and sizes[-1] <= 2
    with pytest.raises(torch.OutOfMemoryError):
        map_batches(lambda x: (_ for _ in ()).throw(torch.OutOfMemoryError()), x, 4)


def test_what_did_not_fit_is_let_go_before_the_next_attempt(monkeypatch):
    alive, handled = [], []

    def hungry(x):
        copy = x.clone()
        alive.append(weakref.ref(copy))
        if len(x) > 4:
            raise torch.OutOfMemoryError
        return copy

    monkeypatch.setattr(
        torch.cuda, "empty_cache", lambda: handled.append([r() is None for r in alive])
    )
    assert torch.equal(
        map_batches(hungry, torch.arange(8.0), 8), torch.arange(8.0)
    ) and handled == [[True]]


def test_bad_spaces(vae):
    with pytest.raises(ValueError, match="one finite number for each of the 2"):
        LatentSpace(vae, 0.0, [1, 1])
    with pytest.raises(ValueError, match="one finite number"):
        LatentSpace(vae, [0, float("nan")], [1, 1])
    with pytest.raises(ValueError, match="never changes"):
        LatentSpace(vae, [0, 0], [1, 0])
    with pytest.raises(ValueError, match="multiples of 2"):
        LatentSpace(vae, [0, 0], [1, 1], (1, 9, 8))
    with pytest.raises(ValueError, match="image_shape"):
        LatentSpace(vae, [0, 0], [1, 1]).shape
    with pytest.raises(ValueError, match="image_shape"):
        LatentSpace(vae, [0, 0], [1, 1]).save("nowhere")
    space = LatentSpace(vae, [0, 0], [1, 1], (1, 8, 8))
    with pytest.raises(ValueError, match="measured on"):
        space.encode(torch.zeros(1, 1, 16, 16))
    with pytest.raises(ValueError, match=r"this space has \(2, 4, 4\)"):
        space.decode(torch.zeros(1, 2, 8, 8))


def test_saved_beside_its_model(vae, space, digits, tmp_path):
    save_model(
        tmp_path / "model",
        UNet(2, (8, 16), 1, (False, True), groups=4),
        cosine_schedule(),
        shape=[2, 4, 4],
        clip=None,
        latent=space_identity(space),
    )
    space.save(tmp_path / "model")
    again, x = LatentSpace.load(tmp_path / "model"), digits.batch(range(5))[0]
    assert (
        torch.equal(again.encode(x), space.encode(x))
        and again.shape == space.shape
        and load_model(tmp_path / "model", "model").clip is None
    )
    with pytest.raises(FileExistsError):
        space.save(tmp_path / "model")


def test_a_space_that_does_not_belong(vae, space, tmp_path):
    other = LatentSpace(vae, space.mean, 2 * space.std, space.image_shape)
    check_space({"shape": [2, 4, 4], "latent": space_identity(space)}, space)
    with pytest.raises(ValueError, match="on other latents .*std"):
        check_space({"shape": [2, 4, 4], "latent": space_identity(space)}, other)
    remeasured, nearby = (
        LatentSpace(vae, space.mean, share * space.std, space.image_shape)
        for share in (1 + 1e-6, 1.001)
    )
    check_space(
        {"shape": [2, 4, 4], "latent": space_identity(space)}, remeasured
    )  # as another device would round
    with pytest.raises(ValueError, match="on other latents"):
        check_space({"shape": [2, 4, 4], "latent": space_identity(space)}, nearby)
    with pytest.raises(ValueError, match="do not belong together"):
        check_space({"shape": [4, 4, 4]}, space)
    save_model(
        tmp_path / "m",
        UNet(2, (8, 16), 1, (False, True), groups=4),
        shape=[2, 4, 4],
        latent=space_identity(other),
    )
    with pytest.raises(FileNotFoundError, match="no vae folder"):
        LatentSpace.load(tmp_path / "m")
    space.save(tmp_path / "m")
    with pytest.raises(ValueError, match="on other latents"):
        LatentSpace.load(tmp_path / "m")


def test_cache_holds_what_encode_gives(space, digits, tmp_path):
    cache = cache_latents(digits, space, tmp_path / "c", flip=True, shard=300, progress=False)
    index = torch.tensor([0, 299, 300, 999, 5, 5])
    z, y = cache.batch(index)
    assert (
        z.dtype == torch.float32
        and torch.allclose(z, space.encode(digits.batch(index)[0]), atol=2e-3)
        and torch.equal(y, digits.labels[index])
    )
    assert len(cache) == 1000 and cache.shape == (2, 4, 4) and not torch.equal(z[0], z[1])
    assert torch.equal(cache.batch(299)[0], z[1:2])  # of one number: a batch of one


def test_half_of_a_batch_is_mirrored(space, digits, tmp_path):
    cache = cache_latents(digits, space, tmp_path / "c", flip=True, progress=False)
    index = torch.arange(200)
    z, plain = cache.batch(index, BatchRandom(0, 0, 200))[0], cache.batch(index)[0]
    mirrored = space.encode(digits.batch(index)[0].flip(-1))
    chosen = BatchRandom(0, 0, 200).rand() < 0.5
    assert (
        torch.allclose(z, torch.where(chosen.view(-1, 1, 1, 1), mirrored, plain), atol=3e-3)
        and 60 < chosen.sum() < 140
    )


PROGRAM = """
import sys, time, torch
torch.set_num_threads(1)
from ddpm_course import cache as caches, latents
from ddpm_course.images import load_digits
from ddpm_course.saving import load_model
whole = caches.write_array
def slowly(file, array):
    whole(file, array)
    time.sleep(0.05)
caches.write_array = slowly
space = latents.LatentSpace.load(sys.argv[1])
caches.cache_latents(load_digits("train"), space, sys.argv[2], flip=True, shard=50, progress=False)
"""


def test_killed_anywhere_it_resumes_to_the_same_bytes(space, digits, tmp_path):
    space.save(tmp_path / "space")
    whole, path = (
        cache_latents(
            digits,
            LatentSpace.load(tmp_path / "space"),
            tmp_path / "whole",
            flip=True,
            shard=50,
            progress=False,
        ),
        tmp_path / "killed",
    )
    for shards in (1, 7):  # killed when so many are there
        job = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "space"), str(path)])
        while job.poll() is None and len(list(path.glob("latents-*.npy"))) < shards:
            time.sleep(0.005)
        job.send_signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
    with pytest.raises(ValueError, match="half written"):
        CachedLatents(path)
    finished = cache_latents(
        digits, LatentSpace.load(tmp_path / "space"), path, flip=True, shard=50, progress=False
    )
    for file in whole.path.iterdir():
        assert file.read_bytes() == (path / file.name).read_bytes(), file.name
    assert torch.equal(finished.batch(range(1000))[0], whole.batch(range(1000))[0])


def test_a_run_killed_before_its_manifest_begins_again(space, digits, tmp_path):
    (tmp_path / "c").mkdir()
    np.save(tmp_path / "c" / "labels.npy", np.zeros(3, np.int64))
    (tmp_path / "c" / ".labels.npy.123").write_bytes(b"half a fi")
    assert torch.equal(
        cache_latents(some(digits, 100), space, tmp_path / "c", progress=False).labels,
        digits.labels[:100],
    )


def test_a_finished_cache_is_not_made_again(space, digits, tmp_path, monkeypatch):
    cache_latents(digits, space, tmp_path / "c", progress=False)
    monkeypatch.setattr(LatentSpace, "encode", lambda *a: pytest.fail("encoded again"))
    assert len(cache_latents(digits, space, tmp_path / "c", progress=False)) == 1000


def test_another_cache_is_refused(space, digits, vae, tmp_path):
    few = some(digits, 100)
    cache_latents(few, space, tmp_path / "c", progress=False)
    torch.manual_seed(1)
    strange = LatentSpace(VAE(1, 2, (8, 16), groups=4), space.mean, space.std, space.image_shape)
    smoothed = Images(
        (few.pixels.float() * 0.9).to(torch.uint8), few.labels, few.classes, levels=16
    )  # other preprocessing, same sizes
    for what, call in {
        "vae: ": (few, strange),
        "std: ": (few, LatentSpace(vae, space.mean, 2 * space.std, space.image_shape)),
        "pixels: ": (smoothed, space),
        "count: ": (some(digits, 99), space),
    }.items():
        with pytest.raises(ValueError, match=f"other latents .*{what}"):
            cache_latents(*call, tmp_path / "c", progress=False)
    with pytest.raises(ValueError, match="flip: False there, True here"):
        cache_latents(few, space, tmp_path / "c", flip=True, progress=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="holds no cache"):
        cache_latents(few, space, tmp_path / "full", progress=False)


def test_too_little_disk_is_said_before_starting(space, digits, tmp_path, monkeypatch):
    need = 2 * 2 * 4 * 4 * 2 * 1000  # float16, (2, 4, 4), two versions
    need += 8 * 1000 + 4096  # labels and manifest
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda path: usage._replace(free=need - 1))
    with pytest.raises(OSError, match="needs 140 kB more for 1,000 images.*choose another path"):
        cache_latents(digits, space, tmp_path / "c", flip=True, progress=False)
    assert not list((tmp_path / "c").iterdir())
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda path: usage._replace(free=need))
    cache_latents(digits, space, tmp_path / "c", flip=True, progress=False)


def test_latents_that_are_not_finite_are_not_written(vae, space, digits, tmp_path):
    huge = LatentSpace(vae, space.mean, 1e-9 * space.std, space.image_shape)
    with pytest.raises(ValueError, match="images 0 to 99: .*not finite in float16"):
        cache_latents(some(digits, 100), huge, tmp_path / "c", progress=False)
    assert missing_shards(
        tmp_path / "c", json.loads((tmp_path / "c" / "manifest.json").read_text())
    ) == [0]


def test_damaged_caches(space, digits, tmp_path):
    with pytest.raises(FileNotFoundError, match="no cache of latents"):
        CachedLatents(tmp_path)
    cache_latents(some(digits, 100), space, tmp_path / "c", shard=40, progress=False)
    np.save(shard_file(tmp_path / "c", 1), np.zeros((39, 1, 2, 4, 4), np.float16))
    with pytest.raises(ValueError, match="other sizes than its manifest"):
        CachedLatents(tmp_path / "c")


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(100, np.float32),
        np.zeros((100, 1), np.int64),
        np.zeros(99, np.int64),
        np.zeros(100, np.int64),  # well formed, and of other pictures
        np.full(100, 10),
    ],
)
def test_labels_of_a_cache_are_those_of_its_manifest(labels, space, digits, tmp_path):
    cache_latents(some(digits, 100), space, tmp_path / "c", progress=False)
    np.save(tmp_path / "c" / "labels.npy", labels)
    with pytest.raises(ValueError, match="labels.npy holds .*not the labels of its cache"):
        CachedLatents(tmp_path / "c")


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_shards_of_another_kind_are_refused(kind, space, digits, tmp_path):
    cache_latents(some(digits, 100), space, tmp_path / "c", shard=40, progress=False)
    np.save(shard_file(tmp_path / "c", 1), np.ones((40, 1, 2, 4, 4), kind))
    with pytest.raises(ValueError, match="latents-00001.npy holds .*expected torch.float16"):
        CachedLatents(tmp_path / "c")


def test_shards_that_are_not_finite_are_refused(space, digits, tmp_path):
    cache_latents(some(digits, 100), space, tmp_path / "c", shard=40, progress=False)
    bad = np.ones((40, 1, 2, 4, 4), np.float16)
    bad[7, 0, 1, 2, 3] = np.nan
    np.save(shard_file(tmp_path / "c", 1), bad)
    with pytest.raises(ValueError, match="latents-00001.npy holds latents that are not finite"):
        CachedLatents(tmp_path / "c")


@pytest.mark.parametrize("keep", [0, 60, 128, 1000, -1])
def test_a_shard_that_was_cut_is_made_again(keep, space, digits, tmp_path):
    few = some(digits, 100)
    cache_latents(few, space, tmp_path / "c", shard=40, progress=False)
    file = shard_file(tmp_path / "c", 1)
    whole = file.read_bytes()
    file.write_bytes(whole[:keep])
    with pytest.raises(ValueError, match="other sizes|damaged"):
        CachedLatents(tmp_path / "c")
    cache_latents(few, space, tmp_path / "c", shard=40, progress=False)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"count": "9"}', "[" * 100_000])
def test_a_damaged_manifest_is_named(text, space, digits, tmp_path):
    cache_latents(some(digits, 100), space, tmp_path / "c", progress=False)
    (tmp_path / "c" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="manifest.json is damaged .*delete the cache"):
        CachedLatents(tmp_path / "c")


def test_a_finished_cache_may_be_read_only(space, digits, tmp_path, monkeypatch):
    cache_latents(digits, space, tmp_path / "c", progress=False)
    monkeypatch.setattr(caches, "hold", lambda *a, **k: pytest.fail("it is held"))
    assert len(cache_latents(digits, space, tmp_path / "c", progress=False)) == 1000


def test_a_cache_that_cannot_be_made_names_the_variable(space, digits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be made .*DDPM_COURSE_CACHE"):
        cache_latents(some(digits, 9), space, tmp_path / "file" / "c", progress=False)


def test_files_are_encoded_like_pixels_in_memory(space, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(
                tmp_path / "images" / label / f"{i}.png"
            )
    torch.manual_seed(0)
    color = VAE(3, 2, (8, 16), groups=4).eval()
    data = image_folder(tmp_path / "images", 16)
    rgb = LatentSpace.measure(color, data)
    cache = cache_latents(data, rgb, tmp_path / "c", shard=5, batch=2, progress=False)
    assert torch.allclose(
        cache.batch(range(12))[0], rgb.encode(data.batch(range(12))[0]), atol=2e-3
    ) and cache.classes == ["a", "b"]
    with pytest.raises(ValueError, match="other latents"):
        cache_latents(
            image_folder(tmp_path / "images", 8),
            LatentSpace(color, rgb.mean, rgb.std, (3, 8, 8)),
            tmp_path / "c",
            progress=False,
        )


def test_training_from_a_cache(space, digits, tmp_path):
    cache = cache_latents(digits, space, tmp_path / "c", flip=True, progress=False)
    torch.manual_seed(0)
    fit(
        UNet(2, (8, 16), 1, (False, True), groups=4, num_classes=10),
        cache,
        DDPMLoss(cosine_schedule(), 0.1),
        out=tmp_path / "run",
        steps=3,
        batch_size=16,
        clip=None,
        progress=False,
        device="cpu",
    )
    trained = load_model(tmp_path / "run" / "model")
    check_space(trained.config, space)
    assert (
        trained.shape == (2, 4, 4)
        and trained.clip is None
        and trained.config["latent"] == space_identity(space)
    )


READING = """
import sys, torch
from ddpm_course.cache import CachedLatents
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
rng = torch.Generator().manual_seed(0)
pick = torch.randint(256, (256,), generator=rng)
torch.zeros(256, 4, 16, 16, dtype=torch.float16)[pick].float() # torch's own buffers
before, cache = anonymous(), CachedLatents(sys.argv[1])
for _ in range(400): cache.batch(torch.randint(len(cache), (256,), generator=rng))
print(anonymous() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads memory from /proc")
def test_memory_stays_flat(space, tmp_path):
    count, shard = 130_000, 4096
    manifest = {
        "format": 1,
        "count": count,
        "shape": [4, 16, 16],
        "dtype": "float16",
        "flip": False,
        "shard": shard,
        "classes": ["a"],
        "levels": 255,
        "pixels": "",
        **space_identity(space),
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    np.save(tmp_path / "labels.npy", np.zeros(count, np.int64))
    for i in range(-(-count // shard)):
        np.lib.format.open_memmap(
            shard_file(tmp_path, i), "w+", np.float16, (min(shard, count - i * shard), 1, 4, 16, 16)
        )  # holes: no disk is used
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 10, (
        f"{done.stdout} MB grew while 400 batches were read; the latents take "
        f"{count * 2048 / 1e6:.0f} MB"
    )


def small_vae():
    torch.manual_seed(0)
    return VAE(1, 2, (8, 16), groups=4)


SPACE_8 = dict(mean=[0.0, 0.5], std=[1.0, 2.0], image_shape=(1, 8, 8))


@pytest.mark.parametrize(
    "x, error, says",
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), TypeError, "uint8.*from_uint8"),
        (torch.zeros(2, 1, 8, 8).numpy(), TypeError, "expected"),
        (torch.rand(2, 1, 8, 8) * 255 + 9, ValueError, "from_uint8"),
        (torch.full((2, 1, 8, 8), float("nan")), ValueError, "NaN"),
        (torch.zeros(1, 8, 8), ValueError, "expected .B, C, H, W"),
    ],
)
def test_a_space_looks_at_images_before_it_casts_them(x, error, says):
    "uint8 became latents of standard deviation 2.29 where .99 is right."
    space = LatentSpace(small_vae(), **SPACE_8)
    with pytest.raises(error, match=says):
        space.encode(x)
    latents = torch.zeros(1, 2, 4, 4)
    for z in (latents.long(), latents.numpy(), latents * float("nan"), latents[0]):
        with pytest.raises((TypeError, ValueError), match="z.*(expected|NaN)"):
            space.decode(z)
    with pytest.warns(UserWarning, match="x: no value below 0"):
        space.encode(torch.rand(2, 1, 8, 8))


@pytest.mark.parametrize(
    "bad",
    [
        *[dict(mean=v) for v in ("ab", None, [0, "a"], [0, 1e300], [0, 1, 2])],
        *[dict(std=v) for v in ([1, 0], [1, -1], [1, float("nan")], None)],
        *[dict(image_shape=v) for v in ("abc", (1, 8), (0, 8, 8), (1, 8.0, 8), 8)],
        *[dict(vae=v) for v in (None, torch.nn.Identity(), "digits")],
    ],
    ids=str,
)
def test_what_makes_no_space(bad):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(bad))}.*expected"):
        LatentSpace(**dict(vae=small_vae()) | SPACE_8 | bad)


def test_measuring_looks_at_its_arguments():
    vae, data = small_vae(), load_digits("test")
    for bad in (dict(n=0), dict(n="9"), dict(batch=0), dict(data="digits"), dict(data=None)):
        with pytest.raises((TypeError, ValueError), match=f"{next(iter(bad))}.*expected"):
            LatentSpace.measure(**dict(vae=vae, data=data) | bad)


@pytest.mark.parametrize("entry", ["latent", "mean", "std", "image_shape", "vae"])
@pytest.mark.parametrize("value", [None, "x", [1], {}, [0.0, "a"], [float("nan")] * 2, 3])
def test_a_space_in_a_damaged_folder_is_refused(tmp_path, entry, value):
    LatentSpace(small_vae(), **SPACE_8).save(tmp_path)
    file = tmp_path / "vae" / "config.json"
    config = json.loads(file.read_text())
    (config if entry == "latent" else config["latent"])[entry] = value
    file.write_text(json.dumps(config))
    if entry == "vae" and value == "x":
        return  # any text names an autoencoder
    with pytest.raises(ValueError, match="vae/config.json"):
        LatentSpace.load(tmp_path)
