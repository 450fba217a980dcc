"Chapter 71: a DiT held against its formulas, against diffusers and against the contract of models."

import copy, json, math

import pytest
import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel, UNet2DModel
from torch import nn

from ddpm_course import dit_interop, transformer
from ddpm_course.attention import attention_kernel, naive_attention
from ddpm_course.ddpm import DDPMLoss, ddpm_loss
from ddpm_course.dit_digits import DIGITS_DIT, DIGITS_DIT_FIT, train_dit
from ddpm_course.experiments.backbones import (
    BACKBONES_TABLE,
    LATENT_BACKBONES_TABLE,
    LATENT_RIVALS,
    RIVALS,
    backbones_row,
    latent_backbones_row,
)
from ddpm_course.flops import forward_flops
from ddpm_course.guidance import cfg
from ddpm_course.memory import saved_bytes
from ddpm_course.models import condition, split_output
from ddpm_course.noising import cosine_schedule
from ddpm_course.randomness import BatchRandom
from ddpm_course.sampling import ddim_sample, ddpm_sample
from ddpm_course.saving import load_model, save_model
from ddpm_course.transformer import DiT, DiTBlock, dit_config, patchify, positions, unpatchify
from ddpm_course.unet import UNet
from mutants import DIT_BUGS, broken_module


def count(net):
    return sum(p.numel() for p in net.parameters())


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def awake(net, std=0.2):
    "The same network with random weights everywhere: zeros hide mix-ups."
    torch.manual_seed(3)
    for p in net.parameters():
        nn.init.normal_(p, std=std)
    return net


def small(**kwargs):
    config = dict(in_channels=4, patch=2, width=16, depth=2, heads=2, num_classes=5)
    return DiT(**config | kwargs)


X = normal(3, 4, 8, 12)
T, Y = torch.tensor([0, 500, 999]), torch.tensor([0, 5, 2])  # 5: no label


# ---- the sizes of the paper ----


@pytest.mark.parametrize(
    "name, fixed, free",
    [
        ("S/2", 32_963_360, 32_865_056),
        ("B/2", 130_512_416, 130_315_808),
        ("L/2", 458_102_816, 457_840_672),
        ("XL/2", 675_129_632, 674_834_720),
    ],
)
def test_the_published_numbers_of_parameters(name, fixed, free):
    "For latents of 32x32x4, with a variance and 1,001 labels; positions are fixed numbers."
    with torch.device("meta"):
        net = DiT(**dit_config(name), num_classes=1000, learn_variance=True)
        places = positions(16, 16, net.config["width"])
    assert count(net) == free and count(net) + places.numel() == fixed


def test_the_names_are_those_of_the_paper():
    names = [f"{size}/{patch}" for size in ("S", "B", "L", "XL") for patch in (2, 4, 8)]
    assert len({str(dit_config(name)) for name in names}) == 12
    assert dit_config("XL/8") == dict(width=1152, depth=28, heads=16, patch=8)
    for name in ("M/2", "S/3", "S", "s/2", "S/2/2"):
        with pytest.raises(ValueError, match=f"no DiT '{name}'; there are S, B, L and XL"):
            dit_config(name)


# ---- the parts, by their formulas ----


def squares_are_those_of_unfold(m=transformer):
    for p in (1, 2, 4):
        tokens = m.patchify(X, p)
        assert torch.equal(tokens, F.unfold(X, p, stride=p).transpose(1, 2))
        assert torch.equal(m.unpatchify(tokens, p, 8), X)
        assert torch.equal(m.patchify(X.to(memory_format=torch.channels_last), p), tokens)


def test_squares_are_those_of_unfold():
    squares_are_those_of_unfold()


def positions_are_their_formula(m=transformer):
    found = m.positions(3, 5, 16)
    for row in range(3):
        for column in range(5):
            waves = [
                [f(at / 10_000 ** (i / 4)) for i in range(4)]
                for at in (column, row)
                for f in (math.sin, math.cos)
            ]
            expected = torch.tensor(waves).flatten()
            assert torch.allclose(found[5 * row + column], expected, atol=1e-6)


