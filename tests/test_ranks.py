"""Two and three processes are one: training, sampling, scores, caches; and what ends a run.

Each launch is made once, and does everything that is asked of so many processes; the tests look at
what it left."""

import contextlib, io, json, os, re, shutil, signal, subprocess, sys, time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mutants import RANK_BUGS, broken_module
from ddpm_course import cli, ranks, runs
from ddpm_course.cache import CachedLatents
from ddpm_course.cards import load_scores
from ddpm_course.experiments import evaluations, scale, studies
from ddpm_course.experiments.generation import Drawn
from ddpm_course.experiments.sample_runs import chunk_file, keep_chunk
from ddpm_course.experiments.training_runs import default_device
from ddpm_course.images import load_digits
from ddpm_course.importance import ImportanceSampler
from ddpm_course.learned_variance import VLBLoss
from ddpm_course.memory import peak_bytes
from ddpm_course.noising import cosine_schedule
from ddpm_course.randomness import batch_index
from ddpm_course.runs import checkpoints
from ddpm_course.stats import FeatureStats, gather_stats
from ddpm_course.training import Recipe, fit
from ddpm_course.unet import UNet

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without distributed"
)
STEPS = 12
DIGITS = load_digits("train")
FEATURES = torch.randn(60, 4, generator=torch.Generator().manual_seed(1)).double()


def net(seed=0):
    torch.manual_seed(seed)
    options = dict(layers=1, attention=(False, True), groups=4, num_classes=10)
    return UNet(1, (8, 8), learn_variance=True, **options)


def a_loss():
    "A loss that looks at the losses of all ranks."
    importance = ImportanceSampler(4, keep=2)
    return VLBLoss(cosine_schedule(4), levels=16, drop=0.1, importance=importance)


def train(out, model=None, data=DIGITS, loss=None, **options):
    recipe = dict(steps=STEPS, batch_size=16, lr=1e-2, warmup=3, ema_halflife=64, save_every=5)
    how = dict(device="cpu", precision="no", progress=False, out=out)
    return fit(model or net(), data, loss or a_loss(), **recipe | how | options)


# ---- without any launch ----


def check_parts(runs):
    "Whatever the number of ranks and passes, parts are the batch, and their weighted mean its own."
    recipe = Recipe(steps=5, batch_size=16)
    values = torch.rand(1000, dtype=torch.float64)
    whole = batch_index(3, 16, 1000, recipe.seed)
    for world, k in ((1, 1), (2, 1), (3, 1), (5, 3), (2, 4)):
        found = []
        for rank in range(world):
            one = SimpleNamespace(
                num_processes=world, process_index=rank, gradient_accumulation_steps=k
            )
            parts = runs.passes(one, recipe, 3, 1000)
            assert [len(part[2]) for part in parts[:-1]] == [len(part[1]) for part in parts[1:]]
            found += [
                (i, rank, index, values[index].mean() * runs.weight_of(one, recipe, index))
                for i, (_, index, _) in enumerate(parts)
            ]
        found.sort(key=lambda part: part[:2])
        assert torch.equal(torch.cat([index for *_, index, _ in found]), whole)
        mean = sum(part[3] for part in found) / (world * k)
        assert torch.allclose(mean, values[whole].mean(), rtol=1e-12)
        sizes = {len(part[2]) for part in found}
        assert max(sizes) - min(sizes) <= 1


def check_turns(module):
    "Three ranks, one after the other: who does what, how it comes back, how often all meet."
    done, met = [], []
    module.meet = lambda: met.append(0)
    for rank in range(3):
        module.place = lambda: (rank, 3)
        done.append([x * x for x in module.in_turn(range(7))])
    assert done == [[0, 9, 36], [1, 16], [4, 25]] and len(met) == 9
    module.gathered = lambda mine: done
    assert module.shared(lambda x: x * x, range(7)) == [x * x for x in range(7)]


CHECKS = {"runs": check_parts, "ranks": check_turns}


@pytest.mark.parametrize("bug", [None, *RANK_BUGS])
def test_parts_and_turns_and_their_bugs(bug, monkeypatch):
    for name in ("meet", "place", "gathered"):  # put back afterwards
        monkeypatch.setattr(ranks, name, getattr(ranks, name))
    if bug is None:
        check_parts(runs)
        check_turns(ranks)
        return
    with pytest.raises((AssertionError, ValueError)):
        CHECKS[RANK_BUGS[bug][0]](broken_module(*RANK_BUGS[bug]))


