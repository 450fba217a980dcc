"The tables of chapter 90: their rows, what a row's protocol says, what means and figures are made of."

import pytest

from ddpm_course import cli
from ddpm_course.experiments.generation import measure
from ddpm_course.experiments.guidance import MEASURED
from ddpm_course.experiments.tables import smoke_model
from ddpm_course.experiments.guidance import (
    GUIDANCE_SCALES, QUESTION_3_SCALE, find_row, plot_guidance, plot_question_3, question_3_rows,
    table_guidance, table_question_3)
from ddpm_course.cards import load_scores
from ddpm_course.scores import compare_paired


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    "(folder, means of guidance, means of question 3) at smoke scale."
    out = tmp_path_factory.mktemp("tables")
    return out, table_guidance(out, "smoke", 0), table_question_3(out, "smoke", 0)


def test_a_row_knows_its_scale_and_what_it_cost(tables):
    cards = load_scores(tables[0] / "question-3.json")
    for row in cards:
        s = row["distance"]
        assert s.nfe == s.steps * (1 if s.guidance == 1 else 2) and s.n_fake == 100 and s.weights == "ema" and s.spacing == "trailing"
        assert (s.eta, s.sampler) in ((0.0, "DDIM"), (None, "DDPM"))
        protocols = [{key: getattr(row[name], key) for key in ("sampler", "steps", "nfe", "guidance", "seed", "eta", "spacing", "model", "weights")} for name in MEASURED]
        assert all(p == protocols[0] for p in protocols)
        assert all(0 <= row[name].value <= 1 for name in ("precision", "recall", "accuracy"))
    assert {row["distance"].nfe for row in load_scores(tables[0] / "guidance.json") if row["distance"].guidance == 0} == {4} # one pass


def test_guidance_changes_the_samples_and_scale_1_is_the_plain_protocol(tables):
    rows = {row["distance"].guidance: row for row in load_scores(tables[0] / "guidance.json") if row["distance"].seed == 0}
    assert len({row["distance"].value for row in rows.values()}) == 3
    plain = measure("DDIM", smoke_model(), 100, 0, 4, progress=False)[0]
    assert rows[1.0]["distance"].value == plain.distance.value and rows[1.0]["distance"].nfe == plain.distance.nfe


def test_the_rows_of_the_tables_are_those_of_the_question():
    rows = question_3_rows("digits")
    assert len({tuple(row.items()) for row in rows}) == len(rows) == 3 * 20 # none is computed twice
    of = lambda sampler, guidance: sorted({row["steps"] for row in rows if (row["sampler"], row["guidance"]) == (sampler, guidance)})
    assert of("DDIM", QUESTION_3_SCALE) == of("DDIM", 1.0) == [10, 20, 50, 100, 200] and of("DDPM", QUESTION_3_SCALE) == [10, 20, 50]
    assert of("DDPM", 1.0) == [10, 20, 40, 50, 100, 200, 400] # at equal steps, and at the evaluations of guided DDIM
    cost = sum(row["steps"] * (1 if row["guidance"] == 1 else 2) for row in rows)
    assert cost == 6360
    assert {1.5, 2, 3, 2.5, 4} <= {*GUIDANCE_SCALES} and {3, 4, 5, 6, 7} <= {*GUIDANCE_SCALES} # the reports' w as s, and as s - 1


def test_means_are_over_seeds_and_can_be_compared_pair_by_pair(tables):
    out, guidance, question_3 = tables
    assert [row["distance"].guidance for row in guidance] == [0, 1, 3] and all(row["distance"].seed == (0, 1) for row in guidance + question_3)
    found = find_row(question_3, "DDPM", 1.0, nfe=8)["distance"]
    assert found.steps == 8 and compare_paired(find_row(question_3, "DDIM", QUESTION_3_SCALE, nfe=8)["distance"], found, vary=("sampler", "eta", "guidance", "steps")).interval
    values = [row["distance"].value for row in load_scores(out / "question-3.json") if (row["distance"].sampler, row["distance"].steps) == ("DDPM", 8)]
    assert found.value == pytest.approx(sum(values) / 2)
    with pytest.raises(ValueError, match="0 rows have"): find_row(question_3, "DDPM", 1.0, steps=3)
    with pytest.raises(ValueError, match="rows have"): find_row(question_3, "DDIM", QUESTION_3_SCALE)


def test_figures_show_every_row(tables):
    out, guidance, question_3 = tables
    left, right = plot_guidance(guidance).axes[:2]
    assert [text.get_text() for text in left.texts] == ["1", "3"] and len(right.get_legend_handles_labels()[1]) == 3
    for ax in plot_question_3(question_3).axes: assert {*ax.get_legend_handles_labels()[1]} >= {"DDIM, s = 1.25", "DDIM, s = 1", "DDPM, s = 1.25", "DDPM, s = 1"}
    for name in ("guidance", "question-3"): assert all((out / f"{name}.{kind}").stat().st_size > 500 for kind in ("json", "csv", "png"))


def test_both_are_commands_and_refuse_another_scale(tmp_path):
    assert {"guidance", "question-3"} <= cli.TABLES.keys()
    for make in (table_guidance, table_question_3):
        with pytest.raises(ValueError, match="scale='full'"): make(tmp_path, "full")
