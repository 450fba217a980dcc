"Chapter 70: kernels against one another, captions against their grammar, a network that reads."

import copy, json, math

import pytest
import torch
import torch.nn.functional as F

from ddpm_course import attention, captions
from ddpm_course.attention import (
    TEXT_UNET,
    TextUNet,
    attention_kernel,
    chunked_attention,
    encode,
    naive_attention,
    train_text,
    words_of,
)
from ddpm_course.captions import captions_of, held_out_captions, training_captions, two_digits
from ddpm_course.experiments.attention import ATTENTION, NETS, attention_row
from ddpm_course.guidance import cfg
from ddpm_course.memory import peak_bytes
from ddpm_course.noising import cosine_schedule
from ddpm_course.randomness import BatchRandom
from ddpm_course.sampling import ddim_sample
from ddpm_course.saving import load_model, save_model
from ddpm_course.training import DIGITS_UNET
from ddpm_course.unet import UNet
from test_unet import awake, small

KERNELS = {
    "naive": naive_attention,
    "chunked": chunked_attention,
    "chunks of 7": lambda *args, **kw: chunked_attention(*args, **kw, chunk=7),
}


def drawn(N=50, L=30, d=8, dtype=torch.float64, heads=3):
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(2, heads, n, d, generator=rng, dtype=dtype) for n in (N, L, L)]


def some_mask(L=30):
    mask = torch.rand(2, 1, 1, L, generator=torch.Generator().manual_seed(1)) > 0.5
    mask[0, ..., :15] = False  # whole chunks that nobody may see, the first among them
    return mask


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("mask", [None, some_mask()], ids=["all", "masked"])
def test_kernels_and_their_gradients_agree(kernel, mask):
    found = []
    for f in (F.scaled_dot_product_attention, kernel):
        qkv = [x.clone().requires_grad_() for x in drawn()]
        out = f(*qkv, attn_mask=mask)
        out.sin().sum().backward()
        found.append([out.detach(), *(x.grad for x in qkv)])
    for a, b in zip(*found):
        assert (a - b).abs().max() < 1e-12


