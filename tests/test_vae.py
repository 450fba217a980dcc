"The autoencoders: contract, loss, training, pretrained ones from a folder, and bad input."

import copy, json, math, shutil, urllib.error

import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence

import ddpm_course.vae as module
from ddpm_course.images import load_digits
from ddpm_course.randomness import BatchRandom
from ddpm_course.saving import load_model, save_model
from ddpm_course.experiments.protocol import held_out_digits, score_digits
from ddpm_course.training import fit
from ddpm_course.autoencoders import (
    Autoencoder,
    Perceptual,
    fingerprint,
    load_autoencoder,
    train_vae,
)
from ddpm_course.vae import VAE, VAELoss, digits_vae, reparameterize, kl


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return VAE(3, 4, (8, 16, 16), groups=4)


# ---- the network ----


@pytest.mark.parametrize("channels, factor", [((8,), 1), ((8, 16), 2), ((8, 8, 16, 16), 8)])
def test_shapes_and_factor(channels, factor):
    vae = VAE(3, 5, channels, layers=2, groups=4)
    mean, logvar = vae.encode(randn(2, 3, 16, 24))
    assert (
        vae.factor == factor
        and vae.latent_channels == 5
        and vae.predicts is None
        and vae.num_classes is None
    )
    assert mean.shape == logvar.shape == (2, 5, 16 // factor, 24 // factor) and vae.decode(
        mean
    ).shape == (2, 3, 16, 24)
    assert VAE(**json.loads(json.dumps(vae.config))).config == vae.config


def test_forward_draws_with_the_batch_random(small):
    x, noise = randn(4, 3, 8, 8), BatchRandom(3, 7, 4).randn_like(torch.empty(4, 4, 2, 2))
    x_hat, mean, logvar = small(x, BatchRandom(3, 7, 4))
    assert torch.equal(mean, small.encode(x)[0]) and torch.equal(logvar, small.encode(x)[1])
    assert torch.allclose(x_hat, small.decode(mean + (logvar / 2).exp() * noise), atol=1e-6)
    half = small(x[2:], BatchRandom(3, 7, 4, slice(2, 4)))[0]  # the second of two devices
    assert torch.allclose(half, x_hat[2:], atol=1e-5)


def test_logvar_is_bounded_and_answers_are_float32_under_autocast(small):
    with torch.autocast("cpu", torch.bfloat16):
        mean, logvar = small.encode(randn(2, 3, 8, 8))
        x_hat = small.decode(mean)
    assert mean.dtype == logvar.dtype == x_hat.dtype == torch.float32
    torch.nn.init.constant_(small.moments[-1].bias, 1e6)
    assert (
        small.encode(randn(2, 3, 8, 8))[1].max() == 10
        and kl(*small.encode(randn(2, 3, 8, 8))).isfinite().all()
    )
    torch.nn.init.constant_(small.moments[-1].bias, -1e6)
    assert small.encode(randn(2, 3, 8, 8))[1].min() == -20


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda v: v.encode(randn(1, 3, 10, 8)), ValueError, "got 10x8; .* multiples of 4"),
        (lambda v: v.encode(randn(1, 3, 8, 6)), ValueError, "got 8x6"),
        (
            lambda v: v.encode(randn(1, 1, 8, 8)),
            ValueError,
            "got 1 channels; this autoencoder takes 3",
        ),
        (lambda v: v.encode(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), TypeError, "from_uint8"),
        (lambda v: v.encode(randn(3, 8, 8)), ValueError, r"expected \(B, C, H, W\)"),
        (
            lambda v: v.decode(randn(1, 3, 2, 2)),
            ValueError,
            "latents: got 3 channels; this autoencoder has 4",
        ),
        (lambda v: VAE(channels=(8, 12)), ValueError, "multiples of groups"),
        (lambda v: VAE(channels=()), ValueError, "expected whole numbers above 0"),
        (lambda v: VAE(latent_channels=0), ValueError, "expected whole numbers above 0"),
        (lambda v: VAELoss(-0.1), ValueError, "kl_weight=-0.1.*at least 0"),
        (lambda v: VAELoss(math.nan), ValueError, "kl_weight=nan"),
    ],
)
def test_bad_input_is_told(small, call, error, says):
    with pytest.raises(error, match=says):
        call(small)


