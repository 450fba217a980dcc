"What a U-Net may have beyond DDPM's: ADM held against diffusers, DDPM++ against its paper, tokens."

import json
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ddpm_course import unet_blocks
from ddpm_course.guidance import cfg
from ddpm_course.unet import Attention, ResBlock, UNet, timestep_embedding
from ddpm_course.unet_blocks import AdaptiveResBlock, CrossAttention, CrossResolution, SelfAttention
from ddpm_course.unet_options import ADM, DDPMPP, Options
from mutants import BLOCK_BUGS, broken_blocks
from test_unet import SMALL, attends, awake, count, inputs, peers, small


def blocks(*names):
    "Down blocks, mirrored on the way up."
    up = [n.replace("Downsample", "Upsample").replace("Down", "Up") for n in reversed(names)]
    return dict(down_block_types=names, up_block_types=tuple(up))


RESNET = blocks("ResnetDownsampleBlock2D", "AttnDownBlock2D")
THREE = dict(block_out_channels=(16, 16, 32), attention_head_dim=8)
OPTIONS = {
    "scale and shift": dict(resnet_time_scale_shift="scale_shift"),
    "scale and shift, a norm in the middle": dict(
        resnet_time_scale_shift="scale_shift", attn_norm_num_groups=8
    ),
    "another norm in the middle": dict(attn_norm_num_groups=4),
    "residual halving alone": RESNET,
    "classes": dict(num_class_embeds=5),
    "residual halving and doubling": RESNET | dict(upsample_type="resnet"),
    "residual doubling alone": attends(True, True) | dict(upsample_type="resnet"),
    "residual, in levels that attend": attends(True, True)
    | dict(downsample_type="resnet", upsample_type="resnet"),
    "no attention in the middle": dict(add_attention=False),
    "heads that fit only where they are": dict(
        block_out_channels=(24, 32), attention_head_dim=16, norm_num_groups=4
    ),
    "the width of the time, said": dict(time_embedding_dim=64),
    "ADM, all together": THREE
    | dict(
        resnet_time_scale_shift="scale_shift",
        downsample_type="resnet",
        upsample_type="resnet",
        num_class_embeds=5,
        attn_norm_num_groups=8,
        layers_per_block=2,
        out_channels=6,
        norm_eps=1e-5,
        **blocks("ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
    ),
}


@pytest.mark.parametrize("change", OPTIONS.values(), ids=OPTIONS)
def test_outputs_and_gradients_equal_diffusers(change):
    theirs, ours = peers(**SMALL | change)
    x, t = inputs(size=16)
    y = [] if ours.num_classes is None else [torch.tensor([4, 1])]
    pairs = []
    for net in (theirs, ours):
        x.requires_grad_().grad = None
        out = net(x, t, *y) if net is ours else net(x, t, *y).sample
        out.square().mean().backward()
        pairs.append((out.detach(), x.grad, net.conv_in.weight.grad))
    assert count(ours) - count(theirs) == (64 if y else 0)  # the row of "no label"
    for a, b in zip(*pairs):
        assert (a - b).abs().max() <= 1e-5 * max(1, a.abs().max())


def test_without_a_trained_no_label_guidance_warns():
    ours = peers(**SMALL | dict(num_class_embeds=5))[1]
    assert ours.num_classes == 5 and not ours.embed.label.weight[5].any()
    with pytest.warns(UserWarning, match="without label dropout"):
        cfg(ours, 1, 2.0)


def test_a_configuration_holds_what_is_not_ddpms():
    assert UNet(**small().config | dict(scale_shift=False)).config == small().config
    net = small(scale_shift=True, base=16, skip_scale=0.5)
    more = dict(scale_shift=True, base=16, skip_scale=0.5)
    assert net.config == small().config | more
    twin = UNet(**json.loads(json.dumps(net.config)))
    assert twin.config.keys() == net.config.keys() and count(twin) == count(net)


# ---- the published networks ----


def size_of(*args, **kwargs):
    with torch.device("meta"):
        return count(UNet(*args, **kwargs))


@pytest.mark.parametrize(
    "classes, augment, expected",
    [(None, 0, 55_732_739), (None, 9, 55_733_891), (10, 0, 55_734_147), (10, 9, 55_735_299)],
)
def test_ddpmpp_has_the_published_number_of_parameters(classes, augment, expected):
    assert size_of(**DDPMPP, num_classes=classes, augment=augment) == expected


@pytest.mark.parametrize(
    "base, widths, layers, attention, millions",
    [
        (192, (1, 2, 3, 4), 3, (False, True, True, True), 296),
        (256, (1, 1, 2, 3, 4), 2, (False, False, True, True, True), 422),
        (256, (1, 1, 2, 2, 4, 4), 2, (False,) * 3 + (True,) * 3, 554),
    ],
)
def test_adm_has_the_published_number_of_parameters(base, widths, layers, attention, millions):
    "Dhariwal & Nichol 2021, table 4: ImageNet at 64, 128 and 256 pixels (in one class less)."
    net = dict(channels=[base * w for w in widths], layers=layers, attention=attention)
    n = size_of(**net, **ADM, num_classes=1000, learn_variance=True) - 4 * base
    assert round(n / 1e6) == millions


def ddpmpp(**kwargs):
    "DDPM++, small."
    options = DDPMPP | dict(base=8, channels=(16, 16, 16), layers=2, dropout=0.0, groups=4)
    return UNet(1, **options | kwargs)


def test_ddpmpp_attends_where_the_paper_does():
    "After each block of the middle level down, in the middle, after the level's last block up."
    net = ddpmpp()
    seen = {name for name, m in net.named_modules() if isinstance(m, SelfAttention)}
    assert seen == {"down.3.1", "down.4.1", "mid.1", "up.6.1"}
    assert [type(b).__name__ for b in net.up] == 2 * (3 * ["Stage"] + ["AdaptiveResBlock"]) + (
        3 * ["Stage"]
    )


def test_a_scaled_network_keeps_the_spread_of_its_features():
    "A sum of two independent parts of variance 1, times root 1/2, has variance 1."
    rng = torch.Generator().manual_seed(0)
    x, emb = torch.randn(64, 8, 4, 4, generator=rng), torch.zeros(64, 32)
    for block in (AdaptiveResBlock(8, 8, 32, ddpmpp().config), SelfAttention(8, ddpmpp().config)):
        assert torch.allclose(block(x, emb), x * 0.5**0.5)


# ---- one block at a time, by its formula ----


def config(**kwargs):
    return small(**kwargs).config


def randomized(block):
    torch.manual_seed(3)
    for p in block.parameters():
        nn.init.normal_(p, std=0.3)
    return block


X, EMB = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0)), torch.ones(2, 32)


