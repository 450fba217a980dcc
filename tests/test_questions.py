"The tables of chapter 90: their rows, what a row says, what means and figures are made of."

import pytest

from ddpm_course.cards import load_scores
from ddpm_course.experiments.generation import measure
from ddpm_course.experiments.guidance import GUIDANCE, GUIDANCE_SCALES, plot_guidance
from ddpm_course.experiments.question_3 import QUESTION_3, QUESTION_3_SCALE, plot_question_3
from ddpm_course.experiments.tables import find_row, smoke_model
from ddpm_course.scores import compare

MEASURED = ("accuracy", "distance", "precision", "recall")


@pytest.fixture(scope="module")
def tables(smoke_tables):
    "(folder, means of guidance, means of question 3) at smoke size."
    out = smoke_tables
    return out, GUIDANCE.run(out, "smoke", 0), QUESTION_3.run(out, "smoke", 0)


def test_a_row_knows_its_scale_and_what_it_cost(tables):
    cards = load_scores(tables[0] / "question-3-smoke.json")
    n = QUESTION_3.rows("smoke")[0]["n"]
    for row in cards:
        s = row["distance"]
        assert s.nfe == s.steps * (1 if s.guidance == 1 else 2)
        assert s.n_fake == n and s.weights == "ema" and s.model == "smoke"
        assert (s.eta, s.variance) == ((0.0, None) if s.sampler == "DDIM" else (None, "small"))
        assert all(row[name].protocol == s.protocol for name in MEASURED)
        assert all(0 <= row[name].value <= 1 for name in ("precision", "recall", "accuracy"))
    unguided = [row["distance"] for row in load_scores(tables[0] / "guidance-smoke.json")]
    assert {s.nfe for s in unguided if s.guidance == 0} == {4}  # one pass


def test_guidance_changes_the_samples_and_scale_1_is_the_plain_protocol(tables):
    cards = [row["distance"] for row in load_scores(tables[0] / "guidance-smoke.json")]
    rows = {s.guidance: s for s in cards if s.seed == 0}
    assert len({s.value for s in rows.values()}) == 3
    plain = measure("DDIM", smoke_model(), 100, 0, 4, progress=False, model="smoke")[0]
    assert compare(rows[1.0], plain["distance"]).value == 0


def test_the_rows_of_the_tables_are_those_of_the_question():
    rows = QUESTION_3.rows("digits")
    assert (
        len({tuple(row.items()) for row in rows}) == len(rows) == 3 * 20
    )  # none is computed twice

    def of(sampler, scale):
        return sorted(
            {r["steps"] for r in rows if (r["sampler"], r["guidance"]) == (sampler, scale)}
        )

    assert of("DDIM", QUESTION_3_SCALE) == of("DDIM", 1.0) == [10, 20, 50, 100, 200]
    assert of("DDPM", QUESTION_3_SCALE) == [10, 20, 50]
    assert of("DDPM", 1.0) == [10, 20, 40, 50, 100, 200, 400]  # equal steps, and equal evaluations
    cost = sum(row["steps"] * (1 if row["guidance"] == 1 else 2) for row in rows)
    assert cost == 6360
    reports = {1.5, 2, 3, 2.5, 4} | {3, 4, 5, 6, 7}  # the reports' w as s, and as s - 1
    assert reports <= {*GUIDANCE_SCALES}


def test_means_are_over_seeds_and_can_be_compared_pair_by_pair(tables):
    out, guidance, question_3 = tables
    assert [row["distance"].guidance for row in guidance] == [0, 1, 3]
    assert all(row["distance"].seed == (0, 1) for row in guidance + question_3)
    found = find_row(question_3, sampler="DDPM", guidance=1.0, nfe=8)["distance"]
    guided = find_row(question_3, sampler="DDIM", guidance=QUESTION_3_SCALE, nfe=8)["distance"]
    vary = ("sampler", "eta", "spacing", "variance", "guidance", "steps")
    assert found.steps == 8 and compare(guided, found, vary).how.startswith("in pairs")
    cards = [row["distance"] for row in load_scores(out / "question-3-smoke.json")]
    values = [s.value for s in cards if (s.sampler, s.steps) == ("DDPM", 8)]
    assert found.value == pytest.approx(sum(values) / 2)


def test_figures_show_every_row(tables):
    out, guidance, question_3 = tables
    left, right = plot_guidance(guidance).axes[:2]
    assert sorted(text.get_text() for text in left.texts) == ["1", "3"]
    assert len(right.get_legend_handles_labels()[1]) == 3
    wanted = {f"{sampler}, s = {s}" for sampler in ("DDIM", "DDPM") for s in ("1.25", "1")}
    for ax in plot_question_3(question_3).axes:
        assert {*ax.get_legend_handles_labels()[1]} >= wanted
    for name in ("guidance-smoke", "question-3-smoke"):
        assert all((out / f"{name}.{kind}").stat().st_size > 500 for kind in ("json", "csv", "png"))
