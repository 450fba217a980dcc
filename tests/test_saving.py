"Model folders: whole or not at all, the way there and back, and what a damaged one says."

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from ddpm_course import disk
from ddpm_course.disk import atomic_file, atomic_folder
from ddpm_course.models import MODELS, register
from ddpm_course.saving import Spec, load_model, save_model
from ddpm_course.noising import NoiseSchedule, cosine_schedule
from ddpm_course.unet import UNet
from hostile import attack


def network(seed=0, width=8, **kwargs):
    torch.manual_seed(seed)
    model = UNet(1, (width, 2 * width), layers=1, attention=(False, True), groups=4, **kwargs)
    for p in model.parameters():
        torch.nn.init.normal_(p)
    return model


def same_weights(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.fixture
def saved(tmp_path):
    save_model(
        tmp_path / "m",
        network(0, num_classes=3),
        cosine_schedule(50),
        ema=network(1, num_classes=3),
        shape=(1, 8, 8),
    )
    return tmp_path / "m"


# there and back


def test_round_trip_is_exact(tmp_path):
    model = network(0, num_classes=3, predicts="v", learn_variance=True)
    ema = network(1, num_classes=3, predicts="v", learn_variance=True)
    g = torch.Generator().manual_seed(0)
    schedule = NoiseSchedule(torch.rand(1000, generator=g, dtype=torch.float64) * 0.999 + 1e-9)
    about = dict(shape=(1, 8, 8), clip=None, latent={"mean": 0.1, "std": 1 / 3})
    model.to(memory_format=torch.channels_last)
    save_model(tmp_path / "m", model, schedule, ema=ema, **about)
    trained = load_model(tmp_path / "m")
    raw = load_model(tmp_path / "m", weights="model")
    assert same_weights(trained.model, ema) and same_weights(raw.model, model)
    assert not same_weights(trained.model, model) and not trained.model.training
    assert trained.schedule.betas.dtype == torch.float64
    assert torch.equal(trained.schedule.betas, schedule.betas)
    assert torch.equal(trained.schedule.alpha_bars, schedule.alpha_bars)
    assert (trained.shape, trained.clip) == (about["shape"], about["clip"])
    assert trained.config["latent"] == about["latent"]
    assert trained.model.predicts == "v" and trained.model.num_classes == 3
    inputs = torch.randn(2, 1, 8, 8), torch.tensor([3, 999]), torch.tensor([0, 3])
    assert torch.equal(trained.model(*inputs), ema.eval()(*inputs))


def test_loading_draws_no_random_numbers(saved):
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(before, torch.get_rng_state())


def test_a_model_without_schedule_or_ema(tmp_path):
    save_model(tmp_path / "m", network())
    trained = load_model(tmp_path / "m", weights="model")
    assert trained.schedule is None and trained.shape is None and trained.clip == 1.0
    with pytest.raises(FileNotFoundError, match="no ema.safetensors.*weights='model'"):
        load_model(tmp_path / "m")


def test_nothing_is_pickled(saved):
    assert sorted(p.name for p in saved.iterdir()) == [
        "config.json",
        "ema.safetensors",
        "model.safetensors",
    ]
    json.loads((saved / "config.json").read_text())
    for file in saved.glob("*.safetensors"):
        data = file.read_bytes()
        header = int.from_bytes(data[:8], "little")
        entries = json.loads(data[8 : 8 + header])
        assert (
            max(e["data_offsets"][1] for e in entries.values()) == len(data) - 8 - header
        )  # a header and numbers, nothing else
        assert set(load_file(file)) == set(network(num_classes=3).state_dict())


def test_all_that_is_known_of_a_model_comes_back(tmp_path):
    known = dict(
        shape=(1, 8, 8), clip=None, classes=("zero", "one", "two"), levels=16, label_drop=0.1
    )
    save_model(
        tmp_path / "m",
        network(0, num_classes=3, predicts="v"),
        cosine_schedule(50),
        **known,
        latent=[1, 2],
    )
    trained = load_model(tmp_path / "m", "model")
    assert trained.spec == Spec("v", 3, **known) and trained.config["latent"] == [1, 2]
    assert (trained.shape, trained.clip, trained.model.label_drop) == ((1, 8, 8), None, 0.1)


def test_older_folders_load_and_what_they_do_not_hold_is_not_known(saved):
    config = json.loads((saved / "config.json").read_text())
    for key in ("classes", "levels", "label_drop"):
        del config[key]  # as format 1 was first written
    config["training"] = {"loss_fields": {"drop": 0.1}}
    (saved / "config.json").write_text(json.dumps(config))
    trained = load_model(saved)
    assert trained.spec == Spec("eps", 3, (1, 8, 8), 1.0) and trained.model.label_drop is None


# what goes wrong is told


def test_missing(tmp_path, saved):
    with pytest.raises(FileNotFoundError, match="no model folder at .*nowhere"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty has no config.json"):
        load_model(tmp_path / "empty")
    with pytest.raises(ValueError, match="weights='best'; expected 'ema' or 'model'"):
        load_model(saved, weights="best")


@pytest.mark.parametrize("name", ["config.json", "ema.safetensors"])
def test_incomplete(saved, name):
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {name}; it holds"):
        load_model(saved)


@pytest.mark.parametrize("name", ["config.json", "ema.safetensors"])
@pytest.mark.parametrize("keep", [0, 5, 0.5, -1])
def test_truncated(saved, name, keep):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=f"{name} is damaged or cut short"):
        load_model(saved)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c | {"model": "os.system"}, "names the architecture 'os.system'; known: "),
        (
            lambda c: c | {"arguments": c["arguments"] | {"channels": [16, 32]}},
            "ema.safetensors holds the weights of another architecture",
        ),
        (
            lambda c: c | {"arguments": c["arguments"] | {"layers": 2}},
            "ema.safetensors holds the weights of another architecture",
        ),
        (
            lambda c: c | {"arguments": c["arguments"] | {"depth": 3}},
            "describes another UNet .*depth",
        ),
        (lambda c: c | {"format": 2}, "no model description of format 1"),
        (lambda c: {"model": "UNet"}, "no model description"),
        (lambda c: [], "no model description"),
        (lambda c: c | {"betas": [0.1, 1.5]}, "betas\\[1\\] = 1.5"),
    ],
)
def test_another_architecture(saved, change, message):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(change(config)))
    with pytest.raises(ValueError, match=message):
        load_model(saved)