def test_positions_are_their_formula():
    positions_are_their_formula()


def a_block_is_its_formula(m=transformer):
    "One token and head at a time, norms and softmax written out."
    block = awake(m.DiTBlock(8, 2, norm_eps=0.1, mlp_norm_eps=0.3))
    x, c = normal(2, 5, 8), normal(2, 8, seed=1)
    lin = lambda layer, h: h @ layer.weight.T + layer.bias

    def normed(h, eps):
        h = h - h.mean(-1, keepdim=True)
        return h / (h.square().mean(-1, keepdim=True) + eps) ** 0.5

    for b in range(2):
        told = lin(block.ada, c[b]).view(6, 8)  # shift, scale, gate; again
        q, k, v = (
            lin(block.qkv, normed(x[b], 0.1) * (1 + told[1]) + told[0]).view(5, 3, 2, 4).unbind(1)
        )
        h = torch.stack([(q[:, n] @ k[:, n].T / 2).softmax(-1) @ v[:, n] for n in (0, 1)], 1)
        y = x[b] + told[2] * lin(block.proj, h.reshape(5, 8))
        h = lin(block.lin1, normed(y, 0.3) * (1 + told[4]) + told[3])
        h = h / 2 * (1 + torch.tanh((2 / math.pi) ** 0.5 * (h + 0.044715 * h**3)))
        assert torch.allclose(block(x, c)[b], y + told[5] * lin(block.lin2, h), atol=1e-5)


def test_a_block_is_its_formula():
    a_block_is_its_formula()


def every_block_begins_as_the_identity(m=transformer):
    "In the constructed model, and not in a block alone."
    net = m.DiT(4, 2, 16, 3, 2, num_classes=5)
    h, c = normal(2, 6, 16), normal(2, 16, seed=1)
    for block in net.blocks:
        assert torch.equal(block(h, c), h)
    assert not net(X, T, Y).any()
    silent = {name for name, p in net.named_parameters() if not p.any()}
    assert {n.split(".")[-2] for n in silent if n.endswith("weight")} == {
        "ada",
        "ada_out",
        "patch_out",
    }


def test_every_block_begins_as_the_identity():
    every_block_begins_as_the_identity()


def test_silent_layers_wake_up_one_after_the_other():
    "After a step the last layer answers; after the third, all that there is has moved."
    net = small()
    first = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    moved = lambda: {n for n, p in net.named_parameters() if not torch.equal(p, first[n])}
    for step in range(3):
        loss = (net(X, T, torch.arange(3)) - X).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 0:
            assert moved() == {"patch_out.weight", "patch_out.bias"}
    assert moved() == {*first}


# ---- the same as diffusers ----


def tied(**config):
    "A diffusers network with random weights, the same in the embedding of each block."
    torch.manual_seed(0)
    common = dict(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        num_layers=3,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=5,
    )
    theirs = awake(DiTTransformer2DModel(**common | config))
    first, *others = (block.norm1.emb for block in theirs.transformer_blocks)
    for emb in others:
        emb.load_state_dict(first.state_dict())
    return theirs.eval()


PEERS = {
    "noise alone": {},
    "with a variance": dict(out_channels=8),
    "patches of 4": dict(patch_size=4, sample_size=16),
    "single pixels": dict(patch_size=1),
    "one channel": dict(in_channels=1),
    "another eps before the MLP": dict(norm_eps=0.5),
    "one head, one layer": dict(num_attention_heads=1, num_layers=1),
}


