"Your own pictures: files of every mode, broken folders, sets in memory and on disk, downloads."

import copy
import hashlib
import http.server
import io
import multiprocessing
import os
import pickle
import tarfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from ddpm_course import rasters, reading
from ddpm_course.checks import data as check
from ddpm_course.data import cifar10, image_folder, imagenet100_classes
from ddpm_course.images import check_images, from_uint8
from ddpm_course.reading import FilePixels, find_images, open_rgb


@pytest.fixture(scope="module")
def photos():
    return [Image.fromarray(a) for a in load_sample_images().images]  # two photographs, 640 x 427


@pytest.fixture
def folder(tmp_path, photos):
    "root/class/image.png: 2 classes of 6 crops of the photographs, of various sizes."
    rng = np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), photos):
        (tmp_path / name).mkdir()
        for i in range(6):
            left, top, w, h = rng.integers([0, 0, 60, 60], [300, 200, 200, 200])
            photo.crop((left, top, left + w, top + h)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def pixels(im):
    return torch.from_numpy(np.array(im)).permute(2, 0, 1)


# ---- files of every mode ----


def saved(im, path, **kwargs):
    im.save(path, **kwargs)
    return path


@pytest.mark.parametrize(
    "mode, name",
    [
        ("L", "a.png"),
        ("L", "a.jpg"),
        ("1", "a.png"),
        ("P", "a.png"),
        ("P", "a.gif"),
        ("CMYK", "a.jpg"),
        ("YCbCr", "a.jpg"),
        ("RGB", "a.png"),
        ("RGB", "a.bmp"),
        ("RGB", "a.webp"),
        ("CMYK", "a.tif"),
        ("LA", "a.png"),
        ("RGBA", "a.png"),
    ],
)
def test_modes(tmp_path, photos, mode, name):
    "Every mode comes out as RGB that is as near to the picture as the mode permits."
    photo = photos[1].resize((120, 80))
    kwargs = (
        {"quality": 95}
        if name.endswith("jpg")
        else {"lossless": True}
        if name.endswith("webp")
        else {}
    )
    x = open_rgb(saved(photo.convert(mode), tmp_path / name, **kwargs))
    assert x.shape == (3, 80, 120) and x.dtype == torch.uint8
    expected = pixels(
        photo.convert("L").convert("RGB") if mode in ("L", "1", "LA") else photo
    ).float()
    if mode == "1":
        x, expected = (
            torch.nn.functional.avg_pool2d(a.float(), 8) for a in (x, expected)
        )  # dithered
    limit = (
        0
        if name in ("a.bmp", "a.webp") or (mode in ("L", "LA", "RGB", "RGBA") and name == "a.png")
        else 16
        if mode in ("P", "1")
        else 4
    )
    assert (x.float() - expected).abs().mean() <= limit


@pytest.mark.parametrize(
    "name, mode", [("a.png", "I;16"), ("a.tif", "I;16"), ("b.tif", "I;16B"), ("c.tif", "I")]
)
def test_sixteen_bits(tmp_path, photos, name, mode):
    "16 bits are scaled to 8, not cut to the top: 257 k becomes k, the rest its nearest."
    gray = np.array(photos[0].convert("L").resize((60, 40))).astype(np.int64)
    deep = gray * 257 + np.random.default_rng(0).integers(-128, 129, gray.shape) * (gray > 0) * (
        gray < 255
    )
    path = saved(
        Image.fromarray(deep.astype({"I": np.int32, "I;16B": ">u2"}.get(mode, np.uint16))),
        tmp_path / name,
    )
    assert Image.open(path).mode == mode
    assert torch.equal(open_rgb(path), torch.from_numpy(gray).to(torch.uint8).expand(3, -1, -1))


def test_sixteen_bit_rgb(tmp_path, photos):
    "A 16-bit RGB PNG, which Pillow reduces to 8 bits itself, comes out within one level."
    import struct
    import zlib

    rgb = np.array(photos[0].resize((30, 20)))
    rows = b"".join(b"\0" + (row.astype(np.uint16) * 257).astype(">u2").tobytes() for row in rgb)

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    assert (
        open_rgb(tmp_path / "a.png").int() - pixels(Image.fromarray(rgb)).int()
    ).abs().max() <= 1


def test_pixels_without_a_range_are_refused(folder):
    for bad in (np.full((8, 8), 0.5, np.float32), np.full((8, 8), 70000, np.int32)):
        saved(Image.fromarray(bad), folder / "china" / "0.tif")
        with pytest.raises(ValueError, match="0.tif cannot be read as an image.*(floats|70000)"):
            image_folder(folder, size=8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_exif_turns(tmp_path, photos, orientation, deep):
    "All eight EXIF orientations, of color pictures and of 16-bit ones."
    T, exif = Image.Transpose, Image.Exif()
    undo = {
        2: T.FLIP_LEFT_RIGHT,
        3: T.ROTATE_180,
        4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE,
        6: T.ROTATE_90,
        7: T.TRANSVERSE,
        8: T.ROTATE_270,
    }
    upright = photos[0].resize((48, 32)).convert("L" if deep else "RGB")
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    if deep:
        stored = Image.fromarray(np.array(stored).astype(np.uint16) * 257)
    exif[0x0112] = orientation
    assert torch.equal(
        open_rgb(saved(stored, tmp_path / "a.png", exif=exif)), pixels(upright.convert("RGB"))
    )


def test_transparency_is_white(tmp_path, photos):
    "RGBA, LA, palette, RGB with one transparent color: what is half hidden is half white."
    photo, alpha = (
        photos[1].resize((6, 4)),
        Image.fromarray(np.tile(np.array([0, 0, 128, 128, 255, 255], np.uint8), (4, 1))),
    )
    for mode in ("RGB", "L"):
        base = photo.convert(mode)
        base.putalpha(alpha)
        x, opaque = (
            open_rgb(saved(base, tmp_path / "a.png")).float(),
            pixels(photo.convert(mode).convert("RGB")).float(),
        )
        assert (x[..., :2] == 255).all() and torch.equal(x[..., 4:], opaque[..., 4:])
        assert (x[..., 2:4] - (opaque[..., 2:4] * 128 + 255 * 127) / 255).abs().max() <= 1
    flat = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    flat.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0])
    x = open_rgb(saved(flat, tmp_path / "p.png", transparency=1))
    assert (
        x[:, 0, 0].tolist() == [10, 20, 30]
        and (x[:, :, 1] == 255).all()
        and x[:, 1, 0].tolist() == [0, 200, 0]
    )
    x = open_rgb(
        saved(Image.new("RGB", (2, 2), (1, 2, 3)), tmp_path / "c.png", transparency=(1, 2, 3))
    )
    assert (x == 255).all()


