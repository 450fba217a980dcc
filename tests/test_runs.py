"Run folders under attack: damaged state, copies, two starts, errors, signals, other code."

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset, TensorDataset

from ddpm_course import disk
from ddpm_course.ddpm import DDPMLoss
from ddpm_course.disk import atomic_file, atomic_folder, hold, sweep, sync
from ddpm_course.identity import Describer
from ddpm_course.images import Images
from ddpm_course.noising import cosine_schedule
from ddpm_course.runs import checkpoints
from ddpm_course.saving import load_model, save_model
from ddpm_course.training import fit
from ddpm_course.unet import UNet
from fakes import same_run

LOSS = DDPMLoss(cosine_schedule(), drop=0.1)
STEPS = 6


def net(seed=0, **kwargs):
    torch.manual_seed(seed)
    options = dict(in_channels=1, channels=(8,), layers=1, attention=(False,), groups=4)
    return UNet(**options | dict(num_classes=3) | kwargs)


def pictures(seed=0, n=20):
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, 1, 4, 4), generator=rng).to(torch.uint8)
    return Images(pixels, torch.arange(n) % 3, list("abc"))


def train(out=None, model=None, data=None, loss=LOSS, **kwargs):
    settings = dict(steps=STEPS, batch_size=4, save_every=2, device="cpu", precision="no")
    return fit(
        model or net(),
        pictures() if data is None else data,
        loss,
        out=out,
        **settings | dict(progress=False) | kwargs,
    )


@pytest.fixture(scope="module")
def whole():
    return train()


@pytest.fixture
def stopped(tmp_path):
    train(tmp_path, stop_at=4)
    return tmp_path


# What a checkpoint may hold


def first(state, ending):
    return next(name for name in sorted(state) if name.endswith(ending))


def longer(state, name):
    state[name] = torch.zeros(3 + state[name].numel())


DAMAGE = {
    "a short moment": lambda s: s.update({first(s, ".exp_avg"): torch.zeros(1)}),
    "a long moment": lambda s: longer(s, first(s, ".exp_avg_sq")),
    "a moment of doubles": lambda s: s.update(
        {first(s, ".exp_avg"): s[first(s, ".exp_avg")].double()}
    ),
    "a moment that is NaN": lambda s: s[first(s, ".exp_avg")].fill_(float("nan")),
    "a square below 0": lambda s: s[first(s, ".exp_avg_sq")].fill_(-1.0),
    "a step of another time": lambda s: s.update({first(s, ".step"): torch.tensor(99.0)}),
    "a step that is a list": lambda s: s.update({first(s, ".step"): torch.ones(2)}),
    "no losses": lambda s: s.pop("losses"),
    "too few losses": lambda s: s.update({"losses": s["losses"][:2], "norms": s["norms"][:2]}),
    "losses that are NaN": lambda s: s["losses"].fill_(float("nan")),
    "a weight too many": lambda s: s.update({"999.exp_avg": torch.zeros(2)}),
    "an odd name": lambda s: s.update({"x.y.z": torch.zeros(2)}),
    "a moment less": lambda s: s.pop(first(s, ".exp_avg")),
    "a weight less": lambda s: [s.pop(k) for k in [*s] if k.startswith("0.")],
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_state_is_refused_before_it_is_used(how, stopped):
    file = checkpoints(stopped)[-1] / "training.safetensors"
    state = load_file(file)
    DAMAGE[how](state)
    save_file(state, file)
    with pytest.raises(ValueError, match="step-00000004 cannot be read .*training.*delete it"):
        train(stopped, resume=True)


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors"])
@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.update({k: v.long() for k, v in w.items()}),
        lambda w: next(iter(w.values())).fill_(float("nan")),
        lambda w: w.update({k: v.half() for k, v in w.items()}),
        lambda w: w.popitem(),
    ],
)
def test_weights_of_another_kind_are_refused(name, change, stopped):
    file = checkpoints(stopped)[-1] / name
    weights = load_file(file)
    change(weights)
    save_file(weights, file)
    model = net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"cannot be read .*{name}.*delete it"):
        train(stopped, model, resume=True)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"training": 3}', "{}"])
