"""Bad arguments for the whole public API: each is to be refused by an error that helps.

What can be wrong with a parameter is read from its good value, its annotation and its comment
(docments): counts get floats, texts and negative numbers, tensors another dtype, rank, length or
NaN, labels a class that is not there. `python tests/bad_arguments.py [n]` prints how n of them
ended, all if n is not given: helped, unhelpful (an error that does not say which argument, what was
expected, or both), or silent (a result)."""

import contextlib
import inspect
import io
import math
import random
import re
import sys
import tempfile
import warnings
from collections import Counter, namedtuple
from functools import cache
from pathlib import Path

import numpy as np
import torch
from fastcore.docments import docments

from ddpm_course import (
    ancestral,
    attention,
    augmentation,
    cache as caches,
    cards,
    classifiers,
    data,
    ddim,
    ddpm,
    edm,
    exact,
    features,
    flow,
    guidance,
    images,
    importance,
    latents,
    learned_variance,
    metrics,
    models,
    noising,
    peers,
    pipelines,
    players,
    randomness,
    saving,
    schedules,
    scores,
    solvers,
    stats,
    stepping,
    training,
    transformer,
    unet,
    vae,
)
from ddpm_course.experiments import generation, protocol, samplers

Case = namedtuple("Case", "function parameter value")
NAN = math.nan
UNET = dict(in_channels=1, channels=(8, 8), layers=1, attention=(False, True), groups=4)
DIT = dict(in_channels=1, patch=2, width=8, depth=1, heads=2, freq_shift=0, norm_eps=1e-6)
SKIPPED = {  # names of `__all__` that are no door
    "unet": "ResBlock Attention Embedding Stage down_path up_path zero_ timestep_embedding",
    "vae": "PlainBlock head DIGITS_VAE DIGITS_VAE_FIT digits_vae train_digits_vae check_latents "
    "check_sides",
    "training": "DIGITS_UNET DIGITS_FIT digits_model train_digits train_step EMA",
    "saving": "write_model read_config load_weights Trained cache_folder Spec",
    "data": "CIFAR10_MIRRORS imagenet100_classes cifar10",
    "ddim": "SPACINGS",
    "noising": "PREDICTS expand_like add_scaled",
    "guidance": "Guided Autoguided",
    "scores": "INCEPTION FID_IMAGES Difference check_fid Score",
    "images": "check_labeled",
    "schedules": "check_losses",
    "features": "Features",
    "latents": "train_latents",
    "metrics": "fid",
    "learned_variance": "bound_term simple_and_bound",
    "attention": "TEXT_UNET TEXT_FIT words_of train_text text_model attention_kernel",
    "solvers": "Denoiser",
    "transformer": "DIT_SIZES DiTBlock DiTEmbedding modulate positions",
}
SEEN_AS_NAN = {  # formulas of every step: NaN in an image stays visible in what they return
    *("q_sample", "x0_from", "eps_from_x0", "v_from", "score_from_eps", "q_posterior", "target"),
    *("extrapolate", "rescaled", "slerp", "kl", "reparameterize", "check_images", "split_output"),
    *(
        "ddpm_loss",
        "jitter",
        "random_shift",
        "cut_out",
        "UNet.forward",
        "DiT.forward",
        "patchify",
        "unpatchify",
        "predict_x0",
        "estimate",
        "hybrid_loss",
        "augmented",
    ),
    *("gaussian_kl", "binned_nll", "learned_range", "naive_attention", "chunked_attention"),
    *("VAE.encode", "VAE.decode", "ExactModel", "polynomial_kernel", "image_grid", "EMA"),
}


