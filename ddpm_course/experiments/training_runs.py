"A plan carried out: one trained network in a run folder, with all that decided it beside it."

import json
import os
from typing import NamedTuple

import torch

from ..autoencoders import load_autoencoder, train_vae
from ..cache import cache_latents
from ..devices import as_device
from ..disk import as_folder, atomic_file, write_whole
from ..identity import digest_of
from ..images import image_grid
from ..latents import LatentSpace
from ..models import condition
from ..randomness import image_seeds
from ..ranks import gathered, is_first, meet
from ..runs import checkpoints
from ..saving import load_model, save_model
from ..schema import read_json
from ..training import every, fit
from ..vae import digits_vae
from .datasets import load_split, shape_of
from .generation import trained_of
from .measuring import Meter, check_room, out_of_memory
from .samplers import Sampler

SETTINGS_FILE = "experiment.json"


# ---- autoencoders, as parts of plans ----

def shipped_autoencoder(data, folder, seed, device, progress):
    "The autoencoder of the digits, which comes with the package."
    return digits_vae().model.to(device)


def pretrained_autoencoder(data, folder, seed, device, progress,
                           source="stabilityai/sd-vae-ft-mse"):
    "diffusers' autoencoder (Rombach et al. 2022), from the hub or a folder."
    return load_autoencoder(source).to(device)


def own_autoencoder(data, folder, seed, device, progress, **options):
    "An autoencoder of this course, trained on the data set itself."
    if not gathered((folder / "model").exists())[0]:
        options = {"progress": progress, "device": only_cpu(device)} | options
        train_vae(data, folder, seed=seed, resume=True, **options)
    return load_model(folder / "model", device=device).model.requires_grad_(False)


# ---- what a run is made of ----

class Built(NamedTuple):
    "What `fit` is called with, and the space of the latents if there is one."
    model: torch.nn.Module
    data: object
    loss: object
    space: LatentSpace | None
    title: str # what cards call the data


def check_there(device):
    "ValueError unless tensors can be made on a device here."
    as_device(device)
    try: torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as e: # torch without CUDA asserts
        raise ValueError(f"device={device!r} cannot be used here ({str(e).splitlines()[0]}); "
                         "expected cpu, or an accelerator of this machine") from None


def default_device(device):
    """The device asked for; where none was, a GPU if there is one.

    Processes that a launcher started meet here, and each has a GPU of its own."""
    if device is None: device = "cuda" if torch.cuda.is_available() else "cpu"
    else: check_there(device)
    if int(os.environ.get("WORLD_SIZE", 1)) == 1: return device
    from accelerate import PartialState
    return str(PartialState(cpu=str(device).startswith("cpu")).device)


def only_cpu(device):
    "What `fit` takes: None for the accelerator at hand."
    return "cpu" if str(device).startswith("cpu") else None


def latent_space(plan, data, out, seed, device, progress):
    "(`LatentSpace`, its latents of the data), made once for all runs that lie in one folder."
    kind = json.dumps([plan.data.told, plan.latents.told], sort_keys=True)
    folder = out.parent / f"latents-{digest_of(kind)}"
    if gathered((folder / "vae").exists())[0]: space = LatentSpace.load(folder, device)
    else:
        autoencoder = plan.latents.autoencoder.build(data, folder / "autoencoder", seed, device,
                                                     progress)
        space = LatentSpace.measure(autoencoder, data, plan.latents.measured)
        if is_first(): space.save(folder)
        meet()
    return space, cache_latents(data, space, folder / "cache", plan.latents.flip,
                                progress=progress)


def built(plan, root, out, seed, device, progress):
    "Load the data, make network and loss of a plan, encode what is to be encoded."
    data, title = load_split(plan.data, root, "train")
    space = None
    if plan.latents: space, data = latent_space(plan, data, out, seed, device, progress)
    torch.manual_seed(seed)
    model = plan.network.build(in_channels=data.shape[0])
    return Built(model, data, plan.loss.build(plan.schedule.build()), space, title)


