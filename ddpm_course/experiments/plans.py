"Experiments as data: what is trained, how it is sampled and scored, and what others published."

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Callable

from ..arguments import check_fields
from ..ddpm import DDPMLoss
from ..kinds import flag, positive, whole
from ..sets import LONGEST, counted
from ..training import Recipe
from .samplers import Sampler


@dataclass(frozen=True)
class Part:
    "A function or class, and the options it is called with."
    make: Callable
    options: dict = field(default_factory=dict)

    def build(self, *args, **more):
        "What it makes of these arguments and its options."
        return self.make(*args, **self.options | more)

    @property
    def told(self):
        "The same as JSON holds it."
        return {"made by": self.make.__name__, **self.options}


@dataclass(frozen=True)
class DataSet:
    "A named data set and how it is read."
    name: str # a key of `datasets.SETS`
    size: int | None = None # pixels a side; None: as they are
    flip: bool = False # mirror half of the images in training
    preprocessing: str = "course" # a key of `preprocessing.PREPROCESSING`

    @property
    def told(self): return asdict(self)


@dataclass(frozen=True)
class Latents:
    "The autoencoder whose latents a network is trained on."
    autoencoder: Part # (data, folder, seed, device, progress) -> `VAE` or `Autoencoder`
    measured: int = 5000 # images that mean and standard deviation are measured on
    flip: bool = False # keep the latents of the mirrored images, too
    channels: int = 4 # of the latents that this autoencoder makes
    factor: int = 8 # by which it shrinks each side

    @property
    def told(self):
        return {"autoencoder": self.autoencoder.told, "measured": self.measured, "flip": self.flip}


RUN_OPTIONS = {"epochs": float, "accumulate": int, "compile": bool, "save_every": int}
RECIPE_FIELDS = {f.name: f.type for f in fields(Recipe) if f.name != "seed"} | RUN_OPTIONS
A_RUN_OPTION = {"epochs": positive, "accumulate": counted(1), "compile": flag,
                "save_every": counted(0)}


def check_changes(changes): # {field: value}
    "ValueError unless these are fields of a recipe, and values that they can have."
    if unknown := changes.keys() - RECIPE_FIELDS.keys():
        raise ValueError(f"--set {sorted(unknown)[0]}: a recipe has no such field; it has "
                         f"{', '.join(RECIPE_FIELDS)}")
    for name in changes.keys() & A_RUN_OPTION.keys(): A_RUN_OPTION[name](changes[name], name)
    Recipe.of(**{"steps": 1} | {k: v for k, v in changes.items() if k not in RUN_OPTIONS})


def steps_in(epochs, n, batch_size):
    "Optimizer steps of that many epochs of n images; ValueError where they would never end."
    steps = epochs * n / batch_size
    if steps <= LONGEST: return max(1, round(steps))
    raise ValueError(f"epochs={epochs:g} with {n:,} images in batches of {batch_size} are "
                     f"{steps:.3g} steps; expected at most {LONGEST:,}")


@dataclass(frozen=True)
class TrainingPlan:
    "All that decides one trained network, but for its seed."
    data: DataSet
    network: Part
    schedule: Part
    recipe: dict # of `Recipe` and `fit`; `epochs` may stand for `steps`
    loss: Part = Part(DDPMLoss) # (schedule) -> loss
    latents: Latents | None = None
    weights: str = "ema" # which are sampled from: "ema", or "model" for the latest
    bounds: float | None = 1.0 # what samplers clip pixels to; None: nothing
    grids: int = 8 # sample grids along training

    @property
    def told(self):
        "The plan as JSON holds it."
        parts = ("data", "network", "schedule", "loss", "latents")
        told = {name: part and part.told for name in parts for part in [getattr(self, name)]}
        told |= {"recipe": self.recipe, "weights": self.weights, "grids": self.grids}
        if self.bounds != 1.0: told["bounds"] = self.bounds # runs of before it was said go on
        return json.loads(json.dumps(told))

    @property
    def clip(self): # latents have no bounds
        return None if self.latents else self.bounds

    def with_recipe(self, changes): # {field: value}
        "The plan with some fields of its recipe set; a number of steps takes the place of epochs."
        check_changes(changes)
        other = {"steps": "epochs", "epochs": "steps"}
        left_out = {other[name] for name in changes if name in other}
        kept = {k: v for k, v in self.recipe.items() if k not in left_out}
        return replace(self, recipe=kept | changes)

    def steps(self, n): # images in the training set
        "Optimizer steps of the whole run."
        if "steps" in self.recipe: return self.recipe["steps"]
        return steps_in(self.recipe["epochs"], n, self.batch_size)

    @property
    def batch_size(self): return self.recipe.get("batch_size", Recipe.batch_size)