# ---- memory ----


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux counts it")
def test_latents_of_1_300_000_images_stream(tmp_path):
    "What is read stays in files; of its own, a process has some bytes an image."
    resident = lambda: (
        1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    )
    own, more = {}, {}
    for n in (130_000, 1_300_000):
        scale.hollow_cache(tmp_path / str(n), n)
        before = resident()

        def read():
            latents = CachedLatents(tmp_path / str(n))
            for step in range(20):
                latents.batch(batch_index(step, 256, n, seed=n))
            more[n] = resident() - before

        own[n] = peak_bytes(read)
    size = 4 * 8 * 8 * 2
    assert sum(p.stat().st_size for p in tmp_path.glob("1300000/latents-*")) > 1_300_000 * size
    assert own[1_300_000] - own[130_000] < 0.06 * size * (1_300_000 - 130_000)
    assert more[1_300_000] < 0.2 * size * 1_300_000


class Mean(torch.nn.Module):
    "Two features of an image."

    name = "mean"

    def features(self, x):
        return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)

    def head(self, f):
        return f


def test_an_evaluation_holds_one_chunk_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluations, "features_network", lambda *_: Mean())
    pixels = torch.zeros(50, 3, 64, 64)
    drawn = Drawn(pixels, 1.0, 2)
    for i in range(24):
        keep_chunk(chunk_file(tmp_path, i), drawn, torch.zeros(50, dtype=torch.int64), 255)
    look = lambda n: evaluations.seen_samples(tmp_path, n, 50, 255, "mean", "cpu")
    look(60)  # the first call loads
    held = {n: peak_bytes(lambda: look(n)) for n in (160, 1160)}
    assert held[1160] - held[160] < 0.02 * 1000 * pixels[0].nbytes
    seen, labels, seconds, nfe = look(1160)
    assert (len(seen), len(labels), seconds, nfe) == (1160, 1160, 24.0, 2)


def test_what_a_launch_of_the_benchmark_measures(monkeypatch):
    found = scale.sample_cost(1, 2)
    assert found["seconds"] > 0 and found["bytes"] > 0
    monkeypatch.setattr(scale, "place", lambda: (1, 2))
    assert scale.apart([*range(5)]) == [1, 3]


# ---- launchers ----


def launched_from_a_notebook():
    "What accelerate's launchers for notebooks start: in a fresh process, as they fork."
    run = train(None, stop_at=2)
    print(run.losses, flush=True)


# ---- what the processes do ----


def turns():
    "When this process's turns begin and end; the second process is slow."
    found = []
    for _ in ranks.in_turn(range(2 * ranks.place()[1])):
        began = time.time()
        time.sleep(0.2 if ranks.place()[0] == 1 else 0)
        found.append((began, time.time()))
    return found


def refused(out, rank):
    "What a rank says that has other data, another option, other code, or sees another folder."
    other = {"data": load_digits("test") if rank else DIGITS}
    elsewhere = out / f"seen{rank}"
    if rank:
        shutil.copytree(out / "whole", elsewhere)
    cases = {
        "data": partial(train, out / "data", **other),
        "option": partial(train, None, lr=1e-2 + rank),
        "code": partial(train, None, loss=(lambda *a: a[0]) if rank else (lambda *a: a[1])),
        "folder": partial(train, elsewhere, resume=True),
        "small": partial(train, None, batch_size=1),
    }
    found = {}
    for name, case in cases.items():
        try:
            case()
        except ValueError as e:
            found[name] = str(e)
    return found


def commands(out):
    "What the commands print on this process."
    run, device = [str(out / "run")], ["--device", "cpu"]
    latents = ["--size", "smoke", "--out", str(out / "runs" / "latent")]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.main(["sample", *run, "--images", "23", "--chunk", "5", "--steps", "2", *device])
        cli.main(["evaluate", *run, "--images", "50", "--chunk", "12", "--steps", "3", *device])
        cli.main(["train", "imagenet100-latent", *latents, *device])
    return printed.getvalue()


def together(out):
    default_device("cpu")
    rank, world = ranks.place()
    told = {"turns": turns(), "shared": ranks.shared(lambda x: (x * x, rank), range(7))}
    part = FEATURES.tensor_split([45, 60])[rank]  # the third has nothing
    stats = gather_stats(FeatureStats("net").update(part))
    save_file({"mean": stats.mean, "cov": stats.cov}, out / f"stats{rank}.safetensors")
    run = train(out / "whole", net(rank), accumulate=3 if world == 2 else 1)
    told |= {"losses": run.losses, "memory": {k: v.tolist() for k, v in run.memory.items()}}
    told["average"] = [p.sum().item() for p in run.ema.model.parameters()]
    told |= {"refused": refused(out, rank), "printed": commands(out)}
    try:
        cli.main(["demo", "--quick"])
    except SystemExit as e:
        told["demo"] = e.code
    (out / f"rank{rank}.json").write_text(json.dumps(told))


