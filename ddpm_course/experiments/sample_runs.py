"Samples of a trained run: drawn shard by shard, so that a stop at any moment loses one at most."

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from ..disk import as_folder, atomic_file, hold, sweep, write_whole
from ..identity import digest_of
from ..images import to_uint8
from ..latents import LatentSpace
from ..randomness import image_seeds
from ..saving import Trained, load_model
from .generation import generate, protocol_of
from .measuring import out_of_memory

SHARD = 500 # images a file


class Ready(NamedTuple):
    "A trained run to be sampled from."
    folder: Path
    settings: dict # experiment.json
    trained: Trained
    decode: object # latents -> images, or None
    weights: str # 16 hex digits of the weights that are sampled from


def open_run_folder(run, settings, plan, device):
    "The `Ready` network of a finished run; an error says how to finish it."
    run = as_folder(run, "RUN")
    if not (run / "model").exists():
        raise FileNotFoundError(f"{run} is not trained to its end; go on with: ddpm-course train "
                                f"{settings['experiment']} --size {settings['size']} --out {run} "
                                "--resume")
    trained = load_model(run / "model", plan.weights, device)
    space = LatentSpace.load(run / "model", device) if plan.latents else None
    digest = digest_of((run / "model" / f"{plan.weights}.safetensors").read_bytes())
    return Ready(run, settings, trained, space and space.decode, digest)


def wanted_labels(trained, n):
    "Labels of n images: all classes in turn; None for a network without classes."
    classes = trained.model.num_classes
    return torch.zeros(n, dtype=torch.int64) if classes is None else torch.arange(n) % classes


def binder(trained):
    "What `generate` takes to leave a network without classes as it is; None for all others."
    return (lambda model, y: model) if trained.model.num_classes is None else None


def told_of(ready, sampler, seed):
    "What cards say of samples: network, sampler, guidance."
    s = ready.settings
    about = {"model": s["experiment"], "size": s["size"], "variant": s["variant"],
             "trained_on": s["data"], "train_seed": s["seed"], "weights": ready.weights}
    told = protocol_of(sampler, ready.trained, binder(ready.trained))
    return json.loads(json.dumps(about | told | {"seed": seed}))


def sample_folder(ready, told):
    "Where samples of a protocol are kept."
    name = f"{told['sampler']}-{told['steps']}-{told.get('guidance', 1):g}"
    return ready.folder / "samples" / f"{name}-{digest_of(json.dumps(told, sort_keys=True))[:8]}"


def shard_of_images(folder, i):
    "The file of samples i * SHARD and following."
    return folder / f"{i:05d}.safetensors"


def shard_count(file):
    "How many images a shard holds; 0 where there is none."
    return len(load_file(file)["images"]) if file.exists() else 0


def draw(ready, # `Ready`
         sampler, # `Sampler`
         n: int, # images
         seed: int=0,
         batch: int=100, # images at a time
         levels: int=255, # largest gray level of the data
         progress: bool=True):
    "(folder of n samples, what cards say of them); what is there is not drawn again."
    told = told_of(ready, sampler, seed)
    folder = sample_folder(ready, told)
    folder.mkdir(parents=True, exist_ok=True)
    labels = wanted_labels(ready.trained, n)
    seeds = image_seeds(seed, n)
    with hold(folder), out_of_memory(batch, 1, next(ready.trained.model.parameters()).device):
        sweep(folder, alone=True)
        write_whole(folder / "about.json", json.dumps(told, indent=1))
        todo = [i for i in range(-(-n // SHARD))
                if shard_count(shard_of_images(folder, i)) < min(SHARD, n - i * SHARD)]
        for i in tqdm(todo, folder.name, unit="shard", disable=not progress):
            rows = slice(i * SHARD, min(n, (i + 1) * SHARD))
            drawn = generate(sampler, ready.trained, labels[rows], seeds[rows], batch=batch,
                             progress=progress, bind=binder(ready.trained), decode=ready.decode)
            keep_shard(shard_of_images(folder, i), drawn, labels[rows], levels)
    return folder, told


def keep_shard(file, drawn, labels, levels):
    "Write images as gray levels, their labels, and what they cost."
    cost = torch.tensor([drawn.seconds, drawn.nfe], dtype=torch.float64)
    with atomic_file(file) as new:
        save_file({"images": to_uint8(drawn.images, levels), "labels": labels, "cost": cost}, new)


def read_shards(folder, n):
    "Yield (images in [0, levels] as uint8, labels, (seconds, evaluations)) of the first n samples."
    for i in range(-(-n // SHARD)):
        kept = load_file(shard_of_images(folder, i))
        some = min(SHARD, n - i * SHARD)
        yield kept["images"][:some], kept["labels"][:some], kept["cost"].tolist()
