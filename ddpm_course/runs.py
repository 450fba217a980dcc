"A training run: its state, checkpoints, devices and signals."

import json
import math
import shutil
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import accelerate
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm

from .models import Wrapper
from .saving import atomic_folder, load_weights, save_model, write_model


def auto_precision(device):
    "\"bf16\" where the device computes it fast (Ampere and later, CPUs with AMX), else \"no\" (float32); never float16."
    if device.type == "cuda": return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "no"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "no"


def make_accelerator(precision="auto", accumulate=1, device=None, compile=False):
    "accelerate's `Accelerator` with the precision resolved; a second one in the same process may differ from the first."
    if precision not in ("auto", "bf16", "no"): raise ValueError(f"precision={precision!r}; expected 'auto', 'bf16' or 'no' (float32)")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    here = accelerate.PartialState(cpu=str(device).startswith("cpu")).device
    asked = torch.device(here if device is None else device)
    if asked.type != here.type or asked.index not in (None, here.index or 0): raise ValueError(f"device={device}, but training would run on {here}; use None or 'cpu', and choose a GPU with CUDA_VISIBLE_DEVICES")
    return accelerate.Accelerator(mixed_precision=auto_precision(here) if precision == "auto" else precision, cpu=here.type == "cpu", gradient_accumulation_steps=accumulate,
                                  dynamo_backend="inductor" if compile is True else compile or "no")


class Accelerated(Wrapper):
    "A network with autocast, DDP and torch.compile around it (`wrapped`), and the attributes of the bare model."
    def __call__(self, *args, **kwargs): return self.wrapped(*args, **kwargs)


@contextmanager
def accelerated(accelerator, run):
    "(network, optimizer) as accelerate trains them; afterwards the model is its bare self and global random streams are where they were."
    net, own, devices = Accelerated(run.model), set(vars(run.model)), [accelerator.device] if accelerator.device.type == "cuda" else []
    net.wrapped, optimizer = accelerator.prepare(run.model, run.optimizer)
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices): yield net, optimizer
    finally:
        for name in set(vars(run.model)) - own: delattr(run.model, name) # accelerate leaves a wrapped forward and a mark
        run.model.eval()


class DatasetAdapter:
    "A torch map-style dataset of pairs (x, y), as `fit` reads data."
    def __init__(self, dataset, device="cpu"): self.dataset, self.device, self.shape = dataset, device, tuple(dataset[0][0].shape)
    def __len__(self): return len(self.dataset)
    def to(self, device): return DatasetAdapter(self.dataset, device)
    def batch(self, index, rng=None): return [part.to(self.device) for part in torch.utils.data.default_collate([self.dataset[i] for i in index.tolist()])]


@dataclass
class Run:
    "A training run under way: what `fit` returns, callbacks see and checkpoints hold."
    model: torch.nn.Module # latest weights
    ema: object # averaged weights
    optimizer: torch.optim.Optimizer
    config: dict # what must not change between stopping and resuming
    about: dict # schedule, shape, clip and what the data says of itself, for the model folder
    is_main: bool = True # False on all ranks but the first
    step: int = 0 # steps done
    losses: list = field(default_factory=list) # mean loss of each step
    norms: list = field(default_factory=list) # gradient norm of each step, before clipping


def checkpoints(out):
    "The checkpoint folders of a run, oldest first."
    return sorted((Path(out) / "checkpoints").glob("step-*"))


def save_checkpoint(run, out, keep=2):
    "Write `out`/checkpoints/step-N, whole or not at all, and delete all but the last `keep`."
    folder = Path(out) / "checkpoints" / f"step-{run.step:08d}"
    state = {f"{i}.{name}": value.contiguous() for i, s in run.optimizer.state_dict()["state"].items() for name, value in s.items()}
    state |= {name: torch.tensor(getattr(run, name), dtype=torch.float64) for name in ("losses", "norms")}
    if not folder.exists():
        with atomic_folder(folder) as new:
            write_model(new, run.model, ema=run.ema.model, training=run.config, **run.about)
            save_file(state, new / "training.safetensors")
    for old in checkpoints(out)[:-keep]: shutil.rmtree(old)


