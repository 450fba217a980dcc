"Scores of samples and of real images through one network, whatever the data set."

import json
from dataclasses import asdict
from functools import lru_cache

import torch

from ..cards import environment, load_scores, save_scores
from ..classifiers import digits_classifier
from ..disk import as_folder
from ..features import Features, extract
from ..identity import digest_of, digest_of_array
from ..images import from_uint8
from ..inception import Inception
from ..metrics import fid, frechet, inception_score, kid
from ..ranks import gathered, is_first, meet, shared
from ..saving import load_model
from ..scores import INCEPTION, Score
from ..shares import share_interval
from .datasets import SETS, load_split
from .protocol import Cards
from .sample_runs import chunks_of, draw, read_chunk, told_of


@lru_cache(maxsize=2)
def features_network(name: str, # "digits", "inception", or the folder of a `train_features` run
                     device: str="cpu"):
    "The network that distances look through."
    if name == "digits": return digits_classifier().to(device)
    if name == "inception": return Inception().to(device)
    folder = as_folder(name, "--features") / "model"
    net = load_model(folder, device=device).model if folder.exists() else None
    if all(hasattr(net, part) for part in ("features", "head", "name")): return net
    raise ValueError(f"--features {name}: {f'a {type(net).__name__}' if net else 'no model'} is "
                     "there; expected inception, or the folder of a run of train_features")


@lru_cache(maxsize=2)
def network_digest(name, device):
    "What tells a network from others: a digest of its weights."
    state = features_network(name, device).state_dict()
    return digest_of(*(digest_of_array(v) for v in state.values()))


@lru_cache(maxsize=4)
def real_features(data, # `DataSet`
                  root, split, features, device):
    "(`Features` of the real images of a split, what cards call them, their labels)."
    images, title = load_split(data, root, split)
    network = features_network(features, device)
    look = lambda index: extract(network, images.batch(index)[0])
    seen = all_features(shared(look, torch.arange(len(images)).split(100)))
    return seen, title, images.labels


def all_features(parts):
    "`Features` of several sets of images as one."
    values, probabilities = (torch.cat([getattr(part, name) for part in parts])
                             for name in ("values", "probabilities"))
    return Features(parts[0].name, values, probabilities)


def seen_samples(folder, n, chunk, levels, features, device):
    """(`Features` of the first n samples in a folder, their labels, seconds, evaluations an image).

    Processes share the chunks; of the images each holds one chunk at a time."""
    network = features_network(features, device)
    def look(i):
        images, labels, cost = read_chunk(folder, i, n - i * chunk)
        return extract(network, from_uint8(images, levels)), labels, cost
    seen, labels, costs = zip(*shared(look, range(len(chunks_of(n, chunk)))))
    seconds, evaluations = zip(*costs)
    return all_features(seen), torch.cat(labels), sum(seconds), int(evaluations[0])


def distance_to(fake, real, reference, **told):
    "FID, FID@n, or the Fréchet distance in another network's features."
    measure = fid if fake.name == INCEPTION else frechet
    return measure(fake, real, reference, **told)


@lru_cache(maxsize=16)
def floor_of_split(data, root, evaluation, device, instrument, rounding):
    "The distance of n real images of another split, or None where there are not as many."
    splits = SETS[data.name].splits
    other = next(split for split in splits if split != evaluation.split)
    if splits[other] < evaluation.n: return None
    fake, title, _ = real_features(data, root, other, evaluation.features, device)
    real, reference, _ = real_features(data, root, evaluation.split, evaluation.features, device)
    chosen = torch.randperm(len(fake), generator=torch.Generator().manual_seed(0))[:evaluation.n]
    return distance_to(fake[chosen], real, reference, sampler=f"real, {title}",
                    instrument=instrument, rounding=rounding)


def accuracy_of(seen, labels, told):
    "Share of samples that the network reads as the class asked for."
    right = seen.probabilities.argmax(1) == labels
    interval = share_interval(right, labels)
    return Score("accuracy", right.double().mean().item(), interval, len(labels),
                 features=seen.name, **told)


def cards_of(ready, plan, sampler, evaluation, root=None, seed=0, device="cpu", chunk=100,
             progress=True): # `Ready`, `TrainingPlan`, `Sampler`, `Evaluation`; folder of the data
    "The `Cards` of a sampler on a run: drawn, looked at, held against real images."
    levels = SETS[plan.data.name].levels
    features = evaluation.features # what may be missing is looked for before hours of drawing
    real, reference, asked = real_features(plan.data, root, evaluation.split, features, device)
    folder, told = draw(ready, sampler, evaluation.n, seed, chunk, levels, progress)
    seen, labels, seconds, nfe = seen_samples(folder, evaluation.n, chunk, levels, features, device)
    tool = {"instrument": network_digest(features, device), "rounding": f"{levels + 1} gray levels"}
    told |= tool | {"nfe": nfe, "notes": {"seconds": round(seconds, 1)}}
    cards = Cards(distance=distance_to(seen, real, reference, **told),
                  kernel=kid(seen, real, reference, **told), score=inception_score(seen, **told))
    if ready.trained.model.num_classes == seen.probabilities.shape[1]:
        cards["accuracy"] = accuracy_of(seen, labels, told)
        cards["real_accuracy"] = accuracy_of(real, asked, tool | {"sampler": f"real, {reference}"})
    cards["floor"] = floor_of_split(plan.data, root, evaluation, device, **tool)
    return cards


def evaluated(ready, plan, sampler, evaluation, root=None, seed=0, device="cpu", chunk=100,
              progress=True):
    "The same, kept in scores/ of the run, and read from there."
    told = [told_of(ready, sampler, seed, chunk), asdict(evaluation)]
    file = ready.folder / "scores" / f"{digest_of(json.dumps(told, sort_keys=True))}.json"
    if not gathered(file.exists())[0]:
        cards = cards_of(ready, plan, sampler, evaluation, root, seed, device, chunk, progress)
        if is_first(): save_scores(file, [cards], environment(str(device)))
        meet()
    return Cards(load_scores(file)[0])
