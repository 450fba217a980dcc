"The simulation of coverage: it finds what is right and what is not, is repeatable, and goes on."

import json

import pytest
import torch

from ddpm_course.experiments import coverage
from ddpm_course.experiments.coverage import (
    BLOCKS,
    CLAIM,
    FLOOR,
    Block,
    covers_nominally,
    describe,
    planned,
    run_coverage,
    simulate,
)
from ddpm_course.shares import wilson


def toy(factor, off=0.0):
    "Intervals of a normal number whose error is 1, `factor` times as wide as they should be."

    def draw(rng):
        x = torch.randn((), generator=rng).item()
        return x, (x + off - 1.96 * factor, x + off + 1.96 * factor)

    return draw


def cell_of(settings, repetitions=2000):
    return {"kind": "toy", "group": CLAIM, "settings": settings, "repetitions": repetitions}


def test_a_right_interval_passes_and_others_fail():
    right, narrow, wide = (simulate(cell_of({"factor": f}), toy) for f in (1.0, 0.6, 2.0))
    assert covers_nominally(right) and right["coverage"] == pytest.approx(0.95, abs=0.02)
    assert not covers_nominally(narrow) and not covers_nominally(wide)
    assert narrow["width"] == pytest.approx(0.6, abs=0.03)
    assert wide["width"] == pytest.approx(2, abs=0.1)
    moved = simulate(cell_of({"factor": 1.0, "off": 1.0}), toy)
    assert moved["above"] > 10 * moved["below"]
    assert moved["coverage"] + moved["above"] + moved["below"] == pytest.approx(1, abs=2e-4)
    assert right["band"] == pytest.approx(wilson(right["coverage"], 2000, 0.99), abs=1e-4)
    assert {"date", "cpu", "torch"} <= right["about"].keys()


@pytest.mark.parametrize("repetitions", [0, 10**12])
def test_a_run_that_would_never_end_is_refused(repetitions, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "simulate", None)  # would never end
    with pytest.raises(ValueError, match=f"repetitions={repetitions}; .* at most 1,000,000,000"):
        run_coverage(tmp_path / "coverage.json", repetitions)


def test_cells_are_named_once_and_every_kind_runs():
    plan = planned(3)
    names = [json.dumps(cell, sort_keys=True) for cell, _ in plan]
    assert len(set(names)) == len(names) > 60
    assert {FLOOR, CLAIM} < {block.group for block in BLOCKS}
    for block in BLOCKS:
        settings = block.settings[0] | ({"n": 60} if "n" in block.settings[0] else {})
        draw = block.make(**settings)
        one, again = (draw(torch.Generator().manual_seed(1)) for _ in range(2))
        value, (low, high) = one
        assert one == again and low <= value <= high, block.kind


def test_a_run_goes_on_where_it_was_and_makes_again_what_other_code_made(tmp_path, monkeypatch):
    monkeypatch.setattr(
        coverage,
        "BLOCKS",
        (
            Block("one", toy, [{"factor": 1.0}, {"factor": 0.5}]),
            Block("other", toy, [{"factor": 2.0}], FLOOR),
        ),
    )
    file = tmp_path / "new" / "coverage.json"
    first = run_coverage(file, 50, only="one")
    assert [c["kind"] for c in first] == ["one", "one"]
    made = []
    real = coverage.simulate
    monkeypatch.setattr(coverage, "simulate", lambda *a: made.append(a) or real(*a))
    cells = run_coverage(file, 50)
    assert len(made) == 1 and [c["kind"] for c in cells] == ["one", "one", "other"]
    assert cells[:2] == first and cells == json.loads(file.read_text())["cells"]
    assert run_coverage(file, 50) == cells and len(made) == 1
    monkeypatch.setattr(coverage, "code_of", lambda make: "other")
    run_coverage(file, 50, only="other")
    assert len(made) == 2
    lines = describe(cells).splitlines()
    assert len(lines) == 3 and "fails" in lines[1] and lines[1].endswith("one: factor 0.5")
