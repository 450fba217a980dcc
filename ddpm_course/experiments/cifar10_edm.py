"CIFAR-10 under EDM's six configurations: what table 2 of Karras et al. 2022 tells apart."

from dataclasses import replace
from functools import partial

from ..noising import linear_schedule
from .cifar10 import BOTH_PROTOCOLS
from .edm import CONFIGURATIONS, PUBLISHED, Configuration, edm_loss, edm_network, six_steps
from .plans import DataSet, Experiment, Part, Published, Scale, TrainingPlan, samplers
from .small import small_scales

# Recipes and networks are those of their table 7 and appendix F. Two things differ: our learning
# rate falls to 0 in the end where theirs stays, and A to C learn eps at a thousand timesteps.
AS_PUBLISHED = six_steps(
    Configuration(128, 2e-4, 1.0, 0.10, (128, 256, 256, 256), (False, True, False, False),
                  base=128, layers=4, groups=32, warmup=5_000, ema_halflife=900_000,
                  sigma_data=0.5),
    dict(batch_size=512, lr=1e-3, clip_grad=1e9, dropout=0.13, warmup=19_531, ema_halflife=500_000),
    dict(channels=(256, 256, 256), attention=(False, True, False)))
IMAGES = 200_000_000 # that each looks at


def as_plan(configuration, data, images): # the `TrainingPlan` of a `Configuration`
    "What trains it: images in all."
    recipe = configuration.recipe | {"steps": max(1, images // configuration.batch_size),
                                     "weight_decay": 0.0}
    return TrainingPlan(data, Part(edm_network, configuration.network), Part(linear_schedule),
                        recipe, Part(edm_loss, configuration.loss), bounds=None)


def all_of(configurations, data, images):
    "{letter: `TrainingPlan`}; the augmentation of F flips by itself."
    return {name: as_plan(c, replace(data, flip=data.flip and not c.augment), images)
            for name, c in configurations.items()}


def on_digits(plan, names):
    "The digits' configurations, on as many images as the plan, with as many sample grids."
    images = plan.recipe["steps"] * plan.batch_size
    some = all_of({name: CONFIGURATIONS[name] for name in names}, plan.data, images)
    return {name: replace(one, grids=plan.grids) for name, one in some.items()}


def digits_scales(names):
    "The small scales, with some configurations alone."
    return small_scales(partial(on_digits, names=names), samplers("Heun", [18]),
                        samplers("Heun", [3]))


CIFAR10_CHURN = dict(S_churn=30.0, S_tmin=0.01, S_tmax=1.0, S_noise=1.007) # table 5 there, VP
BOTH = samplers("Heun", [18]) + samplers("Heun", [128], churn=CIFAR10_CHURN)
CIFAR10_EDM = Experiment(
    "cifar10-edm", "CIFAR-10 by class, trained as EDM is: configurations A to F, flow matching.",
    digits_scales(CONFIGURATIONS)
    | {"smoke": digits_scales(("A", "F", "flow"))["smoke"], # one of each target
       "full": Scale(all_of(AS_PUBLISHED, DataSet("cifar10", flip=True), IMAGES), BOTH,
                       BOTH_PROTOCOLS)},
    tuple(Published("Karras et al. 2022, table 2", {"FID": fid},
                    {"sampler": "Heun", "steps": 18, "variant": name})
          for name, fid in PUBLISHED.items()),
    table="edm")
