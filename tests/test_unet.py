"The U-Net held against diffusers' UNet2DModel, and against its own contract."

import copy, json, os, platform, subprocess, sys

import matplotlib
import pytest
import torch
from diffusers import UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddpm_course import unet
from ddpm_course.diagrams import block_sizes, draw_unet
from ddpm_course.memory import saved_bytes
from ddpm_course.noising import cosine_schedule
from ddpm_course.resampling import Upsample
from ddpm_course.sampling import ddim_sample
from ddpm_course.unet import Attention, ResBlock, Stage, UNet, timestep_embedding

matplotlib.use("Agg")

CIFAR10 = dict(  # google/ddpm-cifar10-32
    sample_size=32,
    in_channels=3,
    out_channels=3,
    block_out_channels=(128, 256, 256, 256),
    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    layers_per_block=2,
    act_fn="silu",
    center_input_sample=False,
    attention_head_dim=None,
    downsample_padding=0,
    flip_sin_to_cos=False,
    freq_shift=1,
    mid_block_scale_factor=1,
    norm_eps=1e-6,
    norm_num_groups=32,
    time_embedding_type="positional",
)


def attends(*levels):
    "Which levels of a UNet2DModel attend."
    down = tuple("AttnDownBlock2D" if attend else "DownBlock2D" for attend in levels)
    up = tuple(block.replace("Down", "Up") for block in down[::-1])
    return dict(down_block_types=down, up_block_types=up)


SMALL = dict(block_out_channels=(16, 32), norm_num_groups=8, layers_per_block=1)
SMALL = CIFAR10 | SMALL | attends(False, True)
NETS = {
    "ddpm": {},
    "two layers": dict(layers_per_block=2),
    "padded on all sides": dict(downsample_padding=1),
    "heads of 8": dict(attention_head_dim=8),
    "cosines first": dict(flip_sin_to_cos=True, freq_shift=0),
    "doubled channels": dict(out_channels=6),
    "one channel": dict(in_channels=1, out_channels=1),
    "attention above": attends(True, False),
    "no attention but in the middle": attends(False, False),
    "three levels": dict(block_out_channels=(8, 16, 32)) | attends(False, True, False),
}


THREE_LEVELS = NETS["three levels"]  # of which one attends
ATTENDS_ABOVE = attends(True, False)

LEAN = unet.recompute


def always(f, x, **kwargs):
    return LEAN(f, x, 1, **kwargs)


def peers(**config):
    "A diffusers network with random weights and ours with the same."
    torch.manual_seed(0)
    theirs = UNet2DModel(**config).eval()
    for name, p in theirs.named_parameters():  # norms and biases: 1 and 0 hide mix-ups
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        if p.ndim == 1:
            nn.init.normal_(p, mean, 0.2)
    return theirs, UNet.from_diffusers(theirs)


def inputs(C=3, batch=2, size=32):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(batch, C, size, size, generator=rng), torch.tensor([3, 700, 999, 0])[:batch]


def small(**kwargs):
    config = dict(in_channels=1, channels=(8, 16), layers=1, attention=(False, True), groups=4)
    return UNet(**config | kwargs)


def count(net):
    return sum(p.numel() for p in net.parameters())


def width(block):
    return (block.norm if isinstance(block, Attention) else block.norm1).num_channels


def awake(net):
    "The same network with random weights where it began with zeros."
    torch.manual_seed(2)
    for p in net.parameters():
        if not p.any():
            nn.init.normal_(p, std=0.1)
    return net


# ---- the same as diffusers ----


