"A training run: its state, what makes it this run, its checkpoints, its loop, and its signals."

import hashlib
import json
import math
import shutil
import signal
import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from .disk import atomic_folder
from .noising import NoiseSchedule
from .randomness import BatchRandom, batch_index
from .saving import Spec, load_weights, save_model, write_model

# the state of a run


@dataclass
class Run:
    "A training run under way: what `fit` returns, callbacks see and checkpoints hold."
    model: torch.nn.Module # latest weights
    optimizer: torch.optim.Optimizer
    recipe: object # `training.Recipe`
    config: dict # all that makes it this run, and must not change between stopping and resuming
    about: dict # schedule, the fields of `Spec`, what the data says of itself: for `save_model`
    is_main: bool = True # False on all ranks but the first
    ema: object = None # averaged weights
    step: int = 0 # steps done
    losses: list = field(default_factory=list) # mean loss of each step
    norms: list = field(default_factory=list) # gradient norm of each step, before clipping


def check_run(accelerator, model, data, recipe):
    "ValueError if the batch does not divide, or a label of the data is none of the model's."
    world = accelerator.num_processes
    k = accelerator.gradient_accumulation_steps
    if k < 1 or recipe.batch_size % (world * k):
        raise ValueError(f"batch_size={recipe.batch_size} does not divide into "
                         f"{world} devices x {k} passes")
    y = getattr(data, "labels", None)
    classes = getattr(model, "num_classes", None)
    if classes and y is not None and not (0 <= y.min() and y.max() < classes):
        raise ValueError(f"the data's labels go from {y.min()} to {y.max()}; "
                         f"a model of num_classes={classes} expects 0..{classes - 1}")


def _name(value): return getattr(value, "__name__", type(value).__name__)


def _as_json(value):
    "What JSON cannot hold, as something that it can: a digest of betas, a dataclass, a name."
    if isinstance(value, NoiseSchedule):
        return hashlib.sha256(str(value.betas.tolist()).encode()).hexdigest()[:16]
    return {_name(value): vars(value)} if is_dataclass(value) else _name(value)


def config_of(accelerator, model, data, loss, recipe):
    "All that makes a run this one, as it will come back from a checkpoint."
    config = asdict(recipe) | {
        "precision": accelerator.mixed_precision, "model": type(model).__name__,
        "arguments": getattr(model, "config", None), "loss": _name(loss),
        "loss_fields": getattr(loss, "__dict__", {}), "examples": len(data),
        "shape": getattr(data, "shape", None), "flip": getattr(data, "flip", False)}
    return json.loads(json.dumps(config, default=_as_json))


def start_run(accelerator, model, data, loss, recipe, clip):
    "The `Run` at step 0, on the accelerator's device, still without an average."
    check_run(accelerator, model, data, recipe)
    known = {name: getattr(data, name, None) for name in ("shape", "classes", "levels")}
    known |= {"label_drop": getattr(loss, "drop", None), "clip": clip}
    Spec.of(model, **known).attach(model)
    model.to(accelerator.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, fused=True,
                                  weight_decay=recipe.weight_decay)
    about = {"schedule": getattr(loss, "schedule", None), **known, **getattr(data, "about", {})}
    config = config_of(accelerator, model, data, loss, recipe)
    return Run(model, optimizer, recipe, config, about, accelerator.is_main_process)


