"Samples of a trained run: drawn chunk by chunk, which processes share; a stop loses one at most."

import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from ..arguments import checked
from ..disk import as_folder, atomic_file, hold, sweep, write_whole
from ..identity import digest_of
from ..images import to_uint8
from ..latents import LatentSpace
from ..models import device_of
from ..randomness import image_seeds
from ..ranks import gathered, in_turn, is_first, of_first, place
from ..saving import Trained, load_model
from .generation import generate, protocol_of
from .measuring import out_of_memory
from .run_page import resume_command


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
        raise FileNotFoundError(f"{run} is not trained to its end; go on with: "
                                f"{resume_command(run, settings)}")
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


def told_of(ready, sampler, seed, chunk):
    """What cards say of samples: network, sampler, guidance, and how many were drawn at a time.

    A network rounds a batch of another size differently: gray levels may flip here and there, and
    a distance move a little. How many processes shared the chunks changes nothing."""
    s = ready.settings
    about = {"model": s["experiment"], "size": s["size"], "variant": s["variant"],
             "trained_on": s["data"], "train_seed": s["seed"], "weights": ready.weights}
    told = protocol_of(sampler, ready.trained, binder(ready.trained))
    return json.loads(json.dumps(about | told | {"seed": seed, "chunk": chunk}))


def sample_folder(ready, told):
    "Where samples of a protocol are kept."
    name = f"{told['sampler']}-{told['steps']}-{told.get('guidance', 1):g}"
    return ready.folder / "samples" / f"{name}-{digest_of(json.dumps(told, sort_keys=True))[:8]}"


def chunk_file(folder, i):
    "The file of chunk i."
    return folder / f"{i:05d}.safetensors"


def chunk_count(file):
    "How many images a file holds; 0 where there is none."
    if not file.exists(): return 0
    with safe_open(file, "pt") as kept: return kept.get_slice("images").get_shape()[0]


@checked
def chunks_of(n: int, chunk: int):
    "The n images as slices, each of `chunk` but the last."
    return [slice(i, min(n, i + chunk)) for i in range(0, n, chunk)]


def draw(ready, # `Ready`
         sampler, # `Sampler`
         n: int, # images
         seed: int=0,
         chunk: int=100, # images at a time, and in a file
         levels: int=255, # largest gray level of the data
         progress: bool=True):
    "(folder of n samples, what cards say of them); what is there is not drawn again."
    parts = chunks_of(n, chunk)
    labels = wanted_labels(ready.trained, n)
    seeds = image_seeds(seed, n)
    told = told_of(ready, sampler, seed, chunk)
    folder = sample_folder(ready, told)
    folder.mkdir(parents=True, exist_ok=True)
    progress = progress and is_first()
    with of_first(hold(folder)), out_of_memory(chunk, 1, device_of(ready.trained.model)):
        if is_first():
            sweep(folder, alone=True)
            write_whole(folder / "about.json", json.dumps(told, indent=1))
        todo = gathered([(chunk_file(folder, i), rows) for i, rows in enumerate(parts)
                         if chunk_count(chunk_file(folder, i)) < rows.stop - rows.start])[0]
        for file, rows in tqdm(in_turn(todo), folder.name, -(-len(todo) // place()[1]),
                               unit="chunk", disable=not progress):
            drawn = generate(sampler, ready.trained, labels[rows], seeds[rows], batch=chunk,
                             progress=progress and len(todo) == 1, bind=binder(ready.trained),
                             decode=ready.decode)
            keep_chunk(file, drawn, labels[rows], levels)
    return folder, told


def keep_chunk(file, drawn, labels, levels):
    "Write images as gray levels, their labels, and what they cost."
    cost = torch.tensor([drawn.seconds, drawn.nfe], dtype=torch.float64)
    with atomic_file(file) as new:
        save_file({"images": to_uint8(drawn.images, levels), "labels": labels, "cost": cost}, new)


def read_chunk(folder, i, most):
    "(images in [0, levels] as uint8, labels, [seconds, evaluations]) of chunk i, `most` images."
    kept = load_file(chunk_file(folder, i))
    labels = kept["labels"][:most].clone() # as a view it would keep the images in memory
    return kept["images"][:most], labels, kept["cost"].tolist()
