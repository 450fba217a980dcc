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
from ..noising import linear_schedule
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
RAW_NETWORK = DDPMPP | dict(in_channels=1, base=16, layers=1, groups=8, num_classes=10)


@dataclass(frozen=True)
class ScheduleLoss(EDMLoss):
    "Error of D at the levels that DDPM trains at, weighed as its loss weighs them."

    def weight(self, sigma):
        "lambda(sigma) (B,): that of a squared error of eps."
        return sigma**-2

    def sigma(self, x, rng):
        "Noise levels (B,) for images x: those of timesteps, each as likely as another."
        alpha_bar = SCHEDULE.alpha_bar(rng.randint(len(SCHEDULE)))
        return ((1 - alpha_bar) / alpha_bar).sqrt().to(x)


@dataclass(frozen=True)
class Configuration:
    "How a network for digits is built and trained: a row of table 2 of Karras et al. 2022."
    batch_size: int
    lr: float
    clip_grad: float # largest norm of a gradient; none reaches 1e9
    dropout: float
    channels: tuple # width of each level, from 8x8 downwards
    attention: tuple # by level
    target: str = "eps" # what the raw network stands for: a key of `TARGETS`
    log_normal: bool = False # levels and weight of EDM's loss, in place of DDPM's
    augment: bool = False # and the network is told

    def model(self):
        "A new network to train."
        own = {name: getattr(self, name) for name in ("channels", "attention", "dropout")}
        net = UNet(**RAW_NETWORK | own, augment=PARAMETERS * self.augment)
        return TARGETS[self.target][0](net)

    def loss(self):
        "What it is trained by: loss(model, x, y, rng) -> (B,)."
        return TARGETS[self.target][1](self)

    def denoiser(self, net): # trained
        "D(x, sigma, y)."
        return TARGETS[self.target][2](net)

    def fitted(self, images, seed): # how many are shown in all
        "The finished `Run` of `fit`."
        torch.manual_seed(seed)
        return fit(self.model(), load_digits("train"), self.loss(), seed=seed, device="cpu",
                   progress=False, steps=images // self.batch_size, batch_size=self.batch_size,
                   lr=self.lr, clip_grad=self.clip_grad, ema_halflife=18_000)


def edm_loss(c): # `Configuration`
    "The loss of a preconditioned network."
    kind = EDMLoss if c.log_normal else ScheduleLoss
    return kind(sigma_data=SIGMA_DATA, augment=Augment() if c.augment else None)


TARGETS = { # target: (network around the raw one, loss, the trained network as a denoiser)
    "eps": (lambda net: net, lambda c: DDPMLoss(SCHEDULE), lambda net: as_denoiser(net, SCHEDULE)),
    "F": (lambda net: Precond(net, SIGMA_DATA), edm_loss, lambda net: net),
    "velocity": (VelocityNet, lambda c: FlowLoss(), from_velocity)}

A = Configuration(32, 4e-4, 1.0, 0.10, (16, 32, 32), (False, True, False))
B = replace(A, batch_size=64, lr=2e-3, clip_grad=1e9, dropout=0.13)
C = replace(B, channels=(32, 32), attention=(False, True))
D = replace(C, target="F")
E = replace(D, log_normal=True)
F = replace(E, augment=True)
FLOW = replace(C, target="velocity")
CONFIGURATIONS = {"A": A, "B": B, "C": C, "D": D, "E": E, "F": F, "flow": FLOW}
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
    run = configuration.fitted(images, seed)
    denoiser = configuration.denoiser(run.ema.model)
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
          "smoke": product(seed=range(2), name=[*CONFIGURATIONS], images=256, n=100,
                           steps=3)},
    columns=("configuration", "sampler", "steps", "nfe", "seconds", "accuracy", "distance",
             "nearest"))
