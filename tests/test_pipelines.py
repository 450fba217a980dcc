"""Both ways with diffusers: pictures of exported pipelines are ours, round trips are identities,
and what one side cannot hold is refused by its name."""

import json
import re
from functools import partial

import diffusers
import huggingface_hub
import pytest
import torch
from conformance import rules
from conformance.adapters import Adapter, drive
from diffusers import (
    AutoencoderKL,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiTTransformer2DModel,
    PNDMScheduler,
    UNet2DModel,
)

from ddpm_course import interop, peers, pipelines
import ddpm_course.attention  # noqa: F401  its TextUNet is known from here on
from ddpm_course.ancestral import ddpm_sample
from ddpm_course.autoencoders import Autoencoder
from ddpm_course.cache import space_identity
from ddpm_course.cards import load_scores, save_scores
from ddpm_course.ddim import ddim_sample, spaced_timesteps
from ddpm_course.experiments import exchange
from ddpm_course.latents import LatentSpace
from ddpm_course.learned_variance import learned_range
from ddpm_course.models import condition
from ddpm_course.noising import NoiseSchedule, cosine_schedule, linear_schedule
from ddpm_course.saving import load_model, save_model
from ddpm_course.schedules import zero_terminal_snr
from ddpm_course.scores import Score
from ddpm_course.shipped import folder_of
from ddpm_course.transformer import DiT
from ddpm_course.unet import UNet
from mutants import PEER_BUGS, broken_module

diffusers.utils.logging.disable_progress_bar()
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
UNET = dict(in_channels=1, channels=(8, 16), layers=1, attention=(False, True), groups=4)
DIT = dict(in_channels=2, patch=2, width=16, depth=2, heads=4, freq_shift=1)
SHAPE = (1, 8, 8)
SCHEDULE = cosine_schedule(200)


def shaken(net, seed=0):
    "The network with all weights random, none of them zero."
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.1 * torch.randn(p.shape, generator=generator))
    return net.eval()


def saved(folder, net=None, schedule=SCHEDULE, shape=SHAPE, **about):
    "A model folder with a small network."
    net = shaken(UNet(**UNET)) if net is None else net
    save_model(folder, net, schedule, ema=net, shape=shape, **about)
    return folder


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )


def noise(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


# ---- networks ----

NETWORKS = {
    "plain": (UNet, UNET),
    "classes": (UNet, UNET | dict(num_classes=3)),
    "variance, heads": (UNet, UNET | dict(learn_variance=True, head_dim=4)),
    "as diffusers": (UNet, UNET | dict(downsample_padding=1, flip_sin_to_cos=True, freq_shift=0)),
    "ADM": (
        UNet,
        UNET | dict(scale_shift=True, halve="residual", double="residual", norm_eps=1e-5),
    ),
    "ADM, norm in the middle": (UNet, UNET | dict(scale_shift=True, mid_groups=2)),
    "ADM, no norm in the middle": (UNet, UNET | dict(scale_shift=True, mid_groups=0)),
    "halved otherwise": (UNet, UNET | dict(halve="residual", mid_attention=False)),
    "DiT": (DiT, DIT | dict(num_classes=3)),
    "DiT, variance": (DiT, DIT | dict(num_classes=3, learn_variance=True, mlp_norm_eps=1e-3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_goes_there_and_back(name):
    cls, config = NETWORKS[name]
    ours = shaken(cls(**config))
    c = pipelines.counterpart_of(ours)
    theirs = c.there(ours, (8, 8))
    assert type(theirs).__name__ == c.theirs
    x, t = noise(4, config["in_channels"], 8, 8), torch.tensor([0, 3, 500, 999])
    y = torch.tensor([0, 1, 2, 3]) if ours.num_classes else None  # 3 is no label
    with torch.no_grad():
        assert (theirs(x, t, class_labels=y).sample - ours(x, t, y)).abs().max() < 1e-6
    back = c.back(theirs, "eps", ours.num_classes)
    assert back.config == ours.config and same_state(back, ours)


def test_a_null_label_that_was_never_trained_stays_here():
    ours = shaken(UNet(**UNET, num_classes=3))
    assert interop.network_to_diffusers(ours).config.num_class_embeds == 4
    ours.label_drop = 0.0
    theirs = interop.network_to_diffusers(ours)
    assert theirs.config.num_class_embeds == 3
    back = UNet.from_diffusers(theirs)
    assert back.num_classes == 3 and back.label_drop == 0.0
    assert not back.embed.label.weight[3].any()
    again = interop.network_to_diffusers(back)
    assert same_state(again, theirs) and again.config.num_class_embeds == 3
    with pytest.raises(ValueError, match="num_classes=7: got .* num_class_embeds=3; expected 7"):
        UNet.from_diffusers(theirs, num_classes=7)


LOST = {
    "base": dict(base=4),
    "cross_resolution": dict(cross_resolution=True),
    "skip_scale=0.5, up_attention='last'": dict(skip_scale=0.5, up_attention="last"),
    "cross_attention=8": dict(cross_attention=8),
    "linear_embedding=True, augment=2": dict(linear_embedding=True, augment=2),
    "resample_conv": dict(resample_conv=True, halve="residual"),
    "mid_groups=0": dict(mid_groups=0),
}


@pytest.mark.parametrize("name", LOST)
def test_what_a_network_of_diffusers_cannot_hold_is_named(name):
    with pytest.raises(ValueError, match=f"UNet2DModel has no place for {name}.*load_model"):
        interop.network_to_diffusers(UNet(**UNET, **LOST[name]))


@pytest.mark.parametrize(
    "change, size, told",
    [
        (dict(num_classes=None), (8, 8), "num_classes=None.*always embeds a label"),
        (dict(freq_shift=0), (8, 8), "no place for freq_shift=0"),
        (dict(norm_eps=1e-5), (8, 8), "no place for norm_eps"),
        (dict(), (8, 4), "takes squares of one size"),
        (dict(), None, "takes squares of one size"),
    ],
)
def test_what_a_transformer_of_diffusers_cannot_hold_is_named(change, size, told):
    with pytest.raises(ValueError, match=told):
        pipelines.dit_to_diffusers(DiT(**DIT | dict(num_classes=3) | change), size)


# ---- pictures ----


def threes():
    "The trained network of the digits that makes threes: their label is part of its bias."
    labeled = load_model(folder_of("digits")).model.float()
    state = labeled.state_dict()
    state["embed.lin2.bias"] = state["embed.lin2.bias"] + state.pop("embed.label.weight")[3]
    net = UNet(**labeled.config | {"num_classes": None})
    net.load_state_dict(state)
    return net.eval()


PICTURES = {  # (what it predicts, clip, schedule, (sampler, steps, spacing))
    "DDIM": ("eps", 1.0, cosine_schedule(), ("DDIM", 50, "trailing")),
    "leading, another clip": ("eps", 0.7, cosine_schedule(), ("DDIM", 25, "leading")),
    "no clip": ("eps", None, cosine_schedule(), ("DDIM", 20, "leading")),
    "x0": ("x0", 1.0, SCHEDULE, ("DDIM", 20, "trailing")),
    "from pure noise": ("v", None, zero_terminal_snr(SCHEDULE), ("DDIM", 20, "trailing")),
    "all steps": ("v", 1.0, linear_schedule(30, rescale=True), ("DDIM", 30)),
    "DDPM": ("eps", 1.0, cosine_schedule(), ("DDPM", 50)),
    "DDPM, x0": ("x0", 1.0, SCHEDULE, ("DDPM", 20, "leading")),
    "DDPM, large variance": ("v", None, SCHEDULE, ("DDPM", 20, "leading", "large")),
    "DDPM, all steps": ("v", 1.0, linear_schedule(30, rescale=True), ("DDPM",)),
    "DDPM, learned variance": ("v", 1.0, SCHEDULE, ("DDPM", 20)),
}


def exported(name, folder, export=pipelines.export_pipeline):
    "(model folder, what was exported of it) of a case."
    predicts, clip, schedule, walk = PICTURES[name]
    learned = dict(learn_variance="learned" in name)
    net = threes() if predicts == "eps" else shaken(UNet(**UNET, predicts=predicts, **learned))
    model = saved(folder / "m", net, schedule, clip=clip)
    return model, export(model, folder / "p", *walk)


def theirs_of(made, dtype, tables=None, n=2):
    "Pictures in [0, 1] of an exported pipeline as it stands, from a generator with seed 0."
    cls = {"DDIMPipeline": DDIMPipeline, "DDPMPipeline": DDPMPipeline}[made.pipeline]
    pipe = cls.from_pretrained(made.folder, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    if tables is not None:
        pipe.scheduler.alphas_cumprod = tables
    options = {"use_clipped_model_output": True} if cls is DDIMPipeline else {}
    generator = torch.Generator().manual_seed(0)
    steps = made.walk.steps
    return pipe(n, generator, num_inference_steps=steps, output_type="pt", **options).images


def ours_of(folder, made, dtype, n=2):
    "The same by the course, from the same numbers."
    model, schedule, shape, clip, *_ = load_model(folder)
    model = model.to(dtype)
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(n, *shape, generator=generator, dtype=dtype)
    given = dict(x_T=draw(), clip=clip)
    w = made.walk
    ts = peers_list(len(schedule), w)
    if w.sampler == "DDIM":
        x = ddim_sample(model, schedule, (n, *shape), timesteps=ts, **given)
    else:
        variance = learned_range if w.variance == "learned" else w.variance
        steps = torch.stack([draw() for _ in ts])
        x = ddpm_sample(
            model, schedule, (n, *shape), variance=variance, timesteps=ts, noise=steps, **given
        )
    return (x / 2 + 0.5).clamp(0, 1)


def peers_list(T, walk):
    "The timesteps of a walk, by hand."
    stride = T // walk.steps
    first = T - 1 if walk.spacing == "trailing" else T - stride
    return [first - i * stride for i in range(walk.steps)]


def deviation(model, made, dtype, *tables):
    "The largest difference of a pixel in [-1, 1] between their pictures and ours."
    return 2 * (theirs_of(made, dtype, *tables) - ours_of(model, made, dtype)).abs().max()


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_an_exported_pipeline_are_ours(name, tmp_path):
    model, made = exported(name, tmp_path)
    assert deviation(model, made, torch.float32) < 1e-4
    # DDPMScheduler takes 1 - alpha_t / alpha_prev of its float32 tables, which cancels
    assert deviation(model, made, torch.float64) < (1e-5 if made.walk.sampler == "DDIM" else 1e-4)
    tables = load_model(model).schedule.alpha_bars
    assert deviation(model, made, torch.float64, tables) < 1e-10
    inside = ours_of(model, made, torch.float32)
    assert ((inside > 0) & (inside < 1)).float().mean() > 0.1  # else this would prove little


def code_of(folder):
    "The Python of a model card, run in that folder: what it has defined in the end."
    card = (folder / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.S).group(1)
    done = {}
    exec(code.replace("'.'", repr(str(folder))), done)
    return done


def test_the_code_of_a_card_samples_as_the_course_does(tmp_path):
    model, made = exported("DDIM", tmp_path)
    assert made.pipeline == "DDIMPipeline"
    done = code_of(made.folder)
    assert len(done["images"]) == 10 and done["pipe"].scheduler.config.set_alpha_to_one


@pytest.mark.parametrize("sampler", ["DDIM", "DDPM"])
def test_labels_go_through_the_loop_of_the_card(sampler, tmp_path):
    made = pipelines.export_pipeline(folder_of("digits"), tmp_path / "p", sampler, 50, "leading")
    assert made.pipeline is None
    done = code_of(made.folder)
    model, schedule, *_ = load_model(folder_of("digits"))
    generator = torch.Generator().manual_seed(0)
    x_T = torch.randn(10, *SHAPE, generator=generator)
    sample = {"DDIM": ddim_sample, "DDPM": ddpm_sample}[sampler]
    ts = peers_list(1000, made.walk)
    torch.manual_seed(1)  # of the scheduler's own noise, in DDPM
    steps = torch.stack([torch.randn(10, *SHAPE) for _ in ts])
    if sampler == "DDPM":
        torch.manual_seed(1)
        done = code_of(made.folder)
    ours = sample(
        condition(model.float(), torch.arange(10)),
        schedule,
        (10, *SHAPE),
        timesteps=ts,
        x_T=x_T,
        noise=steps,
    )
    assert (done["x"] - ours).abs().max() < 1e-4
    with pytest.raises(ValueError, match="class_labels should be provided"):
        DDIMPipeline.from_pretrained(made.folder)(num_inference_steps=2)


def autoencoder():
    torch.manual_seed(0)
    net = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=2,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.5,
    )
    return Autoencoder(net).eval()


def latent_folder(folder):
    "A DiT of latents with its space beside it."
    space = LatentSpace(autoencoder(), [0.1, -0.2], [0.7, 1.3], (1, 16, 16))
    net = shaken(DiT(**DIT, num_classes=3, predicts="v"))
    saved(folder, net, shape=space.shape, clip=None, latent=space_identity(space))
    space.save(folder)
    return folder, space


def test_latents_are_decoded_by_the_code_of_the_card(tmp_path):
    folder, space = latent_folder(tmp_path / "m")
    done = code_of(pipelines.export_pipeline(folder, tmp_path / "p").folder)
    model, schedule, *_ = load_model(folder)
    ours = ddim_sample(
        condition(model, torch.arange(3)),
        schedule,
        (3, *space.shape),
        50,
        x_T=noise(3, *space.shape),
        clip=None,
    )
    assert (done["x"] - space.decode(ours)).abs().max() < 1e-4


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
def test_an_exported_scheduler_keeps_the_rules(spacing, tmp_path, monkeypatch):
    "With numbers of steps that divide T, as an export asks; exact predictors are not clipped."
    made = pipelines.export_pipeline(
        saved(tmp_path / "m", schedule=cosine_schedule()), tmp_path / "p", "DDIM", 50, spacing
    )
    config = DDIMScheduler.load_config(made.folder / "scheduler") | {"clip_sample": False}
    own = {k: v for k, v in config.items() if k not in ("num_train_timesteps", "trained_betas")}
    sample = partial(drive, "DDIMScheduler", own, {}, False)  # which checks its list
    adapter = Adapter("x", "y", sample, {spacing: partial(spaced_timesteps, spacing=spacing)})
    monkeypatch.setattr(rules, "STEPS", (10, 20, 40, 50))
    for name in ("recursion", "previous step", "final step"):
        verdict = rules.RULES[name](adapter)
        assert verdict.passed, (name, verdict)


# ---- what diffusers would do otherwise ----

REFUSED = {  # reason: (predicts, schedule, learned, walk)
    "steps=30 does not divide T=1000": ("eps", {}, ("DDIM", 30)),
    "spacing='linspace'.*12633": ("eps", {}, ("DDIM", 50, "linspace")),
    "spacing='trailing': DDPMScheduler adds noise": ("eps", {}, ("DDPM", 50, "trailing")),
    "network that has variance channels.*choose DDPM": (
        "eps",
        dict(learn_variance=True),
        ("DDIM", 50),
    ),
    "network that has no variance channels": ("eps", {}, ("DDPM", 50, None, "learned")),
    "spacing='quadratic'; expected one of": ("eps", {}, ("DDIM", 50, "quadratic")),
    "sampler='Heun'; expected 'DDIM' or 'DDPM'": ("eps", {}, ("Heun",)),
    "steps=0; expected a whole number": ("eps", {}, ("DDIM", 0)),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_diffusers_gets_wrong_is_refused_with_the_reason(told, tmp_path):
    predicts, more, walk = REFUSED[told]
    folder = saved(tmp_path / "m", shaken(UNet(**UNET, **more)), cosine_schedule())
    with pytest.raises(ValueError, match=told):
        pipelines.export_pipeline(folder, tmp_path / "p", *walk)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    "walk",
    [("DDIM", 30, "trailing"), ("DDIM", 50, "linspace"), ("DDPM", 50, "trailing", "large")],
    ids=str,
)
def test_what_is_refused_would_give_other_pictures(walk, tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines, "check_walk", lambda *args: None)
    model = saved(tmp_path / "m", threes(), cosine_schedule())
    made = pipelines.export_pipeline(model, tmp_path / "p", *walk)
    scheduler = getattr(diffusers, f"{walk[0]}Scheduler").from_pretrained(made.folder / "scheduler")
    scheduler.set_timesteps(walk[1])
    monkeypatch.setitem(globals(), "peers_list", lambda T, walk: scheduler.timesteps.tolist())
    assert deviation(model, made, torch.float32) > 1e-3


def test_pure_noise_and_float32_are_looked_at():
    zero = zero_terminal_snr(SCHEDULE)
    walk = lambda *args: peers.walk_of(200, *args)
    with pytest.raises(ValueError, match="predicts='eps' with a schedule that ends in pure noise"):
        peers.check_walk(zero, "eps", False, walk())
    peers.check_walk(zero, "v", False, walk())
    peers.check_walk(zero, "eps", False, walk("DDIM", 50, "leading"))
    deep = NoiseSchedule([0.5] * 100)
    walk = peers.walk_of(100)
    peers.check_walk(deep, "v", False, walk)
    deeper = NoiseSchedule([0.9] * 50)
    with pytest.raises(ValueError, match="alpha_bar is 1e-46 at t=45, and 0 in the float32 tables"):
        peers.check_walk(deeper, "v", False, peers.walk_of(50))


def test_what_lacks_something_says_what(tmp_path):
    with pytest.raises(ValueError, match="no counterpart of a TextUNet; expected one of UNet"):
        pipelines.export_pipeline(folder_of("text"), tmp_path / "p")
    with pytest.raises(ValueError, match="no counterpart of a VAE"):
        pipelines.export_pipeline(folder_of("vae"), tmp_path / "p")
    with pytest.raises(FileNotFoundError, match=r"its autoencoder is not beside it.*space\.save"):
        pipelines.export_pipeline(folder_of("latent"), tmp_path / "p")
    with pytest.raises(ValueError, match="has no schedule of betas"):
        pipelines.export_pipeline(saved(tmp_path / "a", schedule=None), tmp_path / "p")
    with pytest.raises(ValueError, match="shape is None"):
        pipelines.export_pipeline(saved(tmp_path / "b", shape=None), tmp_path / "p")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        pipelines.export_pipeline(saved(tmp_path / "c"), tmp_path / "c")


# ---- there and back ----

FOLDERS = {
    "plain": lambda folder: saved(folder, clip=0.5, levels=16, training={"lr": 0.1}),
    "labels": lambda folder: saved(
        folder, shaken(UNet(**UNET, num_classes=3)), classes=list("abc"), label_drop=0.1
    ),
    "labels, never dropped": lambda folder: saved(
        folder, shaken(UNet(**UNET, num_classes=3)), label_drop=0.0
    ),
    "half precision": lambda folder: saved(folder, shaken(UNet(**UNET)).bfloat16()),
    "double precision": lambda folder: saved(folder, shaken(UNet(**UNET)).double()),
    "x0": lambda folder: saved(folder, shaken(UNet(**UNET, predicts="x0")), clip=None),
    "an oblong": lambda folder: saved(folder, shape=(1, 8, 16)),
    "latents": lambda folder: latent_folder(folder)[0],
    "an autoencoder": lambda folder: saved(
        folder, autoencoder(), None, (1, 16, 16), clip=None, note="of digits"
    ),
    "shipped": lambda folder: folder_of("digits"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_model_folder_survives_the_way_there_and_back(name, tmp_path):
    folder = FOLDERS[name](tmp_path / "m")
    pipelines.export_pipeline(folder, tmp_path / "p")
    pipelines.import_pipeline(tmp_path / "p", tmp_path / "back")
    was, now = load_model(folder), load_model(tmp_path / "back")
    if "never" in name:  # what nothing was trained for is not kept
        was.model.embed.label.weight.data[3] = 0
    assert same_state(was.model, now.model)
    told = lambda trained: {k: v for k, v in trained.config.items() if v is not None}
    assert told(now) == told(was)
    if (folder / "vae").exists():
        a, b = LatentSpace.load(folder), LatentSpace.load(tmp_path / "back")
        assert same_state(a.vae, b.vae) and a.vae.config == b.vae.config
        assert torch.equal(a.mean, b.mean) and torch.equal(a.std, b.std)


def theirs_small(**change):
    torch.manual_seed(0)
    return UNet2DModel(
        **dict(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )
        | change
    ).eval()


SOURCES = {  # (pipeline, what the scheduler is told, what we read)
    "linear": (DDPMPipeline, dict(), ("eps", 1.0)),
    "scaled, v": (
        DDIMPipeline,
        dict(beta_schedule="scaled_linear", prediction_type="v_prediction", clip_sample=False),
        ("v", None),
    ),
    "cosine, x0": (
        DDIMPipeline,
        dict(beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample_range=2.0),
        ("x0", 2.0),
    ),
    "sigmoid": (DDPMPipeline, dict(beta_schedule="sigmoid"), ("eps", 1.0)),
    "pure noise": (
        DDIMPipeline,
        dict(rescale_betas_zero_snr=True, prediction_type="v_prediction"),
        ("v", 1.0),
    ),
    "given, rescaled": (
        DDIMPipeline,
        dict(
            trained_betas=[0.1 + i / 200 for i in range(60)],
            num_train_timesteps=60,
            rescale_betas_zero_snr=True,
            prediction_type="v_prediction",
        ),
        ("v", 1.0),
    ),
}


def a_pipeline(cls, config, folder, **change):
    "A pipeline of diffusers with random weights, saved."
    scheduler = {DDPMPipeline: DDPMScheduler, DDIMPipeline: DDIMScheduler}[cls](**config)
    pipe = cls(theirs_small(**change), scheduler)
    pipe.save_pretrained(folder)
    return pipe


def read_right(name, folder, p=peers):
    "What is read of the scheduler of a case is what it was told, and what it computes with."
    cls, config, (predicts, clip) = SOURCES[name]
    scheduler = a_pipeline(cls, config, folder).scheduler
    told = p.scheduler_told(scheduler)
    assert (told.predicts, told.clip) == (predicts, clip)
    assert torch.equal(told.schedule.betas.float(), scheduler.betas)


@pytest.mark.parametrize("name", SOURCES)
def test_a_pipeline_survives_the_way_here_and_back(name, tmp_path):
    read_right(name, tmp_path / "p")
    told = pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")
    trained = load_model(tmp_path / "m")
    assert (trained.model.predicts, trained.clip) == (told.predicts, told.clip)
    assert trained.shape == SHAPE
    T = len(trained.schedule)
    made = pipelines.export_pipeline(tmp_path / "m", tmp_path / "back", "DDIM", T // 4, "trailing")
    was = SOURCES[name][0].from_pretrained(tmp_path / "p")
    now = DDIMPipeline.from_pretrained(tmp_path / "back")
    assert same_state(was.unet, now.unet)
    config = lambda net: interop.config_from_diffusers(net.config)
    assert config(was.unet) == config(now.unet)
    a, b = was.scheduler, now.scheduler
    assert torch.equal(a.betas, b.betas) and torch.equal(a.alphas_cumprod, b.alphas_cumprod)
    for key in ("prediction_type", "clip_sample", "num_train_timesteps"):
        assert a.config[key] == b.config[key]
    assert made.pipeline == "DDIMPipeline"


def test_a_hub_repository_of_one_folder_is_read(tmp_path):
    "As google/ddpm-cifar10-32 is laid out: network and scheduler beside model_index.json."
    pipe = a_pipeline(DDPMPipeline, {}, tmp_path / "p")
    flat = tmp_path / "flat"
    pipe.unet.save_pretrained(flat)
    pipe.scheduler.save_pretrained(flat)
    (flat / "model_index.json").write_text((tmp_path / "p" / "model_index.json").read_text())
    assert pipelines.import_pipeline(flat, tmp_path / "m").predicts == "eps"
    assert same_state(load_model(tmp_path / "m").model, UNet.from_diffusers(pipe.unet))


def test_a_dit_pipeline_is_read_with_its_autoencoder(tmp_path):
    torch.manual_seed(0)
    net = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=2,
        out_channels=4,
        num_layers=1,
        sample_size=8,
        num_embeds_ada_norm=3,
    )
    net.save_pretrained(tmp_path / "p" / "transformer")
    vae = autoencoder().net
    vae.save_pretrained(tmp_path / "p" / "vae")
    DDIMScheduler(clip_sample=False).save_pretrained(tmp_path / "p" / "scheduler")
    pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")
    space = LatentSpace.load(tmp_path / "m")
    assert space.std.tolist() == [2.0, 2.0] and space.mean.tolist() == [0.0, 0.0]
    assert space.image_shape == (1, 16, 16) and same_state(space.vae.net, vae)
    trained = load_model(tmp_path / "m")
    assert trained.model.config["learn_variance"] and trained.spec.label_drop == 0.1


UNKNOWN = {  # told: (scheduler, change of the network)
    "prediction_type='flow_prediction'": (
        lambda: DDIMScheduler(prediction_type="flow_prediction"),
        {},
    ),
    "thresholding=True": (lambda: DDPMScheduler(thresholding=True), {}),
    "variance_type='learned'": (lambda: DDPMScheduler(variance_type="learned"), {}),
    "scheduler: PNDMScheduler.*DDIMScheduler.from_config": (lambda: PNDMScheduler(), {}),
    "time_embedding_type='fourier'": (
        lambda: DDPMScheduler(),
        dict(time_embedding_type="fourier"),
    ),
    "sample_size=None": (lambda: DDPMScheduler(), dict(sample_size=None)),
}


@pytest.mark.parametrize("told", UNKNOWN)
def test_unsupported_parts_are_refused_by_name(told, tmp_path):
    make, change = UNKNOWN[told]
    pipe = DDIMPipeline(theirs_small(**change), DDIMScheduler())
    pipe.save_pretrained(tmp_path / "p")
    scheduler = make()
    scheduler.save_pretrained(tmp_path / "p" / "scheduler")
    file = tmp_path / "p" / "model_index.json"
    index = json.loads(file.read_text()) | {"scheduler": ["diffusers", type(scheduler).__name__]}
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=told):
        pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_old_scheduler_that_predicts_x0_is_not_read_as_eps(tmp_path):
    a_pipeline(DDPMPipeline, {}, tmp_path / "p")
    file = tmp_path / "p" / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text()) | {"predict_epsilon": False}
    del config["prediction_type"]
    file.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="predict_epsilon=False"):
        pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")


def test_what_is_no_pipeline_says_so(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no folder of diffusers.*load_model reads"):
        pipelines.import_pipeline(folder_of("digits"), tmp_path / "m")
    a_pipeline(DDPMPipeline, {}, tmp_path / "p")
    with pytest.raises(ValueError, match="has no scheduler.*UNet.from_diffusers"):
        pipelines.import_pipeline(tmp_path / "p" / "unet", tmp_path / "m")
    index = tmp_path / "p" / "model_index.json"
    parts = json.loads(index.read_text()) | {"text_encoder": ["transformers", "CLIPTextModel"]}
    index.write_text(json.dumps(parts))
    with pytest.raises(ValueError, match="nothing for .text_encoder: CLIPTextModel"):
        pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")
    (tmp_path / "p" / "ddpm_course.json").write_text("[]")
    index.unlink()
    with pytest.raises(ValueError, match="ddpm_course.json is damaged"):
        pipelines.import_pipeline(tmp_path / "p", tmp_path / "m")

    def unreachable(*args, **kwargs):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(OSError, match="google/none: it is no folder here.*not known.*online once"):
        pipelines.import_pipeline("google/none", tmp_path / "m")


@pytest.mark.parametrize("bug", PEER_BUGS)
def test_a_bug_is_noticed(bug, tmp_path, monkeypatch):
    broken = broken_module(*PEER_BUGS[bug])
    for name in ("scheduler_config", "scheduler_told", "check_walk", "walk_of"):
        monkeypatch.setattr(pipelines, name, getattr(broken, name))
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        for name in SOURCES:
            read_right(name, tmp_path / f"p-{name}", broken)
        for i, name in enumerate(["x0", "leading, another clip", "DDPM, large variance"]):
            (tmp_path / str(i)).mkdir()
            model, made = exported(name, tmp_path / str(i))
            assert deviation(model, made, torch.float32) < 1e-4
        for told in list(REFUSED)[:3]:
            predicts, more, walk = REFUSED[told]
            with pytest.raises(ValueError, match=told):
                broken.check_walk(SCHEDULE, predicts, False, peers.walk_of(1000, *walk))


# ---- commands ----


def run_of(folder):
    "A run folder with a model and scores."
    saved(folder / "model")
    cards = dict(
        distance=Score("FID@1000 val", 31.5, (30.1, 33.0), 1000, 5000, "digits, test", "digits"),
        floor=None,
    )
    save_scores(folder / "scores" / "a.json", [cards], {"date": "2026-01-01"})
    return folder


class Hub:
    "What is asked of the hub."

    asked = []

    def create_repo(self, repo, **options):
        self.asked.append(("create", repo, options))

    def upload_folder(self, repo_id, folder_path, **options):
        files = sorted(str(p.relative_to(folder_path)) for p in folder_path.rglob("*.*"))
        self.asked.append(("upload", repo_id, files))
        return f"https://huggingface.co/{repo_id}"


def test_push_uploads_the_export_with_a_card_that_carries_the_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "asked", [])
    run = run_of(tmp_path / "run")
    said = exchange.push_run(run, "me/first", tmp_path / "kept", dry=True)
    assert "nothing was uploaded" in said and not Hub.asked
    card = (tmp_path / "kept" / "README.md").read_text()
    assert "| FID@1000 val | 31.500 [30.100, 33.000] | 1000 | digits, test | digits |" in card
    head = huggingface_hub.ModelCard(card).data
    assert head.library_name == "diffusers" and head.eval_results[0].metric_value == 31.5
    assert "DDIMPipeline.from_pretrained('me/first')" in card
    assert load_scores(tmp_path / "kept" / "scores.json")[0]["distance"].value == 31.5
    assert exchange.push_run(run, "me/first", private=True).endswith("huggingface.co/me/first")
    (_, repo, options), (_, to, files) = Hub.asked
    assert repo == to == "me/first" and options == {"private": True, "exist_ok": True}
    assert {"README.md", "scores.json", "model_index.json", "ddpm_course.json"} <= {*files}
    assert "unet/diffusion_pytorch_model.safetensors" in files


def test_push_that_fails_says_what_to_do(tmp_path, monkeypatch):
    class Closed:
        def create_repo(self, *args, **kwargs):
            raise PermissionError("403 Forbidden")

    monkeypatch.setattr(huggingface_hub, "HfApi", Closed)
    with pytest.raises(OSError, match="could not be pushed .403 Forbidden.*hf auth login"):
        exchange.push_run(run_of(tmp_path / "run"), "me/first")
    with pytest.raises(ValueError, match="Repo id"):
        exchange.push_run(tmp_path / "run", "me/a b/c", dry=True)


def test_export_and_import_say_what_they_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = run_of(tmp_path / "run")
    assert "DDIMPipeline.from_pretrained" in exchange.export_run("run")
    assert "predicts eps, of 200 timesteps, clip 1.0" in exchange.import_source("run-diffusers")
    assert load_model(tmp_path / "runs" / "run-diffusers").schedule.T == 200
    assert "the loop" in exchange.export_run(folder_of("digits"), "digits", steps=25)
    with pytest.raises(ValueError, match="--format onyx: expected one of diffusers"):
        exchange.export_run(run, format="onyx")
    with pytest.raises(FileNotFoundError, match="holds no model"):
        exchange.export_run(tmp_path)
