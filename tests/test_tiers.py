"Tiers: the machine chooses, every experiment of chapter 91 has what a tier asks for, cells run."

import re

import pytest
import torch

from ddpm_course.experiments import training_runs
from ddpm_course.experiments.registry import EXPERIMENTS
from ddpm_course.experiments.studies import evaluate_run, run_experiment, train_experiment
from ddpm_course.experiments.tiers import TIERS, tier_of
from ddpm_course.experiments.costs import cost_of, hours_on
from tree import ROOT, code

PAGE = ROOT / "nbs" / "91_cifar10.ipynb"
CELLS = [cell.source for cell in code(PAGE) if "gpu" in cell.directives and "tier" in cell.source]
NAMES = re.findall(r'_experiment\("([\w-]+)", tier.size', "\n".join(CELLS))


@pytest.mark.parametrize("capability, name", [((7, 5), "T4"), ((8, 0), "A100"), ((9, 0), "A100")])
def test_fast_bfloat16_decides(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(training_runs, "check_there", lambda device: None)
    assert tier_of("cuda") is TIERS[name]
    assert tier_of("cpu") is TIERS["CPU"]


@pytest.mark.parametrize("tier", TIERS.values(), ids=TIERS)
def test_each_experiment_has_the_size_and_takes_the_changes(tier):
    assert len(NAMES) == 3
    for name in NAMES:
        for plan in EXPERIMENTS[name].scale(tier.size).plans.values():
            changed = plan.with_recipe(tier.changes).told["recipe"]
            assert tier.changes.items() <= changed.items()


def test_a_t4_is_done_within_a_session():
    (plan,) = [EXPERIMENTS["cifar10"].plan("full", "field")[1].with_recipe(TIERS["T4"].changes)]
    assert cost_of(plan).images == 640_000
    assert 2 < hours_on(cost_of(plan).training_gflop, "T4") < 4


def test_the_cells_of_a_gpu_run_on_a_cpu_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {
        "tier_of": lambda: tier_of("cpu"),
        "train_experiment": lambda *a, **k: train_experiment(*a, **k, device="cpu", progress=False),
        "evaluate_run": lambda *a, **k: evaluate_run(*a, **k, device="cpu", progress=False),
        "run_experiment": lambda *a, **k: run_experiment(*a, **k, device="cpu", progress=False),
    }
    for source in CELLS[:2]:  # tier and training, scores
        exec(source, names)
    assert names["rows"] and all(row["distance"].n_fake == 100 for row in names["rows"])
    assert (tmp_path / "runs" / "first-CPU" / "index.html").is_file()