def test_the_default_is_the_published_cifar10_network(tmp_path):
    theirs, ours = peers(**CIFAR10)
    assert ours.config == UNet().config and count(ours) == count(theirs) == 35_746_307
    x, t = inputs()
    with torch.no_grad():
        expected, got = theirs(x, t).sample, ours(x, t)
    assert expected.std() > 0.1 and (got - expected).abs().max() <= 1e-5
    last = dict(memory_format=torch.channels_last)
    with torch.no_grad():
        got = ours.to(**last)(x.to(**last), t)
    assert (got - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("change", NETS.values(), ids=NETS)
def test_outputs_and_gradients_equal_diffusers(change, monkeypatch):
    theirs, ours = peers(**SMALL | change)
    monkeypatch.setattr(unet, "recompute", always)  # recompute all that can be
    x, t = inputs(C=ours.config["in_channels"], size=16)
    pairs = []
    for net in (theirs, ours):
        x.requires_grad_().grad = None
        out = net(x, t) if net is ours else net(x, t).sample
        out.square().mean().backward()
        pairs.append((out.detach(), x.grad, net.conv_in.weight.grad))
    for a, b in zip(*pairs):
        assert (a - b).abs().max() <= 1e-5 * max(1, a.abs().max())


def test_from_a_saved_folder(tmp_path):
    theirs, ours = peers(**SMALL)
    theirs.save_pretrained(tmp_path)
    x, t = inputs(size=16)
    for source in (tmp_path, str(tmp_path)):
        with torch.no_grad():
            assert torch.equal(UNet.from_diffusers(source)(x, t), ours(x, t))
    assert not ours.training and ours.predicts == "eps"
    for source in (tmp_path, theirs):
        assert UNet.from_diffusers(source, predicts="v").predicts == "v"


def test_a_network_in_half_precision_can_be_sampled():
    net, (x, t) = UNet.from_diffusers(peers(**SMALL)[0].bfloat16()), inputs(size=16)
    with torch.no_grad():
        assert net(x, t).dtype == torch.bfloat16
    images = ddim_sample(net, cosine_schedule(), (2, 3, 16, 16), 3, seed=0)
    assert images.dtype == torch.float32 and images.isfinite().all()


def test_a_first_width_must_hold_a_time():
    said = r"channels=\(2, 8\): 2 are too few to embed the time in; choose at least 4"
    with pytest.raises(ValueError, match=said):
        small(channels=(2, 8), groups=1)


def test_double_precision_stays():
    theirs, _ = peers(**SMALL)
    ours, (x, t) = UNet.from_diffusers(theirs.double()), inputs(size=16)
    with torch.no_grad():
        assert ours(x.double(), t).dtype == torch.float64


@pytest.mark.parametrize(
    "change, word",
    [
        ({"act_fn": "gelu"}, "act_fn='gelu'"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"out_channels": 4}, "out_channels"),
        ({"resnet_time_scale_shift": "spatial"}, "spatial"),
        (ATTENDS_ABOVE | {"downsample_type": "fir"}, "fir"),
        ({"mid_block_type": None}, "mid_block_ty"),
        (THREE_LEVELS | {"downsample_type": "resnet"}, "downsample_type='resnet'"),
        ({"center_input_sample": True}, "center_input_sample"),
        ({"time_embedding_dim": 32}, "=32"),
        ({"time_embedding_type": "fourier"}, "fourier"),
        ({"mid_block_scale_factor": 2}, "_factor=2"),
        ({"up_block_types": ("UpBlock2D", "AttnUpBlock2D")}, "mirrored"),
        ({"down_block_types": ("SkipDownBlock2D", "AttnDownBlock2D")}, "SkipDownBlock2D"),
    ],
)
def test_other_architectures_are_refused(change, word):
    from ddpm_course.interop import config_from_diffusers

    config = SMALL | dict(dropout=0.0) | change
    with pytest.raises(ValueError, match=word):
        config_from_diffusers(config)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError):
        UNet.from_diffusers(tmp_path / "nothing")


# ---- the contract ----


def test_a_new_network_predicts_zero_and_its_blocks_do_nothing():
    net, (x, t) = small(), inputs(C=1, size=8)
    assert torch.equal(net(x, t), torch.zeros_like(x))
    for block in net.modules():
        narrow = isinstance(block, ResBlock) and isinstance(block.skip, nn.Identity)
        if narrow or isinstance(block, Attention):
            h, emb = torch.randn(2, width(block), 4, 4), torch.randn(2, 32)
            assert torch.equal(block(h, emb), h)


def test_time_matters_and_may_be_any_real_number():
    net, (x, _) = awake(small()), inputs(C=1, size=8)
    out = lambda t: net(x, torch.tensor([t, t]))
    assert torch.equal(out(500), out(500.0))
    for a, b in ((500, 500.5), (0, 1)):
        assert not torch.allclose(out(a), out(b))


def test_labels_matter_and_the_last_row_is_no_label():
    net, (x, t) = awake(small(num_classes=10)), inputs(C=1, size=8)
    a, b, none = (net(x, t, torch.full((2,), y)) for y in (0, 9, 10))
    assert not torch.allclose(a, b) and not torch.allclose(a, none)
    assert net.embed.label.num_embeddings == 11 and net.num_classes == 10


def test_doubled_channels_for_a_variance():
    assert small(learn_variance=True)(*inputs(C=1, size=8)).shape == (2, 2, 8, 8)


def test_images_need_not_be_square():
    assert awake(small())(torch.randn(2, 1, 8, 12), torch.tensor([1, 2])).shape == (2, 1, 8, 12)