@cache
def world():
    "What good calls share."
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1, 8, 8, generator=rng) * 2 - 1
    net = unet.UNet(**UNET, num_classes=10).eval()
    digits = images.load_digits("test")
    folder = Path(tempfile.mkdtemp())
    plain = noising.linear_schedule(20, rescale=False, beta_end=0.9)
    saving.save_model(folder / "m", net, plain, ema=net, shape=(1, 8, 8))
    code = vae.VAE(1, 2, (8, 8), groups=4)
    seen = features.Features("net", torch.randn(30, 3, generator=rng), torch.full((30, 4), 0.25))
    return dict(
        x=x,
        y=torch.tensor([0, 1, 2, 3]),
        t=torch.tensor([0, 5, 10, 19]),
        eps=torch.randn(4, 1, 8, 8, generator=rng),
        schedule=plain,
        net=net,
        bound=models.condition(net, 3),
        mixture=exact.GaussianMixture([-0.5, 0.5], 0.3),
        digits=digits,
        few=images.Images(digits.pixels[:8], digits.labels[:8], digits.classes, 16),
        folder=folder,
        vae=code,
        space=latents.LatentSpace(code, [0, 0], [1, 1], (1, 8, 8)),
        seen=seen,
        rng=lambda: randomness.BatchRandom(0, 0, 4),
        trained=generation.Trained(net, plain, (1, 8, 8), 1.0, {}),
        loss=ddpm.DDPMLoss(plain, 0.1),
        classifier=classifiers.digits_classifier(),
        wide=unet.UNet(**UNET, num_classes=10, learn_variance=True).eval(),
        dit=transformer.DiT(**DIT, num_classes=10).eval(),
        denoiser=solvers.as_denoiser(models.condition(net, 3), plain),
        score=scores.Score("accuracy", 0.5, (0.4, 0.6), 10, 10, seed=1),
    )


