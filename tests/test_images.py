"The image contract, grids, digits, sets of labeled images, and the player."

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ddpm_course.checks import images as check
from ddpm_course.images import (
    Images,
    check_images,
    from_uint8,
    image_grid,
    load_digits,
    show_images,
    to_uint8,
)
from ddpm_course.players import frame_player
from ddpm_course.randomness import BatchRandom


# ---- the contract ----


@pytest.mark.parametrize("levels", [1, 16, 255])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_level_is_lost(levels, dtype):
    every = torch.arange(levels + 1, dtype=torch.uint8).view(1, 1, 1, -1)
    x = from_uint8(every, levels)
    assert x.dtype == torch.float32 and x.min() == -1 and x.max() == 1
    assert torch.equal(to_uint8(x.to(dtype), levels), every)


@pytest.mark.parametrize("levels", [0, 256, 1000])
def test_levels_fit_into_uint8(levels):
    with pytest.raises(ValueError, match=f"levels={levels}; expected 1..255"):
        to_uint8(torch.zeros(1, 1, 2, 2), levels)


def test_to_uint8_clamps_and_rounds():
    x = torch.tensor([-9, -1.002, -1, 0.0, 1 - 1.5 / 255, 1 - 0.5 / 255, 1.0, 1.004, 300]).view(
        1, 1, 3, 3
    )
    assert to_uint8(x).flatten().tolist() == [0, 0, 0, 128, 254, 255, 255, 255, 255]
    half = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(to_uint8(half), to_uint8(half.float()))  # the arithmetic is not bf16's


@pytest.mark.parametrize(
    "x, error, says",
    [
        (np.zeros((1, 3, 4, 4)), TypeError, "got ndarray; expected a float tensor"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.uint8), TypeError, "torch.uint8.*from_uint8"),
        (torch.zeros(3, 4, 4), ValueError, r"\(3, 4, 4\).*x\[None\]"),
        (
            torch.tensor([1.0, float("nan"), float("inf"), 0]).view(1, 1, 2, 2),
            ValueError,
            "2 of 4 values are NaN or infinite",
        ),
    ],
)
def test_images_outside_the_contract(x, error, says):
    with pytest.raises(error, match=says):
        check_images(x, finite=True)
    with pytest.raises(error, match=says):
        to_uint8(x)
    with pytest.raises(error, match=says):
        show_images(x)


def test_from_uint8_refuses_floats():
    with pytest.raises(TypeError, match="torch.float32.*converted twice"):
        from_uint8(torch.zeros(1, 1, 2, 2))


# ---- pictures ----


def test_image_grid():
    x = torch.linspace(-1, 1, 3 * 3 * 2 * 4).view(3, 3, 2, 4)
    grid = image_grid(x, columns=2, padding=1)
    assert grid.shape == (2 * 2 + 1, 2 * 4 + 1, 3)
    assert (
        torch.equal(grid[3:, :4].permute(2, 0, 1), to_uint8(x)[2])
        and (grid[3:, 5:] == 255).all()
        and (grid[2] == 255).all()
    )
    assert image_grid(x[:, :1], columns=3, padding=0).shape == (2, 12, 3)
    with pytest.raises(ValueError, match="4 channels"):
        image_grid(torch.zeros(1, 4, 2, 2))
    with pytest.raises(ValueError, match="0 images"):
        image_grid(torch.zeros(0, 3, 2, 2))


def test_show_images_draws_what_it_is_given():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    x = 0.2 * torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ax = show_images(x, columns=2, title="faint", rows=["a", "b"], heads=["c", "d"])
    drawn = ax.images[0].get_array()
    assert drawn[..., :3].min() >= 127 and drawn[..., 0][:8, :8].max() < 160  # no min-max
    assert drawn[0, :17, 3].tolist() == [255] * 8 + [0] + [255] * 8  # the gap is transparent
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"] and ax.get_title() == "faint"
    plt.close(ax.figure)


# ---- digits ----


def test_digits_keep_their_levels():
    train, test, everything = (load_digits(split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything), train.levels, train.shape) == (
        1000,
        797,
        1797,
        16,
        (1, 8, 8),
    )
    assert everything.pixels.max() == 16 and len(everything.pixels.unique()) == 17
    rows = lambda d: {(p.numpy().tobytes(), int(y)) for p, y in zip(d.pixels, d.labels)}
    assert rows(train) | rows(test) == rows(everything) and not rows(train) & rows(test)
    share = train.labels.bincount() / 1000 - everything.labels.bincount() / 1797
    assert share.abs().max() < 1e-3  # stratified
    # every score rests on this split: it must be the same for all versions of scikit-learn
    assert hashlib.sha256(train.pixels.numpy().tobytes()).hexdigest()[:16] == "a2d99bc1be364396"
    with pytest.raises(ValueError, match="split='valid'.*'train'"):
        load_digits("valid")