def ctrl_c(out):
    "Ctrl-C for the launcher in the third step."

    def callback(run):
        if run.step == 3 and run.is_main:
            os.kill(os.getppid(), signal.SIGINT)
        time.sleep(0.5 if run.step >= 3 else 0)

    train(out / "stopped", save_every=0, callbacks=[callback])


def killed(out):
    "A run that three processes go on with, and one that loses a process after seven steps."
    train(out / "stopped", net(5), resume=True)

    def callback(run):
        if run.step == 7 and ranks.place()[0] == 1:
            (out / "killed.time").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    train(out / "killed", callbacks=[callback])


# ---- two launches ----


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    "What one process does."
    out = tmp_path_factory.mktemp("alone")
    how = dict(device="cpu", progress=False)
    studies.train_experiment("cifar10-guidance", "smoke", out=out / "run", **how)
    shutil.copytree(out / "run", out / "kept")
    printed = commands(out)
    run = train(out / "whole")
    return out, run, printed


def launch(n, out, ending, alone):
    shutil.copytree(alone / "kept", out / "run")
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
    done = subprocess.run(
        [sys.executable, *command, __file__, str(out), ending],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    if not all((out / f"rank{i}.json").exists() for i in range(n)):
        pytest.fail(done.stderr[-4000:])
    return out, done, [json.loads((out / f"rank{i}.json").read_text()) for i in range(n)]


@pytest.fixture(scope="module")
def two(alone, tmp_path_factory):
    return launch(2, tmp_path_factory.mktemp("two"), "ctrl_c", alone[0])


@pytest.fixture(scope="module")
def three(alone, two, tmp_path_factory):
    out = tmp_path_factory.mktemp("three")
    shutil.copytree(two[0] / "stopped", out / "stopped")
    return *launch(3, out, "killed", alone[0]), time.time()


@pytest.fixture(params=[2, 3])
def some(request):
    return request.getfixturevalue({2: "two", 3: "three"}[request.param])[:3]


# ---- the same as one ----


EXIT = """
import atexit, sys
from torch import distributed
atexit.register(lambda: print("left" if not distributed.is_initialized() else "still there"))
from ddpm_course import ranks
distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
assert ranks.is_joined()
"""


def test_a_process_leaves_the_others_before_it_exits(tmp_path):
    "Torch's gloo aborts one exit in ten of processes that do not."
    told = subprocess.check_output([sys.executable, "-c", EXIT, tmp_path / "meet"], text=True)
    assert told == "left\n"


def test_a_step_is_that_of_one_process_though_parts_are_unequal(alone, some):
    whole = alone[1]
    for told in some[2]:
        assert told["losses"] == pytest.approx(whole.losses, rel=1e-4)
        assert told["memory"]["counts"] == whole.memory["counts"].tolist()  # of timesteps
        kept = torch.tensor(told["memory"]["losses"]).double()
        assert torch.allclose(kept, whole.memory["losses"], rtol=1e-3)
        assert told["average"] == some[2][0]["average"]  # to the last bit, on all ranks
    assert not (some[0] / "seen0").exists()


def tensors(folder):
    return {p.name: load_file(p) for p in sorted(folder.glob("*/*.safetensors"))}


def test_pictures_are_equal_bit_for_bit_and_so_are_scores(alone, some):
    ours, theirs = (tensors(out / "run" / "samples") for out in (alone[0], some[0]))
    assert len(ours) == len(theirs) == 5  # chunks of 5 (the last of 3), and of 12
    for name, kept in ours.items():
        for part in ("images", "labels"):
            assert torch.equal(kept[part], theirs[name][part])
    (a,), (b,) = (
        [load_scores(p) for p in (out / "run" / "scores").glob("*.json")]
        for out in (alone[0], some[0])
    )
    for name, card in a[0].items():
        if card is not None:
            assert card.value == pytest.approx(b[0][name].value, rel=1e-9)
            assert card.protocol == b[0][name].protocol
    assert a[0]["distance"].chunk == 12


def test_sums_are_reduced(some):
    for i in range(len(some[2])):
        found = load_file(some[0] / f"stats{i}.safetensors")
        assert torch.allclose(found["mean"], FEATURES.mean(0), rtol=0, atol=1e-12)
        assert torch.allclose(found["cov"], FEATURES.T.cov(), rtol=1e-9)


def test_work_is_shared_in_rounds_and_comes_back_in_order(some):
    n = len(some[2])
    for told in some[2]:
        assert told["shared"] == [[i * i, i % n] for i in range(7)]
    first, second = zip(*(told["turns"] for told in some[2]))
    assert min(began for began, _ in second) >= max(ended for _, ended in first)


def test_latents_are_encoded_by_all_and_one_writes_and_prints(alone, some):
    for cache in (some[0] / "runs").glob("latents-*/cache"):
        ours = CachedLatents(alone[0] / "runs" / cache.parent.name / "cache")
        theirs = CachedLatents(cache)
        index = torch.arange(len(ours))
        assert torch.equal(ours.batch(index)[0], theirs.batch(index)[0])
    assert len(some[2][0]["printed"].splitlines()) == len(alone[2].splitlines())
    assert not any(told["printed"] for told in some[2][1:])
    (measured,) = json.loads((some[0] / "runs" / "latent" / "measured.json").read_text())
    assert measured["processes"] == len(some[2])


# ---- what ranks are told ----


def test_ranks_that_are_not_of_one_run_are_told_at_the_start(some):
    for told in some[2]:
        says = told["refused"]
        assert says.keys() == {"data", "option", "code", "folder", "small"}
        for name, what in (
            ("data", "examples: 1000 on rank 0, 797 on rank 1"),
            ("option", "lr: 0.01 on rank 0, 1.01 on rank 1"),
            ("code", "loss.loss: <lambda> "),
            ("folder", "checkpoints in the run folder: [] on rank 0, ['step-"),
        ):
            assert what in says[name] and "not of one run" in says[name]
        assert f"some of {len(some[2])} devices x 1 passes without" in says["small"]
        assert f"demo : got {len(some[2])} processes" in told["demo"]
    assert not (some[0] / "data" / "checkpoints").exists()


# ---- what ends a run ----


def test_ctrl_c_at_the_launcher_saves_and_three_processes_go_on(alone, two, three):
    stopped = [folder.name for folder in checkpoints(two[0] / "stopped")]
    assert len(stopped) == 2 and 3 <= int(stopped[-1][5:]) < STEPS
    assert two[1].returncode
    run = train(three[0] / "stopped", net(5), resume=True)  # three have finished it
    assert run.losses == pytest.approx(alone[1].losses, rel=1e-4)


def test_a_killed_process_ends_the_run_with_a_message_and_another_number_goes_on(alone, three):
    out, done, _, ended = three
    assert ended - float((out / "killed.time").read_text()) < 60
    assert done.returncode and "Signal 9 (SIGKILL)" in done.stderr
    assert "resume=True goes on in" in done.stderr and "step-00000005" in done.stderr
    assert checkpoints(out / "killed")[-1].name == "step-00000005"
    run = train(out / "killed", net(5), resume=True)
    assert run.losses == pytest.approx(alone[1].losses, rel=1e-4)


@pytest.mark.parametrize("launcher", ["debug_launcher", "notebook_launcher"])
def test_launchers_of_notebooks_work_in_a_fresh_process(launcher, alone):
    code = f"from accelerate import {launcher}; import test_ranks as t; "
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code + f"{launcher}(t.launched_from_a_notebook, num_processes=2)",
        ],
        cwd=Path(__file__).parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    # two processes write to one pipe, and a line's end may come late
    lines = [json.loads(found) for found in re.findall(r"\[[\d., ]+\]", done.stdout)]
    assert done.returncode == 0 and len(lines) == 2, done.stderr[-3000:]
    assert lines[0] == lines[1] == pytest.approx(alone[1].losses[:2], rel=1e-3)


def test_accelerate_launch_starts_the_processes_that_the_pages_say(tmp_path):
    how = ["--multi_gpu", "--num_processes", "2", "--module", "ddpm_course.cli"]
    train = ["train", "cifar10-guidance", "--size", "smoke", "--device", "cpu", "--set", "steps=1"]
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *how, *train, "--out", "run"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("2 processes on") == 1  # one of them prints
    assert checkpoints(tmp_path / "run")[-1].name == "step-00000001"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    together(folder)
    {"ctrl_c": ctrl_c, "killed": killed}[sys.argv[2]](folder)