def outputs_and_gradients_equal_diffusers(change, m=transformer, interop=dit_interop):
    theirs = tied(**change)
    ours = interop.dit_from_diffusers(m.DiT, theirs)
    C, side = theirs.config.in_channels, theirs.config.sample_size
    x = normal(3, C, side, side)
    pairs = []
    for net in (theirs, ours):
        x.requires_grad_().grad = None
        out = net(x, T, Y) if net is ours else net(x, timestep=T, class_labels=Y).sample
        out.square().mean().backward()
        pairs.append((out.detach(), x.grad))
    for a, b in zip(*pairs):
        assert (a - b).abs().max() <= 1e-5 * max(1, a.abs().max())


@pytest.mark.parametrize("change", PEERS.values(), ids=PEERS)
def test_outputs_and_gradients_equal_diffusers(change):
    outputs_and_gradients_equal_diffusers(change)


LEAN = transformer.recompute


def test_what_is_recomputed_has_the_same_gradients(monkeypatch):
    found = []
    for large in (1, 2**40):  # recompute all, or nothing
        monkeypatch.setattr(transformer, "recompute", lambda f, x: LEAN(f, x, large))
        net = awake(small())
        net(X, T, Y).square().mean().backward()
        found.append([p.grad for p in net.parameters()])
    for a, b in zip(*found):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_from_a_saved_folder(tmp_path):
    theirs = tied(out_channels=8)
    theirs.save_pretrained(tmp_path)
    ours = DiT.from_diffusers(str(tmp_path), predicts="v")
    assert ours.predicts == "v" and ours.num_classes == 5 and not ours.training
    assert ours.config["learn_variance"] and ours.config["freq_shift"] == 1
    with torch.no_grad():
        a = theirs(X[..., :8], timestep=T, class_labels=Y).sample
        assert torch.allclose(ours(X[..., :8], T, Y), a, atol=1e-5 * a.abs().max().item())


def test_untied_embedders_are_refused_by_name():
    theirs = tied()
    with torch.no_grad():
        theirs.transformer_blocks[2].norm1.emb.timestep_embedder.linear_2.bias[0] += 1e-3
    name = r"transformer_blocks.2.norm1.emb.timestep_embedder.linear_2.bias is not"
    with pytest.raises(ValueError, match=name):
        DiT.from_diffusers(theirs)


@pytest.mark.parametrize(
    "change, word",
    [
        (dict(activation_fn="geglu"), "activation_fn='geglu'"),
        (dict(dropout=0.1), "dropout=0.1"),
        (dict(attention_bias=False), "attention_bias=False"),
        (dict(out_channels=5), "out_channels=5"),
        (dict(norm_elementwise_affine=True), "norm_elementwise_affine=True"),
        (dict(upcast_attention=True), "upcast_attention=True"),
    ],
)
def test_what_it_cannot_be_is_refused_by_name(change, word):
    with pytest.raises(ValueError, match=word):
        DiT.from_diffusers(tied(**change))


def test_diffusers_drops_labels_in_training_and_we_leave_that_to_the_loss():
    theirs = tied()
    ours = DiT.from_diffusers(theirs)
    x, t, y = X[:1, :, :, :8].repeat(200, 1, 1, 1), T[:1].repeat(200), Y[:1].repeat(200)
    with torch.no_grad():
        spread = lambda out: out.std(0).max()
        assert spread(theirs.train()(x, timestep=t, class_labels=y).sample) > 0.1
        assert spread(ours.train()(x, t, y)) < 1e-5
    assert ours.label_drop == 0.1  # as diffusers trains: guidance has a "no label" to go from


# ---- bugs ----


@pytest.mark.parametrize("bug", DIT_BUGS)
def test_a_bug_is_noticed(bug, monkeypatch):
    monkeypatch.setattr("ddpm_course.models.MODELS", {})  # the broken class is no other's
    where, right, wrong = DIT_BUGS[bug]
    broken = broken_module(where, right, wrong)
    m, interop = (broken, dit_interop) if where == "transformer" else (transformer, broken)
    with pytest.raises(AssertionError):
        squares_are_those_of_unfold(m)
        positions_are_their_formula(m)
        a_block_is_its_formula(m)
        every_block_begins_as_the_identity(m)
        for name in ("with a variance", "another eps before the MLP"):
            outputs_and_gradients_equal_diffusers(PEERS[name], m, interop)


