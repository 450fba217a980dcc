"""Killed at random moments, started twice, out of disk: what comes out is the same, bit for bit.

Each job runs in children of a process of its own: `python tests/test_kills.py JOB FOLDER SEED`.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ddpm_course import cache, cli
from ddpm_course.cards import load_scores
from ddpm_course.disk import TEMPORARY
from ddpm_course.experiments import demo
from ddpm_course.experiments.runner import run_rows
from ddpm_course.experiments.sample_runs import read_chunk
from ddpm_course.experiments.samplers import Sampler
from ddpm_course.images import load_digits
from ddpm_course.latents import LatentSpace
from ddpm_course.saving import save_model
from ddpm_course.scores import Score
from test_runs import net, train
from ddpm_course.vae import VAE

KILLS = {
    "training": 15,
    "cache": 10,
    "table": 8,
    "demo": 9,
    "folder": 6,
    "run": 12,
    "scores": 10,
    "double": 6,
    "full": 6,
}


# Jobs: what is done, and what has to come out


def contents(folder, *parts):
    "The bytes of the files below a folder."
    found = [p for part in parts for p in sorted((folder / part).rglob("*")) if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def training(out):
    pause = lambda run: time.sleep(0.01)
    train(out, net(), resume=True, save_every=1, steps=12, callbacks=[pause])


def trained(out):
    return contents(out, "model", "checkpoints/step-00000012", "checkpoints/step-00000011")


def make_cache(out):
    torch.manual_seed(0)
    space = LatentSpace(VAE(1, 2, (8, 16), groups=4), torch.zeros(2), torch.ones(2), (1, 8, 8))
    data = load_digits("train")
    few = replace(data, pixels=data.pixels[:400], labels=data.labels[:400])
    cache.cache_latents(few, space, out, shard=20, progress=False)


def row(x):
    time.sleep(0.03)
    return {"distance": Score("d", float(x), (x - 1.0, x + 1.0), seed=x)}


def table(out):
    run_rows("toy", row, [dict(x=i) for i in range(20)], out, 0)


def tabled(out):
    return [load_scores(p) for p in sorted((out / ".toy").glob("*.json"))]


def show(out):
    demo.SIZES["quick"] = [(Sampler("DDIM", 3), 100), (Sampler("DDPM", 4), 100)]
    demo.run_demo(out, 0, 8, "cpu", "quick")


def timeless(file):
    "The cards of a file without the seconds that they took."
    scores = load_scores(file)
    for card in (card for row in scores for card in row.values() if card):
        card.notes.pop("seconds", None)
    return scores


def shown(out):
    pictures = [p.read_bytes() for p in sorted(out.glob("*.png"))]
    return contents(out, "model"), timeless(out / "scores.json"), pictures


def folders(out):
    out.mkdir(exist_ok=True)
    for i in range(30):
        if not (out / str(i)).exists():
            save_model(out / str(i), net(i))


def foldered(out):
    return contents(out, *map(str, range(30)))


# The commands on an experiment in latents: its autoencoder, its cache, its network, its samples


def run(out):
    options = "--size smoke --variant own --set save_every=1 --device cpu --resume --out"
    cli.main(["train", "imagenet100-latent", *options.split(), str(out / "run")])


def ran(out):
    found = contents(out, ".")
    timed = {"run/index.html", "run/measured.json"}
    assert timed <= {*found}
    spans = [(m["from"], m["to"]) for m in json.loads(found["run/measured.json"])]
    assert {i for a, b in spans for i in range(a, b)} == {*range(12)}, spans
    return {k: v for k, v in found.items() if k not in timed and "autoencoder/ch" not in k}


def scores(out):
    out.mkdir(exist_ok=True)
    for name in ("model", "experiment.json"):
        if not (out / name).exists():
            (out / name).symlink_to(out.parent / "lab" / "run" / name)
    cli.main(["sample", str(out), "--images", "90", "--chunk", "15", "--seed", "3"])
    cli.main(["evaluate", str(out), "--images", "90", "--chunk", "15"])


def scored(out):
    folders = sorted((out / "samples").iterdir())
    chunks = [read_chunk(folder, i, 15) for folder in folders for i in range(6)]
    images = [(images.tolist(), labels.tolist(), cost[1]) for images, labels, cost in chunks]
    files = sorted((out / "scores").glob("*.json"))
    grids = [p.read_bytes() for p in sorted(out.rglob("*.png"))]
    return images, [timeless(file) for file in files], [f.name for f in files], grids


JOBS = {
    "training": (training, trained),
    "cache": (make_cache, lambda out: contents(out, ".")),
    "table": (table, tabled),
    "demo": (show, shown),
    "folder": (folders, foldered),
    "run": (run, ran),
    "scores": (scores, scored),
}


# Children


def start(job, out, limit=None):
    "A child that does a job; its errors go to out.err."
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # as a disk that is full
        sys.stdout = sys.stderr = open(f"{out}.{os.getpid()}.err", "w")
        job(out)
        code = 0
    except BaseException as e:
        Path(f"{out}.err").write_text(f"{type(e).__name__}: {e}")
    os._exit(code)


def end_of(pid):
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def whole(job, result, out):
    "What an uninterrupted child leaves, and how long it took."
    began = time.monotonic()
    code = end_of(start(job, out))
    assert code == 0, Path(f"{out}.err").read_text()
    return result(out), time.monotonic() - began


def done(out):
    "What a kill must not take: the steps of the last checkpoint, and the files that are whole."
    paths = [p.relative_to(out) for p in out.rglob("*") if p.is_file()]
    paths = [
        p
        for p in paths
        if p.suffix != ".lock" and p.name != ".lock" and not any(map(TEMPORARY.fullmatch, p.parts))
    ]
    steps = [int(part[5:]) for p in paths for part in p.parts if part.startswith("step-")]
    return max(steps, default=0), {p for p in paths if "checkpoints" not in p.parts}


def killed(name, folder, rng):
    "A job killed until that has happened often enough, and then left to end."
    job, result = JOBS[name]
    if name == "scores":
        whole(run, ran, folder / "lab")  # what is sampled from
    expected, seconds = whole(job, result, folder / "whole")
    kills = rounds = 0
    while kills < KILLS[name]:
        out = folder / f"round{rounds}"
        rounds += 1
        code = None
        steps = 0
        files = set()
        while code != 0:
            pid = start(job, out)
            if kills < KILLS[name]:
                time.sleep(rng.uniform(0, 0.8 * seconds))
                os.kill(pid, signal.SIGKILL)
            code = end_of(pid)
            kills += code == -signal.SIGKILL
            assert code <= 0, Path(f"{out}.err").read_text()
            before = steps, files
            steps, files = done(out)
            lost = before[1] - files
            if (out / "index.html").exists():  # the last of a demo, which then clears up
                lost = {p for p in lost if p.parts[0] != ".demo"}
            assert steps >= before[0] and not lost, f"{name}: lost {lost}"
        assert result(out) == expected, f"{name}: round {rounds} differs after {kills} kills"
        assert not [p for p in out.rglob(".*") if p.name != ".toy"], "rubbish was left"
        shutil.rmtree(out)
    return kills


def double(folder, rng):
    "Two starts at once, of which one is killed; who leaves says why, and what is left is whole."
    kills = 0
    for i, name in enumerate(["training", "cache", "table"] * 2):
        job, result = JOBS[name]
        expected, seconds = whole(job, result, folder / f"whole{i}")
        out = folder / f"double{i}"
        both = [start(job, out) for _ in range(2)]
        codes = [end_of(pid) for pid in both]  # untouched: one does it all
        assert 0 in codes, Path(f"{out}.err").read_text()
        if 1 in codes:
            assert "in use by" in Path(f"{out}.err").read_text()
        assert result(out) == expected, f"{name}: two starts differ from one"
        shutil.rmtree(out)
        both = [start(job, out) for _ in range(2)]
        time.sleep(rng.uniform(0, seconds))
        os.kill(both[0], signal.SIGKILL)
        codes = [end_of(pid) for pid in both]
        kills += 1
        if 1 in codes:
            error = Path(f"{out}.err").read_text()
            assert "in use by" in error or "already" in error, error
        assert whole(job, result, out)[0] == expected, f"{name}: a start beside a killed one"
    return kills


def full(folder, rng):
    "Files may not grow beyond a random size: an error, nothing cut is kept, and then it goes on."
    for i, name in enumerate(["training", "cache", "folder"] * 2):
        job, result = JOBS[name]
        expected, _ = whole(job, result, folder / f"whole{i}")
        largest = max(map(len, expected.values()))
        out = folder / f"full{i}"
        code = end_of(start(job, out, limit=rng.randrange(100, largest)))
        assert code == 1, f"{name}: {code}"
        error = Path(f"{out}.err").read_text()
        assert error.startswith("OSError"), error
        assert "could not be written" in error or "large" in error, error
        assert whole(job, result, out)[0] == expected, f"{name}: it differs after a full disk"
    return i + 1


@pytest.mark.kill
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", KILLS)
def test_killed_at_random_moments(name, tmp_path):
    seed = random.randrange(10**6)
    process = subprocess.run(
        [sys.executable, __file__, name, str(tmp_path), str(seed)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert process.returncode == 0, f"seed {seed}: {process.stderr[-3000:]}"
    assert json.loads(process.stdout) == KILLS[name]


if __name__ == "__main__":
    name, folder, seed = sys.argv[1:]
    torch.set_num_threads(1)
    rng = random.Random(int(seed))
    jobs = {"double": double, "full": full}
    print(jobs[name](Path(folder), rng) if name in jobs else killed(name, Path(folder), rng))
