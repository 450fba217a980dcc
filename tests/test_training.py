"Training: EMA and schedule to the letter; a run stopped, killed, split or spread is the same."

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import TensorDataset

from ddpm_course import devices, runs
from ddpm_course.images import load_digits
from ddpm_course.ddpm import DDPMLoss
from ddpm_course.noising import cosine_schedule, linear_schedule
from ddpm_course.schedules import MinSNR
from ddpm_course.randomness import batch_index
from ddpm_course.runs import checkpoints
from ddpm_course.saving import Spec, load_model, save_model
from ddpm_course.training import EMA, Recipe, every, fit, loss_by_t, lr_at, preview
from ddpm_course.unet import UNet

DIGITS = load_digits("train")
LOSS = DDPMLoss(cosine_schedule(), drop=0.1)
STEPS = 12


def net(seed=0, **kwargs):
    torch.manual_seed(seed)
    return UNet(
        **dict(
            in_channels=1,
            channels=(8, 8),
            layers=1,
            attention=(False, True),
            groups=4,
            num_classes=10,
        )
        | kwargs
    )


def train(model=None, data=DIGITS, loss=LOSS, **kwargs):
    settings = dict(
        steps=STEPS,
        batch_size=16,
        lr=1e-2,
        warmup=3,
        ema_halflife=64,
        save_every=5,
        device="cpu",
        precision="no",
        progress=False,
    )
    return fit(net() if model is None else model, data, loss, **settings | kwargs)


def state(run):
    "Everything that must survive, as flat tensors."
    optimizer = {
        f"{i}.{k}": v for i, s in run.optimizer.state_dict()["state"].items() for k, v in s.items()
    }
    histories = {
        name: torch.tensor(getattr(run, name), dtype=torch.float64) for name in ("losses", "norms")
    }
    return (
        {f"model.{k}": v for k, v in run.model.state_dict().items()}
        | {f"ema.{k}": v for k, v in run.ema.model.state_dict().items()}
        | optimizer
        | histories
    )


def same(a, b):
    a, b = state(a), state(b)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def close(a, b, tol):
    a, b = state(a), state(b)
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], rtol=tol, atol=tol) for k in a)


@pytest.fixture(scope="module")
def whole():
    return train()


# Pieces


