"""What the library computed before its modules moved, held to 1e-6.

golden.json was written by `python tests/test_golden.py` at commit d0d36a6. An entry changes only
where a number was meant to change, in a commit that says so: then run the command again.
"""

import itertools, json, math, sys, tempfile
from pathlib import Path

import pytest
import torch

from ddpm_course.images import from_uint8, load_digits, to_uint8
from ddpm_course.ddim import ddim_invert, ddim_sample, slerp, spaced_timesteps
from ddpm_course.ancestral import ddpm_sample
from ddpm_course.ddpm import DDPMLoss, ddpm_loss
from ddpm_course.models import condition, estimate
from ddpm_course.randomness import BatchRandom
from ddpm_course.classifiers import DigitsClassifier, ClassifierLoss, ResNet
from ddpm_course.features import Features, extract
from ddpm_course.guidance import LabeledMixture, autoguidance, cfg
from ddpm_course.latents import LatentSpace
from ddpm_course.metrics import frechet, inception_score, memorization, precision_recall
from ddpm_course.ancestral import q_posterior
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import cosine_schedule, linear_schedule
from ddpm_course.schedules import (
    MinSNR,
    adaptive_schedule,
    scaled_linear_schedule,
    sigmoid_schedule,
    zero_terminal_snr,
)
from ddpm_course.scores import Score, average, compare
from ddpm_course.training import fit, loss_by_t
from ddpm_course.unet import UNet
from ddpm_course.vae import VAE, VAELoss
from fakes import randn

FILE = Path(__file__).with_name("golden.json")
SHAPE = (3, 2, 4, 4)
SCHEDULES = {
    "linear": linear_schedule(),
    "cosine": cosine_schedule(),
    "scaled linear": scaled_linear_schedule(),
    "sigmoid": sigmoid_schedule(),
    "zero SNR": zero_terminal_snr(linear_schedule()),
}


def mixture():
    return GaussianMixture(
        randn(3, *SHAPE[1:], seed=1).clamp(-1, 1) / 2, [0.2, 0.3, 0.5], [0.5, 0.2, 0.3]
    )


class TwiceAsManyChannels:
    "A model that also answers with a variance."

    def __init__(self, model):
        self.model, self.predicts, self.num_classes = model, model.predicts, model.num_classes

    def __call__(self, x_t, t, y=None):
        out = self.model(x_t, t) if y is None else self.model(x_t, t, y)
        return torch.cat([out, out.tanh()], 1)


def summary(x):
    "A tensor or number as a few numbers: mean, spread, first and last values."
    x = torch.as_tensor(x).detach().double().flatten()
    return [x.mean().item(), x.std(correction=0).item(), *x[:3].tolist(), *x[-2:].tolist()]


def schedules():
    for name, schedule in SCHEDULES.items():
        yield f"{name}: alpha_bars", summary(schedule.alpha_bars)
        for t, prev in ((5, 4), (999, 0), (500, 250)):
            mean, var = q_posterior(schedule, randn(*SHAPE), randn(*SHAPE, seed=2), t, prev)
            yield f"{name}: posterior {t} to {prev}", [*summary(mean), float(var)]
    ts = list(range(0, 1000, 37))
    yield (
        "adaptive: alpha_bars",
        summary(
            adaptive_schedule(
                100, SCHEDULES["cosine"], ts, torch.linspace(1, 0.1, len(ts))
            ).alpha_bars
        ),
    )