# ---- KL, draws and loss ----


def test_kl_is_torchs_summed_over_an_image():
    mean, logvar = randn(3, 2, 4, 4), randn(3, 2, 4, 4, seed=1)
    assert torch.allclose(
        kl(mean, logvar),
        kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0, 1)).flatten(1).sum(1),
        atol=1e-5,
    )
    assert torch.equal(kl(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


def test_kl_of_one_number_an_image_is_one_number_an_image():
    mean, logvar = randn(5), randn(5, seed=1)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0, 1))
    assert torch.allclose(kl(mean, logvar), expected, atol=1e-6)
    assert kl(torch.zeros(0, 2, 4, 4), torch.zeros(0, 2, 4, 4)).shape == (0,)
    for f in (kl, lambda *given: reparameterize(*given, BatchRandom(0, 0, 1))):
        with pytest.raises(ValueError, match=r"mean: got shape \(\); expected \(B, ...\)"):
            f(torch.tensor(0.5), torch.tensor(0.5))
        with pytest.raises(TypeError, match=r"mean=0.5; expected \(B, ...\)"):
            f(0.5, 0.5)


def test_draws_have_the_right_spread_and_carry_gradients():
    mean, logvar = (
        torch.full((4000, 1), 0.7, requires_grad=True),
        torch.full((4000, 1), math.log(0.25), requires_grad=True),
    )
    z = reparameterize(mean, logvar, BatchRandom(0, 0, 4000))
    assert abs(z.mean() - 0.7) < 0.03 and abs(z.std() - 0.5) < 0.02
    z.square().sum().backward()
    assert torch.allclose(mean.grad, 2 * z.detach()) and torch.allclose(
        logvar.grad, (z * (z - mean)).detach(), atol=1e-5
    )


def test_loss_is_one_number_an_image_and_the_bound_up_to_a_constant(small):
    x, rng = randn(5, 3, 8, 8), lambda: BatchRandom(0, 0, 5)
    x_hat, mean, logvar = small(x, rng())
    sigma = 0.3
    loss = VAELoss(2 * sigma**2)(small, x, None, rng())
    bound = -Normal(x_hat, sigma).log_prob(x).flatten(1).sum(1) + kl(mean, logvar)
    constant = 192 * math.log(sigma * math.sqrt(2 * math.pi))
    assert loss.shape == (5,) and torch.allclose(
        loss, 2 * sigma**2 / 192 * (bound - constant), atol=1e-4
    )
    one = VAELoss(0.1)(small, x[:1], None, BatchRandom(0, 0, 5, slice(0, 1)))
    assert torch.allclose(
        one, VAELoss(0.1)(small, x, None, rng())[:1], atol=1e-5
    )  # an image's loss does not depend on the others


def test_a_perceptual_loss_is_added_with_its_weight(small):
    x, far = randn(3, 3, 8, 8), lambda x, x_hat: torch.arange(3.0)
    plain, more = (VAELoss(0.1, p, 0.5)(small, x, None, BatchRandom(0, 0, 3)) for p in (None, far))
    assert torch.allclose(more - plain, 0.5 * torch.arange(3.0), atol=1e-6)


# ---- training ----


def test_the_digits_vae_keeps_digits():
    vae = digits_vae()
    x, y = held_out_digits()
    with torch.no_grad():
        mean, logvar = vae.model.encode(x)
        scored = score_digits(vae.model.decode(mean), y)
    assert vae.shape == (1, 8, 8) and vae.clip is None and mean.shape == (797, 2, 4, 4)
    assert scored.accuracy.value > 0.97 and scored.distance.value < scored.floor.value
    assert 0.5 < mean.std() < 1.5 and 0.02 < (logvar / 2).exp().mean() < 0.5


