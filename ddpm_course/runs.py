"A training run: its state, what makes it this run, its checkpoints, its loop, and its signals."

import json
import math
import random
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm.auto import tqdm

from .devices import image_layout
from .disk import atomic_folder, discard
from .identity import check_same_run, config_of
from .randomness import BatchRandom, batch_index
from .saving import Spec, load_weights, save_model, write_model
from .signals import stop_signals
from .states import check_weights, put_state, read_state, state_of

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
    importance: object = None # the loss's `ImportanceSampler`, if it has one
    step: int = 0 # steps done
    losses: list = field(default_factory=list) # mean loss of each step
    norms: list = field(default_factory=list) # gradient norm of each step, before clipping

    @property
    def memory(self): # {name: tensor}: what the loss keeps of the steps so far
        return getattr(self.importance, "state", {})

    def advance(self):
        "One more step is done."
        if self.importance: self.importance.end_step()
        self.step += 1


def check_run(accelerator, model, data, recipe):
    "ValueError if the batch has too few images, or a label of the data is none of the model's."
    world = accelerator.num_processes
    k = accelerator.gradient_accumulation_steps
    if recipe.batch_size < world * k:
        raise ValueError(f"batch_size={recipe.batch_size} leaves some of {world} devices x {k} "
                         f"passes without an image; use {world * k} or more, fewer devices, or "
                         "accumulate=1")
    y = getattr(data, "labels", None)
    classes = getattr(model, "num_classes", None)
    if classes and y is not None and not (0 <= y.min() and y.max() < classes):
        raise ValueError(f"the data's labels go from {y.min()} to {y.max()}; "
                         f"a model of num_classes={classes} expects 0..{classes - 1}")


def start_run(accelerator, model, data, loss, recipe, clip):
    "The `Run` at step 0, on the accelerator's device, still without an average."
    check_run(accelerator, model, data, recipe)
    importance = getattr(loss, "importance", None)
    if importance: importance.begin()
    known = {name: getattr(data, name, None) for name in ("shape", "classes", "levels")}
    known |= {"label_drop": getattr(loss, "drop", None), "clip": clip}
    Spec.of(model, **known).attach(model)
    model.to(accelerator.device, memory_format=layout_of(accelerator)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, fused=True,
                                  weight_decay=recipe.weight_decay)
    about = {"schedule": getattr(loss, "schedule", None), **known, **getattr(data, "about", {})}
    config = config_of(accelerator, model, data, loss, recipe) | {"clip": clip}
    return Run(model, optimizer, recipe, config, about, accelerator.is_main_process,
               importance=importance)


def layout_of(accelerator):
    "How images and weights lie in memory while this accelerator trains."
    return image_layout(accelerator.device, accelerator.mixed_precision)