@pytest.mark.parametrize("w, h", [(384, 256), (256, 384), (128, 128), (64, 96)])
def test_crop_like_torchvision(tmp_path, photos, w, h):
    "Where sizes divide evenly, torchvision's antialiased Resize and CenterCrop, within rounding."
    from torchvision.transforms import v2

    photo = photos[0].crop((40, 20, 40 + w, 20 + h))
    x = open_rgb(saved(photo, tmp_path / "a.png"), 64)
    theirs = v2.Compose(
        [v2.Resize(64, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(64)]
    )(pixels(photo))
    assert x.shape == (3, 64, 64) and (x.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("w, h", [(1, 1), (1, 500), (500, 3), (129, 128), (50, 60)])
def test_any_rectangle_gives_the_square(tmp_path, photos, w, h):
    assert open_rgb(saved(photos[0].resize((w, h)), tmp_path / "a.png"), 128).shape == (3, 128, 128)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_has_the_pixels_that_pillow_decodes(tmp_path, photos, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(photos[0].convert(mode), tmp_path / "a.jpg", exif=exif)
    with Image.open(path) as im:
        plain = pixels(im.convert("RGB"))
    right = plain.rot90(-1, (1, 2)) if orientation == 6 else plain
    assert (open_rgb(path).int() - right.int()).abs().max() <= 1


def test_half_a_jpeg_is_refused_as_it_lacks_its_end(tmp_path, photos):
    path = saved(photos[0], tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="a.jpg cannot be read as an image.*truncated"):
        reading.read_image(path, 64)


def test_reduced_is_near_to_full_decoding(tmp_path, photos):
    path = saved(photos[0].resize((1280, 960)), tmp_path / "a.jpg", quality=95)
    full, reduced = open_rgb(path, 64), open_rgb(path, 64, reduced=True)
    gap = (full.int() - reduced.int()).abs().float()
    assert 0 < gap.mean() < 3


def test_no_memory_is_not_no_image(folder, monkeypatch):
    def full(path, size, reduced):
        raise MemoryError

    monkeypatch.setattr(reading, "open_rgb", full)
    with pytest.raises(MemoryError, match="0.png does not fit into memory"):
        image_folder(folder, size=8, on_error="skip")


# ---- folders ----


def test_folder_in_memory_and_on_disk_agree(folder):
    memory, disk = (
        image_folder(folder, size=32, flip=True),
        image_folder(folder, size=32, flip=True, in_memory=False),
    )
    assert isinstance(disk.pixels, FilePixels) and isinstance(memory.pixels, torch.Tensor)
    assert memory.shape == disk.shape == (3, 32, 32) and len(memory) == len(disk) == 12
    assert (
        memory.classes == disk.classes == ["china", "flower"]
        and memory.labels.tolist() == disk.labels.tolist() == [0] * 6 + [1] * 6
    )
    for index in ([0], [11, 3, 3], range(12)):
        u = torch.rand(len(index))
        a, b = (s.batch(index, SimpleNamespace(rand=lambda: u)) for s in (memory, disk))
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
    memory.prefetch([0]), disk.to("cpu").prefetch([0])
    assert torch.equal(memory[4][0], disk[4][0])
    assert torch.equal(memory.pixels[5], open_rgb(folder / "china" / "5.png", 32))


def test_memory_limit_decides(folder):
    need = 12 * 3 * 32 * 32
    assert isinstance(image_folder(folder, size=32, memory=need).pixels, torch.Tensor)
    assert isinstance(image_folder(folder, size=32, memory=need - 1).pixels, FilePixels)


def test_classes_choose_and_order(folder):
    images = image_folder(folder, size=8, classes=["flower", "china"])
    assert images.classes == ["flower", "china"] and images.labels.tolist() == [0] * 6 + [1] * 6
    assert torch.equal(images.pixels[:6], image_folder(folder, size=8).pixels[6:])
    assert len(image_folder(folder, size=8, classes="flower")) == 6


def test_hidden_files_and_links(folder, tmp_path_factory):
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "china" / ".cache").mkdir()
    for path in (".DS_Store", "china/.DS_Store", "china/.cache/x.png", "README.md"):
        (folder / path).write_text("no image")
    linked = tmp_path_factory.mktemp("linked")
    for name in ("china", "flower"):
        (linked / name).symlink_to(folder / name)
    assert len(find_images(folder)[0]) == len(find_images(linked)[0]) == 12


def test_linked_folders_count_and_circles_end(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "deep").mkdir()
    for name in ("a.png", "deep/b.png"):
        (other / name).write_bytes((folder / "china" / "0.png").read_bytes())
    (folder / "china" / "more").symlink_to(other)  # inside a class folder
    (other / "back").symlink_to(folder / "china")  # a circle
    (other / "self").symlink_to(other)
    (folder / "china" / "gone").symlink_to(other / "nowhere")
    files, labels, _ = find_images(folder)
    assert len(files) == 14 and labels.tolist() == [0] * 8 + [1] * 6
    assert {p.name for p in files} >= {"a.png", "b.png"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_that_may_not_be_read_is_not_called_empty(folder):
    (folder / "china").chmod(0)
    try:
        with pytest.raises(PermissionError, match="china cannot be read .*permissions"):
            find_images(folder)
    finally:
        (folder / "china").chmod(0o755)


def test_a_folder_that_fails_is_not_called_empty(folder, monkeypatch):
    def denied(top, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(top)))
        return iter(())

    monkeypatch.setattr(reading.os, "walk", denied)
    with pytest.raises(PermissionError, match="china cannot be read .*permissions"):
        find_images(folder)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_folders_that_cannot_be_used(tmp_path, folder, on_error):
    def says(text, *args, error=FileNotFoundError, **kwargs):
        with pytest.raises(error, match=text):
            image_folder(*args, on_error=on_error, **kwargs)

    says("no folder .*nowhere; expected root/class/image.jpg", folder / "nowhere")
    says("holds no class folders", folder / "china")  # pictures in the root itself
    says(
        r"has no folders \['japan'\]; 1 of 2 classes are missing",
        folder,
        classes=["china", "japan"],
    )
    says("holds no class folders", folder, classes=[])
    (folder / "empty").mkdir()
    says(r"has no images of \['empty'\]; 1 of 3 class folders are empty", folder)
    (tmp_path / "sub").mkdir()
    says("holds no class folders", tmp_path / "sub")
    with pytest.raises(ValueError, match="on_error='ignore'; expected 'raise' or 'skip'"):
        image_folder(folder, size=8, classes=["china"], on_error="ignore")


@pytest.fixture(params=["first", "last"])
def spoiled(request, folder):
    "The folder with a text file and half a PNG: at the very beginning, or at the end."
    where = folder / {"first": "china", "last": "flower"}[request.param]
    whole = (where / "0.png").read_bytes()
    half = whole[: len(whole) // 2]
    spoil = {"first": {"!0.jpg": b"404", "!1.png": half}, "last": {"x.png": half, "z.jpg": b""}}
    for name, content in spoil[request.param].items():
        (where / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_bad_file_is_named_or_skipped(spoiled, in_memory, request):
    name = "!0.jpg" if "first" in request.node.name else "x.png" if in_memory else "z.jpg"
    with pytest.raises(ValueError, match=rf"{name} .*remove it, or pass on_error='skip'") as error:
        image_folder(spoiled, size=16, in_memory=in_memory)
    assert " at 0x" not in str(error.value)  # an object's place in memory tells nobody anything
    with pytest.warns(UserWarning, match="2 of 14 files skipped; the first: .*(!0.jpg|x.png)"):
        images = image_folder(spoiled, size=16, in_memory=in_memory, on_error="skip")
    assert len(images) == 12 and images.labels.tolist() == [0] * 6 + [1] * 6
    assert torch.equal(
        images.batch(range(12))[0],
        from_uint8(torch.stack([open_rgb(f, 16) for f in sorted(spoiled.rglob("[0-5].png"))])),
    )


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_bad_first_file_without_size(spoiled, photos, in_memory):
    "No size given: the common size comes from the first file that can be read."
    for f in spoiled.rglob("[0-5].png"):
        photos[0].resize((20, 10)).save(f)
    with pytest.warns(UserWarning, match="2 of 14"):
        images = image_folder(spoiled, in_memory=in_memory, on_error="skip")
    assert images.shape == (3, 10, 20) and len(images) == 12
    photos[0].resize((10, 20)).save(spoiled / "flower" / "3.png")
    with (
        pytest.raises(
            ValueError, match=r"differ in size \(\(20, 10\) and \(10, 20\)\).*pass size="
        ),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        image_folder(spoiled, in_memory=in_memory, on_error="skip")


def test_nothing_readable(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(3):
        (tmp_path / "a" / f"{i}.jpg").write_text("no")
    for size in (None, 8):
        with pytest.raises(ValueError, match="none of 3 files can be read as an image"):
            image_folder(tmp_path, size=size, on_error="skip")


def test_half_a_file_on_disk_is_named_when_it_is_read(folder):
    "Without skip only headers are read up front; the batch that needs half a file names it."
    whole = (folder / "china" / "2.png").read_bytes()
    (folder / "china" / "2.png").write_bytes(whole[: len(whole) // 2])
    images = image_folder(folder, size=16, in_memory=False)
    images.prefetch([1, 2])
    assert images.batch([0, 1])[0].isfinite().all()
    with pytest.raises(ValueError, match="2.png cannot be read as an image") as raised:
        images.batch([2, 3])
    assert "resume=True the run goes on" in raised.value.__notes__[0]


def test_a_failing_disk_is_not_a_bad_picture(folder, monkeypatch):
    def denied(path, size, reduced):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(reading, "open_rgb", denied)
    with pytest.raises(PermissionError, match="0.png"):
        image_folder(folder, size=8, on_error="skip")


# ---- reading ahead ----


class Counting:
    "A reader that counts and can be held up."

    def __init__(self):
        self.reads, self.gate = [], threading.Event()

    def __call__(self, file):
        self.gate.wait(5)
        self.reads.append(file)
        return torch.full((1, 2, 2), file, dtype=torch.uint8)


def test_prefetch_reads_each_image_once():
    read = Counting()
    pixels = FilePixels(list(range(100)), read, (1, 2, 2))
    (
        pixels.prefetch([4, 5, 6]),
        pixels.prefetch([6, 7]),
    )  # a second call keeps what the first asked for
    read.gate.set()
    assert pixels[[7, 4, 4]][:, 0, 0, 0].tolist() == [
        7,
        4,
        4,
    ]  # others than prefetched, with repeats
    assert pixels[[5, 6]][:, 0, 0, 0].tolist() == [5, 6] and not pixels.ahead
    assert sorted(read.reads) == [4, 5, 6, 7]
    assert pixels[torch.arange(100) % 50 == 3][:, 0, 0, 0].tolist() == [
        3,
        53,
    ]  # a mask, as for a tensor
    assert pixels[[9]].shape == (1, 1, 2, 2) and pixels[torch.tensor([99, 0])].shape == (2, 1, 2, 2)
    with pytest.raises(IndexError):
        pixels[[100]]


def test_prefetch_is_bounded():
    read = Counting()
    pixels = FilePixels(list(range(100)), read, (1, 2, 2), workers=1, limit=10)
    pixels.prefetch(range(100))
    assert list(pixels.ahead) == list(range(90, 100))
    read.gate.set()
    assert pixels[[0, 95]][:, 0, 0, 0].tolist() == [0, 95]
    assert len(read.reads) < 20  # those dropped were never read


def test_threads_end_with_the_set(folder):
    image_folder(folder, size=16)  # a first progress bar starts a thread of its own, for good
    before = {*threading.enumerate()}
    images = image_folder(folder, size=16, in_memory=False, workers=4)
    assert {*threading.enumerate()} <= before  # the survey's threads are gone
    images.batch(range(12))
    own = {*threading.enumerate()} - before
    assert 1 <= len(own) <= 4
    del images
    for t in own:
        t.join(5)
    assert not any(t.is_alive() for t in own)


def test_a_bad_file_ends_the_survey_at_once():
    read = []

    def slow(file):
        read.append(file)
        if file == 0:
            raise ValueError("bad")
        threading.Event().wait(0.01)

    with pytest.raises(ValueError, match="bad"):
        reading.read_all(list(range(2000)), slow, workers=2)
    assert len(read) < 500


def test_copies_and_pickles_read_too(folder):
    images = image_folder(folder, size=16, in_memory=False)
    expected = images.batch([2, 9])[0]
    images.prefetch([1])
    for other in (copy.deepcopy(images), pickle.loads(pickle.dumps(images))):
        assert torch.equal(other.batch([2, 9])[0], expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_reading_survives_a_fork(folder):
    "As in accelerate's notebook_launcher: a child must not wait for threads of its parent."
    images = image_folder(folder, size=16, in_memory=False)
    images.batch([0]), images.prefetch([1, 2])

    def child():
        images.prefetch([2])
        os._exit(0 if images.batch([1, 2])[0].shape == (2, 3, 16, 16) else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    alive = process.is_alive()
    if alive:
        process.kill()
    assert not alive and process.exitcode == 0


# ---- CIFAR-10 and ImageNet-100 ----


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path):
    "Address of a web server on this machine, for the files in tmp_path/mirror."
    (tmp_path / "mirror").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: Quiet(*a, directory=tmp_path / "mirror")
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def archive(tmp_path, mirror, photos, monkeypatch):
    "A CIFAR-10 archive in the official layout, of crops; torchvision's checksums are made to suit."
    from torchvision.datasets import CIFAR10

    rng, sums, path = np.random.default_rng(0), {}, tmp_path / "mirror" / "cifar-10-python.tar.gz"
    crops = [
        np.array(photos[i % 2].crop((x, y, x + 32, y + 32)))
        for i, (x, y) in enumerate(rng.integers(0, 390, (12, 2)))
    ]
    with tarfile.open(path, "w:gz") as tar:
        for k, name in enumerate(
            [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
        ):
            rows = [c.transpose(2, 0, 1).ravel() for c in crops[2 * k : 2 * k + 2]]
            body = pickle.dumps(
                {"label_names": [f"class {i}" for i in range(10)]}
                if "meta" in name
                else {"data": np.stack(rows), "labels": [k, 9 - k]}
            )
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size, sums[name] = len(body), hashlib.md5(body).hexdigest()
            tar.addfile(info, io.BytesIO(body))
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[n, m] for n, m in sums.items() if "data" in n])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    return SimpleNamespace(url=f"{mirror}/{path.name}", crops=np.stack(crops))


def test_cifar10_from_mirrors(tmp_path, mirror, archive):
    "Missing: an error that says what to do. A mirror that has it is used; damage is repaired."
    root = tmp_path / "data"
    with pytest.raises(FileNotFoundError, match="no CIFAR-10 in .*data.*download=True"):
        cifar10(root)
    (tmp_path / "mirror" / "false.tar.gz").write_bytes(b"an apology")
    mirrors = [f"{mirror}/nothing.tar.gz", f"{mirror}/false.tar.gz", archive.url]
    train = cifar10(root, download=True, flip=True, mirrors=mirrors)
    assert train.shape == (3, 32, 32) and train.flip and train.classes[3] == "class 3"
    assert (
        torch.equal(train.pixels, torch.from_numpy(archive.crops[:10]).permute(0, 3, 1, 2))
        and train.pixels.is_contiguous()
    )
    assert train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert torch.equal(
        cifar10(root, train=False).pixels, torch.from_numpy(archive.crops[10:]).permute(0, 3, 1, 2)
    )
    (root / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"damaged")
    with pytest.raises(FileNotFoundError, match="missing or damaged"):
        cifar10(root)
    assert (
        len(cifar10(root, download=True, mirrors=mirrors[:1])) == 10
    )  # from the archive that is there


def test_cifar10_without_network(tmp_path, mirror, archive):
    with pytest.raises(
        OSError, match=r"could not be downloaded; http:.*nothing.*Put cifar-10-python.tar.gz \(MD5 "
    ):
        cifar10(tmp_path / "data", download=True, mirrors=[f"{mirror}/nothing.tar.gz"])


def test_imagenet100_classes(photos, tmp_path):
    ids = imagenet100_classes()
    assert len(ids) == len(set(ids)) == 100 and all(
        len(i) == 9 and i[0] == "n" and i[1:].isdigit() for i in ids
    )
    for i in ids:
        (tmp_path / i).mkdir()
        photos[0].resize((20, 16)).save(tmp_path / i / f"{i}_1.JPEG")
    (tmp_path / "n00000000").mkdir()  # ImageNet has 900 more
    images = image_folder(tmp_path, size=8, classes=ids)
    assert images.classes == ids and images.labels.tolist() == list(range(100))


@pytest.mark.skipif(
    "DDPM_COURSE_DATA" not in os.environ,
    reason="DDPM_COURSE_DATA names a folder with one folder a class",
)
def test_a_folder_of_yours():
    "Any real folder: memory and disk agree on a sample, and every image keeps the contract."
    memory, disk = (
        image_folder(os.environ["DDPM_COURSE_DATA"], size=64, in_memory=m) for m in (True, False)
    )
    index = torch.randperm(len(memory), generator=torch.Generator().manual_seed(0))[:256]
    x, y = memory.batch(index)
    assert torch.equal(x, disk.batch(index)[0]) and torch.equal(y, disk.batch(index)[1])
    assert check_images(x, finite=True).abs().max() <= 1 and 0.2 < x.std() < 1


# ---- the checkers (right and wrong answers: test_checks.py) ----


def test_a_crop_that_draws_its_own_numbers_is_noticed():
    def crop(x, size, u):
        top, left = (int(torch.randint(side - size + 1, (1,))) for side in x.shape[-2:])
        return x[..., top : top + size, left : left + size]

    with pytest.raises(AssertionError, match="two calls with the same arguments differ"):
        check.random_crop(crop)


def numbered(root, names, size=8):
    for name in names:
        (root / name).mkdir(parents=True)
        Image.new("RGB", (size, size), (int(name) * 10, 0, 0)).save(root / name / "a.png")
    return root


def test_class_folders_that_are_numbers_are_sorted_as_text_and_that_is_told(tmp_path):
    root = numbered(tmp_path / "many", ["1", "2", "10"])
    with pytest.warns(UserWarning, match="'10'|label 1 is the folder '10'; pass classes="):
        images = image_folder(root)
    assert images.classes == ["1", "10", "2"]
    few = numbered(tmp_path / "few", ["1", "2"])
    for folder, classes in ((root, ["1", "2", "10"]), (few, None)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert image_folder(folder, classes=classes).classes == (classes or ["1", "2"])


def test_gray_sets_have_one_channel(folder, tmp_path):
    gray = image_folder(folder, size=16, mode="L")
    color = image_folder(folder, size=16)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    expected = (color.pixels * weights).sum(1, keepdim=True)
    assert gray.shape == (1, 16, 16) and (gray.pixels - expected).abs().max() <= 1
    disk = image_folder(folder, size=16, mode="L", in_memory=False)
    assert torch.equal(disk.pixels[torch.arange(4)], gray.pixels[:4])
    levels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    (tmp_path / "g" / "x").mkdir(parents=True)
    Image.fromarray(levels).save(tmp_path / "g" / "x" / "a.png")
    assert torch.equal(image_folder(tmp_path / "g", mode="L").pixels[0, 0], torch.tensor(levels))


@pytest.mark.parametrize(
    "bad",
    [
        *[{"size": v} for v in (0, -1, 8.0, "8", True)],
        *[{"workers": v} for v in (0, "4")],
        *[{"classes": v} for v in (["china", "china"], [3], {"china": 1}, 3)],
        *[{"mode": "RGBA"}, {"mode": None}, {"on_error": "ignore"}, {"flip": 1}, {"memory": "8G"}],
    ],
    ids=str,
)
def test_arguments_of_a_folder(folder, bad):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(bad))}.*expected"):
        image_folder(folder, **{"size": 8} | bad)


def test_no_file_starts_another_program(folder, monkeypatch):
    "Pillow gives EPS, whatever the file is called, to Ghostscript."
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n0 0 moveto\nshowpage\n"
    (folder / "china" / "!0.jpg").write_bytes(eps)
    from PIL import EpsImagePlugin

    def started(*args, **kwargs):
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    with pytest.raises(ValueError, match="!0.jpg cannot be read as an image"):
        image_folder(folder, size=8)


def test_large_images_come_one_at_a_time_and_small_ones_together():
    room, inside, most = rasters.Room(100), [], []

    def decode(n):
        with room(n):
            inside.append(n)
            most.append(sum(inside))
            time.sleep(0.002)
            inside.remove(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [40, 30, 250, 20, 90, 10, 60, 300, 5, 5] * 5))
    assert max(n for n in most if n not in (250, 300)) <= 100 and {250, 300} <= {*most}


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(tmp_path, monkeypatch):
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    wide = np.stack([np.tile(ramp, (640, 1))] * 3, -1)
    Image.fromarray(wide).save(tmp_path / "a.jpg", quality=95)
    whole = open_rgb(tmp_path / "a.jpg", 64)
    asked = []
    monkeypatch.setattr(reading, "room", lambda n: asked.append(n) or nullcontext())
    part = open_rgb(tmp_path / "a.jpg", 64, reduced=True)
    assert asked == [160 * 160] and (part.int() - whole.int()).abs().max() <= 4


def test_an_image_that_does_not_fit_into_memory_is_no_bad_image(folder, monkeypatch):
    def full(path, size, reduced):
        raise MemoryError

    monkeypatch.setattr(reading, "open_rgb", full)
    with pytest.raises(MemoryError, match="0.png does not fit into memory; .*fewer workers"):
        image_folder(folder, size=8, on_error="skip")