BLOCKS = [
    {},
    dict(scale_shift=True),
    dict(skip_scale=0.5**0.5),
    dict(halve="residual"),
    dict(double="residual", resample_conv=True),
    dict(scale_shift=True, halve="residual", resample_conv=True, skip_scale=0.5),
]


def residual_block_is_its_formula(o, width, blocks=unet_blocks):
    c = config(**o)
    resample = {"halve": nn.AvgPool2d(2), "double": nn.Upsample(scale_factor=2.0)}
    down = {
        "halve": lambda x: x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)),
        "double": lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    }
    key = next((k for k in resample if k in o), None)
    b = randomized(blocks.AdaptiveResBlock(8, width, 32, c, resample.get(key)))
    r = down.get(key, lambda x: x)
    norm = lambda x, n: F.group_norm(x, 4, n.weight, n.bias, c["norm_eps"])
    conv = lambda x, layer: F.conv2d(x, layer.weight, layer.bias, padding=1)
    told = (EMB @ b.emb.weight.T + b.emb.bias)[..., None, None]
    h = conv(r(F.silu(norm(X, b.norm1))), b.conv1)
    h = (
        norm(h, b.norm2) * (1 + told[:, :width]) + told[:, width:]
        if c.get("scale_shift")
        else norm(h + told, b.norm2)
    )
    skip = r(X)
    if width != 8 or c.get("resample_conv"):
        skip = F.conv2d(skip, b.skip.weight, b.skip.bias)
    expected = (skip + conv(F.silu(h), b.conv2)) * o.get("skip_scale", 1)
    assert torch.allclose(b(X, EMB), expected, atol=1e-5)


@pytest.mark.parametrize("o", BLOCKS)
@pytest.mark.parametrize("width", [8, 16])
def test_a_residual_block_is_its_formula(o, width):
    residual_block_is_its_formula(o, width)


def test_the_block_without_options_is_ddpms():
    a, b = ResBlock(8, 16, 32, 4), AdaptiveResBlock(8, 16, 32, config())
    b.load_state_dict(randomized(a).state_dict())
    assert torch.allclose(a(X, EMB), b(X, EMB), atol=1e-6)
    a, b = Attention(8, 4, head_dim=2), SelfAttention(8, config(head_dim=2))
    b.load_state_dict(randomized(a).state_dict())
    assert torch.allclose(a(X, EMB), b(X, EMB), atol=1e-6)


