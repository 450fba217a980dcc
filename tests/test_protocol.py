"The protocol for digits on images whose score is known; floors; tables that are stopped and go on."

import csv
import inspect
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ddpm_course.experiments import steps
from ddpm_course.images import load_digits
from ddpm_course.metrics import feature_distance, nearest, precision_recall
from ddpm_course.experiments.dynamics import dynamics
from ddpm_course.experiments.generation import measure
from ddpm_course.experiments.protocol import (
    DIGITS,
    draw_reals,
    features_of_reals,
    floor_of,
    digits_floor,
    held_out_digits,
    precision_of_reals,
    recall_of_reals,
    round_gray,
    score_digits,
    stratified_order,
)
from ddpm_course.estimates import OPEN, Estimate, Verdict, verdicts
from ddpm_course.experiments.contrasts import difference_text, forest
from ddpm_course.experiments.plots import new_figure
from ddpm_course.experiments.registry import TABLES
from ddpm_course.experiments.runner import compute_row, row_name, run_rows
from ddpm_course.experiments.samplers import Sampler
from ddpm_course.experiments.tables import (
    Table,
    TableView,
    find_row,
    format_table,
    mean_note,
    mean_over_seeds,
    product,
    smoke_model,
)
from ddpm_course.cards import load_about, load_scores, provenance, save_scores
from ddpm_course.guidance import cfg
from ddpm_course.protocols import not_recorded
from ddpm_course.shipped import fingerprint_of
from ddpm_course.scores import Score, compare
from fakes import randn


FAKES, ASKED = -torch.ones(70, 1, 8, 8), torch.zeros(70, dtype=torch.int64)


@pytest.mark.parametrize(
    "fakes, labels, error, says",
    [
        (FAKES.byte(), ASKED, TypeError, "fakes: got dtype torch.uint8"),
        (FAKES.numpy(), ASKED, TypeError, "fakes: got ndarray"),
        (FAKES[:, 0], ASKED, ValueError, r"fakes: got shape \(70, 8, 8\)"),
        (
            FAKES.expand(-1, 3, -1, -1),
            ASKED,
            ValueError,
            r"\(70, 3, 8, 8\); expected \(n, 1, 8, 8\)",
        ),
        (FAKES.log(), ASKED, ValueError, "fakes: .* NaN"),
        (FAKES[:1], ASKED[:1], ValueError, r"n=1; expected 2\.\.797"),
        (FAKES[:0], ASKED[:0], ValueError, r"n=0; expected 2\.\.797"),
        (
            FAKES[:1].expand(798, -1, -1, -1),
            ASKED[:1].expand(798),
            ValueError,
            r"n=798; expected 2\.\.797",
        ),
        (
            FAKES,
            ASKED[1:],
            ValueError,
            r"labels: .*\(69,\); expected int64 digits 0\.\.9 of shape \(70,\)",
        ),
        (FAKES, ASKED + 10, ValueError, r"digits 0\.\.9"),
        (FAKES, ASKED - 1, ValueError, r"digits 0\.\.9"),
        (FAKES, ASKED.float(), ValueError, "labels: got torch.float32"),
    ],
)
def test_the_score_refuses_what_it_cannot_score(fakes, labels, error, says):
    with pytest.raises(error, match=says):
        score_digits(fakes, labels)


def test_a_floor_needs_a_subset():
    with pytest.raises(ValueError, match="subsets=1"):
        score_digits(FAKES, ASKED, subsets=1)


@pytest.fixture(scope="module")
def digits():
    (real, labels), (unseen, asked) = (
        load_digits(split).batch(range(n)) for split, n in (("train", 1000), ("test", 797))
    )
    return real, labels, unseen, asked


# ---- the held-out digits and the floor ----


@pytest.mark.parametrize("n", [2, 10, 100, 333, 797])
def test_held_out_digits_are_fixed_stratified_and_nested(n, digits):
    images, labels = held_out_digits(n)
    assert (
        images.shape == (n, 1, 8, 8)
        and torch.equal(images, held_out_digits()[0][:n])
        and torch.equal(labels, held_out_digits()[1][:n])
    )
    expected = n * digits[3].bincount() / 797
    assert (labels.bincount(minlength=10) - expected).abs().max() <= 1
    assert (
        torch.cdist(images.flatten(1), digits[0].flatten(1)).min() > 0.1
    )  # none is a training digit


