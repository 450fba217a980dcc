"Layers that a CPU computes with fewer or faster products: the numbers of the plain ones."

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddpm_course import convolution, tokens
from ddpm_course.convolution import Conv3x3, as_written
from ddpm_course.flops import forward_flops
from ddpm_course.memory import peak_bytes, recompute
from ddpm_course.tokens import TokenLinear, gelu
from ddpm_course.unet import UNet

LAST = torch.channels_last


def convolution_flops(f):
    with FlopCounterMode(display=False) as counter:
        f()
    counted = counter.get_flop_counts().get("Global", {})
    return sum(n for name, n in counted.items() if "conv" in str(name))


def conv_and_input(B=2, c_in=128, c_out=136, H=32, W=33):
    torch.manual_seed(0)
    layer = Conv3x3(c_in, c_out).to(memory_format=LAST)
    x = torch.randn(B, c_in, H, W).to(memory_format=LAST).requires_grad_()
    return layer, x


def plain(layer, x, dtype=torch.float64):
    "The convolution as it is written, differentiable by x and the layer's own parameters."
    return F.conv2d(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype), padding=1)


def as_near(found, rounded, exact, times=8):
    "Whether what was found is rounded no worse than so many times what the plain one rounds."
    gap = lambda a: (a.double() - exact).abs().max()
    return found.shape == exact.shape and gap(found) <= times * gap(rounded)


def test_products_do_not_wait_for_each_other():
    "All six of them are one and a half times the output, beside which they would be held."
    layer, x = conv_and_input(B=8, c_out=384, W=32)
    with torch.no_grad():
        assert peak_bytes(lambda: layer(x)) < 2.5 * 384 * x[:, 0].nbytes


@pytest.mark.parametrize(
    "shape, products",
    [
        (dict(), 6),
        (dict(B=32, H=8, W=8), 6),
        (dict(B=16, H=4, W=32, c_in=200, c_out=128), 6),
        (dict(W=31, B=2), 12),  # 1,984 pixels
        (dict(H=34), 12),  # no multiple of 4
        (dict(c_in=127), 12),
        (dict(c_out=64), 12),
    ],
)
def test_a_large_convolution_takes_half_the_products(shape, products):
    layer, x = conv_and_input(**shape)
    written = 2 * 9 * x[:, 0].numel() * layer.weight[:, :, 0, 0].numel()
    assert convolution_flops(lambda: layer(x)) == written * products / 12
    y = layer(x)
    parameters, g = [x, *layer.parameters()], torch.randn_like(y)
    backward = lambda: torch.autograd.grad(y, parameters, g, retain_graph=True)
    assert convolution_flops(backward) == 2 * written * products / 12
    assert y.is_contiguous(memory_format=LAST)
    outputs = y, plain(layer, x, torch.float32), plain(layer, x)
    assert as_near(*outputs)
    gradients = [torch.autograd.grad(o, parameters, g.to(o.dtype)) for o in outputs]
    assert all(as_near(*one) for one in zip(*gradients))


@pytest.mark.parametrize("change", ["double", "contiguous", "bfloat16", "autocast", "written"])
def test_it_is_plain_where_it_would_not_pay_or_fit(change):
    layer, x = conv_and_input()
    x = x.detach()
    if change == "double":
        layer, x = layer.double(), x.double()
    if change == "contiguous":
        x = x.contiguous()
    if change == "bfloat16":
        layer, x = layer.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=change == "autocast"):
        if change == "written":
            with as_written():
                y = layer(x)
        else:
            y = layer(x)
        wanted = F.conv2d(x, layer.weight, layer.bias, padding=1)
    assert torch.equal(y, wanted)


def test_the_convolution_is_traced_as_it_is_written():
    layer, x = conv_and_input()
    traced = torch.jit.trace(layer, x.detach(), check_trace=False)
    assert "aten::_convolution" in str(traced.inlined_graph)
    few = x.detach()[:, :, :4, :5]
    assert torch.allclose(traced(few), layer(few), atol=1e-5)


def test_transforms_of_functions_take_it():
    layer, x = conv_and_input()
    x = x.detach()
    y, change = torch.func.jvp(layer, (x,), (x,))
    assert torch.allclose(y - layer.bias[:, None, None], change, atol=1e-5)
    both = torch.func.vmap(layer)(torch.stack([x, x]))
    assert torch.allclose(both[1], y, atol=1e-5)
    found = torch.func.grad(lambda x: layer(x).square().sum())(x)
    wanted = torch.autograd.grad(layer(x.requires_grad_()).square().sum(), x)[0]
    assert torch.allclose(found, wanted, atol=1e-4)


def test_the_gradient_of_a_gradient():
    layer, x = conv_and_input()
    parameters = [x, layer.weight]

    def second(y):
        dx, dw = torch.autograd.grad(y.square().mean(), parameters, create_graph=True)
        return torch.autograd.grad(dx.square().sum() + dw.square().sum(), parameters)

    outputs = layer(x), plain(layer, x, torch.float32), plain(layer, x)
    assert all(as_near(*one) for one in zip(*map(second, outputs)))