def test_a_linear_embedding_is_its_formula(blocks=unet_blocks):
    waves = partial(timestep_embedding, dim=8)
    net = randomized(blocks.LinearEmbedding(8, 3, 2, waves))
    t, y = torch.tensor([0.5, 7.0]), torch.tensor([2, 3])  # the second has no label
    told = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
    rows = torch.tensor([[0.0, 0.0, 3**0.5], [0.0, 0.0, 0.0]])
    emb = timestep_embedding(t, 8) + rows @ net.label.weight.T + net.label.bias
    emb = emb + told @ net.augment.weight.T
    for layer in (net.lin1, net.lin2):
        emb = F.silu(emb @ layer.weight.T + layer.bias)
    assert torch.allclose(net(t, y, told), emb, atol=1e-6)
    assert torch.equal(net(t, y), net(t, y, 0 * told))  # none told is none done


def test_an_augmentation_reaches_the_output():
    net, (x, t) = awake(ddpmpp(augment=2)), inputs(C=1, size=8)
    out = net(x, t, augment=torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    plain = net(x, t)
    assert not torch.allclose(out[0], plain[0]) and torch.allclose(out[1], plain[1])
    with pytest.raises(ValueError, match=r"augment: got shape \(2, 3\); expected \(2, 2\)"):
        net(x, t, augment=torch.zeros(2, 3))


# ---- tokens ----

TOKENS = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[True, True, True, False, False], [True, True, True, True, True]])


def test_cross_attention_is_its_formula(blocks=unet_blocks):
    "Each pixel and head for itself, over the words of its own text alone."
    b = randomized(blocks.CrossAttention(8, 6, config(head_dim=4)))
    q = F.conv2d(F.group_norm(X, 4, b.norm.weight, b.norm.bias, 1e-6), b.q.weight, b.q.bias)
    out = torch.zeros_like(X)
    for i in range(2):
        words = TOKENS[i, MASK[i]]
        k, v = (words @ b.kv.weight.T + b.kv.bias).chunk(2, 1)
        for head in (slice(0, 4), slice(4, 8)):
            for r in range(4):
                for c in range(4):
                    a = (k[:, head] @ q[i, head, r, c] / 4**0.5).softmax(0)
                    out[i, head, r, c] = a @ v[:, head]
    expected = X + F.conv2d(out, b.proj.weight, b.proj.bias)
    assert torch.allclose(b(X, EMB, blocks.Context(TOKENS, MASK)), expected, atol=1e-5)


@pytest.mark.parametrize("bug", BLOCK_BUGS)
def test_a_bug_in_a_block_is_noticed(bug):
    blocks = broken_blocks(*BLOCK_BUGS[bug])
    with pytest.raises(AssertionError):
        for o in BLOCKS:
            residual_block_is_its_formula(o, 16, blocks)
        test_a_linear_embedding_is_its_formula(blocks)
        test_cross_attention_is_its_formula(blocks)


def text_net(**kwargs):
    return awake(small(cross_attention=6, head_dim=4, **kwargs))


def test_padding_does_not_matter_and_words_do():
    net, (x, t) = text_net(), inputs(C=1, size=8)
    out = lambda tokens, mask=MASK: net(x, t, context=(tokens, mask))
    other = torch.where(MASK[..., None], TOKENS, 100 * torch.randn(2, 5, 6))
    assert torch.allclose(out(TOKENS), out(other), atol=1e-6)
    assert torch.allclose(out(TOKENS)[:1], net(x[:1], t[:1], context=TOKENS[:1, :3]), atol=1e-5)
    changed = TOKENS + torch.tensor([0.0, 1, 0, 0, 0])[:, None]
    assert all((out(TOKENS) - out(changed)).abs().amax((1, 2, 3)) > 1e-3)


def test_the_order_of_tokens_is_not_seen():
    net, (x, t) = text_net(), inputs(C=1, size=8)
    assert torch.allclose(net(x, t, context=TOKENS), net(x, t, context=TOKENS.flip(1)), atol=1e-5)


def test_cross_attention_stands_at_the_levels_that_attend_and_begins_silent():
    net = small(cross_attention=6)
    assert sum(isinstance(m, CrossAttention) for m in net.modules()) == 4  # down, middle, two up
    x, t = inputs(C=1, size=8)
    torch.nn.init.normal_(net.conv_out.weight)
    assert torch.equal(net(x, t, context=TOKENS), net(x, t, context=-TOKENS))