def test_a_stratified_order_is_a_shuffle(digits):
    order = stratified_order(digits[3])
    assert order.sort().values.equal(torch.arange(797)) and not order.equal(torch.arange(797))
    assert not order.equal(stratified_order(digits[3], seed=1)) and order.equal(
        stratified_order(digits[3])
    )
    assert digits[3][order][:100].bincount().tolist() == [10] * 10


def test_the_floor_falls_with_n_and_with_matched_classes():
    chance = [digits_floor(n, 8).value for n in (100, 300, 797)]
    matched = [digits_floor(n, 8, held_out_digits(n)[1]).value for n in (100, 300, 797)]
    assert chance == sorted(chance, reverse=True) and matched == sorted(matched, reverse=True)
    assert all(m < c for m, c in zip(matched, chance))
    assert (
        digits_floor(200) == digits_floor(200) and len({*digits_floor(200).notes["values"]}) == 5
    )  # fixed, and of different subsets


def test_the_floor_is_that_of_training_digits_against_held_out_ones():
    train, reference = features_of_reals(DIGITS)
    assert len(train) == 1000 and len(reference) == 797
    for n in (150, 797):
        some = train[torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:n]]
        distance = feature_distance(some, reference[:n])
        assert digits_floor(n, 2).notes["values"][0] == pytest.approx(distance)
    assert digits_floor(200, 2, torch.full((200,), 3)) is None  # there are no 200 training threes


# ---- the score ----


@pytest.fixture(scope="module")
def like_held_out(digits):
    "300 training digits with the held-out digits' classes."
    order = stratified_order(digits[1], seed=7)[:300]
    return digits[0][order], digits[1][order]


def test_real_digits_score_about_the_floor(like_held_out):
    score = score_digits(*like_held_out)
    assert score.distance.n == 300 and score.accuracy.value > 0.99
    assert (
        0.6 * score.matched_floor.value < score.distance.value < 1.4 * score.matched_floor.value
        and score.distance.value < score.floor.value
    )
    assert (
        score.distance.interval[0]
        <= score.distance.value
        <= score.distance.interval[1]
        < 2.5 * score.distance.value
    )


def test_copies_are_seen(like_held_out, digits):
    assert score_digits(*like_held_out).nearest.value == 0
    half = torch.cat([like_held_out[0][:150], held_out_digits(300)[0][150:]])
    assert 0.4 < score_digits(half, held_out_digits(300)[1]).nearest.value < 0.6
    close = digits[0][:50] + 1e-4 * randn(50, 1, 8, 8).float()
    exact = (close - digits[0][:50]).double().flatten(1).norm(dim=1)
    assert torch.allclose(
        nearest(close, digits[0])[0].double(), exact, rtol=1e-3
    )  # the fast way through x^2 - 2xy + y^2 would round it away


def test_held_out_digits_are_perfect_and_not_copies():
    score = score_digits(*held_out_digits(300))
    assert score.distance.value < 1e-9 and score.nearest.value == 1 and score.accuracy.value > 0.98


def test_noise_is_far_from_everything():
    score = score_digits(randn(300, 1, 8, 8).float(), held_out_digits(300)[1])
    assert (
        score.distance.value > 20 * score.floor.value
        and score.accuracy.value < 0.3
        and score.nearest.value > 1.3
    )


def test_wrong_labels_show_in_the_accuracy_alone():
    images, labels = held_out_digits(300)
    score = score_digits(images, (labels + 1) % 10)
    assert score.accuracy.value < 0.05 and score.distance.value < 1e-9


def test_one_digit_repeated_shows_in_the_distance_alone(digits):
    zeros = digits[2][digits[3] == 0][:70]
    score = score_digits(zeros, torch.zeros(70, dtype=torch.int64))
    assert (
        score.accuracy.value > 0.95
        and score.nearest.value < 1.3
        and score.distance.value > 10 * score.floor.value
        and score.matched_floor is not None
    )


def test_fakes_are_rounded_to_the_gray_levels_of_digits(like_held_out):
    images, labels = like_held_out
    assert len(round_gray(torch.linspace(-1.5, 1.5, 1000).view(-1, 1, 1, 1)).unique()) == 17
    assert torch.equal(round_gray(images), images)  # the reals hold those levels
    between = (
        images * 0.98 + 0.01 * randn(*images.shape).clamp(-3, 3).float()
    )  # at most .05 away, and a level is .125 wide
    assert score_digits(between, labels) == score_digits(images, labels)