def test_a_damaged_description_of_a_checkpoint_says_what_to_do(text, stopped, whole):
    newest = checkpoints(stopped)[-1]
    (newest / "config.json").write_text(text)
    with pytest.raises(ValueError, match="step-00000004 cannot be read .*delete it to continue"):
        train(stopped, resume=True)
    shutil.rmtree(newest)
    assert same_run(train(stopped, resume=True), whole)


# Copies of the user's


def test_copies_are_neither_deleted_nor_resumed_from(stopped, whole):
    folder = stopped / "checkpoints"
    mine = ["step-best", "step-00000004-best", "step-00000004 (copy)", "step-4", "step-zzz"]
    for name in mine:
        shutil.copytree(folder / "step-00000002", folder / name)
    shutil.copytree(folder / "step-00000002", folder / "step-00000001")  # a number, but not its own
    (folder / "step-00000003").symlink_to(folder / "step-best")
    assert same_run(train(stopped, resume=True), whole)
    assert {p.name for p in folder.iterdir()} == {
        *mine,
        "step-00000001",
        "step-00000003",
        "step-00000004",
        "step-00000006",
    }


def test_a_copy_under_a_later_number_is_no_checkpoint_of_it(stopped):
    folder = stopped / "checkpoints"
    shutil.copytree(folder / "step-00000002", folder / "step-00000009")
    with pytest.raises(ValueError, match="step-00000009 cannot be read .it holds step 2"):
        train(stopped, resume=True)