@pytest.mark.parametrize(
    "context, error, word",
    [
        (None, ValueError, r"got none; pass context \(B, L, 6\)"),
        ("a text", TypeError, "got str"),
        (TOKENS.long(), TypeError, "int64"),
        (TOKENS[0], ValueError, r"shape \(5, 6\)"),
        (TOKENS[..., :4], ValueError, r"\(2, 5, 4\)"),
        (TOKENS[:1], ValueError, r"\(1, 5, 6\)"),
        (TOKENS[:, :0], ValueError, r"\(2, 0, 6\)"),
        ((TOKENS, MASK.float()), TypeError, "mask: got torch.float32"),
        ((TOKENS, MASK[:, :2]), ValueError, r"mask: got shape \(2, 2\)"),
        ((TOKENS, MASK & False), ValueError, "no token is left for image 0"),
    ],
)
def test_bad_tokens_are_named(context, error, word):
    x, t = inputs(C=1, size=8)
    with pytest.raises(error, match=word):
        small(cross_attention=6)(x, t, context=context)


def test_a_network_without_cross_attention_refuses_a_text():
    x, t = inputs(C=1, size=8)
    with pytest.raises(ValueError, match="attends to no tokens"):
        small()(x, t, context=TOKENS)


def test_cross_resolution_asks_the_middle():
    net, (x, t) = awake(small(attention=(True, False), cross_resolution=True)), inputs(C=1, size=8)
    layers = [m for m in net.modules() if isinstance(m, CrossResolution)]
    assert len(layers) == 2  # after both blocks of the upper level
    seen = []
    net.mid.register_forward_hook(lambda *args: seen.append(args[2]))
    layers[0].register_forward_hook(lambda m, args, out: seen.append((args, out)))
    net(x, t)
    middle, ((h, _, context), out) = seen
    assert context.middle is middle and middle.shape == (2, 16, 4, 4) and h.shape == (2, 8, 8, 8)
    words = middle.flatten(2).transpose(1, 2)
    b = layers[0]
    k, v = (words @ b.kv.weight.T + b.kv.bias).chunk(2, 2)
    q = b.q(b.norm(h)).flatten(2)
    a = (torch.einsum("bcn,blc->bnl", q, k) / 8**0.5).softmax(-1)
    gathered = torch.einsum("bnl,blc->bcn", a, v).view_as(h)
    assert torch.allclose(out, h + b.proj(gathered), atol=1e-5)


@pytest.mark.parametrize(
    "option, word",
    [
        (dict(halve="pool"), "halve='pool'; expected 'conv' or 'residual'"),
        (dict(up_attention="first"), "up_attention='first'; expected 'all' or 'last'"),
        (dict(base=6), "base=6 is odd, or does not divide into 4"),
        (dict(base=0), "base=0"),
        (dict(augment=9), "augment=9 needs linear_embedding=True"),
        (dict(head_dim=3), "heads of 3"),
        (dict(cross_attention=0), "cross_attention=0"),
        (
            dict(cross_attention=6, attention=(False, False), mid_attention=False),
            "cross_attention=6: no level attends",
        ),
        (dict(skip_scale=0), "skip_scale=0"),
    ],
)
def test_options_that_cannot_be_are_named(option, word):
    with pytest.raises(ValueError, match=word):
        small(**option)


def test_an_unknown_option_is_named():
    with pytest.raises(TypeError, match="no argument scaleshift; beyond DDPM's it has base"):
        small(scaleshift=True)


def test_every_option_is_used():
    "Each changes the network: its parameters, or its output."
    x, t = inputs(C=1, size=8)
    common, y = dict(attention=(True, True), num_classes=3), torch.tensor([0, 3])
    base = small(**common)
    changes = dict(
        base=16,
        scale_shift=True,
        halve="residual",
        double="residual",
        skip_scale=0.5,
        up_attention="last",
        mid_attention=False,
        mid_groups=2,
        linear_embedding=True,
        cross_resolution=True,
        cross_attention=6,
    )
    for name, value in changes.items():
        net = small(**common | {name: value})
        same = net.state_dict().keys() == base.state_dict().keys()
        if same and count(net) == count(base):
            a, b = (awake(n) for n in (net, base))
            a.load_state_dict(b.state_dict())
            assert not torch.allclose(a(x, t, y), b(x, t, y)), name
    assert changes.keys() | {"resample_conv", "augment"} == {*Options.__dataclass_fields__}
