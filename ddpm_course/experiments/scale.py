"What scale costs: the same work by one process and by several, and caches of any size."

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..cache import (
    missing_shards, npy_header, shard_file, shard_shape, write_array, write_manifest)
from ..cards import environment
from ..disk import write_whole
from ..memory import keep_freed
from ..ranks import gathered, in_turn, is_first, meet, place
from ..saving import Trained
from .costs import input_shape, trial
from .generation import generate
from .measuring import bytes_in_use
from .registry import EXPERIMENTS
from .sample_runs import binder, chunks_of, wanted_labels
from .samplers import Sampler
from .training_runs import default_device


def plan_of(batch):
    "CIFAR-10's plan with a quarter of the channels, in float32."
    plan = EXPERIMENTS["cifar10"].plan("full")[1]
    options = plan.network.options
    channels = tuple(c // 4 for c in options["channels"])
    plan = replace(plan, network=replace(plan.network, options=options | {"channels": channels}))
    return plan.with_recipe({"batch_size": batch, "precision": "no", "compile": False})


def train_cost(batch, steps):
    "Seconds of a training step, and the most bytes of this process."
    seconds = trial(plan_of(batch), "cpu", steps)
    return {"seconds": seconds, "bytes": bytes_in_use("cpu")}


def apart(parts):
    "This process's share of a list, for which it waits for no other."
    rank, world = place()
    return parts[rank::world]


def sample_cost(chunk, chunks, share=in_turn):
    "Seconds of some chunks of images, three steps each, and the most bytes of this process."
    plan = plan_of(chunk)
    torch.manual_seed(0)
    shape = input_shape(plan)
    model = plan.network.build(in_channels=shape[0]).eval()
    trained = Trained(model, plan.schedule.build(), shape, 1.0, {})
    labels = wanted_labels(trained, chunk * chunks)
    draw = lambda rows: generate(Sampler("DDIM", 3), trained, labels[rows], 0, batch=chunk,
                                 progress=False, bind=binder(trained))
    draw(slice(chunk)) # the first call warms up
    meet()
    began = time.perf_counter()
    for rows in share(chunks_of(chunk * chunks, chunk)): draw(rows)
    seconds = max(gathered(time.perf_counter() - began))
    return {"seconds": seconds, "bytes": bytes_in_use("cpu")}


# ---- many images ----

def hollow_cache(folder, n, shape=(4, 8, 8), shard=16384):
    "A cache of n latents that are all 0: files of full size, of which the disk holds nothing."
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    about = {"vae": "none", "mean": [0.0], "std": [1.0], "image_shape": [3, 64, 64]}
    manifest = {"format": 1, "count": n, "shape": list(shape), "dtype": "float16", "flip": False,
                "shard": shard, "classes": ["any"], "levels": 255, **about}
    write_array(folder / "labels.npy", np.zeros(n, np.int64))
    for i in missing_shards(folder, manifest):
        full = shard_shape(manifest, i)
        header = npy_header(full, np.float16)
        with open(shard_file(folder, i), "wb") as file:
            file.write(header)
            file.truncate(len(header) + 2 * math.prod(full))
    write_manifest(folder, manifest)


# ---- many processes ----

COSTS = {"train": train_cost, "sample": sample_cost, "apart": partial(sample_cost, share=apart)}


def launched(processes, threads, kind, *numbers):
    "A launch of so many processes that measure; `cost_in` reads what they found."
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
               "-m", "ddpm_course.experiments.scale", kind, *map(str, numbers)]
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, env=os.environ | {
                                "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)})


def cost_in(launch): # what `launched` returned
    "{processes, threads, batch, seconds, bytes} of rank 0; RuntimeError where a launch failed."
    told, error = launch.communicate()
    if launch.returncode: raise RuntimeError(f"the processes failed:\n{error[-2000:]}")
    return json.loads(told.splitlines()[-1])


def measure_rank(kind, batch, number):
    "One of the processes: join the others, measure, and let the first print."
    default_device("cpu")
    keep_freed() # as commands do
    found = {"what": kind, "batch": int(batch), "processes": place()[1],
             "threads": torch.get_num_threads()}
    found |= COSTS[kind](int(batch), int(number))
    if is_first(): print(json.dumps(found))


WORK = (("train", 2, 3), ("train", 4, 3), ("train", 8, 3), ("sample", 8, 4))


def save_scale(file, rounds=2):
    "Measure `WORK` by one process and by two, of one thread each, in turns; the medians as JSON."
    found = {}
    for i in range(rounds):
        for work in WORK:
            for processes in ((1, 2) if i % 2 else (2, 1)):
                one = cost_in(launched(processes, 1, *work))
                print(one, flush=True)
                found.setdefault((work, processes), []).append(one)
    rows = [runs[0] | {key: statistics.median(one[key] for one in runs)
                       for key in ("seconds", "bytes")} for _, runs in sorted(found.items())]
    write_whole(file, json.dumps({**environment("cpu"), "rounds": rounds, "rows": rows}, indent=1))


if __name__ == "__main__": measure_rank(*sys.argv[1:])