def test_an_interrupted_training_ends_in_the_same_weights(tmp_path):
    options = dict(
        channels=(8, 8),
        groups=4,
        latent_channels=1,
        steps=6,
        batch_size=16,
        device="cpu",
        precision="no",
        progress=False,
    )
    whole = train_vae(load_digits("train"), tmp_path / "whole", **options)
    assert train_vae(load_digits("train"), tmp_path / "parts", stop_at=3, **options) is None
    parts = train_vae(load_digits("train"), tmp_path / "parts", resume=True, **options)
    assert fingerprint(parts) == fingerprint(whole) and not whole.training
    with pytest.raises(ValueError, match="another configuration.*kl_weight"):
        train_vae(load_digits("train"), tmp_path / "parts", resume=True, kl_weight=0.5, **options)


def test_a_folder_of_images_is_enough_and_the_loss_falls(tmp_path):
    for name, color in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (20, 18), tuple(c + 3 * i for c in color)).save(
                tmp_path / "images" / name / f"{i}.png"
            )
    runs = []
    vae = train_vae(
        tmp_path / "images",
        tmp_path / "run",
        size=16,
        channels=(8, 8, 8),
        groups=4,
        steps=40,
        batch_size=16,
        lr=5e-3,
        warmup=5,
        device="cpu",
        precision="no",
        progress=False,
        callbacks=[runs.append],
    )
    assert (
        vae.config["in_channels"] == 3
        and vae.factor == 4
        and vae.encode(torch.zeros(1, 3, 16, 16))[0].shape == (1, 4, 4, 4)
    )
    assert sum(runs[-1].losses[-5:]) < 0.5 * sum(runs[-1].losses[:5])


def test_images_that_cannot_be_halved_stop_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="got 8x8; this autoencoder shrinks each side 16 times"):
        train_vae(
            load_digits("train"), tmp_path / "run", channels=(8, 8, 8, 8, 8), steps=2, device="cpu"
        )
    assert not (tmp_path / "run").exists()


def test_a_vae_survives_its_folder(small, tmp_path):
    save_model(tmp_path / "vae", small, shape=(3, 8, 8), clip=None)
    again = load_model(tmp_path / "vae", weights="model").model
    assert torch.equal(
        again.encode(randn(1, 3, 8, 8))[0], small.encode(randn(1, 3, 8, 8))[0]
    ) and fingerprint(again) == fingerprint(small)


# ---- identity ----


def test_a_fingerprint_tells_networks_apart_and_nothing_else(small):
    name, twin = fingerprint(small), copy.deepcopy(small)
    assert len(name) == 16 and int(name, 16) >= 0
    assert fingerprint(twin.to(memory_format=torch.channels_last).train()) == name
    with torch.no_grad():
        twin.conv_z.bias[0] += 1e-7
    assert fingerprint(twin) != name
    other = VAE(3, 4, (8, 16, 16), groups=8)  # the same weights, normalized in other groups
    other.load_state_dict(small.state_dict())
    assert fingerprint(other) != name


# ---- LPIPS, as far as one gets without a network ----


@pytest.fixture
def lpips(monkeypatch):
    "Perceptual() with random convolutions under the linear layers that torchmetrics ships."
    import torchmetrics.functional.image.lpips as source

    real = source._get_tv_model_features
    monkeypatch.setattr(
        source, "_get_tv_model_features", lambda net, pretrained=False: real(net, pretrained=False)
    )
    torch.manual_seed(0)
    return Perceptual("alex")


def test_lpips_is_per_image_and_has_gradients(lpips):
    x = randn(3, 3, 32, 40).clamp(-1, 1)
    x_hat = (
        x + torch.tensor([0.0, 0.1, 0.5]).view(3, 1, 1, 1) * randn(3, 3, 32, 40, seed=1)
    ).requires_grad_()  # may leave [-1, 1]
    far = lpips(x, x_hat)
    assert far.shape == (3,) and far[0] == 0 and 0 < far[1] < far[2]
    assert torch.allclose(far[1:2], lpips(x[1:2], x_hat[1:2]), rtol=1e-4)
    far.sum().backward()
    assert x_hat.grad[1:].abs().sum() > 0 and not any(
        p.requires_grad for p in lpips.net.parameters()
    )
    assert lpips(x[:, :1], x_hat[:, :1].detach()).shape == (3,)  # gray
    with pytest.raises(ValueError, match="sides of 32 or more"):
        lpips(x[..., :8, :8], x[..., :8, :8])


