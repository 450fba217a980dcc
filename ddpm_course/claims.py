"The folder of a run: claimed or resumed, held by one process, and cleared of what kills left."

from contextlib import contextmanager
from pathlib import Path

import torch

from .disk import as_folder, discard, hold, sweep
from .identity import check_same_run, digest_of, identity_of
from .ranks import gathered, is_joined, of_first
from .runs import checkpoints, load_checkpoint, save_checkpoint, step_of, told_by
from .saving import load_weights
from .states import check_weights


def seen_by_rank(run, data, loss, found):
    "{what: JSON} that all ranks must have in common: settings, code, data, and checkpoints."
    identity = identity_of(run.model, data, {"loss": loss, "model": type(run.model)})
    package = [file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py"))]
    return (run.config | identity.pop("code") | identity.pop("pictures") | identity
            | {"torch": torch.__version__, "ddpm_course": digest_of(*package),
               "checkpoints in the run folder": [folder.name for folder in found]})


def check_ranks(run, data, loss, out): # out: run folder or None
    "ValueError, on all ranks, where one of them would do something else than the first."
    if not is_joined(): return
    found = [] if out is None else checkpoints(out)
    first, *others = gathered(seen_by_rank(run, data, loss, found))
    for rank, seen in enumerate(others, 1):
        differ = [f"{k}: {str(first.get(k))[:60]} on rank 0, {str(seen.get(k))[:60]} on rank {rank}"
                  for k in first | seen if first.get(k) != seen.get(k)]
        if differ:
            raise ValueError(f"the ranks are not of one run ({'; '.join(differ[:3])}); start all "
                             "with the same code, options and data, in a folder that all see")


def check_claim(out, found, resume, untouched):
    "FileExistsError where a folder is taken; one whose run did no step can be claimed again."
    if not found and (out / "model").exists():
        raise FileExistsError(f"{out} already holds a model, and no checkpoints to resume from; "
                              "choose another folder")
    if found and not resume and not untouched:
        raise FileExistsError(f"{out} already holds a run; pass resume=True to continue it, "
                              "or choose another folder")


def can_go_on(out, found, run, untouched):
    "Whether the run in a folder is this one; ValueError if it is another that did some steps."
    try: check_same_run(out, told_by(found[-1])["training"], run.config)
    except ValueError:
        if untouched: return False
        raise
    return True


def open_run(out, run, resume, accelerator):
    "Claim a run folder; or, to resume, check that its run is this one, and load where it was."
    found = checkpoints(out)
    untouched = [step_of(f) for f in found] == [0] and not (out / "model").exists()
    check_claim(out, found, resume, untouched)
    for folder in found[:1] * untouched: told_by(folder) # it is a run's
    going_on = bool(found) and resume and can_go_on(out, found, run, untouched)
    accelerator.wait_for_everyone() # all have looked before one writes
    if going_on: load_checkpoint(run, found[-1])
    elif run.is_main:
        for folder in found: discard(folder)
        save_checkpoint(run, out) # step 0: now there is something to go back to
    accelerator.wait_for_everyone()


def begin_from(run, start):
    "Let a run begin with the latest weights of another one, and say so in its configuration."
    start = as_folder(start, "start")
    places = [start / "model", *checkpoints(start)[::-1], start]
    folder = next((f for f in places if (f / "model.safetensors").exists()), None)
    if folder is None:
        raise FileNotFoundError(f"start={str(start)!r} holds no run and no model folder")
    file = folder / "model.safetensors"
    check_weights(file, run.model)
    load_weights(run.model, file)
    run.ema.model.load_state_dict(run.model.state_dict()) # it would soon forget an older average
    run.config["start"] = {"folder": Path(start).name, "weights": digest_of(file.read_bytes())}


@contextmanager
def run_folder(out, run, resume, accelerator, data, loss, start=None):
    "Have a run folder while training; None is none. Without one, `start` alone is looked at."
    if start is not None: begin_from(run, start)
    check_ranks(run, data, loss, out)
    if out is None:
        yield None
        return
    out = as_folder(out)
    run.config |= identity_of(run.model, data, loss)
    out.mkdir(parents=True, exist_ok=True)
    with of_first(hold(out)):
        for folder in (out, out / "checkpoints"):
            if run.is_main: sweep(folder, alone=True)
        open_run(out, run, resume, accelerator)
        yield out