def test_the_score_ignores_order_and_leaves_its_arguments_alone(like_held_out):
    images, labels = (part.clone() for part in like_held_out)
    shuffle = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    a, b = score_digits(images, labels), score_digits(images[shuffle], labels[shuffle])
    assert [s.value for s in a.values()] == pytest.approx([s.value for s in b.values()], rel=1e-5)
    assert (
        torch.equal(images, like_held_out[0])
        and "matched_floor" in repr(a)
        and "n_fake 300" in repr(a.distance)
    )


# ---- sampling for a score ----


def drawn(sampler, seed=3, **options):
    return measure(sampler, smoke_model(), 100, seed, progress=False, **options)


def test_a_sampler_is_completed_from_its_signature():
    plain = Sampler("DDIM", 20)
    assert plain.options == {"eta": 0.0, "spacing": "trailing", "timesteps": None}
    assert plain.guidance == {"scale": 1.0, "negative": None, "interval": None, "rescale": 0.0}
    assert Sampler("DDIM", 20, guidance=2.0) == Sampler("DDIM", 20, {}, {"scale": 2.0}) != plain
    guided = Sampler("DDPM", 5, {"variance": "large"}, {"scale": 3.0, "interval": (100, 600)})
    assert guided.protocol == {
        "sampler": "DDPM",
        "steps": 5,
        "variance": "large",
        "timesteps": None,
        "guided_by": "cfg",
        "guidance": 3.0,
        "guidance_interval": (100, 600),
        "negative": None,
        "rescale": 0.0,
    }
    with pytest.raises(ValueError, match="no sampler 'ddim'; there are DDIM, DDPM"):
        Sampler("ddim", 20)
    with pytest.raises(ValueError, match=r"ddpm_steps has no options \['eta'\]; it has variance"):
        Sampler("DDPM", 20, {"eta": 1})
    with pytest.raises(ValueError, match=r"cfg has no options \['phi'\]"):
        Sampler("DDIM", 20, guidance={"phi": 1})


def test_a_card_says_all_that_was_asked_for():
    cards, images, labels = drawn(
        "DDIM",
        steps=4,
        spacing="leading",
        eta=1.0,
        weights="raw",
        model="toy",
        about={"train_steps": 20},
    )
    asked = {
        "model": "toy",
        "train_steps": 20,
        "weights": "raw",
        "sampler": "DDIM",
        "steps": 4,
        "nfe": 4,
        "spacing": "leading",
        "eta": 1.0,
        "timesteps": None,
        "clip": 1.0,
        "guided_by": "cfg",
        "guidance": 1.0,
        "guidance_interval": None,
        "negative": None,
        "rescale": 0.0,
        "rounding": "17 gray levels",
        "instrument": fingerprint_of("classifier"),
        "seed": 3,
    }
    assert cards.distance.protocol == asked and cards.accuracy.protocol == asked
    assert {
        k: v for k, v in asked.items() if k != "instrument"
    } == cards.nearest.protocol  # which looks at pixels
    assert cards.floor.instrument == asked["instrument"]
    assert (
        torch.equal(labels, held_out_digits(100)[1])
        and images.shape == (100, 1, 8, 8)
        and cards.distance.notes["seconds"] >= 0
    )


def test_the_same_options_draw_the_same_images():
    images = drawn("DDIM", steps=4, spacing="leading", eta=1.0)[1]
    assert torch.allclose(
        images, drawn(Sampler("DDIM", 4, {"spacing": "leading", "eta": 1.0}))[1], atol=1e-5
    )
    assert not torch.allclose(images, drawn("DDIM", steps=4, eta=1.0)[1], atol=1e-2)
    with pytest.raises(ValueError, match=r"got a Sampler and \['eta'\]"):
        drawn(Sampler("DDIM", 4), eta=1.0)


@pytest.mark.parametrize(
    "sampler, change",
    [
        (Sampler("DDPM", 4), dict(options={"variance": "large"})),
        (Sampler("DDIM", 4), dict(options={"eta": 0.5})),
        (Sampler("DDIM", 4, guidance=2.0), dict(guidance={"scale": 2.0, "interval": (200, 800)})),
        (Sampler("DDIM", 4, guidance=2.0), dict(guidance={"scale": 2.0, "rescale": 0.7})),
        (Sampler("DDIM", 4, guidance=2.0), dict(guidance={"scale": 2.0, "negative": 3})),
    ],
    ids=str,
)
def test_cards_of_different_options_refuse_each_other(sampler, change):
    a, b = (drawn(s)[0].distance for s in (sampler, replace(sampler, **change)))
    with pytest.raises(ValueError, match="different protocols"):
        compare(a, b)
    assert compare(a, a).value == 0 and a.value != b.value


