"Samples for a score, and the score."

import time
from typing import NamedTuple

import torch
from tqdm import tqdm

from ..arguments import checked
from ..kinds import an_instance, anything, having, tensor, text
from ..models import Wrapper
from ..randomness import image_seeds, some_seeds
from ..saving import Trained
from .protocol import DIGITS
from .samplers import Sampler, guidance_protocol


class Drawn(NamedTuple):
    "What `generate` made."
    images: torch.Tensor # float (n, C, H, W)
    seconds: float
    nfe: int # network evaluations an image


def trained_of(run, # a finished `Run` of `fit`
               weights="ema"): # or "raw"
    "The `Trained` model of a run, without a folder."
    model = {"ema": run.ema.model, "raw": run.model}[weights]
    return Trained(model, run.about["schedule"], run.about["shape"], run.about["clip"], {})


class Counted(Wrapper):
    "A model with its labels bound that counts the passes an image through its network, `calls`."
    calls = 0

    def __call__(self, x_t, t, y=None):
        interval = getattr(self.model, "interval", None)
        outside = interval is not None and not interval[0] <= t[0] <= interval[1]
        self.calls += 1 if outside else getattr(self.model, "evaluations", 1)
        return super().__call__(x_t, t, y)


A_TRAINED = having("model", "schedule", "shape", what="a Trained, such as digits_model()")
SOME_LABELS = tensor("(n,)", floating=False)


@checked(sampler=an_instance(Sampler), trained=A_TRAINED, labels=SOME_LABELS, seed=some_seeds)
def generate(sampler, # `Sampler`
             trained, # a `Trained` class-conditional model
             labels, # int64 (n,)
             seed, # of the whole set, or one an image; image i is the same whatever the batch size
             *, batch: int=400, # images at a time; each is the same in any batch
             progress: bool=True, # show a bar
             bind=None, # bind(model, y): what the sampler calls, in place of its own guidance
             decode=None) -> Drawn: # from what the model makes to images, where these are latents
    "One image for each label."
    bind = sampler.bind if bind is None else bind
    began = time.perf_counter()
    images = []
    about = f"{sampler.name}, {sampler.steps} steps, {len(labels)} images"
    bar = tqdm(total=-(-len(labels) // batch) * sampler.steps, desc=about, unit="step",
               disable=not progress)
    with bar:
        seeds = image_seeds(seed, len(labels))
        for i in range(0, len(labels), batch):
            bound = Counted(bind(trained.model, labels[i:i + batch]))
            for step in sampler.walk(bound, trained, seeds[i:i + batch]): bar.update()
            images.append((step.x_prev if decode is None else decode(step.x_prev)).cpu())
    return Drawn(torch.cat(images), time.perf_counter() - began, bound.calls)


def protocol_of(sampler, trained, bind):
    "What cards say of a sampler, and of what `bind` makes where it stands for guidance."
    if bind is None: return sampler.protocol | {"clip": trained.clip}
    bound = bind(trained.model, torch.zeros(1, dtype=torch.int64))
    options = getattr(bound, "options", None) or {"scale": getattr(bound, "scale", 1.0)}
    return sampler.unguided | {"clip": trained.clip} | guidance_protocol(options)


@checked(trained=A_TRAINED, guidance=anything, model=text)
def measure(sampler, # a `Sampler`, or the name of one
            trained, # `Trained`
            n: int=797, seed: int=0, steps: int=50, # steps: where the sampler is a name
            *, progress: bool=True, bind=None, decode=None, # as for `generate`
            protocol=DIGITS, # how to score
            model: str="digits", weights: str="ema", # for the cards: what was trained
            about=None, # for the cards: more of the model, such as {"train_steps": 400}
            guidance=1.0, **options): # of the sampler, where it is a name
    "(the `Cards` of n images by a sampler, the images, their labels)."
    if not isinstance(sampler, Sampler): sampler = Sampler(sampler, steps, options, guidance)
    elif options: raise ValueError(f"got a Sampler and {sorted(options)}; give it these instead")
    labels = protocol.held_out(n)[1]
    drawn = generate(sampler, trained, labels, seed, progress=progress, bind=bind, decode=decode)
    told = {"model": model, **(about or {}), "weights": weights}
    told |= protocol_of(sampler, trained, bind) | {"nfe": drawn.nfe, "seed": seed}
    cards = protocol.score(drawn.images, labels, notes={"seconds": round(drawn.seconds, 1)}, **told)
    return cards, drawn.images, labels
