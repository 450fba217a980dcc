"The command line: the quick demo end to end, and what it says when it cannot run."

import ast
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastcore.script import anno_parser

from ddpm_course import cli
from ddpm_course.cards import load_scores
from ddpm_course.disk import in_words
from ddpm_course.experiments import demo as demos
from ddpm_course.experiments.registry import TABLES
from ddpm_course.saving import cache_folder
from ddpm_course.unet import UNet


STEPS = 4  # of training: digits would need hundreds


def run(*args, python=()):
    return subprocess.run(
        [sys.executable, *python, "-c", "from ddpm_course.cli import main; main()", *args],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    return out, run("demo", "--quick", "--train-steps", str(STEPS), "--out", str(out))


def test_the_demo_leaves_everything_it_promises(demo):
    out, result = demo
    assert result.returncode == 0, result.stderr
    assert {"model", "samples.png", "trajectory.png", "loss.png", "scores.json", "index.html"} <= {
        p.name for p in out.iterdir()
    }
    assert {p.name for p in (out / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "ema.safetensors",
    }
    assert all(
        name in result.stdout
        for name in ("sampler", "accuracy", "distance", "floor", "DDIM", "DDPM")
    )
    assert "images/s" in result.stderr and "DDPM" in result.stderr  # the progress bars
    rows = load_scores(out / "scores.json")  # every number is a card
    assert [row["distance"].sampler for row in rows] == ["DDPM", "DDIM"] and all(
        row["floor"].value > 0 and row["distance"].interval for row in rows
    )
    page = (out / "index.html").read_text()
    assert all(name in page for name in ("samples.png", "trajectory.png", "loss.png"))


def test_another_seed_gives_other_images(demo, tmp_path, monkeypatch):
    out, _ = demo  # that the same gives the same, in another process, is seen two tests below
    monkeypatch.setitem(demos.SIZES, "quick", demos.SIZES["quick"][:1])  # which are shown
    demos.run_demo(tmp_path / "other", 1, STEPS, None, "quick")
    assert (tmp_path / "other" / "samples.png").read_bytes() != (out / "samples.png").read_bytes()


def test_a_folder_that_holds_a_run_is_left_alone(demo):
    out, _ = demo
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    result = run("demo", "--quick", "--out", str(out), python=["-X", "importtime"])
    assert (
        result.returncode != 0
        and "already holds a run" in result.stderr
        and "Traceback" not in result.stderr
    )
    for heavy in ("torchvision", "matplotlib", "sklearn", "diffusers", "torch._dynamo"):
        assert f" {heavy}\n" not in result.stderr  # what a command does not use, it does not load
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_demo_that_was_stopped_goes_on_where_it_was(demo, tmp_path, monkeypatch):
    whole, _ = demo
    out = tmp_path / "demo"
    real = demos.measure
    done = []

    def measure(sampler, *args, **kwargs):
        done.append(sampler.name)
        if done == ["DDIM", "DDPM"]:
            raise KeyboardInterrupt
        return real(sampler, *args, **kwargs)

    monkeypatch.setattr(demos, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        demos.run_demo(out, 0, STEPS, None, "quick")
    before = (out / "model" / "ema.safetensors").stat().st_mtime_ns
    demos.run_demo(out, 0, STEPS, None, "quick")
    assert done == ["DDIM", "DDPM", "DDPM"]  # what was measured is not measured again
    assert (out / "model" / "ema.safetensors").stat().st_mtime_ns == before
    for name in ("samples.png", "model/ema.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not (out / ".demo").exists() and not (out / ".demo.lock").exists()
    with pytest.raises(FileExistsError, match="already holds a run that is finished"):
        demos.run_demo(out, 0, STEPS, None, "quick")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("demo", "--out", ""), "names no folder"),
        (("demo", "--device", ""), "device='' names no device"),
        (("train", "digits", "--out", ""), "names no folder"),
        (("table", "dynamics", "--size", "smoke", "--out", ""), "names no folder"),
    ],
)
def test_an_empty_option_is_refused(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as e:
        cli.main([*arguments])
    assert says in str(e.value) and not [*tmp_path.iterdir()]


def test_errors_of_the_system_say_what_to_do(tmp_path, monkeypatch):
    for number, does in (
        (errno.EACCES, "choose another one"),
        (errno.ENOENT, "look for a slip"),
        (errno.ENOTDIR, "a part of the path is a file"),
        (errno.EISDIR, "name one in that folder"),
        (errno.ENOSPC, "make room and start again"),
        (errno.EIO, "choose another path"),
    ):
        for path in ("there", None):
            error = in_words(OSError(number, os.strerror(number), path))
            assert error.startswith(path or os.strerror(number)) and does in error
    assert in_words(OSError(errno.ENOSPC, "mine")) == "mine" and in_words(OSError("hub")) == "hub"
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\x00\xff")
    for arguments, says in (
        (["grade", "nowhere"], "nowhere: No such file or directory; expected something"),
        (["grade", str(tmp_path)], "Is a directory; expected a file"),
        (["grade", str(tmp_path / "bytes.ipynb")], "is no notebook; expected an .ipynb file"),
        (["grade", ""], "expected a path"),
        (["import", ""], "expected a path"),
        (["export", "digits", "--format", "onnx", "--out", str(tmp_path)], "is a folder, or no"),
        (
            ["export", "digits", "--format", "onnx", "--out", str(tmp_path / "bytes.ipynb")],
            "is a file; delete it or choose another",
        ),
        (["coverage", "--repetitions", "0"], "repetitions=0; expected a whole number of at le"),
        (["coverage", "--out", str(tmp_path / "bytes.ipynb")], "holds no cells of coverage"),
        (["coverage", "--out", str(tmp_path)], "expected the name of a file"),
        (
            ["squares", "x", "--out", str(tmp_path / "bytes.ipynb" / "x")],
            "is a file; expected a folder",
        ),
    ):
        with pytest.raises(SystemExit) as e:
            cli.main(arguments)
        assert says in str(e.value) and "Errno" not in str(e.value)

    def diverges(run):
        raise FloatingPointError("loss nan; try a lower lr")

    monkeypatch.setattr(cli.commands, "info_run", diverges)
    with pytest.raises(SystemExit, match="info: loss nan; try a lower lr"):
        cli.main(["info", "run"])


def test_no_home_is_said(monkeypatch):
    for name in ("DDPM_COURSE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(OSError, match="no home folder is known; set DDPM_COURSE_CACHE"):
        cache_folder()


def test_what_only_the_course_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModuleNotFoundError, match="diffusers, which is not installed: pip install"):
        UNet.from_diffusers("nowhere")


def test_unknown_commands_and_help(capsys):
    with pytest.raises(SystemExit) as e:
        cli.main(["sampel"])
    assert "no command 'sampel'" in str(e.value) and "demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as e:
        cli.main([])
    assert e.value.code == 0
    with pytest.raises(SystemExit) as e:
        cli.main(["demo", "--help"])
    assert e.value.code == 0 and "--train-steps" in capsys.readouterr().out
    with pytest.raises(SystemExit) as e:
        cli.main(["table", "--help"])
    shown = "".join(capsys.readouterr().out.split())  # lines break at hyphens, too
    assert e.value.code == 0 and all(name in shown for name in TABLES)


@pytest.mark.parametrize(
    "option, value, says",
    [
        ("--seed", "65536", "expected a seed of 0..65535"),
        ("--device", "gpu", "device='gpu'"),
        ("--train-steps", "9" * 12, "a whole number of at most 1,000,000,000"),
    ],
)
def test_the_demo_refuses_before_it_trains(option, value, says, tmp_path):
    with pytest.raises(SystemExit) as e:
        cli.main(["demo", option, value, "--out", str(tmp_path / "demo")])
    assert says in str(e.value) and not (tmp_path / "demo").exists()


def test_a_table_by_command_goes_on_where_it_was(tmp_path, capsys):
    table = ["table", "guidance", "--size", "smoke", "--workers", "0", "--out", str(tmp_path)]
    cli.main(table)
    printed = capsys.readouterr().out
    assert printed.count("DDIM") == 3 and len(printed.splitlines()) == 4
    assert {p.name for p in tmp_path.iterdir()} == {
        ".guidance",
        "guidance-smoke.json",
        "guidance-smoke.csv",
        "guidance-smoke.png",
        "guidance-smoke.safetensors",
    }
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / ".guidance").glob("*.json")}
    next(iter(kept)).unlink()
    again = run(*table)  # in another process
    assert (
        again.returncode == 0
        and sum(kept[p] == p.stat().st_mtime_ns for p in kept) == len(kept) - 1 == 5
    )


