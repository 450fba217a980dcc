"The protocol for digits on images whose score is known; floors; tables that are stopped and go on."

import csv, json, os, signal, subprocess, sys, time
from pathlib import Path

import pytest
import torch

from ddpm_course.experiments import steps
from ddpm_course.images import load_digits
from ddpm_course.metrics import feature_distance, nearest
from ddpm_course.experiments.dynamics import dynamics
from ddpm_course.experiments.generation import measure
from ddpm_course.experiments.protocol import (
    digits_floor, held_out_digits, real_features, round_gray, score_digits, stratified_order)
from ddpm_course.experiments.tables import check_scale, run_table, smoke_model, format_table
from ddpm_course.cards import load_scores
from ddpm_course.scores import Score


def randn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FAKES, ASKED = -torch.ones(70, 1, 8, 8), torch.zeros(70, dtype=torch.int64)


@pytest.mark.parametrize("fakes, labels, error, says", [
    (FAKES.byte(), ASKED, TypeError, "fakes: got dtype torch.uint8"),
    (FAKES.numpy(), ASKED, TypeError, "fakes: got ndarray"),
    (FAKES[:, 0], ASKED, ValueError, r"fakes: got shape \(70, 8, 8\)"),
    (FAKES.expand(-1, 3, -1, -1), ASKED, ValueError, r"\(70, 3, 8, 8\); expected \(n, 1, 8, 8\)"),
    (FAKES.log(), ASKED, ValueError, "fakes: .* NaN"),
    (FAKES[:1], ASKED[:1], ValueError, r"n=1; expected 2\.\.797"),
    (FAKES[:0], ASKED[:0], ValueError, r"n=0; expected 2\.\.797"),
    (FAKES[:1].expand(798, -1, -1, -1), ASKED[:1].expand(798), ValueError, r"n=798; expected 2\.\.797"),
    (FAKES, ASKED[1:], ValueError, r"labels: .*\(69,\); expected int64 digits 0\.\.9 of shape \(70,\)"),
    (FAKES, ASKED + 10, ValueError, r"digits 0\.\.9"),
    (FAKES, ASKED - 1, ValueError, r"digits 0\.\.9"),
    (FAKES, ASKED.float(), ValueError, "labels: got torch.float32")])
def test_the_score_refuses_what_it_cannot_score(fakes, labels, error, says):
    with pytest.raises(error, match=says): score_digits(fakes, labels)


def test_a_floor_needs_a_subset():
    with pytest.raises(ValueError, match="subsets=1"): score_digits(FAKES, ASKED, subsets=1)


@pytest.fixture(scope="module")
def digits():
    (real, labels), (unseen, asked) = (load_digits(split).batch(range(n)) for split, n in (("train", 1000), ("test", 797)))
    return real, labels, unseen, asked


# ---- the held-out digits and the floor ----

@pytest.mark.parametrize("n", [2, 10, 100, 333, 797])
def test_held_out_digits_are_fixed_stratified_and_nested(n, digits):
    images, labels = held_out_digits(n)
    assert images.shape == (n, 1, 8, 8) and torch.equal(images, held_out_digits()[0][:n]) and torch.equal(labels, held_out_digits()[1][:n])
    expected = n * digits[3].bincount() / 797
    assert (labels.bincount(minlength=10) - expected).abs().max() <= 1
    assert torch.cdist(images.flatten(1), digits[0].flatten(1)).min() > 0.1 # none is a training digit


def test_a_stratified_order_is_a_shuffle(digits):
    order = stratified_order(digits[3])
    assert order.sort().values.equal(torch.arange(797)) and not order.equal(torch.arange(797))
    assert not order.equal(stratified_order(digits[3], seed=1)) and order.equal(stratified_order(digits[3]))
    assert digits[3][order][:100].bincount().tolist() == [10] * 10


def test_the_floor_falls_with_n_and_with_matched_classes():
    chance = [digits_floor(n, 8).value for n in (100, 300, 797)]
    matched = [digits_floor(n, 8, held_out_digits(n)[1]).value for n in (100, 300, 797)]
    assert chance == sorted(chance, reverse=True) and matched == sorted(matched, reverse=True)
    assert all(m < c for m, c in zip(matched, chance))
    assert digits_floor(200) == digits_floor(200) and len({*digits_floor(200).notes["values"]}) == 5 # fixed, and of different subsets


def test_the_floor_is_that_of_training_digits_against_held_out_ones():
    train, labels, reference = real_features()
    assert len(train) == len(labels) == 1000 and len(reference) == 797
    for n in (150, 797):
        some = train[torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:n]]
        assert digits_floor(n, 2).notes["values"][0] == pytest.approx(feature_distance(some, reference[:n]))
    assert digits_floor(200, 2, torch.full((200,), 3)) is None # there are no 200 training threes


