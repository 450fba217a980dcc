"EDM's configurations A to F, and flow matching, on digits: recipe, network, target, loss."

import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch

from ..augmentation import PARAMETERS, Augment
from ..ddpm import DDPMLoss
from ..edm import EDMLoss, Precond
from ..flow import FlowLoss, VelocityNet, from_velocity
from ..images import load_digits
from ..models import condition
from ..noising import NoiseSchedule, linear_schedule
from ..randomness import image_seeds
from ..solvers import Churn, as_denoiser, heun_steps
from ..training import fit
from ..unet import UNet
from ..unet_options import DDPMPP
from .families import Family
from .protocol import DIGITS
from .schedules import plot_schedules
from .tables import Table, product

SIGMA_DATA = 0.75 # standard deviation of the pixels of digits
SCHEDULE = linear_schedule() # VP at a thousand timesteps


@dataclass(frozen=True)
class ScheduleLoss(EDMLoss):
    "Error of D at the levels that DDPM trains at, weighed as its loss weighs them."
    levels_of: NoiseSchedule = SCHEDULE

    def weight(self, sigma):
        "lambda(sigma) (B,): that of a squared error of eps."
        return sigma**-2

    def sigma(self, x, rng):
        "Noise levels (B,) for images x: those of timesteps, each as likely as another."
        alpha_bar = self.levels_of.alpha_bar(rng.randint(len(self.levels_of)))
        return ((1 - alpha_bar) / alpha_bar).sqrt().to(x)


def preconditioned_loss(schedule, sigma_data, log_normal, augment):
    "The loss of a network within `Precond`: EDM's levels and weight, or DDPM's."
    augment = Augment() if augment else None
    if log_normal: return EDMLoss(sigma_data=sigma_data, augment=augment)
    return ScheduleLoss(sigma_data=sigma_data, augment=augment, levels_of=schedule)


TARGETS = { # what F stands for: (the network around it, its loss, trained: D(x, sigma, y))
    "eps": (lambda net, sigma_data: net, lambda schedule, *more: DDPMLoss(schedule),
            lambda net: as_denoiser(net, SCHEDULE)),
    "F": (Precond, preconditioned_loss, lambda net: net),
    "velocity": (lambda net, sigma_data: VelocityNet(net), lambda *more: FlowLoss(), from_velocity)}


def edm_network(in_channels, target, sigma_data, **options): # of `UNet`
    "A new network whose raw output stands for a key of `TARGETS`."
    return TARGETS[target][0](UNet(in_channels, **options), sigma_data)


def edm_loss(schedule, target, sigma_data, log_normal=False, augment=False):
    "What it is trained by: loss(model, x, y, rng) -> (B,)."
    return TARGETS[target][1](schedule, sigma_data, log_normal, augment)


@dataclass(frozen=True)
class Configuration:
    "How a network is built and trained: a row of table 2 of Karras et al. 2022."
    batch_size: int
    lr: float
    clip_grad: float # largest norm of a gradient; none reaches 1e9
    dropout: float
    channels: tuple # width of each level, from the finest downwards
    attention: tuple # by level
    target: str = "eps" # what the raw network stands for: a key of `TARGETS`
    log_normal: bool = False # levels and weight of EDM's loss, in place of DDPM's
    augment: bool = False # and the network is told
    base: int = 16 # channels before the first level
    layers: int = 1 # residual blocks a level
    groups: int = 8 # of a group norm
    warmup: int = 100 # steps up to lr
    ema_halflife: int = 18_000 # images
    sigma_data: float = SIGMA_DATA # standard deviation of the pixels

    @property
    def recipe(self):
        "Options of `fit`, but for the number of steps."
        names = ("batch_size", "lr", "clip_grad", "warmup", "ema_halflife")
        return {name: getattr(self, name) for name in names}

    @property
    def network(self):
        "Options of `edm_network`."
        names = ("target", "sigma_data", "channels", "attention", "dropout", "base", "layers",
                 "groups")
        own = {name: getattr(self, name) for name in names}
        return DDPMPP | own | {"num_classes": 10, "augment": PARAMETERS * self.augment}

    @property
    def loss(self):
        "Options of `edm_loss`."
        names = ("target", "sigma_data", "log_normal", "augment")
        return {name: getattr(self, name) for name in names}