def test_checkpoints_are_sorted_by_number(tmp_path):
    for name in ("step-100000000", "step-99999999", "step-00000007"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000009").write_text("a file")
    assert [p.name for p in checkpoints(tmp_path)] == [
        "step-00000007",
        "step-99999999",
        "step-100000000",
    ]


# Errors, and what is kept


def failing(at, error=RuntimeError):
    def callback(run):
        if run.step == at:
            raise error("mine")

    return callback


@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_what_cannot_be_written_is_called_by_its_name(write, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError) as e:
        with write(tmp_path / "file" / "there") as new:
            new.write_text("text")
    assert e.value.filename == str(tmp_path / "file" / "there")  # not the hidden one


def test_a_kill_in_a_callback_skips_no_call(tmp_path, whole):
    calls = []

    def callback(run):
        calls.append(run.step)
        if calls == [1, 2, 3, 4]:
            raise SystemError  # after which nothing is saved, as after a kill

    with pytest.raises(SystemError):
        train(tmp_path, callbacks=[callback])
    run = train(tmp_path, net(9), resume=True, callbacks=[callback])
    assert calls == [1, 2, 3, 4, 3, 4, 5, 6] and same_run(run, whole)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_an_error_in_a_callback_saves_first(error, tmp_path, whole):
    with pytest.raises(error, match="mine") as raised:
        train(tmp_path, callbacks=[failing(5, error)], save_every=0)
    assert checkpoints(tmp_path)[-1].name == "step-00000005"
    assert "saved at step 5" in raised.value.__notes__[0]
    assert same_run(train(tmp_path, resume=True), whole)


def test_an_error_in_a_step_saves_the_steps_before_it(tmp_path, whole):
    data = pictures()
    broken = [*range(3, -1, -1)]

    def batch(index, rng=None):
        if broken and broken.pop(0) == 0:
            raise OSError("the disk is gone")
        return Images.batch(data, index, rng)

    class Set:
        shape = data.shape
        classes = data.classes
        levels = data.levels
        labels = data.labels
        pixels = data.pixels

        def __len__(self):
            return len(data)

        def to(self, device):
            return self

        def batch(self, index, rng=None):
            return batch(index, rng)

    with pytest.raises(OSError, match="gone"):
        train(tmp_path, data=Set(), save_every=0)
    assert checkpoints(tmp_path)[-1].name == "step-00000003"
    run = train(tmp_path, data=Set(), resume=True)
    assert same_run(run, whole)


def test_a_run_that_failed_in_its_first_step_leaves_its_folder_free(tmp_path, whole):
    with pytest.raises(RuntimeError):
        train(tmp_path, loss=lambda model, x, y, rng: 1 / 0 if False else failing(0)(Step0))
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000000"]
    assert same_run(train(tmp_path), whole)  # another loss, and no resume
    with pytest.raises(FileExistsError, match="already holds a run"):
        train(tmp_path)


class Step0:
    step = 0


def test_a_full_disk_is_said_and_the_run_goes_on(tmp_path, whole, monkeypatch):
    from ddpm_course import runs

    train(tmp_path, stop_at=2)
    real = runs.save_file

    def full(state, file):
        real({"x": torch.zeros(1)}, file)
        raise disk.SafetensorError("Error while serializing: I/O error: (os error 28)")

    monkeypatch.setattr(runs, "save_file", full)
    with pytest.raises(OSError, match="step-00000004 could not be written: .*no space.*make room"):
        train(tmp_path, resume=True)
    monkeypatch.undo()
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000000", "step-00000002"]
    assert same_run(train(tmp_path, resume=True), whole)


# One at a time


def test_a_folder_in_use_is_refused_by_name_of_its_user(stopped, whole):
    with hold(stopped):
        for options in (dict(resume=True), dict()):
            with pytest.raises(OSError, match=f"in use by process {os.getpid()} on .*another"):
                train(stopped, **options)
    assert not (stopped / ".lock").exists() and same_run(train(stopped, resume=True), whole)


def test_a_lock_ends_with_its_process(tmp_path):
    code = f"""
import time
from ddpm_course.disk import hold
with hold({str(tmp_path)!r}):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(OSError, match=f"process {process.pid} on"):
        with hold(tmp_path, wait=0.1):
            pass
    process.kill()
    process.wait()
    with hold(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_who_waits_for_a_lock_gets_it(tmp_path):
    order = []

    def user(i):
        with hold(tmp_path, wait=60):
            order.append(i)
            time.sleep(0.02)
            order.append(i)

    threads = [threading.Thread(target=user, args=(i,)) for i in range(5)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert order[::2] == order[1::2] and sorted(order[::2]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("number", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_used_without(number, tmp_path, monkeypatch, whole):
    import errno

    def none(fd, how):
        raise OSError(getattr(errno, number), "no locks here")

    monkeypatch.setattr(disk.fcntl, "flock", none)
    assert same_run(train(tmp_path), whole)


@pytest.mark.parametrize("number", ["EINVAL", "EPERM", "ENOTSUP"])
def test_what_cannot_be_synced_is_passed_over(number, tmp_path, monkeypatch):
    import errno

    def refuse(fd):
        raise OSError(getattr(errno, number), "not here")

    monkeypatch.setattr(os, "fsync", refuse)
    save_model(tmp_path / "m", net())
    assert load_model(tmp_path / "m", "model").model
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(5, "I/O error")))
    with pytest.raises(OSError, match="I/O"):
        sync(tmp_path / "m" / "config.json")


def test_what_kills_left_is_cleared_and_nothing_else(stopped, whole):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()
    folder = stopped / "checkpoints"
    rubbish = [
        f".step-00000005.{disk.HOST}-{dead}-0123abcd.new",
        f".step-00000002.elsewhere-{dead}-0123abcd.old",
        ".step-00000006.new",
    ]
    for name in [*rubbish, ".mine", ".step-notes"]:
        (folder / name).mkdir()
    assert same_run(train(stopped, resume=True), whole)
    assert {p.name for p in folder.glob(".*")} == {".mine", ".step-notes"}
    mine = disk.beside(stopped / "x")
    other = mine.with_name(f".x.{disk.HOST}-{dead}-0123abcd.new")
    mine.mkdir()
    other.mkdir()
    sweep(stopped, "x")  # not alone: the living are left
    assert mine.exists() and not other.exists()


def test_two_writers_of_one_name_do_not_meet(tmp_path):
    with pytest.raises(FileExistsError, match="x exists and is not empty"):
        with atomic_folder(tmp_path / "x") as one:
            (one / "a").write_text("1")
            with atomic_folder(tmp_path / "x") as two:
                (two / "a").write_text("2")
    assert (tmp_path / "x" / "a").read_text() == "2" and len([*tmp_path.iterdir()]) == 1
    with atomic_file(tmp_path / "f") as one:
        one.write_text("1")
        with atomic_file(tmp_path / "f") as two:
            two.write_text("2")
    assert (tmp_path / "f").read_text() == "1"


def test_two_fits_in_threads_are_like_one_after_the_other(whole):
    dropout = train(model=net(dropout=0.3))
    found = {}

    def work(name, **options):
        found[name] = train(**options)

    threads = [
        threading.Thread(target=work, args=("plain",), kwargs=dict(model=net())),
        threading.Thread(target=work, args=("dropout",), kwargs=dict(model=net(dropout=0.3))),
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert same_run(found["plain"], whole) and same_run(found["dropout"], dropout)


def test_a_fit_within_a_fit_leaves_the_outer_one_alone(whole):
    inner = []
    run = train(callbacks=[lambda run: inner.append(train(steps=1, precision="bf16"))])
    assert same_run(run, whole) and len(inner) == STEPS


# The same run


def weighted(weight):
    return lambda model, x, y, rng: weight * LOSS(model, x, y, rng)


def scaled(model, x, y, rng, weight):
    return weight * LOSS(model, x, y, rng)


class Scaled:
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, model, x, y, rng):
        return self.weight * LOSS(model, x, y, rng)


OTHERS = {
    "closure": (weighted(1.0), weighted(2.0)),
    "closure over a tensor": (weighted(torch.ones(())), weighted(torch.full((), 2.0))),
    "lambda": (lambda m, x, y, r: LOSS(m, x, y, r), lambda m, x, y, r: LOSS(m, x, y, r) * 2),
    "partial": (partial(scaled, weight=1.0), partial(scaled, weight=2.0)),
    "NumPy scalar": (Scaled(np.float32(1)), Scaled(np.float32(2))),
    "attribute": (Scaled(1.0), Scaled(2.0)),
    "method": (Scaled(1.0).__call__, Scaled(2.0).__call__),
}


@pytest.mark.parametrize("how", OTHERS)
def test_another_loss_is_another_run(how, tmp_path):
    was, now = OTHERS[how]
    train(tmp_path, loss=was, stop_at=2)
    with pytest.raises(ValueError, match="another configuration .*loss.* was .*is "):
        train(tmp_path, loss=now, resume=True)
    assert same_run(train(tmp_path, loss=was, resume=True), train(loss=was))


def test_other_pictures_labels_and_clip_are_another_run(tmp_path):
    train(tmp_path, stop_at=2)
    relabeled = Images(pictures().pixels, pictures().labels.flip(0), list("abc"))
    for change, says in (
        (dict(data=pictures(seed=1)), "20 of 20 pictures that were looked at differ"),
        (dict(data=relabeled), "the labels differ"),
        (dict(clip=None), "clip: was 1.0, is None"),
        (dict(data=pictures(n=19)), "examples: was 20, is 19"),
    ):
        with pytest.raises(ValueError, match=f"(?s){says}.*start="):
            train(tmp_path, resume=True, **change)


def test_code_is_told_by_what_it_does_and_not_by_where_it_stands():
    def describe(text, **names):
        exec(text, names)
        found = Describer()
        found.add("f", names["f"])
        return found.found

    one = describe("W = 3\ndef g(x): return x + 1\ndef f(x): return W * g(x)")
    assert one == describe("\n\n# moved\nW = 3\ndef g(x): return x + 1\ndef f(x): return W * g(x)")
    assert one != describe("W = 4\ndef g(x): return x + 1\ndef f(x): return W * g(x)")
    assert one != describe("W = 3\ndef g(x): return x + 2\ndef f(x): return W * g(x)")


class Augmented(Dataset):
    "Draws from every global generator, as transforms of others do."

    def __len__(self):
        return 20

    def __getitem__(self, i):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        return torch.full((1, 4, 4), noise / 3), i % 3


def test_augmentation_by_any_generator_repeats_and_resumes(tmp_path):
    state = random.getstate(), np.random.get_state()[1].copy()
    one = train(data=Augmented())
    assert random.getstate() == state[0] and (np.random.get_state()[1] == state[1]).all()
    random.seed(5)
    np.random.seed(5)
    train(tmp_path, data=Augmented(), stop_at=3)
    assert same_run(train(tmp_path, data=Augmented(), resume=True), one)


def test_a_set_that_is_never_the_same_can_still_resume(tmp_path):
    class Never(Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, i):
            return torch.full((1, 4, 4), int.from_bytes(os.urandom(2), "big") / 65536), i % 3

    train(tmp_path, data=Never(), stop_at=3)
    assert train(tmp_path, data=Never(), resume=True).step == STEPS


def test_other_tensors_of_a_torch_dataset_are_another_run(tmp_path):
    x, y = torch.rand(20, 1, 4, 4), torch.arange(20) % 3
    train(tmp_path, data=TensorDataset(x, y), stop_at=2)
    with pytest.raises(ValueError, match="pictures that were looked at differ"):
        train(tmp_path, data=TensorDataset(1 - x, y), resume=True)


def test_a_finished_run_is_extended_by_a_new_one_that_says_so(tmp_path):
    old = train(tmp_path / "old")
    with pytest.raises(ValueError, match="(?s)steps: was 6, is 9.*fit.*start="):
        train(tmp_path / "old", resume=True, steps=9)
    run = train(tmp_path / "new", net(seed=3), start=tmp_path / "old", stop_at=0)
    assert all(torch.equal(v, old.model.state_dict()[k]) for k, v in run.model.state_dict().items())
    train(tmp_path / "new", net(seed=4), start=tmp_path / "old", resume=True)
    told = load_model(tmp_path / "new" / "model").config["training"]
    assert told["start"]["folder"] == "old" and len(told["start"]["weights"]) == 16
    with pytest.raises(ValueError, match="start: was .*is None"):
        train(tmp_path / "new", resume=True)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        train(start=tmp_path / "nowhere")


# Paths and devices


@pytest.mark.parametrize(
    "out, error, says",
    [
        ("", ValueError, "names no folder"),
        (" ", ValueError, "names no folder"),
        (b"runs", TypeError, "got bytes; expected the path of a folder"),
        (3, TypeError, "got int"),
        ("bad\udcff", ValueError, "is not UTF-8"),
        (__file__, OSError, "is a file; expected a folder"),
    ],
)
def test_an_out_that_is_no_folder_is_refused(out, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        train(out)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("device", ["", "gpu", "cuda:x", [], 3.5])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(ValueError, match="names no device; expected None, 'cpu' or 'cuda'"):
        train(device=device)


# Signals


HANGS = """
import signal, sys, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
from test_runs import *
class Hangs(Images):
    def batch(self, index, rng=None):
        if rng is not None and len(seen) > 2:
            print("hangs", flush=True)
            time.sleep(600)
        seen.append(1)
        return super().batch(index, rng)
seen = []
data = pictures()
train(sys.argv[2], data=Hangs(data.pixels, data.labels, data.classes), save_every=0)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_second_ctrl_c_ends_a_step_that_hangs_and_saves(tmp_path, whole):
    here = os.path.dirname(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, here, tmp_path / "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "hangs\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # the first waits for the end of the step
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGINT and "saved at step 3" in error, error
    assert same_run(train(tmp_path / "run", resume=True), whole)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_terminal_that_closes_saves(tmp_path, whole):
    old = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        hang_up = lambda run: os.kill(os.getpid(), signal.SIGHUP) if run.step == 3 else None
        with pytest.raises(SystemExit) as left:
            train(tmp_path, callbacks=[hang_up], save_every=0)
    finally:
        signal.signal(signal.SIGHUP, old)
    assert left.value.code == 129 and checkpoints(tmp_path)[-1].name == "step-00000004"
    assert same_run(train(tmp_path, resume=True), whole)
