"A model folder as a pipeline folder of diffusers, and back: network, scheduler, autoencoder."

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from .arguments import checked
from .autoencoders import Autoencoder
from .cards import a_row
from .disk import atomic_folder
from .dit_interop import dit_to_diffusers
from .interop import from_extra, network_to_diffusers
from .kinds import a_path, listed, one_of
from .latents import LatentSpace
from .model_cards import model_card
from .peers import Told, Walk, check_walk, scheduler_config, scheduler_told, walk_of
from .saving import load_model, save_model
from .schema import read_header, read_json
from .transformer import DiT
from .unet import UNet

ABOUT = "ddpm_course.json" # in a pipeline folder: what diffusers has no place for
NOT_THERE = ("format", "model", "arguments", "betas", "predicts", "clip", # diffusers holds these
             "folder", "schedule", "ema") # and `save_model` calls its own arguments so
PRECISION = {"F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16}


class Counterpart(NamedTuple):
    "A network of ours and of diffusers."
    part: str # its folder in a pipeline
    theirs: str # its class in diffusers
    there: Callable # (model, (H, W) or None) -> theirs
    back: Callable # (theirs, predicts, num_classes or None) -> ours


COUNTERPARTS = {
    "UNet": Counterpart("unet", "UNet2DModel", network_to_diffusers,
                        lambda net, predicts, n: UNet.from_diffusers(net, predicts, num_classes=n)),
    "DiT": Counterpart("transformer", "DiTTransformer2DModel", dit_to_diffusers,
                       lambda net, predicts, n: DiT.from_diffusers(net, predicts)),
    "Autoencoder": Counterpart("vae", "AutoencoderKL", lambda model, size: model.net,
                               lambda net, predicts, n: Autoencoder(net).eval())}
KNOWN = {c.theirs: c for c in COUNTERPARTS.values()} | {
    "Transformer2DModel": COUNTERPARTS["DiT"]} # its class before it had one of its own
SCHEDULERS = ("DDIMScheduler", "DDPMScheduler")


# ---- there ----

class Exported(NamedTuple):
    "What a pipeline folder holds."
    folder: Path
    walk: Walk | None # how it samples; None for an autoencoder alone
    pipeline: str | None # the class of diffusers that samples from it as it stands, or None


def counterpart_of(model):
    "The `Counterpart` of a network of ours; ValueError for one that has none."
    if (name := type(model).__name__) in COUNTERPARTS: return COUNTERPARTS[name]
    raise ValueError(f"diffusers has no counterpart of a {name}; expected one of "
                     f"{', '.join(COUNTERPARTS)}; keep its model folder, which load_model reads")


def checked_walk(trained, *asked): # sampler, steps, spacing, variance
    "The `Walk` asked for; ValueError where diffusers would take another one."
    if trained.schedule is None:
        raise ValueError("this model has no schedule of betas, which a scheduler of diffusers "
                         "needs; export one that was trained with a NoiseSchedule")
    if trained.shape is None:
        raise ValueError("this model does not say how large its images are (shape is None), which "
                         "a pipeline has to know; save it with save_model(..., shape=(C, H, W))")
    learned = trained.config["arguments"].get("learn_variance", False)
    walk = walk_of(len(trained.schedule), *asked, learned)
    check_walk(trained.schedule, trained.model.predicts, learned, walk)
    return walk


def vae_beside(folder, trained):
    "{\"vae\": AutoencoderKL} of latents, which also tells their mean and spread; else {}."
    if not (folder / "vae").is_dir():
        if trained.config.get("latent") is None: return {}
        raise FileNotFoundError(f"{folder} makes latents, and its autoencoder is not beside it; "
                                "put it there with space.save(folder)")
    space = LatentSpace.load(folder)
    net = counterpart_of(space.vae).there(space.vae, None)
    net.register_to_config(latents_mean=space.mean.tolist(), latents_std=space.std.tolist())
    return {"vae": net}


def pipeline_parts(trained, folder, walk):
    "{folder: part of diffusers}, the network first."
    network = counterpart_of(trained.model)
    scheduler = getattr(from_extra("diffusers"), f"{walk.sampler}Scheduler")
    config = scheduler_config(trained.schedule, trained.model.predicts, trained.clip, walk)
    return {network.part: network.there(trained.model, trained.shape and trained.shape[1:]),
            "scheduler": scheduler(**config), **vae_beside(folder, trained)}


def write_index(folder, name, parts):
    "model_index.json, by which a pipeline finds its parts."
    index = {"_class_name": name, "_diffusers_version": from_extra("diffusers").__version__}
    index |= {part: ["diffusers", type(net).__name__] for part, net in parts.items()}
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def write_about(folder, trained):
    "What our description says and diffusers does not."
    about = {k: v for k, v in trained.config.items() if k not in NOT_THERE and v is not None}
    (folder / ABOUT).write_text(json.dumps(about, indent=1))


@checked(out=a_path, weights=one_of("ema", "model"), scores=listed(a_row))
def export_pipeline(folder, # a model folder
                    out, # a new folder, for the pipeline
                    sampler: str="DDIM", # "DDIM" or "DDPM": the scheduler
                    steps: int | None=None, # that it will be asked for; None: 50, or all of DDPM's
                    spacing: str | None=None, # "trailing" or "leading"; None: as `walk_of`
                    variance: str | None=None, # of DDPM: "small", "large" or "learned"
                    weights: str="ema", # or "model"
                    name: str=".", # of the repository that the card speaks of
                    scores=()) -> Exported: # rows {name: `Score`} for the card
    """Write a model folder as a folder that diffusers loads.

    ValueError for parts that it has no place for, and where it would sample otherwise."""
    trained = load_model(folder, weights)
    if counterpart_of(trained.model).part == "vae": return export_autoencoder(trained, out)
    walk = checked_walk(trained, sampler, steps, spacing, variance)
    parts = pipeline_parts(trained, folder, walk)
    index = f"{walk.sampler}Pipeline" if [*parts] == ["unet", "scheduler"] else None
    runs = index if trained.model.num_classes is None else None # no pipeline takes labels
    with atomic_folder(out) as new:
        for part, net in parts.items(): net.save_pretrained(new / part)
        if index: write_index(new, index, parts)
        write_about(new, trained)
        card = model_card(trained, parts, walk, runs, name, scores)
        (new / "README.md").write_text(card, encoding="utf-8")
    return Exported(out, walk, runs)


def export_autoencoder(trained, out):
    "An autoencoder alone, as `AutoencoderKL.from_pretrained` loads it."
    with atomic_folder(out) as new:
        trained.model.net.save_pretrained(new)
        write_about(new, trained)
    return Exported(out, None, None)


# ---- back ----

def fetched(source, patterns):
    "A folder that is here, or files of a repository on the hub, as a folder."
    if source.is_dir(): return source
    hub = from_extra("huggingface_hub")
    try: return Path(hub.snapshot_download(source.as_posix(), allow_patterns=patterns))
    except Exception as e: # of many kinds: names, network, access, cache
        raise OSError(f"no pipeline {source}: it is no folder here, and not to be had from the hub "
                      f"({str(e).splitlines()[0][:200]}); pass the folder of a pipeline, as "
                      "save_pretrained writes it, or go online once: the hub keeps a copy") from e


def classes_in(folder):
    "{name: (class in diffusers, its folder)} of a pipeline folder, or of one network alone."
    if (file := folder / "model_index.json").exists():
        named = {name: told[1] for name, told in read_json(file).items()
                 if isinstance(told, list) and len(told) == 2 and told[1]}
        return {name: (cls, folder / name if (folder / name).is_dir() else folder)
                for name, cls in named.items()} # in old repositories all parts lie in one folder
    files = [*folder.glob("config.json"), *sorted(folder.glob("*/*config.json"))]
    read = {file.parent: read_json(file).get("_class_name") for file in files}
    return {path.name: (cls, path) for path, cls in read.items() if cls}


def known_parts(found, source): # of `classes_in`
    "{part: (class, folder)} under the names of `COUNTERPARTS`; ValueError for any other part."
    roles = {cls: c.part for cls, c in KNOWN.items()} | dict.fromkeys(SCHEDULERS, "scheduler")
    odd = [f"{name}: {cls}" for name, (cls, _) in found.items() if cls not in roles]
    if odd:
        raise ValueError(f"{source} has parts that the course has nothing for ({', '.join(odd)}); "
                         f"expected {', '.join(roles)}; another scheduler can become "
                         "DDIMScheduler.from_config(pipe.scheduler.config)")
    parts = {roles[cls]: (cls, path) for cls, path in found.values()}
    if not parts: raise ValueError(f"{source} is no folder of diffusers: it has no "
                                   "model_index.json; load_model reads the course's own folders")
    if "scheduler" in parts or [*parts] == ["vae"]: return parts
    raise ValueError(f"{source} has no scheduler, so nothing says which noise the network knows, "
                     "nor what it predicts; pass the whole pipeline, or use UNet.from_diffusers")


def load_part(cls, folder, **options): # a class in diffusers; for from_pretrained
    "A network of a pipeline, in the precision of its file."
    files = sorted(folder.glob("*.safetensors"))
    kinds = {kind for _, kind in read_header(files[0]).values()} if files else set()
    if kinds & PRECISION.keys(): options["torch_dtype"] = PRECISION[max(kinds & PRECISION.keys())]
    return getattr(from_extra("diffusers"), KNOWN[cls].theirs).from_pretrained(folder, **options)


def load_space(part, shape): # (class, folder) of an autoencoder; (C, h, w) of a latent
    "The `LatentSpace` of a pipeline's autoencoder."
    config = read_json(part[1] / "config.json")
    vae = Autoencoder(load_part(*part, latents_mean=None, latents_std=None)) # the space keeps them
    C = vae.latent_channels
    mean = config.get("latents_mean") or [vae.shift_factor or 0.0] * C
    std = config.get("latents_std") or [1 / vae.scaling_factor] * C
    sides = (side * vae.factor for side in shape[1:])
    return LatentSpace(vae, mean, std, (vae.config["in_channels"], *sides))


def read_about(folder):
    "What ddpm_course.json says, or {}."
    if not (file := folder / ABOUT).exists(): return {}
    if isinstance(about := read_json(file), dict):
        return {k: v for k, v in about.items() if k not in NOT_THERE}
    raise ValueError(f"{file} is damaged; expected {{...}}; copy the folder again")


def size_of(net): # of diffusers
    "[C, H, W] of what a network makes; ValueError where it does not say."
    size = net.config["sample_size"]
    if size is None:
        raise ValueError("the network does not say how large its images are (sample_size=None); "
                         "net.register_to_config(sample_size=...) and save the pipeline again")
    return [net.config["in_channels"], *([size, size] if isinstance(size, int) else size)]


@checked(source=a_path, out=a_path)
def import_pipeline(source, # folder of a pipeline of diffusers, or its name on the hub
                    out) -> Told: # a new model folder
    """Write a pipeline of diffusers as a model folder; ValueError that names what cannot be held.

    How a scheduler lays its steps is no part of a model: samplers get that as arguments."""
    parts = known_parts(classes_in(fetched(source, ["*.json"])), source)
    folder = fetched(source, ["*.json", "*.safetensors"])
    about = read_about(folder)
    told = Told(None, None, None)
    if "scheduler" in parts:
        cls, path = parts["scheduler"]
        told = scheduler_told(getattr(from_extra("diffusers"), cls).from_pretrained(path))
    kind = next(kind for kind in ("unet", "transformer", "vae") if kind in parts)
    net = load_part(*parts[kind])
    model = KNOWN[parts[kind][0]].back(net, told.predicts, about.pop("num_classes", None))
    about = about or {"shape": None if kind == "vae" else size_of(net),
                      "label_drop": getattr(model, "label_drop", None)}
    save_model(out, model, told.schedule, ema=model, **about | {"clip": told.clip})
    if kind != "vae" and "vae" in parts: load_space(parts["vae"], about["shape"]).save(out)
    return told