def test_ema_is_its_recurrence_and_its_half_life_is_one():
    model = torch.nn.Linear(3, 2).double()
    ema = EMA(model, halflife=1000)
    by_hand = [p.detach().clone() for p in model.parameters()]
    images = 0
    for _ in range(20):
        with torch.no_grad():
            [p.add_(torch.randn_like(p)) for p in model.parameters()]
        images += 64
        decay = 0.5 ** (64 / min(1000, 0.05 * images))
        by_hand = [
            decay * a + (1 - decay) * p.detach() for a, p in zip(by_hand, model.parameters())
        ]
        ema.update(model, images, 64)
        for a, b in zip(ema.model.parameters(), by_hand):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-14)
    assert math.isclose(math.prod(ema.decay(10**6, 50) for _ in range(1000 // 50)), 0.5)
    assert (
        ema.decay(64, 64) < 1e-5 and EMA(model, 0).decay(10**6, 64) == 0
    )  # the first step forgets the start; no average at all
    assert not ema.model.training and not any(p.requires_grad for p in ema.model.parameters())


def test_ema_copies_buffers():
    model = torch.nn.BatchNorm1d(2)
    ema = EMA(model, 1000)
    model(torch.randn(8, 2))
    ema.update(model, 8, 8)
    assert (
        torch.equal(ema.model.running_mean, model.running_mean)
        and ema.model.num_batches_tracked == 1
    )


def test_learning_rate():
    lrs = [lr_at(s, 1000, 2.0, 100) for s in range(1000)]
    assert lrs[0] == 0.02 and lrs[49] == 1.0 and max(lrs) == lrs[99] == lrs[100] == 2.0
    assert (
        math.isclose(lrs[550], 1.0)
        and 0 < lrs[-1] < 1e-5
        and lrs[100:] == sorted(lrs[100:], reverse=True)
    )
    assert [lr_at(s, 4, 1.0, 100) for s in range(4)] == [
        0.5,
        1.0,
        1.0,
        0.5,
    ]  # a warm-up longer than the run
    assert lr_at(0, 1, 1.0, 100) == 1.0 and lr_at(0, 5, 1.0, 0) == 1.0


@pytest.mark.parametrize("n, batch", [(10, 3), (10, 25), (7, 7), (1, 4)])
def test_order_is_shuffled_epochs_end_to_end(n, batch):
    order = torch.cat([batch_index(s, batch, n, seed=3) for s in range(4 * n)])
    epochs = order[: len(order) // n * n].view(-1, n)
    assert all(sorted(e.tolist()) == list(range(n)) for e in epochs)
    assert n == 1 or len({tuple(e.tolist()) for e in epochs[:4]}) > 1
    assert n < 10 or not torch.equal(batch_index(0, batch, n, 3), batch_index(0, batch, n, 4))


def test_loss_by_t_repeats_and_leaves_the_mode(whole):
    x, y = DIGITS.batch(torch.arange(32))
    model = net(dropout=0.5).train()
    a, b = (loss_by_t(model, LOSS.schedule, x, y) for _ in range(2))
    assert torch.equal(a, b) and a.shape == (20,) and model.training and torch.isfinite(a).all()
    assert loss_by_t(model, linear_schedule(7), x, y, ts=[0, 6]).shape == (2,)


# The same run


@pytest.mark.parametrize("k", [0, 1, 5, 7, STEPS])
def test_stopped_and_resumed_is_uninterrupted(k, whole, tmp_path):
    first = train(out=tmp_path, stop_at=k)
    assert first.step == k and (tmp_path / "model").exists() == (k == STEPS)
    assert same(
        train(net(seed=9), out=tmp_path, resume=True), whole
    )  # whatever the new weights were
    assert same(
        train(net(seed=9), out=tmp_path, resume=True), whole
    )  # a complete run is returned as it is
    trained = load_model(tmp_path / "model")
    assert all(
        torch.equal(v, whole.ema.model.state_dict()[k])
        for k, v in trained.model.state_dict().items()
    )


def test_dropout_accumulation_and_flips_resume_too(tmp_path):
    settings = dict(data=replace(DIGITS, flip=True), accumulate=2)
    uninterrupted = train(net(dropout=0.3), **settings)
    train(net(dropout=0.3), out=tmp_path, stop_at=5, **settings)
    assert same(
        train(net(seed=9, dropout=0.3), out=tmp_path, resume=True, **settings), uninterrupted
    )


def test_ema_that_is_not_restored_is_noticed(whole, tmp_path, monkeypatch):
    train(out=tmp_path, stop_at=7)
    load = runs.load_weights
    monkeypatch.setattr(
        runs,
        "load_weights",
        lambda model, file: None if file.name == "ema.safetensors" else load(model, file),
    )
    assert not same(train(net(seed=9), out=tmp_path, resume=True), whole)


def test_accumulation_changes_only_the_rounding(whole):
    assert close(train(accumulate=4), whole, 1e-4) and not same(train(seed=1), whole)


def test_bf16_leaves_the_model_bare(whole):
    model = net()
    run = train(model, precision="bf16")
    assert 0 < max(abs(a - b) for a, b in zip(run.losses, whole.losses)) < 0.05
    assert (
        not {"forward", "_original_forward", "_is_accelerate_prepared"} & vars(model).keys()
        and not model.training
    )
    assert next(model.parameters()).dtype == torch.float32
    again = train(model, steps=2)  # a second run in the same process, of another precision
    assert again.config["precision"] == "no" and again.step == 2


@pytest.mark.parametrize("precision, last", [("no", True), ("bf16", False)])
def test_channels_lie_last_but_for_bfloat16_on_a_cpu(precision, last):
    model, seen = net(), set()
    last_in = lambda x: x.is_contiguous(memory_format=torch.channels_last)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.GroupNorm)]
    for norm in norms:  # the slow one: what it gets tells how all before it computed
        norm.register_forward_pre_hook(lambda _, args: seen.add(last_in(args[0])))
    train(model, steps=1, precision=precision)
    assert norms and seen == {last}
    assert last_in(next(p for p in model.parameters() if p.shape[1:] == (8, 3, 3))) == last


def test_compiled_networks_keep_their_names(whole, tmp_path):
    pytest.importorskip("torch._dynamo")
    run = train(compile="eager", out=tmp_path)
    names = set(whole.model.state_dict())
    assert (
        set(run.model.state_dict())
        == set(run.ema.model.state_dict())
        == names
        == set(load_file(tmp_path / "model" / "ema.safetensors"))
    )
    assert close(run, whole, 1e-4)


def test_a_torch_dataset_trains_like_images(whole):
    x, y = DIGITS.batch(torch.arange(len(DIGITS)))
    assert same(train(data=TensorDataset(x, y)), whole)


def test_the_next_rows_are_prefetched(whole):
    class Watched:
        def __init__(self):
            self.shape = (1, 8, 8)
            self.asked = []
            self.announced = []

        def __len__(self):
            return len(DIGITS)

        def to(self, device):
            return self

        def prefetch(self, index):
            self.announced.append(index.tolist())

        def batch(self, index, rng):
            self.asked.append(index.tolist())
            return DIGITS.batch(index, rng)

    for accumulate in (1, 2):
        data = Watched()
        train(data=data, accumulate=accumulate)
        assert len(data.asked) == STEPS * accumulate and data.announced[:-1] == data.asked[1:]


def test_global_random_numbers_are_left_alone(whole):
    torch.manual_seed(5)
    model = net()
    expected = torch.get_rng_state()
    assert same(
        train(model, callbacks=[lambda run: torch.rand(3)]), whole
    )  # nor does a callback that draws disturb the run
    assert torch.equal(torch.get_rng_state(), expected)


def test_callbacks_and_previews(whole):
    seen = []
    strip = []
    with torch.no_grad():
        run = train(
            callbacks=[
                lambda run: seen.append(run.step),
                every(4, lambda run: strip.append(preview(run, torch.arange(3), steps=4))),
            ]
        )
    assert (
        seen == [*range(1, STEPS + 1)]
        and [s.shape for s in strip] == [(3, 1, 8, 8)] * 3
        and same(run, whole)
    )
    assert torch.equal(preview(run, torch.arange(3), steps=4), strip[-1]) and not torch.equal(
        strip[0], strip[-1]
    )


def test_checkpoints_are_two_and_whole(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    run = train(out=tmp_path, save_every=1, stop_at=6)
    assert [c.name for c in checkpoints(tmp_path)] == ["step-00000005", "step-00000006"]
    (tmp_path / "checkpoints" / ".step-00000007.new").mkdir()  # what a kill leaves
    assert train(out=tmp_path, save_every=1, stop_at=6, resume=True).step == 6
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert load_model(checkpoints(tmp_path)[-1], "model").config["training"] == run.config


def test_the_bar_tells_images_per_second(capsys):
    train(progress=True, stop_at=2)
    bar = capsys.readouterr().err
    assert "images/s" in bar and "loss" in bar and "step 2" in bar
    train(stop_at=1)
    assert not capsys.readouterr().err


# What can go wrong


def nan_at(step, gradient_only=False):
    "A loss that is finite but at one step."
    calls = []

    def loss(model, x, y, rng):
        calls.append(1)
        value = LOSS(model, x, y, rng)
        if len(calls) != step + 1:
            return value
        return (
            value + (value * 0).sqrt() if gradient_only else value * math.nan
        )  # the slope of a root at 0 is infinite

    return loss


@pytest.mark.parametrize("gradient_only", [False, True])
@pytest.mark.parametrize(
    "step", [7, 9]
)  # between checkpoints, and just before one would be written
def test_nan_stops_the_run(step, gradient_only, tmp_path):
    with pytest.raises(FloatingPointError, match=f"step {step} .*lower lr"):
        train(loss=nan_at(step, gradient_only), out=tmp_path)
    last = checkpoints(tmp_path)[-1]
    assert last.name == "step-00000005" and all(
        v.isfinite().all() for v in load_file(last / "model.safetensors").values()
    )


def test_another_configuration_is_refused_by_name(tmp_path):
    train(out=tmp_path, stop_at=5)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    changes = [
        (dict(lr=1e-3), "lr: was 0.01, is 0.001"),
        (dict(seed=3), "seed: was 0, is 3"),
        (dict(steps=99), "steps: was 12, is 99"),
        (dict(precision="bf16"), "precision: was no, is bf16"),
        (dict(model=net(dropout=0.1)), "arguments: .*dropout"),
        (dict(data=load_digits("all")), "examples: was 1000, is 1797"),
        (dict(loss=DDPMLoss(linear_schedule(), drop=0.1)), "loss_fields: .*schedule"),
        (
            dict(loss=DDPMLoss(cosine_schedule(), drop=0.1, weight=MinSNR())),
            "loss_fields: .*'weight': None.*'MinSNR': {'gamma': 5.0}",
        ),
    ]
    for change, message in changes:
        with pytest.raises(ValueError, match=f"another configuration .*{message}"):
            train(out=tmp_path, resume=True, **change)
    with pytest.raises(FileExistsError, match="already holds a run; pass resume=True"):
        train(out=tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
    assert (
        train(out=tmp_path, resume=True, accumulate=2, save_every=0).step == STEPS
    )  # how it is computed may change


def other_weight(schedule, t, predicts):
    return torch.full((len(t),), 0.5)


def test_another_weight_of_the_loss_is_another_configuration(tmp_path):
    weighted = lambda weight: DDPMLoss(cosine_schedule(), drop=0.1, weight=weight)
    train(loss=weighted(MinSNR(5.0)), out=tmp_path, stop_at=5)
    for weight, message in (
        (MinSNR(4.0), "'gamma': 5.0.*'gamma': 4.0"),
        (None, "'weight': None"),
        (other_weight, "'weight': 'other_weight'"),
    ):
        with pytest.raises(ValueError, match=f"another configuration .*loss_fields: .*{message}"):
            train(loss=weighted(weight), out=tmp_path, resume=True)
    assert same(
        train(loss=weighted(MinSNR(5.0)), out=tmp_path, resume=True),
        train(loss=weighted(MinSNR(5.0))),
    )


def test_a_folder_that_holds_a_model_is_refused(tmp_path):
    save_model(tmp_path / "model", net())
    for resume in (False, True):  # without checkpoints nobody can say that it is this run's
        with pytest.raises(
            FileExistsError, match="already holds a model, and no checkpoints to resume from"
        ):
            train(out=tmp_path, resume=resume)


def test_a_model_that_cannot_be_written_is_no_silent_loss(tmp_path):
    (tmp_path / "model" / "vae").mkdir(
        parents=True
    )  # as `LatentSpace.save` leaves it, and then the run goes on
    (tmp_path / "model" / "vae" / "config.json").write_text("{}")
    train(out=tmp_path / "run", stop_at=7)
    (tmp_path / "model").rename(tmp_path / "run" / "model")
    with pytest.raises(FileExistsError, match="model exists and is not empty"):
        train(out=tmp_path / "run", resume=True)
    assert checkpoints(tmp_path / "run")[-1].name == f"step-{STEPS:08d}"  # the weights are there


def test_losses_may_pass_labels_by_name():
    def by_name(model, x, y, rng):
        return (
            (model(x, torch.zeros(len(x), dtype=torch.int64), y=y) - x).square().flatten(1).mean(1)
        )

    assert train(loss=by_name).step == STEPS


def test_a_resumed_run_reads_nothing_from_the_checkpoint_that_it_came_from(tmp_path):
    train(out=tmp_path, stop_at=7)
    folder = checkpoints(tmp_path)[-1]
    run = train(out=tmp_path, resume=True, stop_at=7)
    mapped = Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else ""
    assert run.step == 7 and str(folder) not in mapped


def test_a_damaged_checkpoint_is_named(whole, tmp_path):
    train(out=tmp_path, stop_at=7)
    older, newer = checkpoints(tmp_path)
    file = newer / "training.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ValueError, match=f"{newer.name} cannot be read .*delete it"):
        train(out=tmp_path, resume=True)
    shutil.rmtree(newer)
    assert same(train(net(seed=9), out=tmp_path, resume=True), whole)


@pytest.mark.parametrize(
    "bad, message",
    [
        (dict(steps=0), "steps=0; expected more than 0"),
        (dict(steps=-3), "steps=-3"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(lr=0.0), "lr=0.0"),
        (dict(lr=math.nan), "lr=nan"),
        (dict(clip_grad=-1.0), "clip_grad=-1.0"),
        (dict(accumulate=17), "batch_size=16 leaves some of 1 devices x 17 passes without"),
        (dict(precision="fp16"), "precision='fp16'; expected one of auto, bf16, no"),
        (dict(model=net(num_classes=5)), "labels go from 0 to 9; .*num_classes=5"),
    ],
)
def test_bad_input(bad, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(**{"out": tmp_path / "run"} | bad)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    for device in ("cuda", "cpu:1"):
        with pytest.raises(ValueError, match=f"device={device}, but training would run on cpu"):
            train(device=device)
    assert devices.make_accelerator(device="cpu:0").device.type == "cpu"


@pytest.mark.parametrize("bad", [dict(learning_rate=1.0), dict(lerning=1, decay=2)])
def test_an_unknown_name_is_refused_with_the_names_there_are(bad):
    names = (
        "a recipe has steps, batch_size, lr, warmup, weight_decay, ema_halflife, "
        "clip_grad, seed, precision, and needs steps"
    )
    with pytest.raises(TypeError, match=f"argument '{next(iter(bad))}'; {names}"):
        train(**bad)
    with pytest.raises(TypeError, match=f"'steps'; {names}"):
        fit(net(), DIGITS, LOSS, lr=1e-3)


def test_the_recipe_of_a_run_stands_in_its_checkpoint_and_can_be_run_again(whole, tmp_path):
    run = train(out=tmp_path, stop_at=1)
    was = load_model(checkpoints(tmp_path)[-1]).config["training"]
    kept = {name: was[name] for name in vars(run.recipe)}
    assert kept == vars(run.recipe) and Recipe(**kept) == run.recipe == Recipe.of(**kept)
    assert same(fit(net(), DIGITS, LOSS, device="cpu", progress=False, **vars(run.recipe)), whole)


def test_what_a_model_is_comes_from_model_data_and_loss(tmp_path):
    run = train(out=tmp_path, steps=1, clip=0.9)
    spec = load_model(tmp_path / "model").spec
    assert spec == Spec("eps", 10, (1, 8, 8), 0.9, tuple("0123456789"), 16, 0.1)
    assert run.model.label_drop == run.ema.model.label_drop == 0.1 and run.about["shape"] == (
        1,
        8,
        8,
    )


# Signals and kills, in processes of their own: `python tests/test_training.py JOB OUT`


@pytest.fixture
def foreground():
    "Ctrl-C is heard, as at a terminal: a shell starts its background jobs deaf to it."
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, old)


def test_signals_are_deferred_and_handlers_restored(whole, tmp_path, foreground):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    def send(n, at):
        return lambda run: os.kill(os.getpid(), n) if run.step == at else None

    with pytest.raises(KeyboardInterrupt):
        train(out=tmp_path, callbacks=[send(signal.SIGINT, 3)])
    assert checkpoints(tmp_path)[-1].name == "step-00000004"
    with pytest.raises(SystemExit) as left:
        train(out=tmp_path, resume=True, callbacks=[send(signal.SIGTERM, 8)])
    assert left.value.code == 143 and checkpoints(tmp_path)[-1].name == "step-00000009"
    with pytest.raises(SystemExit):
        train(
            out=tmp_path, resume=True, callbacks=[send(signal.SIGTERM, STEPS)]
        )  # too late to lose anything
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    assert same(train(net(seed=9), out=tmp_path, resume=True), whole)


def test_training_in_a_thread(whole):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(train()))
    thread.start()
    thread.join()
    assert same(runs[0], whole)


def start(job, out, *launcher):
    return subprocess.Popen(
        [sys.executable, *launcher, __file__, job, str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def one_thread():
    "The uninterrupted run as the processes below compute it: with one thread."
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_process_saves_first(number, one_thread, tmp_path):
    process = start("slow", tmp_path)
    for line in process.stdout:
        if int(line) == 3:
            break
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGINT), error
    assert 3 <= int(checkpoints(tmp_path)[-1].name[5:]) < STEPS
    assert same(train(net(seed=9), out=tmp_path, resume=True), one_thread)


def test_killed_at_random_points(one_thread, tmp_path):
    process = start("killed", tmp_path)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    kills = json.loads(out)
    assert kills >= 5
    assert same(train(net(seed=9), out=tmp_path, resume=True, save_every=1), one_thread)


@pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without distributed"
)
def test_two_processes_are_one(whole, tmp_path):
    process = start(
        "two", tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"
    )
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 0, error
    run = train(net(seed=9), out=tmp_path / "whole", resume=True)
    assert close(run, whole, 1e-4) and not (tmp_path / "rank1").exists()
    assert checkpoints(tmp_path / "stopped")[-1].name == "step-00000004"
    assert {(tmp_path / f"left{rank}").read_text() for rank in (0, 1)} == {"143"}
    resumed = train(
        net(seed=9), out=tmp_path / "stopped", resume=True
    )  # begun by two processes, finished by one
    assert close(resumed, whole, 1e-4)


def slow(out):
    "Train slowly, printing each step."

    def callback(run):
        print(run.step, flush=True)
        time.sleep(0.2)

    train(out=out, save_every=0, callbacks=[callback])


def killed(out):
    "Train in children that are killed at random points, until one ends; prints how many were."
    rng = random.Random(0)
    for kills in range(1000):
        pid = os.fork()
        if pid == 0:
            try:
                train(
                    net(seed=9 if checkpoints(out) else 0),
                    out=out,
                    resume=True,
                    save_every=1,
                    callbacks=[lambda run: time.sleep(0.01)],
                )
            except BaseException as e:
                print(repr(e), file=sys.stderr, flush=True)
            else:
                os._exit(0)
            os._exit(1)
        if kills < 8 or rng.random() < 0.5:  # the last ones may live
            time.sleep(rng.uniform(0.05, 0.6 if kills < 8 else 3))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status) == 0 and kills >= 5:
                return print(json.dumps(kills))
            if os.WEXITSTATUS(status):
                sys.exit(1)
    sys.exit("never done")


def two(out):
    "One of two processes: a whole run, and one that a signal to the second process stops for both."
    rank = int(os.environ["RANK"])
    train(net(seed=rank), out=out / "whole")  # weights are the first rank's
    try:
        train(
            out=out / "stopped",
            callbacks=[
                lambda run: (
                    os.kill(os.getpid(), signal.SIGTERM) if rank == 1 and run.step == 3 else None
                )
            ],
        )
    except SystemExit as e:
        (out / f"left{rank}").write_text(str(e.code))


if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell may have told us to ignore it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    {"slow": slow, "killed": killed, "two": two}[sys.argv[1]](Path(sys.argv[2]))
