"The command line: the quick demo end to end, and what it says when it cannot run."

import json
import subprocess
import sys

import pytest

from ddpm_course import cli


def run(*args): return subprocess.run([sys.executable, "-c", "from ddpm_course.cli import main; main()", *args], capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    return out, run("demo", "--quick", "--out", str(out))


def test_the_demo_leaves_everything_it_promises(demo):
    out, result = demo
    assert result.returncode == 0, result.stderr
    assert {"model", "samples.png", "trajectory.png", "loss.png", "scores.json", "index.html"} <= {p.name for p in out.iterdir()}
    assert {p.name for p in (out / "model").iterdir()} == {"config.json", "model.safetensors", "ema.safetensors"}
    assert all(name in result.stdout for name in ("sampler", "accuracy", "distance", "floor", "DDIM", "DDPM"))
    assert "images/s" in result.stderr and "DDPM" in result.stderr # the progress bars
    rows = json.loads((out / "scores.json").read_text())["rows"]
    assert [row["sampler"] for row in rows] == ["DDPM", "DDIM"] and all(row["floor"] > 0 for row in rows)
    page = (out / "index.html").read_text()
    assert all(name in page for name in ("samples.png", "trajectory.png", "loss.png"))


def test_the_same_seed_gives_the_same_images(demo, tmp_path):
    out, _ = demo
    assert run("demo", "--quick", "--out", str(tmp_path / "again")).returncode == 0
    assert (tmp_path / "again" / "samples.png").read_bytes() == (out / "samples.png").read_bytes()
    assert run("demo", "--quick", "--seed", "1", "--out", str(tmp_path / "other")).returncode == 0
    assert (tmp_path / "other" / "samples.png").read_bytes() != (out / "samples.png").read_bytes()


def test_a_folder_that_holds_a_run_is_left_alone(demo):
    out, _ = demo
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    result = run("demo", "--quick", "--out", str(out))
    assert result.returncode != 0 and "already holds a run" in result.stderr and "Traceback" not in result.stderr
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_unknown_commands_and_help(capsys):
    with pytest.raises(SystemExit) as e: cli.main(["sampel"])
    assert "no command 'sampel'" in str(e.value) and "demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as e: cli.main([])
    assert e.value.code == 0
    with pytest.raises(SystemExit) as e: cli.main(["demo", "--help"])
    assert e.value.code == 0 and "--train-steps" in capsys.readouterr().out
