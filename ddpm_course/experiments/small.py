"The digits, on which every experiment also runs: in seconds (smoke), and in minutes (digits)."

from dataclasses import replace

from ..ddpm import DDPMLoss
from ..noising import cosine_schedule
from ..training import DIGITS_FIT, DIGITS_UNET
from ..unet import UNet
from .plans import DataSet, Evaluation, Latents, Part, TrainingPlan, Scale
from .training_runs import shipped_autoencoder


def net(name=UNet, **options):
    "A network whose input channels are those of its data."
    return Part(name, {k: v for k, v in options.items() if k != "in_channels"})


DIGITS_PLAN = TrainingPlan(DataSet("digits"), net(**DIGITS_UNET), Part(cosine_schedule), DIGITS_FIT,
                   Part(DDPMLoss, {"drop": 0.1}))
SMOKE_UNET = DIGITS_UNET | {"channels": (8, 16), "groups": 4}
SMOKE_FIT = DIGITS_FIT | {"steps": 12, "batch_size": 32}
DIGITS_LATENTS = Latents(Part(shipped_autoencoder), channels=2, factor=2)


def small_scales(vary, # plan -> {variant: `TrainingPlan`}, as for the full size
                 samplers, # of the digits
                 few, # of the smoke test
                 latents=None): # such as `DIGITS_LATENTS`
    "{size: `Scale`} of the digits, whole and as a smoke test."
    plan = replace(DIGITS_PLAN, latents=latents)
    smoke = replace(plan, network=net(**SMOKE_UNET), recipe=SMOKE_FIT, grids=2)
    return {"smoke": Scale(vary(smoke), few, (Evaluation(100, "test", "digits"),)),
            "digits": Scale(vary(plan), samplers, (Evaluation(797, "test", "digits"),))}