def fitted(configuration, images, seed): # how many digits are shown in all
    "The finished `Run` of `fit`."
    torch.manual_seed(seed)
    return fit(edm_network(1, **configuration.network), load_digits("train"),
               edm_loss(SCHEDULE, **configuration.loss), seed=seed, device="cpu", progress=False,
               steps=images // configuration.batch_size, **configuration.recipe)


def six_steps(first, tuned, wider): # a `Configuration`; fields that B changes, and those of C
    "{letter: `Configuration`}: A to F, each a change to the one before it, and flow matching."
    B = replace(first, **tuned)
    C = replace(B, **wider)
    D = replace(C, target="F")
    E = replace(D, log_normal=True)
    return {"A": first, "B": B, "C": C, "D": D, "E": E, "F": replace(E, augment=True),
            "flow": replace(C, target="velocity")}


CONFIGURATIONS = six_steps( # of the digits
    Configuration(32, 4e-4, 1.0, 0.10, (16, 32, 32), (False, True, False)),
    dict(batch_size=64, lr=2e-3, clip_grad=1e9, dropout=0.13),
    dict(channels=(32, 32), attention=(False, True)))
PUBLISHED = { # CIFAR-10 with classes, VP: FID at 35 evaluations (Karras et al. 2022, table 2)
    "A": 2.48, "B": 2.18, "C": 2.08, "D": 2.09, "E": 1.88, "F": 1.79}

WALKS = { # name: (how many times the steps, churn). The paper, too, gives noise more evaluations
    "deterministic": (1, None),
    "stochastic": (2, Churn(6.0, 0.05, 10.0, 1.003))}


def sampled(denoiser, walk, steps, n, seed, **about):
    "The cards of n digits by one of `WALKS`: {name: Score}."
    times, churn = WALKS[walk]
    steps = times * steps
    labels = DIGITS.held_out(n)[1]
    began = time.perf_counter()
    shape = n, *load_digits("train").shape
    for step in heun_steps(condition(denoiser, labels), shape, steps, churn=churn,
                           seed=image_seeds(seed, n)): pass
    told = about | {"sampler": f"Heun, {walk}", "steps": steps, "nfe": 2 * steps - 1, "clip": None,
                    "seed": seed, "churn": churn and asdict(churn)}
    notes = {"seconds": round(time.perf_counter() - began, 1)}
    return DIGITS.score(step.x_prev, labels, notes=notes, **told)


def edm_row(name, seed, images, n, steps):
    "Train one configuration, and score what each of `WALKS` draws from it: a list of rows."
    configuration = CONFIGURATIONS[name]
    run = fitted(configuration, images, seed)
    denoiser = TARGETS[configuration.target][2](run.ema.model)
    about = {"model": "edm", "configuration": name, "train_images": images, "train_seed": seed}
    return [sampled(denoiser, walk, steps, n, seed, **about) for walk in WALKS]


def row_of(name, walk="deterministic"):
    "What picks the row of a configuration and a sampler."
    return {"configuration": name, "sampler": f"Heun, {walk}"}


SUCCESSIVE = {f"{b} - {a}": (row_of(b), row_of(a)) for a, b in zip("ABCDE", "BCDEF")}
NOISE = {name: (row_of(name, "stochastic"), row_of(name)) for name in CONFIGURATIONS}
EDM = Table(
    "edm", "EDM's configurations A to F and flow matching, each sampled without and with churn.",
    edm_row, plot=partial(plot_schedules, title="Configurations of EDM on digits",
                          label=lambda s: f"{s.configuration}, {s.sampler[6:]}"),
    family=Family({"step by step": SUCCESSIVE | {"flow - E": (row_of("flow"), row_of("E"))},
                   "stochastic - deterministic": NOISE},
                  vary=("configuration", "sampler", "steps", "nfe", "churn"),
                  margins={"distance": 0.5}),
    grid={"digits": product(seed=range(3), name=[*CONFIGURATIONS], images=32_000, n=300,
                            steps=18),
          "smoke": product(seed=range(2), name=[*CONFIGURATIONS], images=128, n=40,
                           steps=3)},
    columns=("configuration", "sampler", "steps", "nfe", "seconds", "accuracy", "distance",
             "nearest"))
