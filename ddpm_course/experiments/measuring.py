"What a run takes here: seconds, images, memory; and an error when it is too much."

import errno
import json
import shutil
import sys
import time
from contextlib import contextmanager

import torch

from ..cards import environment
from ..disk import as_size, write_whole
from ..ranks import place


def bytes_in_use(device):
    "Most bytes in use so far: of a GPU, tensors; on a CPU, the process."
    if str(device).startswith("cuda"): return torch.cuda.max_memory_allocated(device)
    try: import resource
    except ImportError: return None # Windows
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


class Meter:
    "Measures a run while it trains: one entry of measured.json for each time it was started."
    def __init__(self, out, # run folder
                 device,
                 often): # steps after which the entry is written, for a run that may be killed
        self.file = out / "measured.json"
        self.device = device
        self.often = often
        self.steps = []
        self.batch_size = 0

    def __enter__(self):
        if str(self.device).startswith("cuda"): torch.cuda.reset_peak_memory_stats()
        self.before = read_measured(self.file)
        self.began = time.perf_counter()
        return self

    def seen(self, run):
        "Called after each step of `fit`."
        self.batch_size = run.recipe.batch_size
        self.steps.append(run.step)
        if run.step % self.often == 0: self.write()

    def __exit__(self, *error): self.write()

    def write(self):
        "Write the entry of this start, by the first process."
        rank, processes = place()
        if rank or not self.steps: return
        seconds = time.perf_counter() - self.began
        images = len(self.steps) * self.batch_size
        entry = {"from": self.steps[0] - 1, "to": self.steps[-1], "seconds": round(seconds, 2),
                 "images a second": round(images / seconds, 2), "bytes": bytes_in_use(self.device),
                 "device": str(self.device), "processes": processes,
                 **environment(str(self.device))}
        write_whole(self.file, json.dumps([*self.before, entry], indent=1))


MEASURED = {"from", "to", "seconds", "images a second", "bytes", "gpu", "cpu", "date"}


def read_measured(file):
    "The entries of measured.json; none where there is no such file, ValueError where damaged."
    if not file.exists(): return []
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        for entry in entries:
            if lacks := MEASURED - entry.keys(): raise KeyError(*sorted(lacks))
        return entries
    except (ValueError, TypeError, AttributeError, KeyError) as e:
        raise ValueError(f"{file} is damaged ({type(e).__name__}: {e}); delete it: it holds what "
                         "training took, and nothing of the network") from e


def check_room(folder, need): # bytes
    "OSError unless the disk of a folder holds so many more bytes."
    free = shutil.disk_usage(folder).free
    if need > free:
        raise OSError(errno.ENOSPC, f"{folder} needs {as_size(need)} more, and its disk has "
                      f"{as_size(free)} free; make room, or choose another --out")


def is_full_memory(error):
    "Whether an error says that there is no more memory, on a GPU or a CPU."
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)): return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextmanager
def out_of_memory(batch_size, accumulate, device):
    "An error of full memory says how large the batch was, what was in use, and what to change."
    try: yield
    except (RuntimeError, MemoryError) as e:
        if not is_full_memory(e): raise
        used = bytes_in_use(device)
        told = f", with {as_size(used)} in use" if used else ""
        raise MemoryError(
            f"memory ran out on {device} at a batch of {batch_size} in {accumulate} passes{told}; "
            f"--set accumulate={2 * accumulate} splits it further and leaves the result as it is "
            f"(up to rounding), --set batch_size={max(1, batch_size // 2)} changes it; what was "
            "saved goes on with --resume") from e
