"ImageNet-100 at 128x128: the reports' tables, in pixels and in latents."

from dataclasses import replace

from ..noising import cosine_schedule, linear_schedule
from ..schedules import scaled_linear_schedule
from .cifar10 import REPORT_FIT, REPORT_SCHEDULE, conditional
from .imagenette import IMAGENETTE_SCALE
from .plans import (
    DataSet, Evaluation, Experiment, Latents, Part, TrainingPlan, Published, Scale, samplers)
from .small import DIGITS_LATENTS, net, small_scales
from .training_runs import own_autoencoder, pretrained_autoencoder

# the reports print no network; this one is ours, of the size that fits their batch and GPU
PIXEL_UNET = dict(channels=(128, 128, 256, 256, 512), layers=2,
                  attention=(False, False, False, True, True), head_dim=64)
LATENT_UNET = dict(channels=(192, 384, 384), layers=2, attention=(False, True, True), head_dim=64)
FIELD_IMAGENET_FIT = dict(epochs=300, batch_size=256, lr=2e-4, warmup=2_000, weight_decay=0.0,
                          ema_halflife=1_000_000, save_every=2_000)

PIXELS = TrainingPlan(DataSet("imagenet100", 128), net(**PIXEL_UNET), REPORT_SCHEDULE, REPORT_FIT,
              weights="model")
FIELD_PIXELS = replace(conditional(PIXELS, 100), data=DataSet("imagenet100", 128, flip=True),
                       schedule=Part(cosine_schedule), recipe=FIELD_IMAGENET_FIT, weights="ema")
PRETRAINED = Latents(Part(pretrained_autoencoder), flip=True)
OWN = Latents(Part(own_autoencoder, {"steps": 100_000}), flip=True)
LATENT_PLAN = replace(conditional(PIXELS, 100), network=net(**LATENT_UNET, num_classes=100),
                 latents=PRETRAINED)
FIELD_LATENT = replace(LATENT_PLAN, schedule=Part(scaled_linear_schedule),
                       recipe=FIELD_IMAGENET_FIT, weights="ema")
REPORT_PROTOCOLS = (Evaluation(1000, "val"), Evaluation(50_000, "train"))

SECOND = "the second report"
FIRST = "the course project's report"


def published(where, fid, score=None, source=SECOND):
    "A row of the reports."
    values = {"FID": fid} | ({} if score is None else {"IS": score})
    return Published(source, values, where)


def report_and_field(plan):
    "Two recipes of one network on the digits, where they differ in the weights alone."
    return {"report": replace(plan, weights="model"), "field": plan}


IMAGENET100 = Experiment(
    "imagenet100", "ImageNet-100 in pixels: DDPM, and the reports' table of DDIM.",
    small_scales(report_and_field, samplers("DDPM", [1000]) + samplers("DDIM", [50, 100, 200]),
                 samplers("DDPM", [10]) + samplers("DDIM", [5]))
    | {"full": Scale({"report": PIXELS, "field": FIELD_PIXELS},
                     samplers("DDPM", [1000]) + samplers("DDIM", [50, 100, 200]),
                     REPORT_PROTOCOLS)},
    (published({"sampler": "DDPM", "steps": 1000}, 42.18, "5.26 ± 0.31"),
     published({"sampler": "DDIM", "steps": 50}, 44.32, 5.15),
     published({"sampler": "DDIM", "steps": 100}, 43.21, 5.20),
     published({"sampler": "DDIM", "steps": 200}, 42.38, 5.24),
     published({"sampler": "DDPM"}, 340, source=FIRST),
     published({"sampler": "DDIM"}, 335, source=FIRST)),
    table="ddim-steps")

# the second report's w = 1.5, 2, 3: as the scale s itself, and by its equation as s = 1 + w
READINGS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
PROJECT_SCALES = (3.0, 4.0, 5.0, 6.0)


def by_autoencoder(plan):
    "Latents of a pretrained autoencoder and of our own; the digits have one alone."
    if plan.latents == DIGITS_LATENTS:
        return {"pretrained": plan,
                "own": replace(plan, latents=replace(
                    DIGITS_LATENTS, autoencoder=Part(own_autoencoder, OWN_ON_DIGITS)))}
    return {"pretrained": plan, "own": replace(plan, latents=OWN)}