def test_the_configuration_rebuilds_the_network():
    net = awake(small(num_classes=3, predicts="v", head_dim=4))
    twin = UNet(**json.loads(json.dumps(net.config)))
    twin.load_state_dict(net.state_dict())
    x, t = inputs(C=1, size=8)
    assert torch.equal(net(x, t, t * 0), twin(x, t, t * 0)) and twin.predicts == "v"


def test_inputs_are_not_written_to():
    net, (x, t) = awake(small()), inputs(C=1, size=8)
    before, emb = x.clone(), net.embed(t)
    for block in net.modules():
        if isinstance(block, (ResBlock, Attention)):
            h = torch.randn(2, width(block), 4, 4)
            kept, e = h.clone(), emb.clone()
            block(h, e)
            assert torch.equal(h, kept) and torch.equal(e, emb)
    net(x, t)
    assert torch.equal(x, before)


def test_context_reaches_every_layer():
    class Probe(nn.Module):
        def forward(self, x, emb, context=None):
            seen.append(context.tokens)
            return x

    net, seen, (x, t) = small(cross_attention=4), [], inputs(C=1, size=8)
    stages = [m for m in net.modules() if isinstance(m, Stage)]
    for stage in stages:
        stage.append(Probe())
    net(x, t, context=(text := torch.randn(2, 3, 4)))
    assert len(seen) == len(stages) and all(tokens is text for tokens in seen)


def test_each_image_is_on_its_own():
    net, (x, t) = awake(small()), inputs(C=1, batch=4, size=8)
    assert torch.allclose(net(x, t)[2:3], net(x[2:3], t[2:3]), atol=1e-5)


def test_recomputing_changes_no_value_and_no_gradient(monkeypatch):
    net, (x, t) = awake(small(dropout=0.3)).train(), inputs(C=1, size=8)

    def run(large):
        monkeypatch.setattr(unet, "recompute", lambda f, x, **kwargs: LEAN(f, x, large, **kwargs))
        torch.manual_seed(0)
        net.zero_grad()
        loss = net(x, t).square().mean()
        loss.backward()
        return [loss.detach(), *(p.grad for p in net.parameters())]

    assert all(torch.equal(a, b) for a, b in zip(run(float("inf")), run(1)))


def test_recomputing_repeats_no_convolution(monkeypatch):
    net, (x, t) = awake(small()).train(), inputs(C=1, size=8)

    def convolutions(f):
        monkeypatch.setattr(unet, "recompute", f)
        with torch.profiler.profile() as p:
            net(x, t).square().mean().backward()
        counted = lambda e: "conv" in e.key or "group_norm" in e.key
        return {e.key: e.count for e in p.key_averages() if counted(e)}

    once, again = convolutions(lambda f, x, **kwargs: f(x)), convolutions(always)
    assert again["aten::native_group_norm"] == 2 * once["aten::native_group_norm"]
    kinds = ("aten::mkldnn_conv", "aten::_slow_conv2d_f", "aten::thnn")
    names = [n for n in once if n.startswith(kinds)]
    assert names and all(again[n] == once[n] for n in names)


@pytest.mark.parametrize("width, products", [(14, 9), (15, 4)])  # 504 and 540 pixels
def test_doubling_is_a_convolution_of_repeated_pixels(width, products):
    torch.manual_seed(0)
    layer, x = Upsample(6).double(), torch.randn(9, 6, 4, width, dtype=torch.float64)
    x.requires_grad_()
    with FlopCounterMode(display=False) as counter:
        found = layer(x, None)
    convolutions = sum(
        n for f, n in counter.get_flop_counts()["Global"].items() if "conv" in str(f)
    )
    assert convolutions == 2 * products * 6 * found.numel()
    wanted = layer.conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.allclose(found, wanted, atol=1e-12)
    weigh = torch.randn_like(found)
    for a, b in zip(
        *(torch.autograd.grad((y * weigh).sum(), [x, *layer.parameters()]) for y in (found, wanted))
    ):
        assert torch.allclose(a, b, atol=1e-10)


def test_bfloat16_autocast():
    net, (x, t) = awake(small()), inputs(C=1, size=8)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x, t)
    out.float().square().mean().backward()
    assert torch.allclose(out.float(), net(x, t), atol=0.05)
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in net.parameters())


def test_a_copy_is_independent():
    net, (x, t) = awake(small()), inputs(C=1, size=8)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.allclose(net(x, t), twin(x, t))


@pytest.mark.parametrize("dim", [2, 8, 128])
def test_timestep_embedding_in_double_precision(dim):
    t = torch.tensor([0, 1, 10, 999])
    shift = 0 if dim == 2 else 1
    omega = 10_000 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2 - shift))
    angles = t[:, None] * omega
    expected = torch.cat([angles.sin(), angles.cos()], 1)
    got = timestep_embedding(t, dim, freq_shift=shift).double()
    assert torch.allclose(got, expected, atol=2e-4)