def samplers():
    x_T = randn(*SHAPE, seed=3)
    for (name, schedule), predicts, wide, clip in itertools.product(
        [(n, SCHEDULES[n]) for n in ("linear", "cosine", "zero SNR")],
        ("eps", "x0", "v"),
        (False, True),
        (None, 1.0),
    ):
        if schedule.ends_in_noise and predicts == "eps":
            continue
        model = mixture().model(schedule, predicts)
        model = TwiceAsManyChannels(model) if wide else model
        key, kw = (
            f"{name}, {predicts}, {'2C' if wide else 'C'}, clip {clip}",
            dict(clip=clip, seed=4),
        )
        for eta in (0, 0.5, 1):
            yield (
                f"DDIM: {key}, eta {eta}",
                summary(ddim_sample(model, schedule, SHAPE, 9, eta=eta, **kw)),
            )
        for variance in ("small", "large"):
            yield (
                f"DDPM: {key}, {variance}",
                summary(ddpm_sample(model, schedule, SHAPE, 9, variance, **kw)),
            )
        yield (
            f"DDIM from x_T: {key}",
            summary(ddim_sample(model, schedule, SHAPE, 9, x_T=x_T, clip=clip)),
        )
        yield (
            f"estimate: {key}",
            [v for part in estimate(model, schedule, x_T, 700, clip)[:2] for v in summary(part)],
        )
        yield (
            f"inverted: {key}",
            summary(ddim_invert(model, schedule, x_T / 4, 9, iterations=2, clip=clip)),
        )
    for spacing in ("trailing", "leading", "linspace", "quadratic"):
        yield f"timesteps: {spacing}", [float(t) for t in spaced_timesteps(1000, 13, spacing)]
        yield (
            f"DDIM: {spacing}",
            summary(
                ddim_sample(
                    mixture().model(SCHEDULES["linear"]),
                    SCHEDULES["linear"],
                    SHAPE,
                    13,
                    spacing=spacing,
                    seed=[1, 5, 9],
                )
            ),
        )
    yield "slerp", summary(slerp(randn(*SHAPE), randn(*SHAPE, seed=1), 0.3))


def guidance():
    schedule, y = SCHEDULES["cosine"], torch.tensor([0, 2, 3])
    for predicts, wide in itertools.product(("eps", "x0", "v"), (False, True)):
        model = LabeledMixture(mixture(), schedule, predicts)
        model = TwiceAsManyChannels(model) if wide else model
        key, kw = f"{predicts}, {'2C' if wide else 'C'}", dict(clip=None, seed=4)
        options = [{"scale": s} for s in (0, 1, 2.5)]
        options += [
            {"scale": 3, "interval": (200, 700)},
            {"scale": 3, "negative": 1},
            {"scale": 3, "rescale": 0.7},
        ]
        for o in options:
            yield (
                f"cfg: {key}, {o}",
                summary(ddim_sample(cfg(model, y, **o), schedule, SHAPE, 7, **kw)),
            )
        yield (
            f"condition: {key}",
            summary(ddim_sample(condition(model, y), schedule, SHAPE, 7, **kw)),
        )
        guided = autoguidance(condition(model, y), condition(model, 3), 2.0, interval=(100, 900))
        yield f"autoguidance: {key}", summary(ddim_sample(guided, schedule, SHAPE, 7, **kw))


def digits_unet(**config):
    torch.manual_seed(0)
    net = UNet(1, (16, 32), 1, (False, True), groups=8, num_classes=10, **config).double()
    for i, p in enumerate(net.parameters()):
        p.data += 0.05 * randn(*p.shape, seed=i)  # also what starts at zero
    return net


def losses():
    x, y = load_digits("train").batch(range(6))
    rng = lambda: BatchRandom(3, 1, 6)
    for predicts, weight in itertools.product(("eps", "x0", "v"), (None, MinSNR())):
        net, name = digits_unet(predicts=predicts), "plain" if weight is None else "min-SNR"
        yield (
            f"loss: {predicts}, {name}",
            summary(
                ddpm_loss(
                    net, SCHEDULES["cosine"], x.double(), y, rng=rng(), drop=0.5, weight=weight
                )
            ),
        )
    yield (
        "loss by t",
        summary(loss_by_t(digits_unet(), SCHEDULES["linear"], x.double(), y, [0, 300, 999])),
    )
    wide = digits_unet(learn_variance=True)
    yield "U-Net, 2C", summary(wide(x.double(), torch.arange(6.0), y))
    torch.manual_seed(0)
    vae = VAE()
    for i, p in enumerate(vae.parameters()):
        p.data += 0.05 * randn(*p.shape, seed=i).float()
    yield "VAE loss", summary(VAELoss(0.02)(vae, x, y, rng()))
    space = LatentSpace(vae, [0.1, -0.2], [0.5, 2.0], (1, 8, 8))
    yield "latents", summary(space.encode(x))
    yield "decoded", summary(space.decode(space.encode(x)))
    torch.manual_seed(0)
    yield (
        "labels loss",
        summary(
            ClassifierLoss(1, 2, 0.1)(ResNet("golden", 1, 10, 8).double(), x.double(), y, rng())
        ),
    )