def test_evaluations_are_counted_where_guidance_acts():
    guided = Sampler(
        "DDIM", 4, guidance={"scale": 2.0, "interval": (200, 800)}
    )  # t = 999, 749, 499, 249
    assert [
        drawn(s)[0].distance.nfe
        for s in (Sampler("DDIM", 4), Sampler("DDIM", 4, guidance=2.0), guided)
    ] == [4, 8, 7]
    plain = replace(guided, guidance={"scale": 1.0, "interval": (200, 800)})
    assert drawn(plain)[0].distance.nfe == 4


def test_another_wrapper_may_stand_for_guidance():
    def bind(model, y):
        return cfg(model, y, 3.0)

    card = drawn("DDIM", steps=4, bind=bind)[0].distance
    assert card.guidance == 3.0 and card.nfe == 8 and card.sampler == "DDIM"


# ---- tables ----

CALLS = []


def toy_row(x, fail=False, wait=0.0, seed=0):
    CALLS.append(x)
    time.sleep(wait)
    if fail:
        raise RuntimeError("killed")
    card = Score(
        "distance",
        float(x + seed),
        (x + seed - 1.0, x + seed + 1.0),
        n_fake=5,
        notes={"seconds": 0.5},
        x=x,
        seed=seed,
    )
    return {"distance": card, "matched_floor": None}


def toy_plot(rows):
    figure = new_figure(2, 2)
    figure.subplots().plot([row["distance"].value for row in rows])
    return figure


TOY = Table(
    "toy",
    "For tests.",
    toy_row,
    {"smoke": product(x=[1, 2], seed=range(2)), "three": product(x=[1, 2, 3], seed=range(2))},
    toy_plot,
    columns=("x", "seconds", "distance", "matched_floor"),
)


def test_a_product_varies_its_last_argument_fastest():
    assert product(seed=range(2), name="a", x=(1, 2)) == [
        dict(seed=s, name="a", x=x) for s in (0, 1) for x in (1, 2)
    ]


def test_a_table_goes_on_where_it_was_stopped(tmp_path):
    CALLS.clear()
    with pytest.raises(RuntimeError):
        run_rows("toy", toy_row, [dict(x=1), dict(x=2), dict(x=3, fail=True)], tmp_path, 0)
    assert CALLS == [1, 2, 3]
    rows, _ = run_rows("toy", toy_row, [dict(x=1), dict(x=2), dict(x=4)], tmp_path, 0)
    assert CALLS == [1, 2, 3, 4] and [row["distance"].value for row in rows] == [
        1,
        2,
        4,
    ]  # 1 and 2 were kept


def test_a_table_leaves_its_rows_and_shows_means_over_seeds(tmp_path):
    summary = TOY.run(tmp_path, "smoke", workers=0)
    assert [row["distance"].value for row in summary] == [1.5, 2.5] and summary[0][
        "distance"
    ].seed == (0, 1)
    assert {p.name for p in tmp_path.iterdir()} == {
        ".toy",
        "toy-smoke.json",
        "toy-smoke.csv",
        "toy-smoke.png",
    }
    kept = load_scores(tmp_path / "toy-smoke.json")
    assert [row["distance"].value for row in kept] == [1, 2, 2, 3]
    lines = list(csv.DictReader((tmp_path / "toy-smoke.csv").open()))
    assert lines[2] == {
        "x": "2",
        "seconds": "0.5",
        "distance": "2.0",
        "distance_low": "1.0",
        "distance_high": "3.0",
        "seed": "0",
    }
    with pytest.raises(ValueError, match="size='full'; toy has smoke, three"):
        TOY.run(tmp_path, "full")