@cache
def good_calls():
    "{name: (function, good arguments)}: every door of the API with arguments that it takes."
    w = world()
    x, y, t, eps, schedule, net, bound = (
        w[k] for k in ("x", "y", "t", "eps", "schedule", "net", "bound")
    )
    xt = dict(schedule=schedule, x_t=x, t=5)
    sample = dict(model=bound, schedule=schedule, shape=(2, 1, 8, 8), steps=2, seed=0, clip=1.0)
    sample |= dict(device="cpu")
    along = dict(timesteps=[10, 5], x_T=eps[:2], noise=torch.zeros(2, 2, 1, 8, 8))
    along |= {key: sample[key] for key in ("model", "schedule", "shape")}
    bar = dict(progress=False)
    gray = (x * 8).round() / 8
    solve = dict(model=w["denoiser"], shape=(2, 1, 8, 8), steps=2, snap=True, device="cpu")
    churn = dict(churn=solvers.Churn(2.0))
    fit = dict(model=unet.UNet(**UNET, num_classes=10), data=w["few"], loss=w["loss"], steps=1)
    fit |= dict(batch_size=4, lr=1e-3, warmup=1, weight_decay=0.01, ema_halflife=10.0, seed=0)
    fit |= dict(clip_grad=1.0, precision="no", device="cpu", progress=False, stop_at=1, clip=1.0)
    fit |= dict(save_every=5, accumulate=1, callbacks=[], compile=False)
    lin = dict(T=10, beta_start=1e-4, beta_end=0.02, rescale=False)
    reals = dict(fake=w["seen"], real=w["seen"])
    walk = peers.walk_of(20, "DDIM", 5)
    calls = [
        (
            peers.walk_of,
            dict(
                T=20, sampler="DDIM", steps=5, spacing="trailing", variance="small", learned=False
            ),
        ),
        (peers.scheduler_config, dict(schedule=schedule, predicts="eps", clip=1.0, walk=walk)),
        (
            pipelines.export_pipeline,
            dict(folder=w["folder"] / "m", out=w["folder"] / "p", sampler="DDIM", steps=5)
            | dict(spacing="trailing", variance="small", weights="ema", name=".", scores=[]),
        ),
        (pipelines.import_pipeline, dict(source=w["folder"] / "p", out=w["folder"] / "q")),
        (noising.check_betas, dict(betas=[0.1, 0.2])),
        (noising.NoiseSchedule, dict(betas=[0.1, 0.2])),
        (noising.linear_schedule, lin),
        (noising.cosine_schedule, dict(T=10, offset=0.008, max_beta=0.999)),
        (schedules.scaled_linear_schedule, lin),
        (schedules.sigmoid_schedule, dict(T=10, start=-3.0, end=3.0, tau=1.0, max_beta=0.999)),
        (schedules.schedule_from, dict(alpha_bars=torch.tensor([1, 0.5, 0.1]), max_beta=0.9)),
        (schedules.log_snr, dict(schedule=schedule)),
        (schedules.zero_terminal_snr, dict(schedule=schedule)),
        (schedules.MinSNR, dict(gamma=5.0)),
        (
            schedules.adaptive_schedule,
            dict(T=10, reference=schedule, ts=[0, 5, 9], losses=torch.tensor([0.3, 0.2, 0.1])),
        ),
        (noising.q_sample, dict(schedule=schedule, x0=x, t=t, eps=eps)),
        (noising.x0_from, xt | dict(out=eps, predicts="v")),
        (noising.eps_from_x0, xt | dict(x0=x)),
        (noising.v_from, dict(schedule=schedule, t=t, x0=x, eps=eps)),
        (noising.score_from_eps, dict(schedule=schedule, t=t, eps=eps)),
        (images.check_images, dict(x=x)),
        (images.from_uint8, dict(gray=torch.zeros(2, 1, 8, 8, dtype=torch.uint8), levels=16)),
        (images.to_uint8, dict(x=x, levels=16)),
        (images.image_grid, dict(x=x, columns=2, padding=1)),
        (images.show_images, dict(x=x, columns=2, title="digits", scale=0.6)),
        (images.load_digits, dict(split="test")),
        (
            images.Images,
            dict(pixels=w["few"].pixels, labels=w["few"].labels, levels=16, flip=False)
            | dict(classes=[*"abcdefghij"]),
        ),
        (unet.UNet, UNET | dict(num_classes=10, predicts="eps", learn_variance=False, dropout=0.1)),
        (net.forward, dict(x=x, t=t, y=y)),
        (exact.GaussianMixture, dict(means=[-0.5, 0.5], stds=0.3, weights=[1, 1])),
        (w["mixture"].sample, dict(n=3, seed=0)),
        (exact.ExactModel, dict(mixture=w["mixture"], schedule=schedule, predicts="v")),
        (
            exact.LocalModel,
            dict(images=x, schedule=schedule, patch=3, spread=0.05, predicts="eps"),
        ),
        (ddpm.target, dict(predicts="v", schedule=schedule, x0=x, t=t, eps=eps)),
        (ddpm.drop_labels, dict(y=y, num_classes=10, drop=0.5, rng=w["rng"]())),
        (ddpm.ddpm_loss, dict(model=net, schedule=schedule, x0=x, y=y, t=t, eps=eps, drop=0.0)),
        (ddpm.DDPMLoss, dict(schedule=schedule, drop=0.1, weight=schedules.MinSNR())),
        (ancestral.q_posterior, dict(schedule=schedule, x0=x, x_t=eps, t=5, prev=3)),
        (ancestral.ddpm_sample, sample | bar | dict(variance="small")),
        (ancestral.ddpm_steps, sample),
        (ancestral.ddpm_steps, along),
        (ddim.ddim_sample, sample | bar | dict(eta=0.5, spacing="trailing")),
        (ddim.ddim_sample, along | bar),
        (ddim.ddim_steps, sample | dict(eta=0.5, spacing="trailing")),
        (ddim.ddim_steps, along),
        (ddim.spaced_timesteps, dict(T=20, steps=5, spacing="leading")),
        (ddim.make_distinct, dict(ts=[1, 1, 2])),
        (ddim.slerp, dict(a=x, b=eps, u=0.3)),
        (
            ddim.ddim_invert,
            dict(model=bound, schedule=schedule, x0=x, steps=2, spacing="trailing", iterations=1)
            | dict(clip=1.0),
        ),
        (ddim.ddim_invert, dict(model=bound, schedule=schedule, x0=x, timesteps=[9, 3])),
        (stepping.trailing_timesteps, dict(T=20, n=5)),
        (stepping.check_timesteps, dict(timesteps=[5, 3], T=20)),
        (models.condition, dict(model=net, y=y)),
        (models.predict_x0, dict(model=bound, schedule=schedule, x_t=x, t=5)),
        (randomness.image_seeds, dict(seed=3, n=4)),
        (randomness.BatchRandom, dict(seed=3, step=0, size=4)),
        (guidance.LabeledMixture, dict(mixture=w["mixture"], schedule=schedule, predicts="v")),
        (guidance.extrapolate, dict(base=x, pred=eps, scale=2.0)),
        (guidance.inside, dict(interval=(3, 9), t=t)),
        (guidance.rescaled, dict(guided=x, pred=eps, phi=0.5)),
        (
            guidance.cfg,
            dict(model=net, y=y, scale=2.0, negative=5, interval=(3, 9), rescale=0.5),
        ),
        (guidance.autoguidance, dict(model=bound, bad=bound, scale=2.0, interval=(3, 9))),
        (
            saving.save_model,
            dict(folder=w["folder"] / "new", model=net, schedule=schedule, ema=net),
        ),
        (saving.load_model, dict(folder=w["folder"] / "m", weights="ema", device="cpu")),
        (training.Recipe, dict(steps=3, batch_size=4, lr=1e-3, warmup=1, clip_grad=1.0, seed=0)),
        (training.fit, fit),
        (training.every, dict(n=3, call=print)),
        (training.lr_at, dict(step=1, steps=5, lr=1e-3, warmup=2)),
        (training.loss_by_t, dict(model=net, schedule=schedule, x0=x, y=y, ts=[1, 5], seed=0)),
        (
            training.preview,
            dict(run=preview_run(), y=y, n=2, steps=2, seed=0),
        ),
        (features.extract, dict(net=w["classifier"], images=x, batch=2)),
        (features.nearest, dict(x=x, train=eps, chunk=2)),
        (features.psd_sqrt, dict(cov=torch.eye(3))),
        (
            features.frechet_distance,
            dict(mu1=torch.zeros(3), cov1=torch.eye(3), mu2=torch.ones(3), cov2=torch.eye(3)),
        ),
        (features.feature_distance, dict(a=w["seen"].values, b=w["seen"].values)),
        (stats.FeatureStats, dict(name="net")),
        (stats.FeatureStats().update, dict(features=w["seen"].values)),
        (metrics.polynomial_kernel, dict(a=w["seen"].values, b=w["seen"].values)),
        (metrics.squared_mmd, dict(a=w["seen"].values, b=w["seen"].values)),
        (metrics.frechet, reals | dict(reference="r", name="n")),
        (metrics.kid, reals | dict(reference="r", most=20)),
        (metrics.split_scores, dict(probabilities=w["seen"].probabilities, splits=3)),
        (metrics.inception_score, dict(fake=w["seen"], splits=3, shuffle_seed=0)),
        (metrics.in_manifold, dict(x=w["seen"].values, of=w["seen"].values, k=3, chunk=9)),
        (metrics.precision_recall, reals | dict(reference="r", k=3)),
        (
            metrics.memorization,
            dict(fakes=x, held_out=eps, train=x.flip(0) * 0.5, reference="r", features="pixels"),
        ),
        (scores.compare, dict(a=w["score"], b=w["score"], vary=())),
        (scores.average, dict(scores=[w["score"], w["score"].__class__(**other_seed())])),
        (vae.VAE, dict(in_channels=1, latent_channels=2, channels=(8, 8), layers=1, groups=4)),
        (vae.kl, dict(mean=x, logvar=eps)),
        (vae.reparameterize, dict(mean=x, logvar=eps, rng=w["rng"]())),
        (vae.VAELoss, dict(kl_weight=0.02, perceptual=None, perceptual_weight=0.1)),
        (w["vae"].encode, dict(x=x)),
        (w["vae"].decode, dict(z=torch.zeros(2, 2, 4, 4))),
        (
            latents.LatentSpace,
            dict(vae=w["vae"], mean=[0.0, 0.0], std=[1.0, 1.0], image_shape=(1, 8, 8)),
        ),
        (w["space"].encode, dict(x=x, batch=2)),
        (w["space"].decode, dict(z=torch.zeros(2, 2, 4, 4), batch=2)),
        (latents.LatentSpace.measure, dict(vae=w["vae"], data=w["few"], n=4, batch=2)),
        (
            caches.cache_latents,
            dict(data=w["few"], space=w["space"], path=w["folder"] / "cache", flip=False, shard=4)
            | dict(batch=2, progress=False),
        ),
        (classifiers.jitter, dict(x=x, rng=w["rng"](), turn=0.1, zoom=0.05, shift=0.25)),
        (classifiers.random_shift, dict(x=x, rng=w["rng"](), shift=1)),
        (classifiers.cut_out, dict(x=x, rng=w["rng"](), cut=2)),
        (classifiers.ClassifierLoss, dict(shift=1, cut=2, smoothing=0.1)),
        (classifiers.ResNet, dict(name="r", in_channels=3, classes=4, width=4, blocks=1)),
        (classifiers.accuracy, dict(net=w["classifier"], data=w["digits"], batch=500)),
        (players.frame_player, dict(frames=[images.image_grid(x)], captions=["a"], start=0)),
        (data.image_folder, dict(root=pictures(), size=8, flip=False, workers=2, mode="RGB")),
        (samplers.Sampler, dict(name="DDIM", steps=2, options={}, guidance=1.0)),
        (
            generation.generate,
            dict(sampler=samplers.Sampler("DDIM", 2), trained=w["trained"], labels=y, seed=0)
            | dict(batch=2, progress=False),
        ),
        (
            generation.measure,
            dict(sampler="DDIM", trained=w["trained"], n=4, seed=0, steps=2, progress=False),
        ),
        (learned_variance.log_variances, dict(schedule=schedule, t=5, prev=3)),
        (learned_variance.learned_range, dict(schedule=schedule, t=t, prev=t - 1, var_out=eps)),
        (
            learned_variance.gaussian_kl,
            dict(mean1=x, var1=eps.exp(), mean2=eps, var2=eps.square() + 1),
        ),
        (learned_variance.binned_nll, dict(x0=gray, mean=x, var=eps.exp(), levels=16)),
        (
            learned_variance.variational_bound,
            dict(model=bound, schedule=schedule, x0=gray, levels=16, variance="small", seed=0)
            | dict(timesteps=[10, 5], clip=1.0),
        ),
        (learned_variance.bits_per_dim, dict(terms=torch.rand(4, 21))),
        (
            learned_variance.hybrid_loss,
            dict(model=w["wide"], schedule=schedule, x0=gray, y=y, t=t, eps=eps, levels=16)
            | dict(bound=0.001, drop=0.1, rng=w["rng"]()),
        ),
        (learned_variance.HybridLoss, dict(schedule=schedule, levels=16, drop=0.1, bound=0.001)),
        (learned_variance.VLBLoss, dict(schedule=schedule, levels=16, drop=0.1)),
        (learned_variance.optimal_variance, dict(schedule=schedule, t=5, prev=3, error=0.1)),
        (importance.ImportanceSampler, dict(T=20, keep=10, uniform=0.001)),
        (attention.naive_attention, dict(q=x, k=eps, v=eps)),
        (attention.chunked_attention, dict(q=x, k=eps, v=eps, chunk=4)),
        (attention.encode, dict(texts=["a three"], words=["a", "three"], length=4)),
        (
            attention.TextUNet,
            dict(texts=["a three"], length=4, width=8, predicts="eps") | UNET,
        ),
        (transformer.patchify, dict(x=x, patch=2)),
        (transformer.unpatchify, dict(tokens=x[:, 0], patch=2, height=8)),
        (transformer.dit_config, dict(name="S/2")),
        (transformer.DiT, DIT | dict(num_classes=10, predicts="eps", learn_variance=False)),
        (w["dit"].forward, dict(x=x, t=t, y=y)),
        (solvers.as_denoiser, dict(model=bound, schedule=schedule, clip=1.0)),
        (solvers.karras_sigmas, dict(n=4, sigma_min=0.01, sigma_max=3.0, rho=7.0)),
        (solvers.Churn, dict(S_churn=2.0, S_tmin=0.1, S_tmax=9.0, S_noise=1.0)),
        *(
            (f, solve | more)
            for f, more in (
                (solvers.euler_steps, churn),
                (solvers.heun_steps, churn),
                (solvers.dpmpp_2m_steps, {}),
                (solvers.euler_ancestral_steps, dict(eta=1.0)),
                (solvers.euler_sample, churn | bar),
                (solvers.heun_sample, churn | bar),
                (solvers.dpmpp_2m_sample, bar),
                (solvers.euler_ancestral_sample, dict(eta=1.0) | bar),
                (solvers.heun_steps, churn | dict(x_T=eps[:2], noise=torch.zeros(2, 2, 1, 8, 8))),
            )
        ),
        (edm.Precond, dict(net=net, sigma_data=0.5)),
        (
            edm.EDMLoss,
            dict(P_mean=-1.2, P_std=1.2, sigma_data=0.5, augment=augmentation.Augment()),
        ),
        (flow.VelocityNet, dict(net=net)),
        (flow.as_velocity, dict(denoiser=w["denoiser"])),
        (flow.from_velocity, dict(model=flow.VelocityNet(net))),
        (augmentation.Augment, dict(p=0.1, scale=0.2, stretch=0.2, translate=0.1, flip=True)),
        (augmentation.augmented, dict(x=x, parameters=torch.zeros(4, 9))),
        (protocol.held_out_digits, dict(n=5)),
        (protocol.digits_floor, dict(n=5, subsets=2, labels=torch.arange(5))),
        (protocol.score_digits, dict(fakes=x, labels=y)),
        (cards.save_scores, dict(file=w["folder"] / "s.json", scores=[w["score"]], about={})),
        (cards.load_scores, dict(file=saved_scores())),
    ]
    return {f"{name_of(f)} {i}": (f, given) for i, (f, given) in enumerate(calls)}