OWN_ON_DIGITS = dict(latent_channels=2, channels=(32, 64), steps=20, batch_size=32)
IMAGENET100_LATENT = Experiment(
    "imagenet100-latent", "ImageNet-100 in latents, of a pretrained autoencoder or ours; guidance.",
    small_scales(by_autoencoder, samplers("DDIM", [50], READINGS),
                 samplers("DDIM", [5], (1.0, 3.0)), DIGITS_LATENTS)
    | {"cpu": IMAGENETTE_SCALE,
       "full": Scale(by_autoencoder(LATENT_PLAN) | {"field": FIELD_LATENT},
                     samplers("DDIM", [50], READINGS + PROJECT_SCALES[2:]), REPORT_PROTOCOLS)},
    (published({"guidance": 1.0}, 36.42, "7.18 ± 0.42"),
     *(published({"guidance": s}, fid, score) for s, fid, score in (
         (1.5, 32.85, 8.75), (2.5, 32.85, 8.75), (2.0, 28.76, 9.32), (3.0, 28.76, 9.32),
         (3.0, 25.13, 10.89), (4.0, 25.13, 10.89))),
     published({"guidance": 1.0}, 332, source=FIRST),
     *(published({"guidance": s}, 248.5, source=FIRST) for s in PROJECT_SCALES)),
    table="latent")


def improved(plan):
    "The reports' linear schedule, the cosine one, and the latent model's of Rombach et al. 2022."
    linear = REPORT_SCHEDULE if plan.data.name != "digits" else Part(linear_schedule)
    return {"linear": replace(plan, schedule=linear),
            "cosine": replace(plan, schedule=Part(cosine_schedule)),
            "scaled-linear": replace(plan, schedule=Part(scaled_linear_schedule))}


IMAGENET100_SCHEDULES = Experiment(
    "imagenet100-schedules", "Schedules in latents: the reports' improved one, and scaled-linear.",
    small_scales(improved, samplers("DDIM", [50], (1.0, 3.0)), samplers("DDIM", [5]),
                 DIGITS_LATENTS)
    | {"full": Scale(improved(LATENT_PLAN), samplers("DDIM", [50], (1.0, 3.0)), REPORT_PROTOCOLS)},
    (published({"variant": "cosine"}, 23.87, 11.23),
     Published(FIRST, {"claim": "scaled-linear is best for the latent model"},
               {"variant": "scaled-linear"})),
    table="schedules")


def by_length(plan):
    "The same plan trained for 1/8 to all of its epochs or steps, each annealed to its end."
    unit = "epochs" if "epochs" in plan.recipe else "steps"
    whole = plan.recipe[unit]
    return {f"1/{k} of the {unit}": replace(plan, recipe=plan.recipe | {unit: max(1, whole // k)})
            for k in (8, 4, 2, 1)}


IMAGENET100_LENGTH = Experiment(
    "imagenet100-length", "Question 2: DDIM with latents and guidance against length of training.",
    small_scales(by_length, samplers("DDIM", [50], (1.0, 3.0)), samplers("DDIM", [5]),
                 DIGITS_LATENTS)
    | {"full": Scale(by_length(LATENT_PLAN), samplers("DDIM", [50], (1.0, 3.0)), REPORT_PROTOCOLS)},
    (Published(FIRST, {"FID": 323.51}, {"variant": "1/1 of the epochs", "guidance": 3.0}),),
    table="question-2")


def one(plan):
    "One network with labels."
    return {"conditional": plan}


EQUAL_STEPS = samplers("DDIM", [10, 20, 50, 100], (1.0, 3.0)) \
    + samplers("DDPM", [10, 20, 50, 100], (1.0, 3.0))
IMAGENET100_EQUAL = Experiment(
    "imagenet100-equal-steps", "Question 3: guided DDIM against DDPM at equal numbers of steps.",
    small_scales(one, EQUAL_STEPS, samplers("DDIM", [5], (1.0, 3.0)) + samplers("DDPM", [5])) | {
        "full": Scale(one(conditional(PIXELS, 100)), EQUAL_STEPS, REPORT_PROTOCOLS)},
    (published({"sampler": "DDPM", "guidance": 3.0}, 290, source=FIRST),),
    table="question-3")