# ---- bad input ----


@pytest.mark.parametrize("dim, shift", [(3, 0), (2, 1), (0, 0)])
def test_a_width_that_holds_no_waves(dim, shift):
    "One wave has no frequencies to space: 0 / 0, and NaN in every entry."
    with pytest.raises(ValueError, match=f"dim={dim}; expected an even number above {2 * shift}"):
        timestep_embedding(torch.tensor([0, 1]), dim, freq_shift=shift)


X, T = torch.zeros(2, 1, 8, 8), torch.tensor([1, 2])
Y = torch.tensor([0, 1])


@pytest.mark.parametrize(
    "args, error, word",
    [
        ((X[0], T), ValueError, r"x_t.*\(1, 8, 8\)"),
        ((X.to(torch.uint8), T), TypeError, "uint8"),
        ((X.expand(2, 3, 8, 8), T), ValueError, "3 channels.*has 1"),
        ((X[..., :7], T), ValueError, "8x7.*multiples of 2"),
        ((X[..., :7, :], T), ValueError, "7x8"),
        ((X, 5), ValueError, "5; expected a tensor"),
        ((X, T[:1]), ValueError, r"shape \(1,\)"),
        ((X, T[:, None]), ValueError, r"\(2, 1\)"),
        ((X, torch.tensor(5)), ValueError, r"shape \(\)"),
        ((X, T, Y), ValueError, "no classes"),
    ],
)
def test_bad_inputs_are_named(args, error, word):
    with pytest.raises(error, match=word):
        small()(*args)


@pytest.mark.parametrize(
    "y, error, word",
    [
        (None, ValueError, "got no labels.*y = 10"),
        (Y.float(), TypeError, "float32"),
        ([0, 1], TypeError, "list"),
        (Y[:1], ValueError, r"\(1,\)"),
        (Y[:, None], ValueError, r"\(2, 1\)"),
        (Y + 10, ValueError, "10 to 11.*0..9"),
        (Y - 1, ValueError, "-1"),
    ],
)
def test_bad_labels_are_named(y, error, word):
    with pytest.raises(error, match=word):
        small(num_classes=10)(X, T, y)


@pytest.mark.parametrize(
    "config, word",
    [
        (dict(attention=(True,)), "2 levels"),
        (dict(groups=3), "3 groups"),
        (dict(head_dim=3), "heads of 3"),
        (dict(channels=(9, 15), groups=3), "odd"),
        (dict(predicts="noise"), "eps, x0, v"),
    ],
)
def test_bad_configurations_are_named(config, word):
    with pytest.raises(ValueError, match=word):
        small(**config)


def test_kept_bytes_counts_activations_and_no_weights():
    a, b = (nn.Parameter(torch.ones(1, 1, 8, 8)) for _ in range(2))
    kept = saved_bytes(lambda x: b * (a * x), torch.randn(32, 1, 8, 8))
    assert kept == 32 * 64 * 4  # a x; not x, which was there, nor b, which is a weight


# ---- the drawing ----


FAULTS = """
import resource, sys, torch
from ddpm_course.memory import keep_freed
if sys.argv[1] == "keep": keep_freed()
for i in range(20):
    if i == 10: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks the malloc of glibc")
def test_freed_memory_is_kept():
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", FAULTS, how], env=plain))
        for how in ("leave", "keep")
    }
    assert faults["leave"] > 100 and faults["keep"] < 20, faults  # fresh pages, for 10 tensors


def test_sizes_are_read_off_the_network():
    sizes = block_sizes(small(num_classes=3), (1, 8, 8))
    assert list(sizes)[0] == "conv_in" and list(sizes)[-1] == "conv_out"
    assert sizes["down.1"] == ("halve", (8, 4, 4)) and sizes["up.2"] == ("double", (16, 8, 8))
    assert sizes["mid"] == ("residual + attention", (16, 4, 4))
    assert sizes["conv_out"] == ("convolution", (1, 8, 8))


@pytest.mark.parametrize(
    "config, shape, skips",
    [
        ({}, (1, 8, 8), 4),
        (dict(layers=3), (1, 8, 8), 8),
        (dict(channels=(8, 16, 16, 32), attention=(False,) * 4), (1, 16, 16), 8),
    ],
)
def test_the_drawing_shows_every_block_and_skip(config, shape, skips):
    net = small(**config)
    texts = [text.get_text() for text in draw_unet(net, shape).texts]
    boxes = len(net.down) + len(net.up) + 3
    assert sum("×" in text and "\n" in text for text in texts) == boxes
    assert sum(" + " in text and "×" not in text for text in texts) == skips