def name_of(f):
    owner = getattr(f, "__self__", None)
    cls = owner if inspect.isclass(owner) else type(owner)
    return f.__name__ if owner is None else f"{cls.__name__}.{f.__name__}"


def averaged():
    runs = [scores.Score("accuracy", 0.5 + i / 10, None, 10, 10, seed=i) for i in range(3)]
    return scores.average(runs)


def other_seed():
    s = world()["score"]
    return dict(name=s.name, value=0.6, interval=(0.5, 0.7), n_fake=10, n_real=10, seed=2)


@cache
def preview_run():
    about = dict(schedule=world()["schedule"], shape=(1, 8, 8), clip=1.0)
    return namedtuple("Run", "ema about")(namedtuple("EMA", "model")(world()["net"]), about)


@cache
def pictures():
    from PIL import Image

    root = world()["folder"] / "pictures"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / name / "1.png")
    return root


@cache
def saved_scores():
    file = world()["folder"] / "good.json"
    cards.save_scores(file, [world()["score"]], {})
    return file


# ---- what can be wrong ----

BAD = {
    "count": ["12", 2.5, NAN, math.inf, True, [3], None, -1, np.float64(2.5), object(), {}],
    "number": ["0.5", NAN, math.inf, True, [0.5], None, 1j, np.array([0.5, 0.5]), object()],
    "flag": ["yes", 2, None, 0.5, []],
    "choice": ["nonsense", 3, None, True, ["eps"]],
    "text": [3, None, ["a"], True],
    "shape": ["abc", (0, 1, 8, 8), (2, 1, 8), 8, None, (2.0, 1, 8, 8), (2, -1, 8, 8), ("2",) * 4],
    "list": ["95", 5, None, [2.5], ["9"], [NAN], {}, [True]],
    "object": [None, "x", 3, [], object()],
    "path": [3.5, None, [], "", "  "],
    "texts": ["ab", [1, 2], 3, None, ["a", "a"]],
}
FREE_TEXT = {"name", "reference", "title", "features"}
ANY_RANK = {"from_uint8", "nearest", "kl", "reparameterize"} | {
    *(
        "gaussian_kl",
        "binned_nll",
        "naive_attention",
        "chunked_attention",
    ),  # their inputs broadcast
}
NOT_ALIKE = {  # functions of two sets, which may differ in length
    *("in_manifold", "polynomial_kernel", "squared_mmd", "feature_distance", "nearest"),
    *("memorization", "condition", "cfg"),
}
ANY_FORM = {  # functions that take numbers in any form: lists, arrays, whole ones
    *("check_betas", "NoiseSchedule", "schedule_from", "adaptive_schedule", "frechet_distance"),
    *("feature_distance", "FeatureStats.update", "GaussianMixture", "condition", "cfg", "slerp"),
}
FINE = {  # what looks bad and is not: (function or "*", parameter): a test of the value
    ("*", "num_classes"): lambda v: v is None,
    ("*", "clip"): lambda v: v is None,
    ("*", "prev"): lambda v: isinstance(v, int) and v == -1 or getattr(v, "ndim", 1) == 0,
    ("*", "t"): lambda v: isinstance(v, int) and v == -1 or getattr(v, "ndim", 1) == 0,
    ("condition", "y"): lambda v: getattr(v, "ndim", 1) == 0,
    ("cfg", "y"): lambda v: getattr(v, "ndim", 1) == 0,
    ("cfg", "negative"): lambda v: v == [3],
    ("slerp", "u"): lambda v: isinstance(v, list),
    ("GaussianMixture", "stds"): lambda v: isinstance(v, (list, np.ndarray)),
    ("UNet.forward", "t"): lambda v: is_tensor(v) and v.shape == (4,),  # any real time
    ("DiT.forward", "t"): lambda v: is_tensor(v) and v.shape == (4,),
    ("drop_labels", "y"): lambda v: v is None or is_tensor(v, torch.int64),  # looked at later
    ("inside", "t"): lambda v: is_tensor(v) and v.dtype in (torch.int64, torch.float64),
    **{
        ("gaussian_kl", n): lambda v: isinstance(v, float)
        for n in ("mean1", "var1", "mean2", "var2")
    },
    ("binned_nll", "mean"): lambda v: isinstance(v, float),
    ("binned_nll", "var"): lambda v: isinstance(v, float),
    ("hybrid_loss", "t"): lambda v: v is None,  # as in `ddpm_loss`
    ("hybrid_loss", "eps"): lambda v: v is None,
    ("hybrid_loss", "rng"): lambda v: v is None,
    ("learned_range", "prev"): lambda v: v is None,  # as in `log_variances`
    ("Churn", "S_tmax"): lambda v: isinstance(v, float) and v == math.inf,
    ("TextUNet", "texts"): lambda v: v == ["9"],
    ("frame_player", "captions"): lambda v: isinstance(v, list),
}