# ---- the contract of models ----


def test_shapes_with_and_without_classes_and_variance():
    for classes in (None, 5):
        for more in (False, True):
            net = awake(small(num_classes=classes, learn_variance=more))
            out = net(X, T, *[Y] * (classes is not None))
            assert out.shape == (3, 8 if more else 4, 8, 12) and net.num_classes == classes
    assert awake(small())(X[:0], T[:0], Y[:0]).shape == (0, 4, 8, 12)


def test_labels_and_times_reach_each_image_alone():
    net = awake(small())
    out = net(X, T, Y)
    for change in (net(X, T, torch.tensor([1, 5, 2])), net(X, torch.tensor([7, 500, 999]), Y)):
        assert not torch.allclose(change[0], out[0], atol=1e-3)
        assert torch.allclose(change[1:], out[1:], atol=1e-5)
    assert torch.allclose(net(X[:1], T[:1], Y[:1]), out[:1], atol=1e-5)
    half = net(X, torch.tensor([0.5, 500, 999]), Y)  # any real time
    assert not torch.allclose(half[0], out[0], atol=1e-4)


def test_each_token_is_told_where_it_is():
    "Without positions, exchanging two squares would exchange their answers."
    net = awake(small())
    moved = lambda x: unpatchify(patchify(x, 2).flip(1), 2, 8)
    assert not torch.allclose(net(moved(X), T, Y), moved(net(X, T, Y)), atol=1e-2)
    same = awake(small())
    nowhere = lambda rows, columns, dim, device: torch.zeros(rows * columns, dim)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(transformer, "positions", nowhere)
        assert torch.allclose(same(moved(X), T, Y), moved(same(X, T, Y)), atol=1e-5)


def test_every_option_is_used():
    changes = dict(
        in_channels=2,
        patch=4,
        width=8,
        depth=1,
        heads=4,
        num_classes=None,
        learn_variance=True,
        freq_shift=1,
        norm_eps=0.5,
        mlp_norm_eps=0.5,
    )
    base = awake(small())
    for name, value in changes.items():
        net = awake(small(**{name: value}))
        if count(net) == count(base):
            assert not torch.allclose(net(X, T, Y), base(X, T, Y), atol=1e-4), name
    assert changes.keys() | {"predicts"} == base.config.keys()
    assert small(predicts="v").predicts == "v"


@pytest.mark.parametrize(
    "call, error, word",
    [
        (lambda: small(width=18), ValueError, "width=18; expected a multiple of 4"),
        (lambda: small(heads=3), ValueError, "width=16 does not divide into heads=3"),
        (lambda: transformer.positions(2, 2, 6), ValueError, "dim=6; expected a multiple of 4"),
        (lambda: small(patch=0), ValueError, "patch=0; expected a whole number"),
        (lambda: small(depth=2.5), (TypeError, ValueError), "depth=2.5; expected a whole number"),
        (lambda: small(predicts="noise"), ValueError, "predicts='noise'"),
        (lambda: small()(X[:, :3], T, Y), ValueError, "got 3 channels; this network has 4"),
        (
            lambda: small()(X[..., :7], T, Y),
            ValueError,
            "8x7 pixels, to be cut into squares of 2x2",
        ),
        (lambda: small()(X, T[:2], Y), ValueError, r"t: got shape \(2,\)"),
        (lambda: small()(X, 5, Y), ValueError, "t: got 5"),
        (lambda: small()(X, T), ValueError, "5 classes and got no labels"),
        (lambda: small()(X, T, Y + 1), ValueError, "y from 1 to 6"),
        (lambda: small(num_classes=None)(X, T, Y), ValueError, "no classes"),
    ],
)
def test_what_cannot_be_is_named(call, error, word):
    with pytest.raises(error, match=word):
        call()


