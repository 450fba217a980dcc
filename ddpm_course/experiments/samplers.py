"Samplers as data: a name, steps and all options, of which every one is part of a score's protocol."

import inspect
from dataclasses import dataclass, field

from ..ancestral import ddpm_steps
from ..arguments import check_fields
from ..ddim import ddim_steps
from ..flow import from_velocity
from ..guards import a_scale, check_guidance
from ..guidance import cfg
from ..kinds import a_mapping
from ..learned_variance import learned_range
from ..solvers import Churn, as_denoiser, dpmpp_2m_steps, euler_steps, heun_steps

ON_TIMESTEPS = {"DDIM": ddim_steps, "DDPM": ddpm_steps}
ON_LEVELS = {"Euler": euler_steps, "Heun": heun_steps, "DPM-Solver++(2M)": dpmpp_2m_steps}
SAMPLERS = ON_TIMESTEPS | ON_LEVELS
VARIANCES = {"learned": learned_range} # functions that a card names
BY_THE_RUN = {"model", "y", "schedule", "shape", "steps", "x_T", "noise", "seed", "clip", "device"}


def completed(given, # {name: value}
              function, # whose signature says which options there are, and what they are by default
              required=()): # {name: value} for parameters without a default
    "All options of a function: those that are given, and its defaults for the others."
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: p.default for p in parameters if p.name not in BY_THE_RUN} | dict(required)
    if unknown := given.keys() - known.keys():
        raise ValueError(f"{function.__name__} has no options {sorted(unknown)}; it has "
                         f"{', '.join(known)}")
    return known | given


def guidance_protocol(options): # {name: value} of `cfg` or another wrapper
    "Options of guidance as cards name them, apart from a card's own fields."
    names = {"scale": "guidance", "interval": "guidance_interval", "guidance": "guided_by",
             "model": "guided_model"}
    return {names.get(key, key): value for key, value in options.items()}


def guidance_of(value, name):
    "The kind of guidance: a scale, or the options of `cfg` as a dict."
    return a_mapping(value, name) if isinstance(value, dict) else a_scale(value, name)


def denoiser_of(bound, trained): # a model with its labels bound, and its `Trained`
    "D(x, sigma) of a network, whatever it predicts."
    kind = getattr(bound, "predicts", "eps")
    if kind == "denoised": return bound
    if kind == "velocity": return from_velocity(bound)
    return as_denoiser(bound, trained.schedule, trained.clip)


@dataclass(frozen=True)
class Sampler:
    "A sampler and all that it is asked for; what is not said is what its signature says."
    name: str # a key of `SAMPLERS`
    steps: int
    options: dict = field(default_factory=dict) # eta, spacing, variance, churn as a dict, ...
    guidance: dict | float = 1.0 # a scale, or the options of `cfg`

    def __post_init__(self):
        check_fields(self, options=a_mapping, guidance=guidance_of)
        if self.name not in SAMPLERS:
            raise ValueError(f"no sampler {self.name!r}; there are {', '.join(SAMPLERS)}")
        given = self.guidance if isinstance(self.guidance, dict) else {"scale": self.guidance}
        guidance = completed(given, cfg, {"scale": 1.0})
        check_guidance(*(guidance[key] for key in ("scale", "interval", "rescale")))
        vars(self).update(options=completed(self.options, SAMPLERS[self.name]), guidance=guidance)

    @property
    def unguided(self):
        "What a card says of it, but for guidance."
        return {"sampler": self.name, "steps": self.steps, **self.options}

    @property
    def protocol(self):
        "What a card says of it."
        return self.unguided | {"guided_by": "cfg"} | guidance_protocol(self.guidance)

    def bind(self, model, y): # int64 (B,)
        "The model with its labels bound, guided as asked for."
        return cfg(model, y, **self.guidance)

    def walk(self, bound, # a model with its labels bound
             trained, # `Trained`, for schedule, shape and clip
             seeds): # one an image
        "The generator of `Step`s that draws an image for each seed."
        shape = len(seeds), *trained.shape
        walk = walk_levels if self.name in ON_LEVELS else walk_timesteps
        return walk(SAMPLERS[self.name], bound, trained, shape, self.steps, seeds,
                    dict(self.options))


def walk_levels(steps_of, bound, trained, shape, steps, seeds, options):
    "The steps of a solver of chapter 80."
    if options.get("churn"): options["churn"] = Churn(**options["churn"])
    return steps_of(denoiser_of(bound, trained), shape, steps, seed=seeds, **options)


def walk_timesteps(steps_of, bound, trained, shape, steps, seeds, options):
    "The steps of a sampler of chapters 14 and 16; ValueError where there are no timesteps."
    if trained.schedule is None:
        raise ValueError("DDIM and DDPM walk the timesteps of a schedule, and this network was "
                         f"trained without one; expected {', '.join(ON_LEVELS)}")
    if "variance" in options:
        options["variance"] = VARIANCES.get(options["variance"], options["variance"])
    return steps_of(bound, trained.schedule, shape, steps, seed=seeds, clip=trained.clip,
                    **options)