# ---- the score ----

@pytest.fixture(scope="module")
def like_held_out(digits):
    "300 training digits with the held-out digits' classes."
    order = stratified_order(digits[1], seed=7)[:300]
    return digits[0][order], digits[1][order]


def test_real_digits_score_about_the_floor(like_held_out):
    score = score_digits(*like_held_out)
    assert score.distance.n == 300 and score.accuracy.value > 0.99
    assert 0.6 * score.matched_floor.value < score.distance.value < 1.4 * score.matched_floor.value and score.distance.value < score.floor.value
    assert score.distance.interval[0] <= score.distance.value <= score.distance.interval[1] < 2.5 * score.distance.value


def test_copies_are_seen(like_held_out, digits):
    assert score_digits(*like_held_out).nearest.value == 0
    half = torch.cat([like_held_out[0][:150], held_out_digits(300)[0][150:]])
    assert 0.4 < score_digits(half, held_out_digits(300)[1]).nearest.value < 0.6
    close = digits[0][:50] + 1e-4 * randn(50, 1, 8, 8).float()
    exact = (close - digits[0][:50]).double().flatten(1).norm(dim=1)
    assert torch.allclose(nearest(close, digits[0])[0].double(), exact, rtol=1e-3) # the fast way through x^2 - 2xy + y^2 would round it away


def test_held_out_digits_are_perfect_and_not_copies():
    score = score_digits(*held_out_digits(300))
    assert score.distance.value < 1e-9 and score.nearest.value == 1 and score.accuracy.value > 0.98


def test_noise_is_far_from_everything():
    score = score_digits(randn(300, 1, 8, 8).float(), held_out_digits(300)[1])
    assert score.distance.value > 20 * score.floor.value and score.accuracy.value < 0.3 and score.nearest.value > 1.3


def test_wrong_labels_show_in_the_accuracy_alone():
    images, labels = held_out_digits(300)
    score = score_digits(images, (labels + 1) % 10)
    assert score.accuracy.value < 0.05 and score.distance.value < 1e-9


def test_one_digit_repeated_shows_in_the_distance_alone(digits):
    zeros = digits[2][digits[3] == 0][:70]
    score = score_digits(zeros, torch.zeros(70, dtype=torch.int64))
    assert score.accuracy.value > 0.95 and score.nearest.value < 1.3 and score.distance.value > 10 * score.floor.value and score.matched_floor is not None


def test_fakes_are_rounded_to_the_gray_levels_of_digits(like_held_out):
    images, labels = like_held_out
    assert len(round_gray(torch.linspace(-1.5, 1.5, 1000).view(-1, 1, 1, 1)).unique()) == 17
    assert torch.equal(round_gray(images), images) # the reals hold those levels
    between = images * 0.98 + 0.01 * randn(*images.shape).clamp(-3, 3).float() # at most .05 away, and a level is .125 wide
    assert score_digits(between, labels) == score_digits(images, labels)


def test_the_score_ignores_order_and_leaves_its_arguments_alone(like_held_out):
    images, labels = (part.clone() for part in like_held_out)
    shuffle = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    a, b = score_digits(images, labels), score_digits(images[shuffle], labels[shuffle])
    assert [s.value for s in a] == pytest.approx([s.value for s in b], rel=1e-5)
    assert torch.equal(images, like_held_out[0]) and "matched_floor" in repr(a) and "n_fake 300" in repr(a.distance)


# ---- sampling for a score ----

def test_measure_says_how_it_sampled():
    score, images, labels = measure("DDIM", smoke_model(), n=100, seed=3, steps=4, progress=False, spacing="leading", eta=1.0, weights="raw", model="toy")
    card = score.distance
    assert (card.sampler, card.steps, card.nfe, card.spacing, card.eta, card.seed, card.weights, card.model, card.n_fake) == ("DDIM", 4, 4, "leading", 1.0, 3, "raw", "toy", 100)
    assert torch.equal(labels, held_out_digits(100)[1]) and images.shape == (100, 1, 8, 8) and card.notes["seconds"] >= 0
    again = measure("DDIM", smoke_model(), n=100, seed=3, steps=4, progress=False, spacing="leading", eta=1.0)[1]
    assert torch.allclose(images, again, atol=1e-5)
    other = measure("DDIM", smoke_model(), n=100, seed=3, steps=4, progress=False, spacing="trailing", eta=1.0)[1]
    assert not torch.allclose(images, other, atol=1e-2)
    assert measure("DDPM", smoke_model(), n=100, seed=3, steps=4, progress=False, variance="large")[0].distance.notes["variance"] == "large"


# ---- tables ----

CALLS = []