def test_each_row_of_a_table_keeps_what_made_it(tmp_path):
    TOY.run(tmp_path, "smoke", workers=0)
    TOY.run(tmp_path, "three", workers=0)  # goes on with the rows that are there
    commands = [about["command"] for about in load_about(tmp_path / "toy-three.json")]
    assert (
        commands
        == ["ddpm-course table toy --size smoke"] * 4 + ["ddpm-course table toy --size three"] * 2
    )
    assert all(
        {"date", "cpu", "torch", "threads", "processes"} <= about.keys() and about["gpu"] is None
        for about in load_about(tmp_path / "toy-three.json")
    )
    told = provenance(tmp_path / "toy-three.json").splitlines()
    assert [line.split(":")[0] for line in told] == [
        f"4 rows by {commands[0]}",
        f"2 rows by {commands[-1]}",
    ]


def test_a_row_function_may_give_several_rows(tmp_path):
    rows, abouts = run_rows("toy", several_rows, [dict(x=1), dict(x=5)], tmp_path, 0)
    assert [row["distance"].value for row in rows] == [1, 2, 5, 6] and len(abouts) == 4
    assert run_rows("toy", several_rows, [dict(x=1), dict(x=5)], tmp_path, 0)[0] == rows


def several_rows(x):
    return [toy_row(x), toy_row(x + 1)]


def test_means_are_over_rows_that_differ_in_their_seed_alone():
    rows = [toy_row(x, seed=s) for s in (0, 1, 2) for x in (3, 1)]
    rows[0]["distance"].notes["text"] = "for people"  # display text groups nothing
    assert [(row["distance"].x, row["distance"].value) for row in mean_over_seeds(rows)] == [
        (3, 4),
        (1, 2),
    ]
    other = [{"distance": replace(row["distance"], rho=row["distance"].x)} for row in rows[::2]]
    assert len(mean_over_seeds([{"distance": row["distance"]} for row in rows] + other)) == 3
    assert mean_over_seeds(rows[:2]) == rows[:2]  # one run is no mean


def test_two_processes_fill_a_table_like_one(tmp_path):
    rows = [dict(x=i) for i in range(4)]
    assert (
        run_rows("toy", toy_row, rows, tmp_path / "a", 2)[0]
        == run_rows("toy", toy_row, rows, tmp_path / "b", 0)[0]
    )


def test_a_failed_row_ends_a_table(tmp_path):
    rows = [dict(x=0, fail=True), *(dict(x=i, wait=0.3) for i in range(1, 30))]
    with pytest.raises(RuntimeError, match="killed"):
        run_rows("toy", toy_row, rows, tmp_path, 2)
    assert (
        len(list((tmp_path / ".toy").glob("*.json"))) < 15
    )  # those under way, and not all the others


def test_another_size_never_writes_over_the_files_of_one(tmp_path):
    files = {p: p.write_text("hours") for p in (tmp_path / f"toy.{e}" for e in ("json", "csv"))}
    TOY.run(tmp_path, "smoke", workers=0)
    TOY.run(tmp_path, "three", workers=0)
    assert all(p.read_text() == "hours" for p in files)
    assert len(load_scores(tmp_path / "toy-smoke.json")) == 4


def test_rows_of_other_code_or_machines_are_said_and_keep_their_record(tmp_path):
    rows = [dict(x=1), dict(x=2)]
    run_rows("toy", toy_row, rows, tmp_path, 0)
    file = tmp_path / ".toy" / "x=1.json"
    about = load_about(file)[0] | {"torch": "1.0", "code": "0123", "date": "2020-01-01"}
    save_scores(file, load_scores(file), [about])
    with pytest.warns(UserWarning, match="1 of 2 by another code, 1 of 2 by another torch.*delete"):
        _, abouts = run_rows("toy", toy_row, rows, tmp_path, 0)
    assert abouts[0]["date"] == "2020-01-01" and abouts[1]["torch"] == str(torch.__version__)


def test_a_row_of_other_arguments_under_the_same_name_is_made_again(tmp_path):
    file = tmp_path / "row.json"
    values = [compute_row(toy_row, dict(x=x), file)[0][0]["distance"].value for x in (1, 2, 2)]
    assert values == [1, 2, 2]


def test_rows_have_names_that_files_can_have():
    names = [row_name(dict(a=a)) for a in ("x/y", "x_y", "..", "a" * 300, "a" * 301, "x\0y")]
    assert len({*names}) == 6 and not any("/" in n or "\0" in n or len(n) > 200 for n in names)