def test_it_is_saved_and_loaded_like_any_model(tmp_path):
    net = awake(small(learn_variance=True, predicts="v", mlp_norm_eps=1e-5))
    save_model(tmp_path / "m", net, cosine_schedule(), ema=net, shape=(4, 8, 8))
    twin = load_model(tmp_path / "m").model
    with torch.no_grad():
        assert torch.equal(net(X, T, Y), twin(X, T, Y))
    assert json.loads(json.dumps(net.config)) == twin.config and twin.predicts == "v"


def test_rounded_weights_leave_the_positions_exact():
    "Shipped in half precision and made float32 again, positions and waves are as in training."
    net = awake(small())
    rounded = copy.deepcopy(net).half().float()
    for p in net.parameters():
        p.data = p.data.half().float()
    assert torch.equal(net(X, T, Y), rounded(X, T, Y))


def test_any_sampler_and_loss_takes_it():
    net, schedule = awake(small(learn_variance=True), 0.05).eval(), cosine_schedule()
    model = cfg(net, torch.tensor([1, 2]), 2.0)
    for sample in (ddim_sample, ddpm_sample):
        assert sample(model, schedule, (2, 4, 8, 8), 3, seed=0).isfinite().all()
    rng = BatchRandom(0, 0, 3)
    assert DDPMLoss(schedule, drop=0.1)(net, X, torch.arange(3), rng).shape == (3,)


def test_dropped_labels_train_the_null_row_alone():
    net, schedule = awake(small()), cosine_schedule()
    ddpm_loss(net, schedule, X, torch.tensor([0, 1, 2]), drop=1.0).sum().backward()
    rows = net.embed.label.weight.grad.abs().sum(1)
    assert rows[5] > 0 and not rows[:5].any()


# ---- guidance: three of four channels ----


def guides_every_channel(guided, net):
    "Is each channel of the prediction extrapolated, and the variance the conditional pass's?"
    y, null = torch.tensor([1, 2, 3]), torch.full((3,), 5)
    with torch.no_grad():
        pred, var = split_output(net(X, T, y), X)
        base = split_output(net(X, T, null), X)[0]
        out, var_out = split_output(guided(X, T), X)
    each = [
        torch.allclose(out[:, c], (base + 3 * (pred - base))[:, c], atol=1e-4) for c in range(4)
    ]
    return all(each) and torch.allclose(var_out, var, atol=1e-5)


def test_guidance_takes_all_four_channels_of_a_latent():
    "The published code guides three of four, to repeat its figures exactly."
    net = awake(small(learn_variance=True)).eval()
    y = torch.tensor([1, 2, 3])

    def three_of_four(x, t):
        out, base = condition(net, y)(x, t), condition(net, 5)(x, t)
        return torch.cat([base[:, :3] + 3 * (out - base)[:, :3], out[:, 3:]], 1)

    assert guides_every_channel(cfg(net, y, 3.0), net)
    assert not guides_every_channel(three_of_four, net)


# ---- memory, kernels ----


def test_training_keeps_less_than_diffusers_does():
    theirs = tied(num_attention_heads=6, attention_head_dim=64, num_layers=2, sample_size=32)
    ours = DiT.from_diffusers(theirs)
    x, t, y = normal(6, 4, 32, 32), torch.zeros(6), torch.zeros(6, dtype=torch.int64)
    kept = [saved_bytes(lambda x: net(x, t, y), x) for net in (theirs, ours)]
    assert kept[1] < 0.8 * kept[0]


def test_the_kernel_of_chapter_70_is_exchanged():
    net = awake(small())
    out = net(X, T, Y)
    calls = []

    def noting(q, k, v, attn_mask=None):
        calls.append(q.shape)
        return naive_attention(q, k, v, attn_mask)

    with attention_kernel(net, noting):
        assert torch.allclose(net(X, T, Y), out, atol=1e-5)
    assert calls == [(3, 2, 24, 8)] * 2  # a block: images, heads, tokens, channels of a head
    assert isinstance(net.blocks[0], DiTBlock)


