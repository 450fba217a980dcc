"""Our samplers keep every rule; other libraries do what is recorded of them; the published table
says the same."""

import json
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from conformance import metrics, publish
from conformance.adapters import everyone, ours, uneven
from conformance.rules import BETAS, GAUSSIAN, RULES, Blank, judge
from ddpm_course.noising import NoiseSchedule

pytestmark = pytest.mark.filterwarnings(r"ignore:::diffusers\.", r"ignore:::torchmetrics\.")
PUBLISHED = Path(__file__).parents[2] / "nbs" / "results" / "conformance.json"
ADAPTERS = {f"{a.library}: {a.name}": a for a in everyone()}
OURS = [name for name in ADAPTERS if name.startswith("ddpm_course")]


@cache
def found(name, rule):
    return publish.row(ADAPTERS[name], rule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", OURS)
def test_our_samplers_keep_every_rule(name, rule):
    row, adapter = found(name, rule), ADAPTERS[name]
    assert not adapter.fails
    if (rule == "order" and adapter.eta > 0) or (rule == "recursion" and not adapter.ddim):
        assert row["passed"] is None and row["reason"]  # the two rules that cannot always apply
    else:
        assert row["passed"] is True, row


@pytest.mark.parametrize("name", [name for name in ADAPTERS if name not in OURS])
def test_other_libraries_do_what_is_recorded(name):
    rows, adapter = [found(name, rule) for rule in RULES], ADAPTERS[name]
    assert not (surprises := [s for row in rows if (s := publish.surprise(adapter, row))]), (
        "\n" + "\n".join(surprises)
    )
    for row in rows:
        assert row["reason"] if row["passed"] is not True else row["measured"] is not None, (
            row
        )  # a gap or a failure says why
    assert adapter.fails.keys() <= RULES.keys()


def test_what_a_surprise_says():
    name = next(name for name in ADAPTERS if "linspace, eta 0" in name)
    failing, passing = found(name, "recursion"), found(name, "final step")
    assert failing["passed"] is False and publish.surprise(
        ADAPTERS[name], failing
    ) == "" == publish.surprise(ADAPTERS[name], passing)
    assert "recorded as failing because" in publish.surprise(
        ADAPTERS[name], failing | {"passed": True}
    )
    assert "recorded as failing because" in publish.surprise(
        ADAPTERS[name], failing | {"passed": None}
    )
    assert "record it" in publish.surprise(ADAPTERS[name], passing | {"passed": False})


def test_names_are_distinct():
    assert len(ADAPTERS) == len(everyone())


@pytest.mark.parametrize(
    "name", OURS[:1] + [name for name in ADAPTERS if "linspace, eta 0.5" in name or "Heun" in name]
)
def test_an_adapter_refuses_what_it_cannot_do(name):
    "A list that the library does not take must not be sampled on another one."
    adapter, x = ADAPTERS[name], torch.ones(1, 1, 1, 1, dtype=torch.float64)
    if name in OURS:
        adapter.sample(Blank(), BETAS["linear"], uneven(1000, 7), x)
        return
    with pytest.raises(ValueError, match="takes no list; for 7 steps it has one of its own"):
        adapter.sample(Blank(), BETAS["linear"], uneven(1000, 7), x)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_keeps_float64_and_its_input(name):
    adapter = ADAPTERS[name]
    x, timesteps = (
        torch.linspace(-1, 1, 3, dtype=torch.float64).view(3, 1, 1, 1),
        next(iter(adapter.spacings.values()))(1000, 10),
    )
    kept = x.clone()
    end = adapter.sample(
        GAUSSIAN.model(NoiseSchedule(BETAS["linear"])),
        BETAS["linear"],
        timesteps,
        x,
        torch.zeros(10, *x.shape, dtype=torch.float64),
    )
    assert end.dtype == torch.float64 and torch.equal(x, kept)
    assert adapter.tolerance in (1e-6, 5e-5)


def test_nan_is_the_worst():
    verdict = judge(
        {("a", "linear", 10): 0.0, ("b", "linear", 13): float("nan"), ("c", "linear", 50): 1e-9},
        1e-6,
    )
    assert (
        verdict.passed is False
        and verdict.measured == float("inf")
        and "fails at 13 steps" in verdict.note
    )


# ---- metrics ----


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_metrics_agree(metric):
    for found in metrics.compare(metric):
        assert found.passed or (found.passed is None and found.reason), found


def biased(a, b):
    return sum(
        ((x @ y.T / x.shape[1] + 1) ** 3).mean().item() * sign
        for x, y, sign in ((a, a, 1), (b, b, 1), (a, b, -2))
    )


WRONG = {
    "Fréchet distance": lambda a, b: metrics.features.frechet_distance(
        a.mean(0), a.T.cov(correction=0), b.mean(0), b.T.cov(correction=0)
    ),
    "KID, all pairs": biased,  # the pairs of an image with itself are still in
    "Inception Score, 10 splits": lambda scores: (
        metrics.metrics.split_scores(scores[torch.randperm(len(scores))].softmax(1), 10)
        .mean()
        .item()
    ),
    "precision, k = 3": lambda fake, real: metrics.share(
        metrics.metrics.in_manifold(fake, real, 2)
    ),
    "recall, k = 3": lambda fake, real: metrics.share(metrics.metrics.in_manifold(fake, real, 3)),
}


@pytest.mark.parametrize("metric", WRONG)
def test_a_wrong_metric_is_noticed(metric, monkeypatch):
    features, _, peers = metrics.METRICS[metric]
    monkeypatch.setitem(metrics.METRICS, metric, (features, WRONG[metric], peers))
    verdicts = [found.passed for found in metrics.compare(metric)]
    assert False in verdicts and True not in verdicts


# ---- what was published ----


def test_the_published_table_is_the_one_these_rules_make():
    table = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    rows = {(f"{row['library']}: {row['sampler']}", row["rule"]): row for row in table["samplers"]}
    assert [*rows] == [(name, rule) for name in ADAPTERS for rule in RULES], "run make conformance"
    for (name, rule), row in rows.items():
        if row["version"] != version(row["library"]):
            continue  # another release may do otherwise
        now = found(name, rule)
        assert {k: row[k] for k in ("expected", "passed", "reason")} == {
            k: now[k] for k in ("expected", "passed", "reason")
        }, f"{name}, {rule}: run make conformance"
        if row["measured"] is not None:
            assert row["measured"] == pytest.approx(now["measured"], rel=0.02, abs=5e-5), (
                name,
                rule,
            )  # machines round differently
    assert [(r["metric"], r["features"], r["library"]) for r in table["metrics"]] == [
        (f.metric, f.features, f.library) for m in metrics.METRICS for f in metrics.compare(m)
    ]
    assert {*table["about"]} >= {"date", "cpu", "cores", "python", "torch"} and len(
        table["curves"]
    ) == 6


def test_the_page_shows_the_published_table():
    page = json.loads((PUBLISHED.parents[1] / "conformance.ipynb").read_text("utf-8"))
    outputs = [out for cell in page["cells"] for out in cell.get("outputs", ())]
    shown = "".join(text for out in outputs for text in out.get("data", {}).get("text/html", ()))
    rows = json.loads(PUBLISHED.read_text("utf-8"))["samplers"]
    assert not {row["sampler"] for row in rows if f">{row['sampler']}</td>" not in shown}


def test_the_command_writes_and_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(publish, "CURVE_STEPS", [10, 20])
    few = [
        a for a in everyone() if a.name in ("ddim_sample, eta 0", "DDIMScheduler, linspace, eta 0")
    ]
    monkeypatch.setattr(publish, "everyone", lambda: few)
    monkeypatch.setattr(
        publish, "RULES", {rule: RULES[rule] for rule in ("previous step", "order")}
    )
    publish.main(["--out", str(tmp_path / "new" / "table.json")])
    table, printed = (
        json.loads((tmp_path / "new" / "table.json").read_text()),
        capsys.readouterr().out,
    )
    assert len(table["samplers"]) == 4
    assert "0.59 FAILS" in printed and "Fréchet distance" in printed
    few[1] = replace(few[1], fails={})
    with pytest.raises(SystemExit, match="previous step fails .*record it"):
        publish.main(["--out", str(tmp_path / "table.json")])


def test_the_first_adapters_are_ours():
    assert [a.name for a in ours()] == [ADAPTERS[name].name for name in OURS]