SOME_IMAGES = whole(10, expected="at least 10 images, one for each part of an Inception score")


@dataclass(frozen=True)
class Evaluation:
    "How many images are held against which real ones, seen through which network."
    n: int
    split: str # of the data set: "train", "test" or "val"
    features: str = "inception" # "digits", "inception", or the folder of a `ResNet`

    def __post_init__(self): check_fields(self, n=SOME_IMAGES)


@dataclass(frozen=True)
class Scale:
    "An experiment at one size."
    plans: dict # {variant: `TrainingPlan`}
    samplers: tuple | dict # of `Sampler`, for all variants; or {variant: its own}
    evaluations: tuple # of `Evaluation`

    def of(self, variant):
        "The scale with the samplers of one variant alone."
        if not isinstance(self.samplers, dict): return self
        return replace(self, samplers=self.samplers[variant])


@dataclass(frozen=True)
class Published:
    "A row that others published; it stands beside ours, and is never taken for it."
    source: str
    values: dict # {score: number or text}, as printed there
    where: dict = field(default_factory=dict) # {part of a card: value} of the row it stands beside


@dataclass(frozen=True)
class Experiment:
    "A question, what is run for it at each size, and what others found."
    name: str
    doc: str
    sizes: dict # {size: `Scale`}
    published: tuple = () # of `Published`
    table: str | None = None # the table of the digits with its statistics, where there is one
    pretrained: Callable | None = None # () -> network: nothing is trained

    def scale(self, size):
        "The `Scale` of a size; ValueError if there is none."
        if size not in self.sizes:
            raise ValueError(f"size={size!r}; {self.name} has {', '.join(self.sizes)}")
        return self.sizes[size]

    def plan(self, size, variant=None): # the first variant if None
        "The `TrainingPlan` of a variant; ValueError if there is none."
        plans = self.scale(size).plans
        variant = next(iter(plans)) if variant is None else variant
        if variant not in plans:
            raise ValueError(f"variant={variant!r}; {self.name} at size {size} has "
                             f"{', '.join(map(repr, plans))}")
        return variant, plans[variant]


def parse_changes(given): # ["lr=1e-4", ...]
    "{field: value} of what --set was given, each of its field's type."
    changes = {}
    for text in given:
        name, equals, value = text.partition("=")
        kind = RECIPE_FIELDS.get(name, str)
        if not equals: raise ValueError(f"--set {text!r}; expected field=value, as lr=1e-4")
        try: changes[name] = as_kind(kind, value)
        except (ValueError, OverflowError): # int(inf)
            most = f", at most {LONGEST:,}" * (kind is int)
            raise ValueError(f"--set {text!r}; expected {KIND_NAMES[kind]} for {name}{most}"
                             ) from None
    return changes


KIND_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def as_kind(kind, text): # int, float, bool or str
    "A text as a value of a kind; ValueError where it is none. 1e5 is a whole number, too."
    if kind is bool: return ["false", "true"].index(text.lower()) == 1
    value = float(text) if kind in (int, float) else text
    if kind is int and (value != int(value) or value > LONGEST): raise ValueError(text)
    return kind(value)


def samplers(name, steps, guidance=(1.0,), **options): # lists of steps and scales
    "One `Sampler` for each number of steps and each scale."
    return tuple(Sampler(name, n, options, s) for n in steps for s in guidance)