def test_a_script_without_main_guard_is_told_so(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_protocol import toy_row, run_rows
run_rows("toy", toy_row, [dict(x=i) for i in range(3)], {str(tmp_path)!r})
"""
    (tmp_path / "table.py").write_text(code)
    done = subprocess.run([sys.executable, tmp_path / "table.py"], capture_output=True, text=True)
    assert done.returncode == 1
    told = done.stderr.strip().splitlines()[-1]
    assert "RuntimeError: the workers could not begin" in told and "__main__" in told
    assert "bootstrapping" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to interrupt")
def test_ctrl_c_ends_a_table_at_once(tmp_path):
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler) # a shell may have told us to ignore it
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_protocol import toy_row, run_rows
if __name__ == "__main__":
    run_rows("toy", toy_row, [dict(x=i, wait=1.0) for i in range(600)], {str(tmp_path)!r})
"""
    (tmp_path / "table.py").write_text(code)
    table = subprocess.Popen(
        [sys.executable, tmp_path / "table.py"],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / ".toy").glob("x=1*.json")):
        time.sleep(0.1)
    os.killpg(table.pid, signal.SIGINT)  # as a terminal does
    assert "KeyboardInterrupt" in table.communicate(timeout=60)[1] and table.returncode != 0
    assert len(list((tmp_path / ".toy").glob("*.json"))) < 50


def test_a_row_file_edited_into_nonsense_is_named(tmp_path):
    file = tmp_path / "x=1.json"
    compute_row(toy_row, dict(x=1), file)
    file.write_text(file.read_text().replace('"value": 1.0', '"value": "good"'))
    with pytest.raises(ValueError, match="x=1.json does not hold scores"):
        compute_row(toy_row, dict(x=1), file)


def test_a_table_as_text_lines_up_and_shows_intervals():
    lines = format_table(
        [toy_row(1), toy_row(20)], ("n_fake", "seconds", "distance", "matched_floor")
    ).splitlines()
    assert len({*map(len, lines)}) == 1 and lines[0].split() == [
        "n_fake",
        "seconds",
        "distance",
    ]  # no floor to show
    assert lines[2].split() == ["5", "0.5", "20.000", "[19.000,", "21.000]"]


def test_a_table_for_pages_marks_the_best_and_holds_numbers_and_words():
    page = TableView(
        [toy_row(1), toy_row(20)],
        {"n_fake": "images", "distance": None},
        caption="smaller < larger",
        best={"distance": min},
        note="made by hand",
    )._repr_html_()
    assert page.count("<b>") == 1 and '★</span>&nbsp;<b>1.000</b> <small style="' in page
    assert "<caption>smaller &lt; larger</caption>" in page and ">images</th>" in page
    assert page.index("</tbody>") < page.index("made by hand")
    view = TableView(
        [{"way": "a", "error": 0.51}, {"way": "b", "error": 0.509, "extra": 2}],
        best={"error": min},
        digits={"error": 2},
    )
    assert view._repr_html_().count("<b>0.51</b>") == 2  # alike as shown, marked alike
    assert repr(view).splitlines()[0].split() == ["way", "error", "extra"]


def test_the_one_row_that_is_meant_is_found():
    rows = [toy_row(1), toy_row(2)]
    assert find_row(rows, x=2) is rows[1]
    for wanted in ({"x": 3}, {"seed": 0}):
        with pytest.raises(ValueError, match="rows have .*; expected one"):
            find_row(rows, **wanted)


def test_the_table_of_steps_has_the_rows_of_the_report():
    rows = steps.STEPS.rows("digits")
    assert len(rows) == 31 and rows[0] == dict(network="digits", sampler="DDPM", steps=1000, n=797)
    wanted = {
        (s, k, e)
        for s in (10, 20, 50, 100, 200)
        for k in ("leading", "trailing", "quadratic")
        for e in (0.0, 1.0)
    }
    assert {(r["steps"], r["spacing"], r["eta"]) for r in rows[1:]} == wanted


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_sizes_are_values_and_rows_name_their_files(table):
    assert {"smoke", "digits"} <= table.grid.keys() and table.doc.endswith(".")
    accepted = inspect.signature(table.row).parameters
    for rows in table.grid.values():
        assert len({row_name(row) for row in rows}) == len(rows)  # none is computed twice
        if not any(p.kind == p.VAR_KEYWORD for p in accepted.values()):
            assert all(row.keys() <= accepted.keys() for row in rows)


RESULTS = Path(__file__).parents[1] / "nbs" / "results"