# ---- Images ----


@pytest.fixture
def pictures():
    "Twelve color images of random pixels, six of each class, half of which `batch` mirrors."
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 3, 16, 16), generator=rng, dtype=torch.uint8)
    return Images(pixels, torch.arange(2).repeat_interleave(6), ["a", "b"], flip=True)


def coins(*u):
    return SimpleNamespace(rand=lambda: torch.tensor(u))


def test_batch_and_flips(pictures):
    x, y = pictures.batch([3, 7, 7, 0], coins(0.0, 0.49, 0.5, 0.99))
    stored = from_uint8(pictures.pixels[[3, 7, 7, 0]])
    assert x.dtype == torch.float32 and y.tolist() == [0, 1, 1, 0]
    assert torch.equal(x[:2], stored[:2].flip(-1)) and torch.equal(x[2:], stored[2:])
    assert torch.equal(pictures.batch(torch.tensor([3, 7, 7, 0]))[0], stored)  # no rng: as stored
    assert torch.equal(pictures[7][0], stored[1]) and pictures[7][1] == 1
    assert torch.equal(pictures.to("cpu").batch(np.array([3]))[0], stored[:1])


def test_every_image_has_its_own_coin(pictures):
    index = torch.arange(12).repeat(50)
    whole, _ = pictures.batch(index, BatchRandom(0, 5, 600))
    parts = torch.cat(
        [
            pictures.batch(index[rows], BatchRandom(0, 5, 600, rows))[0]
            for rows in (slice(0, 300), slice(300, 600))
        ]
    )
    assert torch.equal(whole, parts)  # the same flips on any number of devices
    flipped = (whole != pictures.batch(index)[0]).flatten(1).any(1)
    assert 240 < flipped.sum() < 360


GRAY = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    "pixels, labels, says",
    [
        (GRAY.float(), torch.tensor([0, 1]), "pixels: got torch.float32.*expected torch.uint8"),
        (GRAY[:, 0], torch.tensor([0, 1]), r"pixels: got torch.uint8 \(2, 4, 4\)"),
        (GRAY.numpy(), torch.tensor([0, 1]), "pixels: got ndarray; expected torch.uint8"),
        (GRAY, None, "labels: got NoneType; expected torch.int64"),
        (GRAY, np.array([0, 1]), "labels: got ndarray; expected torch.int64"),
        (GRAY, torch.tensor([0, 1, 1]), r"got torch.int64 \(3,\); expected torch.int64 \(2,\)"),
        (GRAY, torch.zeros(2), "labels: got torch.float32"),
        (GRAY, torch.tensor([0, 2]), r"labels: got 0\.\.2; expected 0\.\.1"),
        (GRAY, torch.tensor([-1, 1]), r"labels: got -1\.\.1"),
    ],
)
def test_images_need_labels_and_classes(pixels, labels, says):
    with pytest.raises(ValueError, match=says):
        Images(pixels, labels, ["a", "b"])


def test_pixels_stay_where_a_gpu_is_too_small(monkeypatch, pictures):
    "Asked for a GPU with little free memory, `to` moves the labels alone."
    moved = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * 2**30))
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device, *a, **k: moved.append(self.dtype) or self
    )
    for free, expected in (
        (2 * pictures.pixels.nbytes, [torch.int64]),
        (2 * pictures.pixels.nbytes + 2, [torch.uint8, torch.int64]),
    ):
        moved.clear()
        pictures.to("cuda")
        assert moved == expected


def test_an_empty_set_is_a_set():
    assert len(Images(GRAY[:0], torch.zeros(0).long(), [])) == 0


# ---- the player ----


FRAMES = [torch.full((8, 8, 3), v, dtype=torch.uint8) for v in (0, 128)]


def name_of(page):
    return page.split('class="')[1].split('"')[0]