def test_lpips_trains_a_vae(lpips, tmp_path):
    from ddpm_course.images import Images

    data = Images(
        torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8),
        torch.zeros(4, dtype=torch.int64),
        ["noise"],
    )
    vae = train_vae(
        data,
        tmp_path / "run",
        channels=(8, 8),
        groups=4,
        perceptual=lpips,
        steps=2,
        batch_size=2,
        device="cpu",
        precision="no",
        progress=False,
    )
    assert (
        vae.factor == 2
        and json.loads((tmp_path / "run" / "model" / "config.json").read_text())["training"][
            "loss_fields"
        ]["perceptual"]
        == "Perceptual('alex')"
    )


def test_a_failed_download_of_lpips_names_file_and_place(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(
        OSError,
        match=r"LPIPS \(vgg\).*no route to host.*fetch https://\S*/(vgg16-\S+\.pth) "
        r".*checkpoints/\1, or train without",
    ):
        Perceptual()
    with pytest.raises(ValueError, match="expected one of vgg, alex, squeeze"):
        Perceptual("resnet")


# ---- pretrained autoencoders, from a folder ----

CONFIG = dict(
    down_block_types=["DownEncoderBlock2D"] * 3,
    up_block_types=["UpDecoderBlock2D"] * 3,
    block_out_channels=[8, 8, 8],
    latent_channels=3,
    norm_num_groups=4,
    scaling_factor=0.5,
    shift_factor=0.25,
)


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipeline")
    AutoencoderKL(**CONFIG).save_pretrained(folder / "vae")
    (folder / "model_index.json").write_text("{}")
    return folder


def test_a_saved_autoencoder_keeps_the_contract(hub_folder):
    from diffusers import AutoencoderKL

    ours, theirs, x = (
        load_autoencoder(hub_folder, subfolder="vae"),
        AutoencoderKL.from_pretrained(hub_folder / "vae").eval(),
        randn(2, 3, 16, 24),
    )
    mean, logvar = ours.encode(x)
    assert (
        (ours.factor, ours.latent_channels, ours.scaling_factor, ours.shift_factor)
        == (4, 3, 0.5, 0.25)
        and ours.predicts is None
        and ours.num_classes is None
    )
    with torch.no_grad():
        for got, expected in (
            (mean, theirs.encode(x).latent_dist.mean),
            (logvar, theirs.encode(x).latent_dist.logvar),
            (ours.decode(mean), theirs.decode(mean).sample),
        ):
            assert torch.allclose(got, expected, atol=1e-5)
    assert ours.decode(mean).shape == x.shape
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())
    x_hat, m, v = ours(x, BatchRandom(0, 0, 2))
    assert torch.allclose(x_hat, ours.decode(reparameterize(m, v, BatchRandom(0, 0, 2))), atol=1e-6)
    with pytest.raises(ValueError, match="multiples of 4"):
        ours.encode(randn(1, 3, 10, 16))
    with pytest.raises(ValueError, match="this autoencoder has 3"):
        ours.decode(randn(1, 4, 4, 4))


def test_a_dtype_is_passed_on_and_answers_are_float32(hub_folder):
    half = load_autoencoder(hub_folder / "vae", torch_dtype=torch.bfloat16)
    mean, logvar = half.encode(randn(1, 3, 16, 16))
    assert (
        half.net.dtype == torch.bfloat16
        and mean.dtype == logvar.dtype == half.decode(mean).dtype == torch.float32
    )