def scores():
    f = lambda seed, n: Features(
        "net", randn(n, 5, seed=seed) + seed / 9, randn(n, 7, seed=seed + 1).softmax(1)
    )
    fake, other, real = f(1, 60), f(2, 60), f(5, 80)
    say = lambda s: [s.value]  # test_influence holds what is right of the intervals
    yield "Fréchet distance", say(frechet(fake, real))
    yield "Fréchet distance by class", say(frechet(fake, real, strata=torch.arange(60) % 3))
    yield "classifier score", say(inception_score(fake, 5))
    for s in precision_recall(fake, real):
        yield s.name, say(s)
    yield "memorization", say(memorization(fake.values, other.values, real.values))
    a, b = frechet(fake, real, seed=0), frechet(other, real, seed=0)
    yield "compare", [compare(a, b).value]
    runs = [
        [Score("s", v, seed=i) for i, v in enumerate(values)]
        for values in ((1.0, 2.0, 4.0), (1.5, 2.0, 5.0))
    ]
    paired = compare(*map(average, runs))
    yield "average", [average(runs[0]).value, *average(runs[0]).interval]
    yield "compare paired", [paired.value, *paired.interval]
    torch.manual_seed(0)
    seen = extract(DigitsClassifier(), load_digits("test").batch(range(20))[0])
    yield "features", [*summary(seen.values), *summary(seen.probabilities)]
    yield "gray levels", summary(from_uint8(to_uint8(randn(*SHAPE) / 2, 16), 16))


def training():
    def run(out, **kwargs):
        return fit(
            digits_unet(),
            load_digits("train"),
            DDPMLoss(SCHEDULES["cosine"], drop=0.1),
            steps=6,
            batch_size=8,
            lr=1e-3,
            warmup=2,
            ema_halflife=50,
            out=out,
            device="cpu",
            precision="no",
            progress=False,
            **kwargs,
        )

    with tempfile.TemporaryDirectory() as folder:
        whole = run(Path(folder) / "whole")
        run(Path(folder) / "parts", stop_at=3)
        parts = run(Path(folder) / "parts", resume=True)
    for name, r in (("whole", whole), ("resumed", parts)):
        yield f"training, {name}", [*r.losses, *r.norms]
        for which, model in (("raw", r.model), ("ema", r.ema.model)):
            yield (
                f"weights, {name}, {which}",
                summary(torch.cat([p.flatten() for p in model.parameters()])),
            )


PARTS = (schedules, samplers, guidance, losses, scores, training)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_numbers_are_what_they_were(part):
    was, now = json.loads(FILE.read_text())[part.__name__], dict(part())
    assert was.keys() == now.keys()
    wrong = {
        key: (was[key], now[key])
        for key in was
        if len(was[key]) != len(now[key])
        or not all(
            math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(was[key], now[key])
        )
    }
    assert not wrong, "\n".join(f"{key}: was {a}, is {b}" for key, (a, b) in wrong.items())


def write(file=FILE):
    "Keep the numbers of today."
    found = {
        part.__name__: {key: [round(v, 9) for v in values] for key, values in part()}
        for part in PARTS
    }
    lines = [
        f' "{part}": {{\n'
        + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items())
        + "\n }"
        for part, values in found.items()
    ]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    sys.exit(write())