def test_the_player_holds_every_frame_and_is_the_same_each_time():
    page = frame_player(FRAMES, ["a", "b"], "demo").data
    assert page.count("iVBOR") == 3 and page == frame_player(FRAMES, ["a", "b"], "demo").data
    with pytest.raises(ValueError, match="2 frames and 1 captions"):
        frame_player(FRAMES, ["a"])
    with pytest.raises(ValueError, match="0 frames"):
        frame_player([], [])
    with pytest.raises(ValueError, match=r"start=2; expected a frame, 0\.\.1"):
        frame_player(FRAMES, ["a", "b"], start=2)


def test_without_a_script_the_player_shows_its_first_frame_and_no_dead_controls():
    page = frame_player(FRAMES, ["dark", "gray"], "demo", start=1).data
    still = page.split("<script>")[0]
    frame = page.split('src="data:image/png;base64,')[1].split('"')[0]
    assert frame in page.split("const frames = ")[1].split(", ")[1]  # the second one
    assert "demo: <b>gray</b>" in still and "<div hidden>" in still and 'alt="demo"' in still


def test_players_of_the_same_frames_are_told_apart_by_all_they_show():
    pages = [
        frame_player(FRAMES, captions, title, start, scale).data
        for captions, title, start, scale in (
            (["a", "b"], "demo", 0, 6),
            (["a", "c"], "demo", 0, 6),
            (["a", "b"], "other", 0, 6),
            (["a", "b"], "demo", 1, 6),
            (["a", "b"], "demo", 0, 7),
        )
    ]
    assert len({name_of(page) for page in pages}) == 5


def test_captions_and_titles_are_text_and_not_markup():
    hostile = "</script><b>\"'&{x}"
    page = frame_player(FRAMES, [hostile, hostile], hostile).data
    assert page.count("</script>") == 1 and page.endswith("</script></figure>")
    assert "&lt;/script&gt;" in page.split("<script>")[0] and 'alt="&lt;/script' in page
    captions = page.split("captions = ")[1].split("\n")[0]
    assert json.loads(captions) == [hostile, hostile]


# ---- the checkers (right and wrong answers: test_checks.py) ----


@pytest.mark.parametrize(
    "answer, got",
    [
        (lambda x: ((x.clamp(-1, 1) + 1) * 127.5).round(), "a float32 tensor"),
        (lambda x: ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy(), "a NumPy array"),
    ],
)
def test_bytes_are_a_tensor_of_bytes(answer, got):
    with pytest.raises(AssertionError, match=f"expected a uint8 tensor, got {got}"):
        check.to_bytes(answer)


def digits_like(high=16):
    return torch.randint(0, high + 1, (4, 1, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize(
    "change",
    [
        {"levels": 0},
        {"levels": 256},
        {"levels": "255"},
        {"levels": 16.0},
        {"levels": True},
        {"classes": ["a", "a"]},
        {"classes": "ab"},
        {"classes": [1, 2]},
        {"classes": None},
        {"flip": 1},
        {"flip": "no"},
        {"levels": 8},  # some pixels are brighter than that
    ],
)
def test_a_set_says_what_it_cannot_be(change):
    pixels = digits_like()
    pixels[0] = 16
    with pytest.raises((TypeError, ValueError), match="expected"):
        good = dict(pixels=pixels, labels=torch.tensor([0, 1, 0, 1]), classes=["a", "b"])
        Images(**good | change)


def test_gray_levels_are_told_from_floats():
    for bad in ([[0]], np.zeros((1, 1, 2, 2), np.uint8), None, torch.zeros(1, 1, 2, 2)):
        with pytest.raises(TypeError, match="gray=.*expected a tensor of whole numbers"):
            from_uint8(bad)
    with pytest.raises(ValueError, match="pixels up to 255 with levels=16; expected 0..16"):
        from_uint8(torch.full((1, 1, 2, 2), 255, dtype=torch.uint8), 16)
    for bad in (torch.rand(2, 1, 8, 8) * 255 + 9, torch.rand(2, 3, 8, 8) * 1023):
        for f in (to_uint8, image_grid, show_images):
            with pytest.raises(ValueError, match="expected \\[-1, 1\\]; convert gray levels"):
                f(bad)
    dim = torch.rand(2, 1, 8, 8) * 0.1 - 1
    assert to_uint8(dim).max() < 16 and to_uint8(dim * 3).max() == 0


@pytest.mark.parametrize("change", [{"columns": 0}, {"columns": "3"}, {"padding": -1}, {"x": "x"}])
def test_a_grid_of_nothing(change):
    with pytest.raises((TypeError, ValueError), match="expected"):
        image_grid(**{"x": torch.zeros(4, 1, 2, 2)} | change)
