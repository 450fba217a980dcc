"The tables of the digits and the experiments of the course, each by its name."

from .advanced import ADVANCED
from .attention import ATTENTION
from .backbones import BACKBONES_TABLE, LATENT_BACKBONES_TABLE
from .cifar10 import (
    CIFAR10_GUIDANCE, CIFAR10_PUBLISHED, CIFAR10_SCHEDULES, CIFAR10_SPEEDRUN, CIFAR10_STEPS)
from .cifar10_backbones import CIFAR10_BACKBONES
from .cifar10_edm import CIFAR10_EDM
from .dynamics import DYNAMICS
from .edm import EDM
from .edm_samplers import EDM_SAMPLERS
from .guidance import GUIDANCE
from .imagenet100 import (
    IMAGENET100, IMAGENET100_EQUAL, IMAGENET100_LATENT, IMAGENET100_LENGTH, IMAGENET100_SCHEDULES)
from .imagenet100_techniques import IMAGENET100_ADVANCED, IMAGENET100_ATTENTION
from .latent import LATENT
from .question_2 import QUESTION_2
from .question_3 import QUESTION_3
from .schedules import SCHEDULES
from .steps import STEPS

TABLES = {table.name: table for table in
          (STEPS, DYNAMICS, SCHEDULES, LATENT, GUIDANCE, QUESTION_2, QUESTION_3,
           ATTENTION, ADVANCED, EDM_SAMPLERS, BACKBONES_TABLE, LATENT_BACKBONES_TABLE,
           EDM)}

# a new experiment: one file that defines it, its import above, its name here
EXPERIMENTS = {experiment.name: experiment for experiment in (
    CIFAR10_STEPS, CIFAR10_SCHEDULES, CIFAR10_GUIDANCE, CIFAR10_PUBLISHED, CIFAR10_SPEEDRUN,
    CIFAR10_BACKBONES, CIFAR10_EDM,
    IMAGENET100, IMAGENET100_LATENT, IMAGENET100_SCHEDULES, IMAGENET100_LENGTH, IMAGENET100_EQUAL,
    IMAGENET100_ADVANCED, IMAGENET100_ATTENTION)}


def experiment_of(name: str):
    "The `Experiment` of this name; ValueError if there is none."
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def run_table(name: str, out, size: str="digits", workers: int=2):
    "Fill the table of this name; its rows, seeds averaged."
    if name not in TABLES: raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name].run(out, size, workers)