def toy_row(x, fail=False, wait=0.0):
    CALLS.append(x)
    time.sleep(wait)
    if fail: raise RuntimeError("killed")
    return {"distance": Score("distance", float(x), (x - 1.0, x + 1.0), n_fake=5, notes={"seconds": 0.5}), "matched_floor": None}


def test_a_table_goes_on_where_it_was_stopped(tmp_path):
    CALLS.clear()
    with pytest.raises(RuntimeError): run_table("toy", toy_row, [dict(x=1), dict(x=2), dict(x=3, fail=True)], tmp_path, workers=0)
    assert CALLS == [1, 2, 3] and not (tmp_path / "toy.json").exists()
    rows = run_table("toy", toy_row, [dict(x=1), dict(x=2), dict(x=4)], tmp_path, workers=0)
    assert CALLS == [1, 2, 3, 4] and [row["distance"].value for row in rows] == [1, 2, 4] # 1 and 2 were kept
    assert load_scores(tmp_path / "toy.json") == rows
    about = json.loads((tmp_path / "toy.json").read_text())["about"]
    assert {"date", "cpu", "torch", "command", "threads"} <= about.keys()
    lines = list(csv.DictReader((tmp_path / "toy.csv").open()))
    assert lines[2]["x"] == "4" and (lines[2]["distance"], lines[2]["distance_low"], lines[2]["matched_floor"], lines[2]["seconds"]) == ("4.0", "3.0", "", "0.5")


def test_two_processes_fill_a_table_like_one(tmp_path):
    rows = [dict(x=i) for i in range(4)]
    assert run_table("toy", toy_row, rows, tmp_path / "a", workers=2) == run_table("toy", toy_row, rows, tmp_path / "b", workers=0)


def test_a_failed_row_ends_a_table(tmp_path):
    with pytest.raises(RuntimeError, match="killed"): run_table("toy", toy_row, [dict(x=0, fail=True), *(dict(x=i, wait=0.3) for i in range(1, 30))], tmp_path, workers=2)
    assert len(list((tmp_path / ".toy").glob("*.json"))) < 15 # those under way, and not all the others


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to interrupt")
def test_ctrl_c_ends_a_table_at_once(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_protocol import toy_row, run_table\n" \
           f"if __name__ == '__main__': run_table('toy', toy_row, [dict(x=i, wait=1.0) for i in range(600)], {str(tmp_path)!r})"
    (tmp_path / "table.py").write_text(code)
    table = subprocess.Popen([sys.executable, tmp_path / "table.py"], start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / ".toy").glob("x=1*.json")): time.sleep(0.1)
    os.killpg(table.pid, signal.SIGINT) # as a terminal does
    assert "KeyboardInterrupt" in table.communicate(timeout=60)[1] and table.returncode != 0
    assert len(list((tmp_path / ".toy").glob("*.json"))) < 50


def test_a_row_file_edited_into_nonsense_is_named(tmp_path):
    run_table("toy", toy_row, [dict(x=1)], tmp_path, workers=0)
    file = tmp_path / ".toy" / "x=1.json"
    file.write_text(file.read_text().replace('"value": 1.0', '"value": "good"'))
    with pytest.raises(ValueError, match="x=1.json does not hold scores"): run_table("toy", toy_row, [dict(x=1)], tmp_path, workers=0)


def test_a_table_as_text_lines_up_and_shows_intervals():
    lines = format_table([toy_row(1), toy_row(20)], ("n_fake", "seconds", "distance", "matched_floor")).splitlines()
    assert len({*map(len, lines)}) == 1 and lines[0].split() == ["n_fake", "seconds", "distance", "matched_floor"]
    assert lines[2].split() == ["5", "0.5", "20.000", "[19.000,", "21.000]"]


def test_the_table_of_steps_has_the_rows_of_the_report():
    rows = steps.steps_rows("digits")
    assert len(rows) == 31 and rows[0] == dict(sampler="DDPM", steps=1000, spacing="trailing", eta=1.0, n=797, scale="digits")
    assert {(r["steps"], r["spacing"], r["eta"]) for r in rows[1:]} == {(s, k, e) for s in (10, 20, 50, 100, 200) for k in ("leading", "trailing", "quadratic") for e in (0.0, 1.0)}
    with pytest.raises(ValueError, match="scale='full'; expected one of smoke, digits"): check_scale("full")


def test_dynamics_score_raw_and_averaged_weights_along_one_run():
    rows = dynamics(n=100, steps=4, points=2, sampler_steps=2)
    assert [(row["distance"].weights, row["distance"].notes["epoch"]) for row in rows] == [("raw", 0.256), ("ema", 0.256), ("raw", 0.512), ("ema", 0.512)]
    assert rows[0]["distance"].value != rows[1]["distance"].value