def is_tensor(v, dtype=None):
    return isinstance(v, torch.Tensor) and dtype in (None, v.dtype)


def spoiled_tensor(f, given, name):
    "Bad tensors in place of a good one."
    v = given[name]
    yield from (None, "x", {})
    yield v.to(torch.complex64 if v.is_floating_point() else torch.float64)
    yield v.bool()
    if f not in ANY_FORM:
        yield from (v.numpy(), v.tolist(), 3.5)
    if v.is_floating_point() and f not in ANY_FORM:
        yield (v * 10).to(torch.int64)
    if v.is_floating_point() and f not in SEEN_AS_NAN:
        yield from (v * NAN, v / 0)
    if not v.is_floating_point() and v.dtype != torch.uint8:
        yield from (v - 1000, v + 1000)
    if f not in ANY_RANK:
        yield from (v[0], v[None])
    others = [o for key, o in given.items() if key != name and isinstance(o, torch.Tensor)]
    if f not in NOT_ALIKE and any(o.shape[:1] == v.shape[:1] for o in others):
        yield from (v[:0], torch.cat([v, v, v]))


def group_of(name, value):
    "The name of a list of bad values."
    if name in ("shape", "image_shape"):
        return "shape"
    if name == "classes" and isinstance(value, list):
        return "texts"
    if isinstance(value, str):
        return "text" if name in FREE_TEXT else "choice"
    kinds = {bool: "flag", int: "count", float: "number", list: "list", tuple: "list"}
    return "path" if isinstance(value, Path) else kinds.get(type(value), "object")