def passes(accelerator, recipe, step, n):
    """(rows, images in them, images of the next pass), for each pass of this process over a batch.

    The parts of a batch are as equal as can be; a pass counts by its images (`weight_of`)."""
    world = accelerator.num_processes
    k = accelerator.gradient_accumulation_steps
    cuts = [i * recipe.batch_size // (world * k) for i in range(world * k + 1)]
    parts = []
    for i in range(k + 1): # and the first pass of the next step
        rows = slice(*cuts[i % k * world + accelerator.process_index:][:2])
        parts.append((rows, batch_index(step + i // k, recipe.batch_size, n, recipe.seed)[rows]))
    return [(rows, now, following) for (rows, now), (_, following) in zip(parts, parts[1:])]


def weight_of(accelerator, recipe, index):
    "What a pass counts, 1 if all are equal: so the mean over ranks and passes is the batch's."
    parts = accelerator.num_processes * accelerator.gradient_accumulation_steps
    return len(index) * parts / recipe.batch_size


def pass_random(recipe, step, rows, device):
    "The `BatchRandom` of a pass; the global generators, which dropout reads, are set apart."
    rng = BatchRandom(recipe.seed, step, recipe.batch_size, rows, device)
    seed = (rng.generator.initial_seed() ^ 0x5DEECE66) + rows.start
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    return rng


# checkpoints

STEP = re.compile(r"step-(\d{8}|[1-9]\d{8,})") # names that `save_checkpoint` gives


def checkpoints(out):
    "The checkpoint folders of a run, oldest first; copies under other names are not among them."
    found = [p for p in (Path(out) / "checkpoints").glob("step-*")
             if STEP.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
    return sorted(found, key=step_of)


def step_of(folder):
    "The step that a checkpoint's name tells."
    return int(Path(folder).name.removeprefix("step-"))


def told_by(folder):
    "What a checkpoint says of itself; ValueError if it cannot be read."
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {"training": dict(config["training"]), "moments": config.get("moments"),
                "step": config.get("step", step_of(folder))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise ValueError(f"{folder} cannot be read (config.json: {type(e).__name__}: {e}); "
                         "delete it to continue from the checkpoint before it") from e


def wrote(run, folder):
    "Whether a folder is a checkpoint that this very run left."
    try:
        told = told_by(folder)
        check_same_run(folder, told["training"], run.config)
    except ValueError: return False
    return told["step"] == step_of(folder)


def save_checkpoint(run, out, keep=2):
    "Write `out`/checkpoints/step-N, whole or not at all; of its own it keeps the last `keep`."
    folder = Path(out) / "checkpoints" / f"step-{run.step:08d}"
    if not folder.exists():
        with atomic_folder(folder) as new:
            write_model(new, run.model, ema=run.ema.model, training=run.config, step=run.step,
                        moments=len(run.optimizer.state), **run.about)
            save_file(state_of(run), new / "training.safetensors")
    own = [old for old in checkpoints(out) if wrote(run, old)]
    for old in own[:-keep]: discard(old)


def load_checkpoint(run, folder):
    "Put a run into the state of a checkpoint, all of which is checked first."
    files = {"model.safetensors": run.model, "ema.safetensors": run.ema.model}
    try:
        told = told_by(folder)
        step = told["step"]
        if step != step_of(folder): raise ValueError(f"it holds step {step}")
        state = read_state(folder / "training.safetensors", run, step, told["moments"])
        for name, model in files.items(): check_weights(folder / name, model)
        for name, model in files.items(): load_weights(model, folder / name)
    except Exception as e:
        raise ValueError(f"{folder} cannot be read ({e}); delete it to continue from the "
                         "checkpoint before it") from e
    put_state(run, state)


# the loop


def record_losses(accelerator, run, pending, received):
    "Move pending (loss, norm) pairs to the run; True if any rank was told to stop."
    note = torch.tensor([received[0] if received else 0.0, 0.0], device=accelerator.device)
    table = accelerator.gather(torch.stack([*pending, note])[None]).cpu() # (ranks, steps + 1, 2)
    pending.clear()
    for loss, norm in table[:, :-1].mean(0).tolist(): # losses are weighted by their images
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


def is_between_steps(run):
    "Whether weights, their average, moments and losses are all those after `run.step` steps."
    done = [float(moments["step"]) for moments in run.optimizer.state.values()]
    return len(run.losses) == run.step and max(done, default=0) == run.step


def rescue(accelerator, run, pending, out, error):
    "Save a run that an error ends, if it stands between two steps; a note on the error says so."
    if accelerator.num_processes > 1: # others may be elsewhere, and their losses unknown
        rank = accelerator.process_index
        print(f"Rank {rank} stopped at step {run.step} ({str(error)[:150]}); "
              f"resume=True goes on in {out}, from {checkpoints(out)[-1].name}. If a connection "
              "was closed, another rank has ended, and its own output says why.", flush=True,
              file=sys.stderr) # at once: a launcher is about to end this process
        return
    if isinstance(error, SystemError): return # of the interpreter: its memory is not to be trusted
    try:
        if pending: record_losses(accelerator, run, pending, [])
        if not is_between_steps(run): return
        buffers = zip(run.model.buffers(), run.ema.model.buffers())
        for now, before in buffers: now.copy_(before) # the step that failed may have changed them
        save_checkpoint(run, out)
        error.add_note(f"The run was saved at step {run.step} in {out}; resume=True goes on there.")
    except Exception as e: error.add_note(f"The run could not be saved in {out}: {e}")


def steps_until(accelerator, run, step, plan, received, bar, pending):
    "Call step() until the plan ends or a signal asks to leave."
    often = 1 if accelerator.device.type == "cpu" else 20 # asking a GPU for numbers makes it wait
    saves = plan.out is not None and run.is_main
    leave = False
    while run.step < plan.end and not leave:
        pending.append(step())
        due = run.step == plan.end or bool(plan.save_every) and run.step % plan.save_every == 0
        if due or run.step % often == 0:
            leave = record_losses(accelerator, run, pending, received)
        show_progress(bar, run)
        for callback in plan.callbacks: callback(run)
        if saves and (due or leave): save_checkpoint(run, plan.out) # else a kill would skip a call


def train_loop(accelerator, run, step, plan):
    "The steps of a plan, saved when it ends, when a signal asks to leave, and when one fails."
    saves = plan.out is not None and run.is_main
    pending = []
    if not run.step: run.ema.model.load_state_dict(run.model.state_dict()) # rank 0's weights
    bar = tqdm(total=plan.end, initial=run.step, disable=not (plan.progress and run.is_main),
               desc="training", unit=" images", unit_scale=run.recipe.batch_size)
    with stop_signals() as received, bar:
        try: steps_until(accelerator, run, step, plan, received, bar, pending)
        except BaseException as e:
            if plan.out is not None: rescue(accelerator, run, pending, plan.out, e)
            raise
        if saves: save_finished(run, plan.out)
        accelerator.wait_for_everyone() # nobody leaves while the first rank writes