def passes(accelerator, recipe, step, n):
    "(rows, images in them, images of the next pass), for each pass of this process over a batch."
    world = accelerator.num_processes
    k = accelerator.gradient_accumulation_steps
    size = recipe.batch_size // (world * k)
    parts = []
    for i in range(k + 1): # and the first pass of the next step
        first = (i % k * world + accelerator.process_index) * size
        rows = slice(first, first + size)
        parts.append((rows, batch_index(step + i // k, recipe.batch_size, n, recipe.seed)[rows]))
    return [(rows, now, following) for (rows, now), (_, following) in zip(parts, parts[1:])]


def pass_random(recipe, step, rows, device):
    "The `BatchRandom` of a pass; torch's own stream, which dropout reads, is set apart from it."
    rng = BatchRandom(recipe.seed, step, recipe.batch_size, rows, device)
    torch.manual_seed((rng.generator.initial_seed() ^ 0x5DEECE66) + rows.start)
    return rng


# checkpoints


def checkpoints(out):
    "The checkpoint folders of a run, oldest first."
    return sorted((Path(out) / "checkpoints").glob("step-*"))


def save_checkpoint(run, out, keep=2):
    "Write `out`/checkpoints/step-N, whole or not at all, and delete all but the last `keep`."
    folder = Path(out) / "checkpoints" / f"step-{run.step:08d}"
    moments = run.optimizer.state_dict()["state"].items()
    state = {f"{i}.{name}": v.contiguous() for i, s in moments for name, v in s.items()}
    for name in ("losses", "norms"):
        state[name] = torch.tensor(getattr(run, name), dtype=torch.float64)
    if not folder.exists():
        with atomic_folder(folder) as new:
            write_model(new, run.model, ema=run.ema.model, training=run.config, **run.about)
            save_file(state, new / "training.safetensors")
    for old in checkpoints(out)[:-keep]: shutil.rmtree(old)


def load_checkpoint(run, folder):
    "Put a run into the state of a checkpoint."
    try:
        state = load_file(folder / "training.safetensors")
        load_weights(run.model, folder / "model.safetensors")
        load_weights(run.ema.model, folder / "ema.safetensors")
    except Exception as e:
        raise ValueError(f"{folder} cannot be read ({e}); "
                         "delete it to continue from the checkpoint before it") from e
    run.losses = state.pop("losses").tolist()
    run.norms = state.pop("norms").tolist()
    run.step = len(run.losses)
    parameters = run.optimizer.param_groups[0]["params"]
    for key, value in state.items():
        i, name = key.split(".")
        p = parameters[int(i)]
        like_p = value.shape == p.shape # moments lie in memory as p does; "step" is one number
        kept = torch.empty_like(p).copy_(value) if like_p else value.to(p.device, copy=True)
        run.optimizer.state[p][name] = kept # a copy: the file will be deleted


def check_same_run(out, was, now):
    "ValueError that names what changed between the run in a folder and the one at hand."
    changed = [f"{k}: was {was.get(k)}, is {now.get(k)}"
               for k in was | now if was.get(k) != now.get(k)]
    if changed:
        raise ValueError(f"{out} holds a run of another configuration ({'; '.join(changed)}); "
                         "resume with the old one, or choose another folder")


def open_run(out, run, resume, accelerator):
    "Claim a run folder; or, to resume, check that its run is this one, and load where it was."
    found = checkpoints(out)
    if not found and (Path(out) / "model").exists():
        raise FileExistsError(f"{out} already holds a model, and no checkpoints to resume from; "
                              "choose another folder")
    if found and not resume:
        raise FileExistsError(f"{out} already holds a run; pass resume=True to continue it, "
                              "or choose another folder")
    accelerator.wait_for_everyone() # all have looked before one writes
    if found:
        was = json.loads((found[-1] / "config.json").read_text())["training"]
        check_same_run(out, was, run.config)
        load_checkpoint(run, found[-1])
    elif run.is_main: save_checkpoint(run, out) # step 0: now there is something to go back to
    accelerator.wait_for_everyone()


# the loop


@contextmanager
def stop_signals():
    "A list that gains every SIGTERM or SIGINT (Ctrl-C); the block ends as the first one asks."
    main = threading.current_thread() is threading.main_thread()
    received = []
    wanted = [n for n in (signal.SIGTERM, signal.SIGINT)
              if main and signal.getsignal(n) != signal.SIG_IGN] # no handlers in other threads
    old = {n: signal.signal(n, lambda n, frame: received.append(n)) for n in wanted}
    try: yield received
    finally:
        for n, handler in old.items(): signal.signal(n, handler or signal.SIG_DFL)
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])


def record_losses(accelerator, run, pending, received):
    "Move pending (loss, norm) pairs to the run; True if any rank was told to stop."
    note = torch.tensor([received[0] if received else 0.0, 0.0], device=accelerator.device)
    table = accelerator.gather(torch.stack([*pending, note])[None]).cpu() # (ranks, steps + 1, 2)
    pending.clear()
    for loss, norm in table[:, :-1].mean(0).tolist(): # means over ranks
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FloatingPointError(f"step {len(run.losses)} (counted from 0): loss {loss}, "
                                     f"gradient norm {norm}; try a lower lr, or look for NaN "
                                     "in the data")
        run.losses.append(loss)
        run.norms.append(norm)
    number = int(table[:, -1, 0].max())
    if number and not received: received.append(number)
    return number > 0


@dataclass(frozen=True)
class Plan:
    "When a run saves, shows and leaves. Nothing here changes its weights."
    end: int # leave after this many steps
    out: Path | None = None # run folder
    save_every: int = 1000 # steps between checkpoints; 0: only when leaving
    callbacks: tuple = () # callback(run), after every step
    progress: bool = True # show a bar


def show_progress(bar, run):
    "One more step on the bar, with the mean of the last 50 losses."
    last = run.losses[-50:]
    mean = sum(last) / max(1, len(last))
    bar.set_postfix_str(f"step {run.step}, loss {mean:.4f}", refresh=False)
    bar.update()


def save_finished(run, out):
    "Leave the model of a complete run in out/model."
    folder = Path(out) / "model"
    if run.step < run.recipe.steps or (folder / "config.json").exists(): return
    save_model(folder, run.model, ema=run.ema.model, training=run.config, **run.about)


def train_loop(accelerator, run, step, plan):
    "Call step() until the plan ends or a signal asks to leave."
    often = 1 if accelerator.device.type == "cpu" else 20 # asking a GPU for numbers makes it wait
    saves = plan.out is not None and run.is_main
    pending = []
    leave = False
    bar = tqdm(total=plan.end, initial=run.step, disable=not (plan.progress and run.is_main),
               desc="training", unit=" images", unit_scale=run.recipe.batch_size)
    with stop_signals() as received, bar:
        while run.step < plan.end and not leave:
            pending.append(step())
            due = run.step == plan.end or bool(plan.save_every) and run.step % plan.save_every == 0
            if due or run.step % often == 0:
                leave = record_losses(accelerator, run, pending, received)
            if saves and (due or leave): save_checkpoint(run, plan.out)
            show_progress(bar, run)
            for callback in plan.callbacks: callback(run)
        if saves: save_finished(run, plan.out)
        accelerator.wait_for_everyone() # nobody leaves while the first rank writes