def may_be_none(f, name):
    "Does a signature or its comment say that a parameter may be None?"
    parameter = inspect.signature(f).parameters.get(name)
    comment = "" if inspect.ismethod(f) else docments(f).get(name) or ""
    said = f"{parameter.annotation} {comment}" if parameter else comment
    return "None" in said or parameter is not None and parameter.default is None


def is_fine(f, name, bad):
    "Is the value another way to write a good one?"
    tests = [FINE[key] for who in ("*", name_of(f)) if (key := (who, name)) in FINE]
    return bad is None and may_be_none(f, name) or any(test(bad) for test in tests)


def cases():
    "Every bad argument of every good call."
    for title, (f, given) in good_calls().items():
        for name, value in given.items():
            tensor = isinstance(value, torch.Tensor)
            bad = spoiled_tensor(name_of(f), given, name) if tensor else BAD[group_of(name, value)]
            yield from (Case(title, name, b) for b in bad if not is_fine(f, name, b))


# ---- how it ends ----

HELPFUL = re.compile(
    r"expected|\b(use|pass|choose|call|bind|take|give|look for|needs|has|there are)\b"
)


def consume(result):
    return list(result) if inspect.isgenerator(result) else result


def ended(case):
    "How a call with one bad argument ends: (helped, unhelpful or silent, what it says)."
    f, given = good_calls()[case.function]
    with warnings.catch_warnings(record=True) as seen, contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("always")
        try:
            consume(f(**given | {case.parameter: case.value}))
        except (TypeError, ValueError, OSError, IndexError, FloatingPointError) as e:
            said = str(e)
            named = case.parameter.rstrip("12") in said or repr(case.value) in said
            end = "helped" if named and HELPFUL.search(said) else "unhelpful"
            return end, f"{type(e).__name__}: {said}"
        except Exception as e:
            return "unhelpful", f"{type(e).__name__}: {e}"
    told = [str(w.message) for w in seen if issubclass(w.category, UserWarning)]
    return ("helped", told[0]) if told else ("silent", "")