@pytest.mark.parametrize(
    "mask, error, word",
    [
        (torch.zeros(50, 30), TypeError, "attn_mask: got torch.float32; expected bool"),
        ([True] * 30, TypeError, "attn_mask: got list; expected bool"),
        (torch.ones(50, 29).bool(), ValueError, r"attn_mask \(50, 29\)"),
        (torch.ones(49, 30).bool(), ValueError, r"attn_mask \(49, 30\)"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(mask, error, word):
    for kernel in (naive_attention, chunked_attention):
        with pytest.raises(error, match=word):
            kernel(*drawn(), attn_mask=mask)
        with pytest.raises(ValueError, match="expected q"):
            kernel(*drawn(L=0))  # a mean over nothing


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_large_scores_do_not_overflow(kernel):
    q, k, v = drawn(dtype=torch.float32)
    assert torch.allclose(
        kernel(100 * q, k, v), F.scaled_dot_product_attention(100 * q, k, v), atol=1e-4
    )


def test_memory_of_the_fused_path_grows_with_the_length_and_of_the_naive_with_its_square():
    def slope(f, lengths=(1024, 4096)):
        used = [peak_bytes(lambda: f(*drawn(n, n, 32, torch.float32, 1))) for n in lengths]
        made = [peak_bytes(lambda: drawn(n, n, 32, torch.float32, 1)) for n in lengths]
        a, b = (u - m for u, m in zip(used, made))
        return math.log(b / a) / math.log(lengths[1] / lengths[0])

    assert slope(F.scaled_dot_product_attention) < 1.2
    assert slope(naive_attention) > 1.8


def test_the_meter_of_memory_counts_what_is_held_at_once():
    def f():
        for _ in range(3):
            torch.zeros(1000)  # freed at once
        a, b = torch.zeros(1000), torch.zeros(500)
        return a[0] + b[0]

    assert 6000 <= peak_bytes(f) < 7000


def test_a_kernel_is_exchanged_and_put_back():
    net = awake(small(cross_attention=6))
    x, t, tokens = torch.randn(2, 1, 8, 8), torch.tensor([1, 2]), torch.randn(2, 3, 6)
    calls = []

    def counted(q, k, v, attn_mask=None):
        calls.append(k.shape[-2])
        return naive_attention(q, k, v, attn_mask)

    plain = net(x, t, context=tokens)
    with attention_kernel(net, counted) as layers:
        assert torch.allclose(net(x, t, context=tokens), plain, atol=1e-5)
    assert len(calls) == len(layers) == 8 and sorted({*calls}) == [3, 16]
    with pytest.raises(RuntimeError):
        with attention_kernel(net, naive_attention):
            raise RuntimeError
    net(x, t, context=tokens)
    assert len(calls) == 8


# ---- captions ----


def reads(text, left, right):
    "Whether a caption is true of two digits, worked out word by word."
    words = text.split()
    number = {w: i for i, w in enumerate(captions.NUMERALS)}
    said = [number[w] for w in words if w in number]
    if words[0] == "two" and len(words) == 2:
        return (
            left
            == right
            == number[words[1].removesuffix("s").removesuffix("e" * (words[1] == "sixes"))]
        )
    if "anything" in words:
        return said == [left if words[-1] == "anything" else right]
    if "left" in words or "and" in words:
        return said == [left, right]
    if "right" in words:
        return said == [right, left]
    return "beside" in words and sorted(said) == sorted([left, right])


def test_every_caption_is_true_and_of_a_few_dozen_words():
    for left in range(10):
        for right in range(10):
            found = captions_of(left, right)
            assert len({*found}) == len(found) == 7
            assert all(reads(text, left, right) for text in found)
    words = words_of(training_captions())
    assert 24 <= len(words) <= 48 and "an eight left of a seven" in captions_of(8, 7)


def test_held_out_pairs_are_new_and_their_words_are_not():
    known, new = {*training_captions()}, held_out_captions()
    assert len(new) == 60 and not known & {text for text, *_ in new}
    assert {w for text, *_ in new for w in text.split()} <= {*words_of(known)}
    assert all(captions.is_held_out(r, l) for _, l, r in new)  # with a pair its mirror image


def test_pictures_have_true_captions_and_no_held_out_pairs():
    data, texts = two_digits(), training_captions()
    x, y = data.batch(torch.arange(len(data)), BatchRandom(0, 0, len(data)))
    assert x.shape == (1000, 1, 8, 16) and y.dtype == torch.int64
    of = {
        p.numpy().tobytes(): int(label)
        for p, label in zip(data.digits.batch(range(1000))[0], data.digits.labels)
    }
    sides = (x[..., :8].contiguous(), x[..., 8:].contiguous())
    halves = [[of[half.numpy().tobytes()] for half in side] for side in sides]
    assert halves[0] == data.digits.labels.tolist()  # picture i has digit i at its left
    for l, r, number in zip(*halves, y.tolist()):
        assert not captions.is_held_out(l, r) and reads(texts[number], l, r)
    assert len({*zip(*halves)}) == 80


def test_a_batch_is_a_function_of_its_random_numbers():
    data = two_digits()
    draw = lambda step: data.batch(torch.arange(8), BatchRandom(0, step, 8))
    assert all(torch.equal(a, b) for a, b in zip(draw(1), draw(1)))
    assert not torch.equal(draw(1)[0], draw(2)[0])


# ---- the network that reads ----

TEXTS = ["a three left of a seven", "two fours", "a seven right of a three"]


def reader(**kwargs):
    torch.manual_seed(0)
    return awake(TextUNet(TEXTS, **TEXT_UNET | kwargs).eval())


def test_words_become_numbers():
    assert words_of(["b a", "c a"]) == ["a", "b", "c"]
    assert encode(["c a", ""], ["a", "b", "c"], 4).tolist() == [[1, 4, 2, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize(
    "text, word",
    [
        ("a nine", "'nine' is no known word; there are a, fours"),
        ("a a a a a a a a", "8 words; expected at most 7"),
    ],
)
def test_what_cannot_be_read_is_named(text, word):
    with pytest.raises(ValueError, match=word):
        reader().asked([text])


def test_one_text_is_no_list_of_texts_and_heads_divide_the_width():
    with pytest.raises(TypeError, match="texts='two fours'; expected a list"):
        reader().asked("two fours")
    with pytest.raises(ValueError, match="width=6; expected a multiple of 4"):
        TextUNet(TEXTS, width=6, **TEXT_UNET)


X, T = torch.randn(2, 1, 8, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 600])


def test_order_counts_and_padding_does_not():
    net = reader()
    long = TextUNet(TEXTS, length=12, **TEXT_UNET).eval()
    weights = net.state_dict()
    weights["place.weight"] = F.pad(weights["place.weight"], (0, 0, 0, 4), value=7.0)
    long.load_state_dict(weights)
    y = torch.tensor([1, 3])
    with torch.no_grad():
        assert torch.allclose(net(X, T, y), long(X, T, y), atol=1e-5)
        mirrored = net.asked(["a seven left of a three"])
        a, b = net(X, T, torch.tensor([0, 0])), mirrored(X, T, torch.tensor([0, 0]))
    assert not torch.allclose(a, b, atol=1e-3)


def test_other_texts_have_the_same_weights_and_their_own_labels():
    net = reader()
    other = net.asked(TEXTS[::-1])
    assert net.num_classes == other.num_classes == 3
    with torch.no_grad():
        for y in range(4):  # the last is no text at all
            a = net(X, T, torch.tensor([y, y]))
            b = other(X, T, torch.tensor([y, y] if y == 3 else [2 - y, 2 - y]))
            assert torch.equal(a, b)
    assert all(p is q for p, q in zip(net.parameters(), other.parameters()))
    few = net.asked(["two fours"])
    with pytest.raises(ValueError, match="y from 2 to 2"):
        few(X, T, torch.tensor([2, 2]))
    assert net.num_classes == 3


def test_it_is_saved_guided_and_sampled_like_any_model(tmp_path):
    net = reader()
    save_model(tmp_path / "m", net, cosine_schedule(), ema=net, shape=(1, 8, 16))
    twin = load_model(tmp_path / "m").model
    y = torch.tensor([0, 2])
    with torch.no_grad():
        assert torch.equal(net(X, T, y), twin(X, T, y))
    assert json.loads(json.dumps(net.config)) == twin.config
    images = ddim_sample(cfg(copy.deepcopy(twin), y, 2.0), cosine_schedule(), X.shape, 2, seed=0)
    assert images.isfinite().all()
    assert isinstance(net.net, UNet) and net.predicts == "eps"


def test_training_moves_every_weight_of_the_reader():
    run = train_text(None, steps=4, batch_size=16, device="cpu", progress=False)
    torch.manual_seed(0)
    fresh = TextUNet(training_captions(), **TEXT_UNET)
    for (name, p), q in zip(run.model.named_parameters(), fresh.parameters()):
        assert not torch.equal(p, q), name
    assert attention.TEXT_FIT["steps"] > 500


# ---- the study ----


def test_networks_of_the_study_are_about_equally_large():
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in UNet(**DIGITS_UNET | changes).parameters())
            for changes, _ in NETS.values()
        ]
    assert max(sizes) / min(sizes) < 1.06 and all(abs(n / sizes[0] - 1) < 0.04 for n in sizes)


def test_a_row_says_what_attention_cost_and_the_kernel_changes_nothing_else():
    plain, naive, more = (
        attention_row(name, 0, 2, 100, 2)["distance"]
        for name in ("plain", "naive kernel", "global context")
    )
    assert plain.value == pytest.approx(naive.value, rel=1e-3)
    assert plain.variant == "plain" and plain.settings["parameters"] == 702_753
    assert more.notes["peak_MB"] > 1.2 * plain.notes["peak_MB"] > 0
    assert plain.notes["step_seconds"] > 0
    assert {row["name"] for row in ATTENTION.rows("digits")} == {*NETS}