def load_checkpoint(run, folder):
    "Put a run into the state of a checkpoint."
    try:
        state = load_file(folder / "training.safetensors")
        for model, name in ((run.model, "model"), (run.ema.model, "ema")): load_weights(model, folder / f"{name}.safetensors")
    except Exception as e: raise ValueError(f"{folder} cannot be read ({e}); delete it to continue from the checkpoint before it") from e
    run.losses, run.norms = (state.pop(name).tolist() for name in ("losses", "norms"))
    run.step = len(run.losses)
    for (i, name), value in ((key.split("."), value) for key, value in state.items()):
        p = run.optimizer.param_groups[0]["params"][int(i)] # its moments share its device and memory format; "step" is one number
        run.optimizer.state[p][name] = torch.empty_like(p).copy_(value) if value.shape == p.shape else value.to(p.device, copy=True) # not a view of the file, which will be deleted


def open_run(out, run, resume, accelerator):
    "Claim a run folder; or, to resume, check that the run in it is this one, and continue from its last checkpoint."
    found = checkpoints(out)
    if not found and (Path(out) / "model").exists(): raise FileExistsError(f"{out} already holds a model, and no checkpoints to resume from; choose another folder")
    if found and not resume: raise FileExistsError(f"{out} already holds a run; pass resume=True to continue it, or choose another folder")
    accelerator.wait_for_everyone() # all have looked before one writes
    if found:
        was = json.loads((found[-1] / "config.json").read_text())["training"]
        changed = [f"{k}: was {was.get(k)}, is {run.config.get(k)}" for k in was | run.config if was.get(k) != run.config.get(k)]
        if changed: raise ValueError(f"{out} holds a run of another configuration ({'; '.join(changed)}); resume with the old one, or choose another folder")
        load_checkpoint(run, found[-1])
    elif run.is_main: save_checkpoint(run, out) # step 0: from now on there is something to go back to
    accelerator.wait_for_everyone()


@contextmanager
def stop_signals():
    "A list that gains every SIGTERM or SIGINT (Ctrl-C), so that a loop can save before it leaves; the block ends as the first one asks."
    main, received = threading.current_thread() is threading.main_thread(), [] # Python allows handlers in no other thread
    wanted = [n for n in (signal.SIGTERM, signal.SIGINT) if main and signal.getsignal(n) != signal.SIG_IGN]
    old = {n: signal.signal(n, lambda n, frame: received.append(n)) for n in wanted}
    try: yield received
    finally:
        for n, handler in old.items(): signal.signal(n, handler or signal.SIG_DFL)
    if received: raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])


def record_losses(accelerator, run, pending, received):
    "Move pending (loss, norm) pairs to the run as means over ranks; raise at the first that is not finite. True if any rank was told to stop."
    note = torch.tensor([received[0] if received else 0.0, 0.0], device=accelerator.device)
    table = accelerator.gather(torch.stack([*pending, note])[None]).cpu() # (ranks, steps + 1, 2)
    pending.clear()
    for loss, norm in table[:, :-1].mean(0).tolist():
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FloatingPointError(f"step {len(run.losses)} (counted from 0): loss {loss}, gradient norm {norm}; try a lower lr, or look for NaN in the data")
        run.losses.append(loss)
        run.norms.append(norm)
    if (number := int(table[:, -1, 0].max())) and not received: received.append(number)
    return number > 0


def train_loop(accelerator, run, step, end, out, save_every, callbacks, progress):
    "Call step() until `end` steps are done or a signal asks to leave; a complete run leaves its model in out/model."
    often, pending, leave = 1 if accelerator.device.type == "cpu" else 20, [], False # asking a GPU for numbers makes it wait
    bar = tqdm(total=end, initial=run.step, disable=not (progress and run.is_main), desc="training", unit=" images", unit_scale=run.config["batch_size"])
    with stop_signals() as received, bar:
        while run.step < end and not leave:
            pending.append(step())
            due = run.step == end or bool(save_every) and run.step % save_every == 0
            if due or run.step % often == 0: leave = record_losses(accelerator, run, pending, received)
            if out is not None and run.is_main and (due or leave): save_checkpoint(run, out)
            bar.set_postfix_str(f"step {run.step}, loss {sum(run.losses[-50:]) / max(1, len(run.losses[-50:])):.4f}", refresh=False)
            bar.update()
            for callback in callbacks: callback(run)
        if out is not None and run.is_main and run.step == run.config["steps"] and not (Path(out) / "model" / "config.json").exists():
            save_model(Path(out) / "model", run.model, ema=run.ema.model, training=run.config, **run.about)
        accelerator.wait_for_everyone() # nobody leaves while the first rank writes