@pytest.mark.parametrize("name", TABLES)
def test_committed_tables_are_those_of_their_grids(name):
    rows = load_scores(RESULTS / f"{name}.json")
    table = TABLES[name]
    seeds = {row["distance"].seed for row in rows}
    # rows that make several: 12 moments, 2 samplers, 6 variances (of 4 networks) in 5 lengths
    scored = {"dynamics": 24, "edm": 2 * len(table.rows("digits")), "advanced": 5 * 6 * 5}
    assert len(rows) == scored.get(name, len(table.rows("digits")))
    assert len(table.summary(rows)) * len(seeds) == len(rows)
    # each has what made it, what each image did, and every option on record
    assert all("code" in about for about in load_about(RESULTS / f"{name}.json"))
    assert all(row["distance"].influence is not None for row in rows)
    assert not not_recorded(*(card for row in rows for card in row.values() if card))
    judged = table.family.judge(table.summary(rows)) if table.family else {}
    assert all(v.said for found in judged.values() for v in found.values())


def test_dynamics_score_raw_and_averaged_weights_along_one_run():
    rows = dynamics(n=100, steps=4, points=2, sampler_steps=2)
    assert [(row["distance"].weights, row["distance"].notes["epoch"]) for row in rows] == [
        ("raw", 0.256),
        ("ema", 0.256),
        ("raw", 0.512),
        ("ema", 0.512),
    ]
    assert [row["distance"].train_step for row in rows] == [2, 2, 4, 4] and rows[0][
        "distance"
    ].value != rows[1]["distance"].value


def test_a_forest_shows_every_difference_and_which_are_apart():
    found = verdicts(
        {
            "sure": Estimate(2.0, 0.1),
            "alone": Estimate(0.2, 0.1),  # p = .046 by itself
            "small": Estimate(0.3, 0.01),
            "alike": Estimate(0.0, 0.05),
        },
        {"small": 0.5, "alike": 0.5},
    )
    panels = {"one": found, "two": {"c": found["sure"]}}
    one, two = forest(panels, ["distance", "accuracy"], [0.5, None]).axes
    assert [text.get_text() for text in one.get_yticklabels()] == [*found]
    assert len(two.get_yticklabels()) == 1 and two.get_xlabel() == "accuracy"
    points = [line for line in one.lines if line.get_marker() in ("o", "s")]
    assert [p.get_markerfacecolor() for p in points] == ["tab:blue", "none", "tab:blue", "none"]
    assert [p.get_marker() for p in points] == ["o", "o", "s", "s"]
    assert len(one.patches) == 1 and not two.patches  # the band of the margin


def test_floors_say_how_classes_were_drawn_and_how_much_was_used():
    chance, matched = digits_floor(200), digits_floor(200, labels=held_out_digits(200)[1])
    assert (chance.classes, matched.classes) == ("by chance", "as asked for")
    assert chance.notes["taken"] == 0.2 and chance.interval is None
    assert (chance.name, matched.name) == ("floor of the distance", "matched floor of the distance")
    train, reference = features_of_reals(DIGITS)
    labels = held_out_digits(200)[1]
    some = train[draw_reals(load_digits("train").labels, labels.bincount(minlength=10), 200, 0)]
    both = precision_recall(some, reference[torch.arange(200)])
    for score, card in zip((precision_of_reals, recall_of_reals), both):
        found = floor_of(DIGITS, 200, 2, labels, score)
        assert found.notes["values"][0] == card.value and card.name in found.name


def test_tables_have_their_comparisons_in_their_definition():
    for name in TABLES.keys() - {"dynamics"}:  # a curve along one run
        family = TABLES[name].family
        assert family.panels and family.margins["distance"] == 0.5


def test_a_difference_as_text_has_a_sign_and_its_own_interval():
    verdict = Verdict(Estimate(-0.25, 0.1), 1.0, None, OPEN)
    assert difference_text(verdict, 2) == "-0.25 [-0.45, -0.05]"
    assert difference_text(verdict) == "-0.2 [-0.4, -0.1]"


def test_a_note_is_averaged_over_the_seeds_of_each_variant():
    rows = [
        {"distance": Score("d", 1.0, variant=v, notes={"step_seconds": s})}
        for v, s in (("a", 0.25), ("b", 1.0), ("a", 0.75))
    ]
    assert mean_note(rows, "step_seconds") == {"a": 0.5, "b": 1.0}