def test_unregistered_classes_are_refused(tmp_path):
    class Odd(torch.nn.Linear):
        config = {"in_features": 1, "out_features": 1}

    with pytest.raises(ValueError, match="Odd is not registered"):
        save_model(tmp_path / "m", Odd(1, 1))
    assert not list(tmp_path.iterdir())
    try:
        register(Odd)
        save_model(tmp_path / "m", Odd(1, 1))
        again = load_model(tmp_path / "m", weights="model")
        assert (
            isinstance(again.model, Odd) and again.spec == Spec()
        )  # no predicts, no classes: it is no diffusion model
    finally:
        del MODELS["Odd"]


# whole or not at all


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_overwriting_is_refused(saved, tmp_path):
    before = files(saved)
    with pytest.raises(FileExistsError, match="already holds a model"):
        save_model(saved, network(5))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="thesis exists and is not empty"):
        save_model(tmp_path / "thesis", network())
    assert (
        files(saved) == before
        and (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"
    )


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("there", "deep/er/still"):
        save_model(tmp_path / name, network())
        assert same_weights(load_model(tmp_path / name, "model").model, network())


def test_what_a_network_predicts_is_not_lost(tmp_path):
    model = network()
    model.predicts = "v"  # after it was built
    with pytest.raises(
        ValueError,
        match="predicts='v' was set on a network built with 'eps'.*build it with predicts=",
    ):
        save_model(tmp_path / "m", model)
    with pytest.raises(TypeError, match=r"\['betas', 'predicts'\] are kept from the model"):
        save_model(tmp_path / "m", network(), predicts="v", betas=[0.1], note="mine")
    assert not (tmp_path / "m").exists()


def test_half_precision_stays_half(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        save_model(tmp_path / str(dtype), network().to(dtype))
        again = load_model(tmp_path / str(dtype), "model").model
        assert {p.dtype for p in again.parameters()} == {dtype} and same_weights(
            again, network().to(dtype)
        )


def test_a_note_on_training_may_be_any_text(tmp_path):
    save_model(tmp_path / "m", network(), training="two days on a laptop")
    trained = load_model(tmp_path / "m", "model")
    assert trained.config["training"] == "two days on a laptop" and trained.model.label_drop is None


def test_folders_in_a_model_folder_reach_the_disk(tmp_path, monkeypatch):
    reached = []
    monkeypatch.setattr(disk, "sync", reached.append)
    with atomic_folder(tmp_path / "n") as new:
        (new / "deep").mkdir()
        (new / "deep" / "file").write_text("whole")
    assert [new / "deep", new / "deep" / "file"] == sorted(reached[:-2]) and reached[-2:] == [
        new,
        tmp_path,
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("mode, file_mode", [(0o755, 0o644), (0o700, 0o600)])
def test_who_can_read_a_folder_can_read_its_files(mode, file_mode, tmp_path):
    "safetensors makes files that their owner alone can read."
    umask = os.umask(0o777 & ~mode)
    try:
        save_model(tmp_path / "m", network())
        with atomic_file(tmp_path / "m" / "more.safetensors") as new:
            save_file({"a": torch.zeros(2)}, new)
    finally:
        os.umask(umask)
    files = [*(tmp_path / "m").iterdir()]
    assert len(files) == 3 and {f.stat().st_mode & 0o777 for f in files} == {file_mode}


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        save_model(tmp_path / "m", network(), odd=object())  # JSON cannot hold it
    with pytest.raises(KeyboardInterrupt):
        with atomic_folder(tmp_path / "n") as new:
            (new / "half").write_text("half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


SAVER = """
import sys, torch
from pathlib import Path
from ddpm_course.saving import save_model
from ddpm_course.noising import cosine_schedule
from ddpm_course.unet import UNet
torch.manual_seed(0)
model = UNet(1, (32, 64), layers=1, attention=(False, True), groups=8)
print("ready", flush=True)
for i in range(10_000):
    save_model(Path(sys.argv[1]) / str(i), model, cosine_schedule(), ema=model, shape=(1, 8, 8))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("delay", [0.02, 0.11, 0.23, 0.37])
def test_sigkill_in_mid_save_leaves_whole_folders(tmp_path, delay):
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, tmp_path],
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        while not (tmp_path / "0").exists():
            time.sleep(0.001)
        time.sleep(delay)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    visible = [p for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert visible and len(list(tmp_path.glob(".*"))) <= 1  # the one it was writing
    for folder in visible:
        assert load_model(folder).shape == (1, 8, 8)
    again = tmp_path / str(len(visible))  # the name that it was killed at can be saved to
    save_model(again, network())
    assert same_weights(load_model(again, "model").model, network()) and not list(
        tmp_path.glob(".*")
    )


# hostile folders


@pytest.mark.parametrize("variants, seed", [(40, 1), pytest.param(500, 0, marks=pytest.mark.slow)])
def test_a_hostile_folder_is_refused_or_harmless(variants, seed):
    "In 2 seconds and 500 MB, by an error that names the file; or it draws finite pictures."
    ends, faults = attack(variants, seed)
    assert not faults, "\n".join(faults)
    print(dict(ends))
    assert ends["refused"] > variants / 2


def changed(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    for name, value in entries.items():
        inner = config if name in config else config["arguments"]
        inner[name] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "entry, value",
    [
        *[("model", v) for v in (["UNet"], None, 3, {"a": 1})],
        *[("betas", v) for v in ("linear", 0.02, [], ["a"], [[0.1]], [True], [0.1, 2], {"T": 10})],
        *[("clip", v) for v in (-1, "1", True, math.nan, math.inf, [1])],
        *[("shape", v) for v in ("abc", [0, 8, 8], [1, 8], 64, [1, 8.0, 8], [1, 9, 9], [3, 8, 8])],
        *[("shape", v) for v in ([1, 10**6, 10**6], [True, 8, 8], [1, "8", 8])],
        *[("num_classes", v) for v in (0, -1, 2.5, "3", 4, 10**12)],
        *[("predicts", v) for v in ("noise", 3, "v", ["eps"])],
        *[("classes", v) for v in ("abc", [1, 2], ["a", "a"])],
        *[("label_drop", v) for v in (-0.1, 2, "0.1")],
        *[("levels", v) for v in (0, -1, 2.5, "255")],
        *[("arguments", v) for v in (None, [], {}, "x")],
        *[("groups", v) for v in (0, -1, 3, 2.0, "4", 10**9)],
        *[("in_channels", v) for v in (-1, 0, 3, "1", 10**9)],
        *[("layers", v) for v in (0, 10**9, 1.5, None)],
        *[("channels", v) for v in ([4096, 16], [], [8], "ab", [8] * 100, [8, -16], 8)],
        *[("norm_eps", v) for v in (0, -1, "x", 1e300, math.nan)],
        *[("attention", v) for v in ([True], [1, 0], "ft", None)],
        *[("dropout", v) for v in (1, -1, math.nan, "0")],
        *[("head_dim", v) for v in (0, 3, "a", -1)],
    ],
)
def test_a_description_is_held_against_one_schema(saved, entry, value):
    changed(saved, **{entry: value})
    began = time.perf_counter()
    with pytest.raises(ValueError, match=f"(?s)(config.json|ema.safetensors).*{entry}|another"):
        load_model(saved)
    assert time.perf_counter() - began < 2


LONG = '"' + "x" * 11_000_000 + '"'


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "\x00", LONG])
def test_a_description_that_is_none_is_refused(saved, text):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match="config.json (is damaged|has 11,000,002 bytes)"):
        load_model(saved)


def test_what_stands_in_place_of_a_file_is_not_read(saved):
    "A pipe would wait for ever, /dev/zero never ends."
    for name in ("config.json", "ema.safetensors"):
        kept = (saved / name).read_bytes()
        for make in (os.mkfifo, os.mkdir, lambda file: os.symlink("/dev/zero", file)):
            (saved / name).unlink()
            make(saved / name)
            with pytest.raises(ValueError, match=f"{name} is no file"):
                load_model(saved)
            (saved / name).rmdir() if (saved / name).is_dir() else (saved / name).unlink()
            (saved / name).write_bytes(kept)


def test_weights_are_neither_cast_nor_nan(saved):
    state = load_file(saved / "ema.safetensors")
    name = "mid.1.qkv.weight"
    bad = {
        f"{name} is of type I64": state | {name: state[name].long()},
        "is of type I64": {n: v.long() for n, v in state.items()},
        "is of type C64": state | {name: state[name].to(torch.complex64)},
        "is of type F8_E4M3": {n: v.to(torch.float8_e4m3fn) for n, v in state.items()},
        f"{name} holds nan": state | {name: state[name] * math.nan},
        f"{name} holds inf": state | {name: state[name] * math.inf},
        f"{name} holds .*e.30": state | {name: state[name] * 1e30},
        f"mixes precisions: .*{name} is BF16": state | {name: state[name].bfloat16()},
        f"{name}: .16, 48, 1, 1. there, .48, 16, 1, 1. expected": state
        | {name: state[name].transpose(0, 1).contiguous()},
        f"{name}: nothing there": {n: v for n, v in state.items() if n != name},
        "more: .*nothing expected": state | {"more": torch.zeros(1)},
    }
    for says, change in bad.items():
        save_file(change, saved / "ema.safetensors")
        with pytest.raises(ValueError, match=f"ema.safetensors.*{says}"):
            load_model(saved)
    mixed = network()
    mixed.mid.half()
    with pytest.raises(ValueError, match="UNet mixes precisions: .*model.float()"):
        save_model(saved.parent / "mixed", mixed)
    assert not (saved.parent / "mixed").exists()


WRONG = [{"shape": "abc"}, {"clip": -1}, {"levels": 0}, {"classes": "ab"}]


@pytest.mark.parametrize("about", WRONG)
def test_what_could_not_be_loaded_is_not_written(tmp_path, about):
    with pytest.raises(ValueError, match=f"{next(iter(about))}.*expected"):
        save_model(tmp_path / "m", network(), **about)
    assert not list(tmp_path.iterdir())