# ---- operations, training, the study ----


def test_operations_are_those_of_the_paper():
    "Peebles & Xie count a multiplication with its addition once, and give two decimals."
    published = {"S/2": 6.06, "S/4": 1.41, "S/8": 0.36, "B/4": 5.56, "L/4": 19.7, "XL/2": 118.64}
    with torch.device("meta"):
        for name, macs in published.items():
            net = DiT(**dit_config(name), num_classes=1000, learn_variance=True)
            found = forward_flops(net, (4, 32, 32)) / 2e9
            assert found == pytest.approx(macs, rel=1e-3, abs=0.005), name


def test_operations_by_hand():
    "Linear layers by their weights; products of attention; whatever the device and the labels."
    for classes in (None, 5):
        net = small(num_classes=classes)
        N, D = 24, 16
        token = 16 * D + 2 * 12 * D**2 + D * 16  # in, two blocks, out
        once = 256 * D + D**2 + 2 * 6 * D**2 + 2 * D**2
        assert forward_flops(net, (4, 8, 12)) == 2 * (token * N + once + 2 * 2 * N**2 * D)
    unet = UNet(1, (8,), 1, (False,), groups=4)
    assert forward_flops(unet, (1, 8, 8)) > 2 * 64 * 9 * 8 * (1 + 8)


def test_the_transformer_of_the_digits_trains():
    run = train_dit(None, steps=4, batch_size=16, device="cpu", progress=False)
    torch.manual_seed(0)
    fresh = DiT(**DIGITS_DIT)
    same = [
        n
        for (n, p), q in zip(run.model.named_parameters(), fresh.parameters())
        if torch.equal(p, q)
    ]
    assert not same and run.model.predicts == "v" and DIGITS_DIT_FIT["steps"] >= 1000


@pytest.mark.parametrize(
    "rivals, shape, number", [(RIVALS, (1, 8, 8), 4), (LATENT_RIVALS, (2, 4, 4), 3)]
)
def test_networks_of_the_study_take_as_many_operations(rivals, shape, number):
    work = {name: forward_flops(make(), shape) for name, make in rivals.items()}
    assert len(work) == number and max(work.values()) / min(work.values()) < 1.06
    assert all(make().predicts == "v" and make().num_classes == 10 for make in rivals.values())


def test_a_row_on_latents_is_decoded_and_not_clipped():
    score = latent_backbones_row("DiT, squares of 2", 0, 2, 100, 2)["distance"]
    assert score.settings["operations"] == forward_flops(
        LATENT_RIVALS["DiT, squares of 2"](), (2, 4, 4)
    )
    assert score.clip is None and score.model == "digits, latents" and score.autoencoder
    assert {row["name"] for row in LATENT_BACKBONES_TABLE.rows("digits")} == {*LATENT_RIVALS}


def test_a_row_says_how_much_work_a_network_was():
    for name in ("U-Net", "DiT, squares of 4"):
        score = backbones_row(name, 0, 2, 100, 2)["distance"]
        assert score.variant == name and score.settings["operations"] == forward_flops(
            RIVALS[name](), (1, 8, 8)
        )
        assert score.settings["parameters"] == count(RIVALS[name]())
        assert score.notes["step_seconds"] > 0
    assert {row["name"] for row in BACKBONES_TABLE.rows("digits")} == {*RIVALS}


@pytest.mark.parametrize("source", [3, None, torch.nn.Linear(2, 2), UNet2DModel(8)])
def test_what_is_no_transformer_of_diffusers_is_told(source):
    with pytest.raises(TypeError, match="source=.*expected a DiTTransformer2DModel"):
        DiT.from_diffusers(source)