def draw(n=None, seed=0):
    "(how many ended how, the cases that did not help) of n cases, or of all."
    found = list(cases())
    if n is not None:
        found = random.Random(seed).sample(found, min(n, len(found)))
    ends, wrong = Counter(), []
    for case in found:
        end, says = ended(case)
        ends[end] += 1
        if end != "helped":
            wrong.append((case, end, says))
    return ends, wrong


def missing():
    "Names that chapters export and that are neither called here nor skipped."
    called = {re.split(r"[. ]", name)[0] for name in good_calls()}
    chapters = (noising, schedules, images, unet, exact, ddpm, ancestral, ddim, saving, training)
    later = (vae, latents, guidance, learned_variance, attention, transformer, solvers, edm)
    for module in (*chapters, data, features, scores, metrics, *later):
        yield from absent(module, called)


def absent(module, called):
    home = module.__name__.rsplit(".", 1)[1]
    skipped = SKIPPED.get(home, "").split()
    return [f"{home}.{n}" for n in module.__all__ if n not in called and n not in skipped]


if __name__ == "__main__":
    counted, wrong = draw(*map(int, sys.argv[1:2]))
    for case, end, says in sorted(wrong, key=lambda w: (w[1], w[0].function, w[0].parameter)):
        shown = repr(case.value).replace("\n", " ")[:60]
        print(f"{end}: {case.function}({case.parameter}={shown}) {says[:140]}")
    print(*missing())
    print(dict(counted), sum(counted.values()))