def test_a_table_that_is_not_there_and_a_size_that_is_not(tmp_path):
    for arguments, says in (
        (("steps",), "no table 'steps'; there are ddim-steps"),
        (("dynamics", "--size", "full"), "size='full'; dynamics has digits, smoke"),
    ):
        with pytest.raises(SystemExit) as e:
            cli.main(["table", *arguments, "--out", str(tmp_path)])
        assert says in str(e.value)


def test_train_makes_a_shipped_network_again(tmp_path, monkeypatch, capsys):
    from ddpm_course.experiments import shipping

    short = lambda out, **kwargs: shipping.train_classifier(out, steps=3, **kwargs)
    monkeypatch.setitem(shipping.TRAIN, "classifier", short)
    cli.main(["train", "classifier", "--out", str(tmp_path), "--seed", "1"])
    said = capsys.readouterr().out
    assert "shipped    0.9962" in said and (tmp_path / "model" / "config.json").is_file()
    with pytest.raises(
        SystemExit, match="nothing to train is called 'cats'; there are the experiments cifar10"
    ):
        cli.main(["train", "cats"])


HERE = Path(__file__).parents[1]


def told_commands():
    "(where, command, what follows) of each command that a message, a page or a file names."
    texts = [(name, (HERE / name).read_text()) for name in ("README.md", "CONTRIBUTING.md")]
    for file in (HERE / "nbs").glob("*.ipynb"):
        texts += [(file.name, "".join(c["source"])) for c in json.loads(file.read_text())["cells"]]
    for file in (HERE / "ddpm_course").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "") for part in node.values]
                texts.append((file.name, "".join(p for p in parts if isinstance(p, str))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append((file.name, node.value))
    for where, text in texts:
        yield from (
            (where, *found) for found in re.findall(r"ddpm-course ([a-z]+)([^`\n;)]*)", text)
        )


def test_a_command_that_is_named_has_the_options_that_are_named():
    found = [(where, name, re.findall("--[a-z]+", rest)) for where, name, rest in told_commands()]
    assert {name for _, name, _ in found} == cli.COMMANDS.keys()
    parsers = {name: anno_parser(command) for name, command in cli.COMMANDS.items()}
    known = {name: parser._option_string_actions for name, parser in parsers.items()}
    wrong = [(w, name, o) for w, name, options in found for o in options if o not in known[name]]
    assert not wrong and len(found) > 50


@pytest.mark.parametrize("name", cli.SHARED)
def test_no_launcher_takes_an_option_of_a_command_for_its_own(name, capsys):
    "torchrun shortens its options, and looks at those that are meant for the program, too."
    from accelerate.commands.launch import launch_command_parser
    from torch.distributed.run import get_args_parser

    options = [o for o in anno_parser(cli.COMMANDS[name])._option_string_actions if "--" in o]
    assert "--device" in options
    command = ["-m", "ddpm_course.cli", name, *options]
    for launcher in (get_args_parser(), launch_command_parser()):
        assert launcher.parse_args(command).training_script_args == [name, *options]
    with pytest.raises(SystemExit):
        get_args_parser().parse_args([*command, "--n"])
    assert "ambiguous option: --n" in capsys.readouterr().err
