"Samples for a score, and the score."

import time

import torch
from tqdm import tqdm

from ..ancestral import ddpm_steps
from ..ddim import ddim_steps
from .protocol import held_out_digits, score_digits
from ..models import condition
from ..randomness import image_seeds


def generate(sampler_steps, # ddpm_steps or ddim_steps
             trained, # a `Trained` class-conditional model
             labels, # int64 (n,)
             seed, # of the whole set; image i is the same whatever the batch size
             steps, # of the sampler
             batch=100, # images at a time
             progress=True, # show a bar
             bind=condition, # bind(model, y): what the sampler calls; `guidance.cfg` with a scale, for guided samples
             decode=None, # from what the model makes to images, such as `LatentSpace.decode`; None where it makes images
             **options): # of the sampler: eta, spacing, variance
    "One image for each label, float (n, C, H, W), and the seconds it took."
    seeds, images, began = image_seeds(seed, len(labels)), [], time.perf_counter()
    name = sampler_steps.__name__.removesuffix("_steps").upper()
    with tqdm(total=-(-len(labels) // batch) * steps, desc=f"{name}, {steps} steps, {len(labels)} images", unit="step", disable=not progress) as bar:
        for i in range(0, len(labels), batch):
            y = labels[i:i + batch]
            for step in sampler_steps(bind(trained.model, y), trained.schedule, (len(y), *trained.shape), steps,
                                      seed=seeds[i:i + batch], clip=trained.clip, **options): bar.update()
            images.append((step.x_prev if decode is None else decode(step.x_prev)).cpu())
    return torch.cat(images), time.perf_counter() - began


def measure(sampler, # "DDIM" or "DDPM"
            trained, n=797, seed=0, steps=50, progress=True, # as for `generate`
            model="digits", weights="ema", # for the cards: what was trained, and which of its weights these are
            guidance=1.0, evaluations=1, # for the cards: the scale that `bind` applies, and how often a step calls the network
            **options): # of the sampler and `generate`
    "(the `DigitsScore` of n digits by a sampler, the images, their labels)."
    labels = held_out_digits(n)[1]
    images, seconds = generate({"DDIM": ddim_steps, "DDPM": ddpm_steps}[sampler], trained, labels, seed, steps, progress=progress, **options)
    defaults = {"DDIM": dict(spacing="trailing", eta=0.0), "DDPM": dict(spacing="trailing")}[sampler]
    told = {k: v for k, v in (defaults | options).items() if k in ("spacing", "eta")}
    noted = {k: v for k, v in options.items() if k not in (*told, "bind", "decode", "batch")}
    score = score_digits(images, labels, sampler=sampler, steps=steps, nfe=steps * evaluations, seed=seed, model=model, weights=weights, guidance=guidance,
                         notes={"seconds": round(seconds, 1), **noted}, **told)
    return score, images, labels