def test_only_what_is_asked_for_is_computed():
    layer, x = conv_and_input()
    layer.requires_grad_(False)
    y = layer(x)
    g = torch.randn_like(y)
    once = convolution_flops(lambda: layer(x))
    assert once == convolution_flops(lambda: torch.autograd.grad(y, x, g, retain_graph=True))
    outputs = y, plain(layer, x, torch.float32), plain(layer, x)
    assert as_near(*(torch.autograd.grad(o, x, g.to(o.dtype))[0] for o in outputs))


def test_what_is_recomputed_is_not_the_product():
    layer, x = conv_and_input()
    before = lambda x: layer(F.silu(2 * x))
    y, kept = recompute(before, x, large=1), before(x)
    y += 1  # as a block of the U-Net adds its embedding
    parameters, g = [x, *layer.parameters()], torch.randn_like(y)
    with torch.profiler.profile() as profile:
        found = torch.autograd.grad(y, parameters, g)
    calls = {e.key: e.count for e in profile.key_averages()}
    assert calls["aten::silu"] == 1  # once more, and
    # six convolutions for the gradient of x and six for that of the weights
    assert calls["aten::mkldnn_convolution"] == calls["aten::convolution_backward"] == 6
    for a, b in zip(found, torch.autograd.grad(kept, parameters, g)):
        assert torch.equal(a, b)


def test_a_network_is_counted_as_it_is_written():
    torch.manual_seed(0)
    net = UNet(in_channels=1, channels=(128, 128), layers=1, attention=(False, False))
    written = forward_flops(net, (1, 48, 48))
    assert forward_flops(net.to(memory_format=LAST), (1, 48, 48)) == written
    assert forward_flops(copy.deepcopy(net).to("meta"), (1, 48, 48)) == written
    x, t = torch.randn(1, 1, 48, 48).to(memory_format=LAST), torch.zeros(1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x, t)
    assert counter.get_total_flops() < written


def test_networks_are_the_same_with_and_without(monkeypatch):
    torch.manual_seed(0)
    net = UNet(in_channels=1, channels=(128, 128), layers=1, attention=(False, False))
    for p in net.parameters():
        if not p.any():
            nn.init.normal_(p, std=0.02)
    net = net.to(memory_format=LAST)
    x, t = torch.randn(2, 1, 48, 48).to(memory_format=LAST), torch.tensor([3, 900])

    def gradients():
        loss = net(x, t).square().mean()
        return torch.autograd.grad(loss, list(net.parameters()))

    calls = []
    whole = convolution.convolve
    monkeypatch.setattr(convolution, "convolve", lambda *a: calls.append(0) or whole(*a))
    found = gradients()
    assert len(calls) > 8
    with as_written():
        rounded = gradients()
    net, x = net.double(), x.double()
    assert all(as_near(*one) for one in zip(found, rounded, gradients()))


@pytest.mark.parametrize(
    "B, N, wide, out, taken",
    [
        (2, 64, 4096, 4096, True),
        (8, 256, 256, 768, True),
        (8, 256, 1024, 256, True),
        (8, 255, 256, 1024, False),  # 524,288 = 2,048 tokens of 256 numbers
        (8, 252, 512, 512, False),  # no squares of 8x8
        (4, 256, 256, 768, False),
    ],
)
def test_many_tokens_are_a_convolution(B, N, wide, out, taken):
    torch.manual_seed(0)
    layer, x = TokenLinear(wide, out), torch.randn(B, N, wide, requires_grad=True)
    assert (convolution_flops(lambda: layer(x)) > 0) == taken
    y, parameters = layer(x), [x, *layer.parameters()]
    assert y.is_contiguous()
    outputs = [y]
    for dtype in (torch.float32, torch.float64):
        outputs.append(F.linear(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype)))
    assert as_near(*outputs, times=4)
    g = torch.randn_like(y)
    gradients = [torch.autograd.grad(o, parameters, g.to(o.dtype)) for o in outputs]
    # oneDNN adds up the gradient of a bias one by one, where torch adds in a tree
    assert all(as_near(*one, times) for one, times in zip(zip(*gradients), (4, 4, 20)))


def test_other_numbers_than_float32_stay_a_product():
    layer, x = TokenLinear(256, 512).double(), torch.randn(8, 256, 256, dtype=torch.float64)
    assert convolution_flops(lambda: layer(x)) == 0
    assert x.numel() == tokens.LARGE  # or it would be one for being small


def test_an_activation_is_written_in_place_in_inference_alone():
    h = torch.linspace(-4, 4, 99, dtype=torch.float64)
    inner = (2 / torch.pi) ** 0.5 * (h + 0.044715 * h**3)
    wanted = 0.5 * h * (1 + inner.tanh())
    before = h.clone().requires_grad_()
    assert torch.allclose(gelu(before), wanted, atol=1e-12) and torch.equal(before, h)
    with torch.no_grad():
        found = gelu(h)
    assert found is h and torch.allclose(found, wanted, atol=1e-12)