def fit_options(plan, n): # images in the training set
    "The recipe of a plan as `fit` takes it."
    options = {k: v for k, v in plan.recipe.items() if k not in ("epochs", "compile")}
    steps = plan.steps(n)
    return {"save_every": max(1, min(1000, steps // 4)), **options, "steps": steps,
            "compile": plan.recipe.get("compile", False)}


# ---- the folder ----

def settings_of_run(experiment, size, variant, plan, seed, start=None):
    "What a run folder says of its experiment."
    settings = {"format": 1, "experiment": experiment, "size": size, "variant": variant,
                "seed": seed, "plan": plan.told}
    return settings if start is None else settings | {"start": str(start)}


def entries_of(settings):
    "{name: value} of settings, one level of the plan taken apart."
    parts = {f"{k}.{name}": v for k, part in settings["plan"].items() if isinstance(part, dict)
             for name, v in part.items()}
    return {k: v for k, v in settings.items() if k != "plan"} | parts | {
        k: part for k, part in settings["plan"].items() if not isinstance(part, dict)}


def settings_differ(there, here):
    "Which entries of two settings differ, as text; \"\" if none does, or `here` leaves it open."
    was = entries_of(there)
    now = entries_of(here)
    differ = {k for k in was | now if was.get(k) != now.get(k)} - ({"data"} - here.keys())
    return "; ".join(f"{k}: {was.get(k)} there, {now.get(k)} here" for k in sorted(differ))[:400]


def check_claimed(out, settings):
    "ValueError or FileExistsError where a folder holds another run than that of these settings."
    if not (out / SETTINGS_FILE).exists():
        if checkpoints(out) or (out / "model").exists():
            raise FileExistsError(f"{out} holds a run that no experiment left; choose another "
                                  "--out")
        return
    if told := settings_differ(read_settings(out), settings):
        raise ValueError(f"{out} is another run ({told}); choose another --out. A new run of the "
                         f"same network can begin with its weights: --init {out}")


def claim_run(out, settings):
    "Write experiment.json, unless it is there; an error where the folder is another run's."
    check_claimed(out, settings)
    if not (out / SETTINGS_FILE).exists():
        write_whole(out / SETTINGS_FILE, json.dumps(settings, indent=1))


def read_settings(run):
    "experiment.json of a run; an error says what the folder is not."
    file = as_folder(run, "RUN") / SETTINGS_FILE
    if not file.exists():
        raise FileNotFoundError(f"{run} is no run of an experiment: it has no {SETTINGS_FILE}; one "
                                "is left by: ddpm-course train NAME --out RUN")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        for name in ("format", "experiment", "size", "variant", "seed", "data"): settings[name]
        settings["plan"]["recipe"].items()
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise ValueError(f"{file} is damaged ({type(e).__name__}: {e}); expected what ddpm-course "
                         "train writes: restore it, or train again into another folder") from e
    if settings["format"] == 1: return settings
    raise ValueError(f"{file} has format {settings['format']!r}; this version of the course reads "
                     "1: use the one that the run was made by")


def check_free(out, resume):
    "FileExistsError where a folder is taken and --resume was not given."
    if (out / SETTINGS_FILE).exists() and not resume:
        raise FileExistsError(f"{out} already holds a run; go on with --resume, or choose another "
                              "folder with --out")


def check_can_begin(out, settings, resume):
    "An error where a run cannot begin or go on in a folder; nobody writes before all have looked."
    check_free(out, resume)
    check_claimed(out, settings)
    if "start" in settings: check_init_network(settings)
    meet()


def check_init_network(settings): # of a run that begins with the weights of another
    "ValueError unless that one has the same network."
    was = read_settings(settings["start"])["plan"].get("network")
    now = settings["plan"]["network"]
    if was != now:
        raise ValueError(f"--init {settings['start']}: its network is {was}; expected that of this "
                         f"run, {now}")


def check_init_latents(start, data):
    "ValueError where a run saw the latents of another autoencoder than these data are of."
    places = [as_folder(start) / "model", *checkpoints(start)[::-1]]
    file = next((f / "config.json" for f in places if (f / "config.json").exists()), None)
    was = read_json(file).get("latent") if file else None # fit says what an empty run lacks
    if was != getattr(data, "about", {}).get("latent"):
        raise ValueError(f"--init {start}: its latents are not those of this run; expected the "
                         "same autoencoder: choose an --out beside that run, where the folder "
                         "latents-... is")


# ---- along training ----

def grid_labels(model, n=16):
    "Labels of the images in a sample grid, or None."
    classes = getattr(model, "num_classes", None)
    return None if classes is None else torch.arange(n) % classes


def save_grid(run, out, space, n=16, steps=20):
    "A grid of samples of the averaged weights, grids/STEP.png: the same noise each time."
    from PIL import Image
    y = grid_labels(run.ema.model, n)
    model = run.ema.model if y is None else condition(run.ema.model, y)
    sampler = Sampler("DDIM", steps) if run.about["schedule"] else Sampler("Heun", steps // 2)
    for step in sampler.walk(model, trained_of(run), image_seeds(0, n)): pass
    x = (step.x_prev if space is None else space.decode(step.x_prev)).cpu()
    if not run.is_main: return
    file = out / "grids" / f"{run.step:08d}.png"
    file.parent.mkdir(exist_ok=True)
    with atomic_file(file) as new:
        Image.fromarray(image_grid(x, 8).numpy()).save(new, format="png")


def keep_pretrained(network, settings, plan, out):
    "A network that others trained as a finished run: its model folder and its settings."
    claim_run(out, settings | {"data": "by others"})
    if (out / "model").exists(): return
    options = {"shape": shape_of(plan.data), "clip": plan.clip}
    save_model(out / "model", network, plan.schedule.build(), ema=network, **options)


def train_plan(experiment: str, size: str, variant: str, plan, # names, and the `TrainingPlan`
               out, root=None, seed: int=0, device=None, # run folder; folder of the data set
               resume: bool=False, progress: bool=True, callbacks=(),
               start=None): # another run's folder: its weights are the first
    "Train the network of a plan into a run folder, or go on there: (`Run`, `Built`)."
    out = as_folder(out)
    device = default_device(device)
    settings = settings_of_run(experiment, size, variant, plan, seed, start)
    check_can_begin(out, settings, resume) # before the data are read, which may take minutes
    parts = built(plan, root, out, seed, device, progress)
    if start is not None: check_init_latents(start, parts.data)
    out.mkdir(parents=True, exist_ok=True)
    if is_first(): claim_run(out, settings | {"data": parts.title})
    check_room(out, 15 * 4 * sum(p.numel() for p in parts.model.parameters())) # three checkpoints
    options = fit_options(plan, len(parts.data))
    meter = Meter(out, device, options["save_every"] or options["steps"])
    grid = every(max(1, options["steps"] // max(1, plan.grids)),
                 lambda run: save_grid(run, out, parts.space))
    with out_of_memory(plan.batch_size, plan.recipe.get("accumulate", 1), device), meter:
        run = fit(parts.model, parts.data, parts.loss, out=out, seed=seed, resume=True,
                  device=only_cpu(device), progress=progress, clip=plan.clip, start=start,
                  callbacks=[meter.seen, grid, *callbacks], **options)
    if parts.space and is_first() and not (out / "model" / "vae").exists():
        parts.space.save(out / "model")
    return run, parts
