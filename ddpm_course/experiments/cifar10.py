"CIFAR-10: DDPM, DDIM by steps and spacing, question 1, guidance, a published network."

from dataclasses import replace

from ..ddpm import DDPMLoss
from ..noising import cosine_schedule, linear_schedule
from ..schedules import scaled_linear_schedule, sigmoid_schedule
from ..unet import UNet
from .cifar10_cpu import CPU_SCALE
from .plans import (
    DataSet, Evaluation, Experiment, Part, Published, Scale, TrainingPlan, samplers)
from .small import net, small_scales

# as Ho et al. 2020, appendix B; 35.7 million weights
CIFAR10_UNET = dict(channels=(128, 256, 256, 256), layers=2,
                    attention=(False, True, False, False), dropout=0.1)
FIELD_FIT = dict(steps=800_000, batch_size=128, lr=2e-4, warmup=5_000, weight_decay=0.0,
                 ema_halflife=887_000, clip_grad=1.0, save_every=5_000) # 0.9999 a step of 128
# the second report's settings; it names no average of the weights, so the latest are sampled from
REPORT_FIT = dict(epochs=50, batch_size=4, lr=1e-4, warmup=0, weight_decay=1e-4, clip_grad=1.0,
                  save_every=5_000)
REPORT_SCHEDULE = Part(linear_schedule, {"T": 1000, "beta_start": 0.0002, "beta_end": 0.02})

FIELD = TrainingPlan(DataSet("cifar10", flip=True), net(**CIFAR10_UNET), Part(linear_schedule),
                     FIELD_FIT)
REPORT = replace(FIELD, data=DataSet("cifar10"), schedule=REPORT_SCHEDULE, recipe=REPORT_FIT,
                 network=net(**CIFAR10_UNET | {"dropout": 0.0}), weights="model")
BOTH_PROTOCOLS = (Evaluation(1000, "test"), Evaluation(50_000, "train"))


def ddim_by_spacing(steps, spacings=("leading", "trailing", "quadratic")):
    "DDIM with each number of steps under each spacing."
    return sum((samplers("DDIM", steps, spacing=spacing) for spacing in spacings), ())


def alone(plan):
    "One network."
    return {"field": plan}


def conditional(plan, classes=10):
    "The plan with labels, of which a tenth are dropped in training."
    network = Part(plan.network.make, plan.network.options | {"num_classes": classes})
    return replace(plan, network=network, loss=Part(DDPMLoss, {"drop": 0.1}))


XYFJASON = "xyfJASON/Diffusion-Models-Implementations, docs (GitHub)"
PROJECT = "the course project's report"


def published_ddim(spacing, source, *values): # FID at 10, 20, 50, 100 steps
    "Published FIDs of DDIM (eta = 0) under a spacing."
    return [Published(source, {"FID": v}, {"sampler": "DDIM", "steps": n, "spacing": spacing})
            for n, v in zip((10, 20, 50, 100), values)]


CIFAR10_STEPS = Experiment(
    "cifar10", "CIFAR-10: DDPM, and DDIM by number of steps and spacing, unconditional.",
    small_scales(lambda plan: {"field": plan, "report": replace(plan, weights="model")},
                 samplers("DDPM", [1000]) + ddim_by_spacing([10, 20, 50, 100]),
                 samplers("DDPM", [10]) + ddim_by_spacing([5]))
    | {"full": Scale({"field": FIELD, "report": REPORT},
                     samplers("DDPM", [1000]) + ddim_by_spacing([10, 20, 50, 100]),
                     BOTH_PROTOCOLS)},
    (Published("Ho et al. 2020, table 1", {"FID": 3.17, "IS": "9.46 ± 0.11"},
               {"sampler": "DDPM", "steps": 1000, "variant": "field"}),
     Published(PROJECT, {"FID": 519}, {"sampler": "DDPM", "variant": "report"}),
     Published(PROJECT, {"FID": 556}, {"sampler": "DDIM", "variant": "report"}),
     *published_ddim("quadratic", "Song et al. 2021, table 1", 13.36, 6.84, 4.67, 4.16),
     *published_ddim("leading", XYFJASON, 18.96, 11.65, 7.70, 6.05)),
    table="ddim-steps")


SCHEDULES_ASKED = {"linear": Part(linear_schedule), "scaled-linear": Part(scaled_linear_schedule),
                   "cosine": Part(cosine_schedule), "sigmoid": Part(sigmoid_schedule)}


def by_schedule(plan):
    "The same plan under each schedule of question 1."
    return {name: replace(plan, schedule=part) for name, part in SCHEDULES_ASKED.items()}


CIFAR10_SCHEDULES = Experiment(
    "cifar10-schedules", "Question 1 on CIFAR-10: four schedules at equal epochs.",
    small_scales(by_schedule, samplers("DDIM", [50]), samplers("DDIM", [5]))
    | {"full": Scale(by_schedule(replace(FIELD, recipe=FIELD_FIT | {"steps": 94_000})),
                     samplers("DDPM", [1000]) + samplers("DDIM", [50]), BOTH_PROTOCOLS)},
    table="schedules")

SCALES_ASKED = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)
CIFAR10_GUIDANCE = Experiment(
    "cifar10-guidance", "CIFAR-10 by class: what guidance does to the distance.",
    small_scales(alone, samplers("DDIM", [50], SCALES_ASKED), samplers("DDIM", [5], (1.0, 3.0)))
    | {"cpu": CPU_SCALE, "full": Scale(alone(conditional(FIELD)),
                     samplers("DDIM", [50], SCALES_ASKED, spacing="leading"), BOTH_PROTOCOLS)},
    tuple(Published(XYFJASON, {"FID": fid, "IS": score},
                    {"sampler": "DDIM", "steps": 50, "guidance": s})
          for s, fid, score in ((0.0, 6.29, 8.99), (1.0, 4.66, 9.18), (3.0, 10.23, 9.63),
                                (5.0, 16.23, 9.32))),
    table="guidance")


def google_ddpm():
    "Ho et al.'s network as diffusers has it: google/ddpm-cifar10-32."
    return UNet.from_diffusers("google/ddpm-cifar10-32")


CIFAR10_PUBLISHED = Experiment(
    "cifar10-published", "A published CIFAR-10 network: the check of samplers and FID.",
    {"full": Scale({"google": FIELD}, samplers("DDPM", [1000])
                   + ddim_by_spacing([10, 20, 50, 100], ("leading", "quadratic")),
                   (Evaluation(50_000, "train"),))},
    tuple(published_ddim("quadratic", "Song et al. 2021, table 1", 13.36, 6.84, 4.67, 4.16)),
    pretrained=google_ddpm)

SPEEDRUN_FIT = dict(steps=24_000, batch_size=512, lr=4e-4, warmup=500, weight_decay=0.0,
                    ema_halflife=500_000, precision="bf16", compile=True, save_every=500)
CIFAR10_SPEEDRUN = Experiment(
    "cifar10-speedrun", "CIFAR-10 by class in 12 million images: bf16, compiled, in short pieces.",
    small_scales(alone, samplers("DDIM", [50]), samplers("DDIM", [5]))
    | {"full": Scale(alone(replace(conditional(FIELD), recipe=SPEEDRUN_FIT)),
                     ddim_by_spacing([20, 50]), BOTH_PROTOCOLS)})