def test_an_autoencoder_survives_our_folder_without_diffusers_loading(
    hub_folder, tmp_path, monkeypatch
):
    from diffusers import AutoencoderKL

    ours = load_autoencoder(hub_folder / "vae")
    save_model(tmp_path / "ours", ours, clip=None)
    monkeypatch.setattr(
        AutoencoderKL, "from_pretrained", lambda *a, **k: pytest.fail("the hub is not needed")
    )
    again = load_model(tmp_path / "ours", weights="model").model
    x = randn(1, 3, 16, 16)
    assert (
        type(again) is Autoencoder
        and fingerprint(again) == fingerprint(ours)
        and again.scaling_factor == 0.5
    )
    assert torch.allclose(again.encode(x)[0], ours.encode(x)[0], atol=1e-5)


def test_an_autoencoder_can_be_trained_on(hub_folder):
    ours = load_autoencoder(hub_folder / "vae").requires_grad_(True)
    before, data = fingerprint(ours), [(randn(3, 8, 8, seed=i), 0) for i in range(4)]
    run = fit(
        ours, data, VAELoss(), steps=2, batch_size=2, device="cpu", precision="no", progress=False
    )
    assert fingerprint(run.model) != before


def test_what_is_no_autoencoder_is_told(hub_folder, tmp_path):
    with pytest.raises(OSError, match="no autoencoder nowhere/at-all: not a folder.*connect once"):
        load_autoencoder("nowhere/at-all", local_files_only=True)
    with pytest.raises(
        OSError,
        match="no autoencoder .*not a folder with a config.json.*of a whole pipeline, pass "
        "subfolder='vae'",
    ):
        load_autoencoder(hub_folder, local_files_only=True)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(
        ValueError, match="holds a UNet2DModel, not an AutoencoderKL.*subfolder='vae'"
    ):
        load_autoencoder(tmp_path / "unet")


def test_options_at_their_defaults_are_not_part_of_the_name(hub_folder):
    from diffusers.configuration_utils import FrozenDict

    ours, older, other = (load_autoencoder(hub_folder / "vae") for _ in range(3))
    older.net._internal_dict = FrozenDict(
        {k: v for k, v in older.net.config.items() if k != "force_upcast"}
    )  # as written before there was such an option
    assert "force_upcast" in ours.config and "force_upcast" not in Autoencoder(older.net).config
    assert fingerprint(Autoencoder(older.net)) == fingerprint(ours)
    other.net.register_to_config(norm_num_groups=2)  # the same weights, used in another way
    assert fingerprint(Autoencoder(other.net)) != fingerprint(ours)


def test_missing_and_damaged_weights_are_told(hub_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = "diffusion_pytorch_model.safetensors"
    folders = [
        shutil.copytree(hub_folder / "vae", tmp_path / name) for name in ("none", "cut", "partial")
    ]
    (folders[0] / weights).unlink()
    with pytest.raises(OSError, match="weights of .*none cannot be read"):
        load_autoencoder(folders[0])
    (folders[1] / weights).write_bytes((folders[1] / weights).read_bytes()[:500])
    with pytest.raises(OSError, match="weights of .*cut cannot be read"):
        load_autoencoder(folders[1])
    state = load_file(folders[2] / weights)
    save_file(
        {k: v for k, v in state.items() if not k.startswith("quant_conv")},
        folders[2] / weights,
        {"format": "pt"},
    )
    with pytest.raises(ValueError, match="lack 2 of the layers.*quant_conv"):
        load_autoencoder(folders[2])


def test_the_default_is_asked_of_the_hub(monkeypatch):
    from diffusers import AutoencoderKL

    asked = []

    def refuse(source, **kwargs):
        asked.append((source, kwargs))
        raise OSError("offline")

    monkeypatch.setattr(AutoencoderKL, "load_config", refuse)
    with pytest.raises(
        OSError, match="no autoencoder stabilityai/sd-vae-ft-mse.*offline.*pass the folder"
    ):
        load_autoencoder(revision="main", torch_dtype=torch.float16)
    assert asked == [("stabilityai/sd-vae-ft-mse", {"revision": "main"})]


def test_diffusers_is_loaded_only_where_used():
    import subprocess, sys

    heavy = "{'diffusers', 'torchmetrics', 'torchvision'}"
    code = f"import sys, ddpm_course.vae; assert not {heavy} & set(sys.modules), 'loaded'"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0 and module.__file__
