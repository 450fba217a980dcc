"Train the networks that come with the package again, score them, keep them beside a record."

import json, shutil, subprocess
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ..attention import train_text
from ..captions import held_out_captions, read_halves
from ..cards import environment
from ..classifiers import accuracy, train_classifier
from ..ddim import ddim_sample
from ..dit_digits import train_dit
from ..guidance import cfg
from ..images import load_digits
from ..latent_digits import digits_space, train_latent_digits
from ..models import condition, inference_mode
from ..saving import load_model
from ..shipped import WEIGHTS, record_of
from ..training import train_digits
from ..vae import kl, train_digits_vae
from .protocol import held_out_digits, score_digits

TRAIN = {"digits": train_digits, "classifier": train_classifier,
         "vae": train_digits_vae, "latent": train_latent_digits, "text": train_text,
         "dit": train_dit}


def sample_scores(trained, decode=lambda x: x):
    "What 797 digits of a network score: DDIM, 50 steps, seed 0, one for each held-out digit."
    labels = held_out_digits()[1]
    shape = (len(labels), *trained.shape)
    model = condition(trained.model, labels)
    x = ddim_sample(model, trained.schedule, shape, seed=0, clip=trained.clip)
    found = score_digits(decode(x), labels)
    return {name: getattr(found, name).value for name in ("accuracy", "distance", "nearest")}


def vae_scores(trained):
    "Mean squared error of a pixel, and KL in nats an image, on the held-out digits."
    x = held_out_digits()[0]
    with inference_mode(trained.model):
        mean, logvar = trained.model.encode(x)
        error = (trained.model.decode(mean) - x).square().mean()
    return {"mse": error.item(), "kl": kl(mean, logvar).mean().item()}


def text_scores(trained):
    "Share of the held-out captions that are followed: DDIM, 25 steps, seed 0, scales 1 and 3."
    texts, left, right = zip(*held_out_captions())
    y = torch.arange(len(texts))
    shape = (len(y), *trained.shape)
    def followed(scale):
        model = cfg(trained.model.asked(texts), y, scale)
        l, r = read_halves(ddim_sample(model, trained.schedule, shape, 25, seed=0))
        return ((l == torch.tensor(left)) & (r == torch.tensor(right))).double().mean().item()
    return {"followed": followed(1.0), "followed, guided": followed(3.0)}


def scores_of(name: str, trained) -> dict: # a name in TRAIN; `Trained`
    "The numbers that a record holds of a network."
    if name == "text": return text_scores(trained)
    if name == "classifier": return {"accuracy": accuracy(trained.model, load_digits("test"))}
    if name == "vae": return vae_scores(trained)
    if name in ("digits", "dit"): return sample_scores(trained)
    return sample_scores(trained, digits_space().decode)


def rounded(state):
    "A state dict with its floats in half precision."
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def load_rounded(folder):
    "The `Trained` of a model folder as it would be shipped: averaged weights, rounded."
    trained = load_model(folder)
    trained.model.load_state_dict(rounded(trained.model.state_dict()))
    return trained


def retrain(name: str, out, seed: int=0, progress: bool=True):
    "Train a shipped network anew into the run folder `out`, or go on there; what it scores."
    if name not in TRAIN: raise ValueError(f"no network {name!r}; there are {', '.join(TRAIN)}")
    out = Path(out)
    TRAIN[name](out, seed=seed, resume=True, device="cpu", precision="no", progress=progress)
    found = scores_of(name, load_rounded(out / "model"))
    return {"seed": seed, "threads": torch.get_num_threads(), "scores": found}


def recorded(name, key):
    "What the shipped network of this name scores, by its record."
    return record_of(name)["scores"][key]


def commit():
    "The commit that the code stands at, or None outside a repository."
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                          cwd=Path(__file__).parent)
    return done.stdout.strip() or None


def ship(name: str, run, seed: int=0, into=WEIGHTS):
    "Keep the averaged weights of a run in half precision, and the beginning of their record."
    model = Path(run) / "model"
    folder = Path(into) / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(model / "config.json", folder)
    save_file(rounded(load_file(model / "ema.safetensors")), folder / "ema.safetensors")
    made = {"command": f"ddpm-course train {name} --seed {seed}", "parent commit": commit(),
            **environment(), "threads": torch.get_num_threads()}
    write_record(folder, {"made": made, "scores": {}, "retrained": []})


def write_record(folder, record):
    "record.json of a shipped network."
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
