"Cards, intervals and comparisons."

import json, math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import scipy.stats
import torch

from ddpm_course.cards import environment, load_scores, provenance, result_file, save_scores
from ddpm_course.scores import (
    INCEPTION, PROTOCOL, Score, average, bootstrap, compare, compare_paired, format_score, resample)

CARD = Score("Fréchet distance", 1.5, (1.2, 1.9), 797, 797, "digits, held out", "digits classifier", "toy", "DDIM", 50, 50, "trailing", 0.0, 1.0, "ema", 0, {"seconds": 9.8})


def randn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- intervals ----

@pytest.mark.parametrize("n", [50, 400])
def test_the_bootstrap_of_a_mean_is_the_textbooks(n):
    x = randn(n, seed=n)
    low, high = bootstrap(lambda i: x[i].mean(), n, resamples=2000)
    mean, half = x.mean().item(), 1.96 * x.std().item() / n**0.5
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.15 * half)


def test_it_covers_the_truth_about_as_often_as_it_says():
    def covers(seed):
        x = randn(60, seed=seed)
        low, high = bootstrap(lambda i: x[i].mean(), 60, resamples=100, seed=seed)
        return low <= 0 <= high
    assert 0.9 < sum(covers(s) for s in range(300)) / 300 < 0.98


def test_it_is_centered_where_resamples_are_biased():
    x = randn(10, 1000, seed=1)
    spread = lambda i: x[i].var(0, correction=0).sum().item() # every resample is less varied
    low, high = bootstrap(spread, 10)
    value = spread(torch.arange(10))
    rng = torch.Generator().manual_seed(0)
    plain = torch.tensor([spread(torch.randint(10, (10,), generator=rng)) for _ in range(200)], dtype=torch.float64)
    assert low < value < high and plain.quantile(0.975) < value # the plain percentile interval misses its own value


def test_groups_keep_their_counts():
    groups = torch.tensor([0] * 7 + [3] * 2 + [1] * 5)
    rng = torch.Generator().manual_seed(0)
    draws = [resample(14, groups, rng) for _ in range(50)]
    assert all(torch.equal(groups[i], groups) for i in draws) and len({tuple(i.tolist()) for i in draws}) > 40
    assert any(len(i.unique()) < 14 for i in draws)
    assert bootstrap(lambda i: (groups[i] == 3).double().mean(), 14, groups=groups) == pytest.approx((2 / 14, 2 / 14)) # that share was not left to chance


def test_it_is_repeatable_and_needs_two_images():
    x = randn(30)
    assert bootstrap(lambda i: x[i].mean(), 30) == bootstrap(lambda i: x[i].mean(), 30) != bootstrap(lambda i: x[i].mean(), 30, seed=1)
    with pytest.raises(ValueError, match="n=1; an interval needs at least 2"): bootstrap(lambda i: 0.0, 1)


@pytest.mark.parametrize("constant", torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist())
def test_where_nothing_varies_the_interval_still_holds_the_value(constant):
    low, high = bootstrap(lambda i: constant, 50) # as of a sampler that always draws the same image
    assert low <= constant <= high and high - low < 1e-12


# ---- cards ----

@pytest.mark.parametrize("change, error, says", [
    (dict(value=math.nan), ValueError, "value=nan; expected a finite number; look for NaN"),
    (dict(value="1.5"), ValueError, "value='1.5'"),
    (dict(name=""), TypeError, "expected what was measured"),
    (dict(interval=(1.6, 1.9)), ValueError, r"expected \(low, high\) with the value 1.5 between"),
    (dict(interval=(1.9, 1.2)), ValueError, "between"),
    (dict(interval=(1.2,)), ValueError, "between"),
    (dict(n_fake=0), ValueError, "n_fake=0; expected a whole number of at least 1"),
    (dict(steps=-50), ValueError, "steps=-50"),
    (dict(nfe=2.5), ValueError, "nfe=2.5"),
    (dict(name="FID"), ValueError, "a score named FID has features 'inception-2015' and at least 10,000.*'FID@797'"),
    (dict(name="FID", features=INCEPTION), ValueError, "n_fake=797")])
def test_a_card_refuses_what_cannot_be(change, error, says):
    with pytest.raises(error, match=says): replace(CARD, **change)


def test_fid_is_a_name_to_be_earned():
    assert replace(CARD, name="FID", features=INCEPTION, n_fake=10_000, n_real=50_000).name == "FID"
    for n_fake, n_real in ((9_999, 50_000), (50_000, 9_999)):
        with pytest.raises(ValueError, match="name it for what it is"): replace(CARD, name="FID", features=INCEPTION, n_fake=n_fake, n_real=n_real)


def test_a_card_prints_as_one_line_with_its_whole_protocol():
    line = str(CARD)
    assert "\n" not in line and line.startswith("Fréchet distance 1.500 [1.200, 1.900]")
    assert all(f"{key} {getattr(CARD, key)}" in line for key in PROTOCOL if key != "name") and "9.8" not in line
    assert format_score(replace(CARD, interval=None), 1) == "1.5"


# ---- comparisons ----

@pytest.mark.parametrize("key", [key for key in PROTOCOL])
def test_every_field_of_the_protocol_is_compared(key):
    other = {"name": "KID", "seed": 1, "n_fake": 400, "n_real": 400, "steps": 20, "nfe": 20, "eta": 1.0, "guidance": 2.0}.get(key, "another")
    changed = replace(CARD, **{key: other})
    with pytest.raises(ValueError, match=f"{key}: .* and .*; measure them alike, or name in vary"): compare(CARD, changed)
    assert compare(CARD, changed, vary=key).value == 0 and compare(CARD, changed, vary=(key,)).significant is False


def test_notes_are_not_protocol(): assert compare(CARD, replace(CARD, notes={})).value == 0


def test_a_difference_has_the_interval_of_independent_errors():
    a, b = replace(CARD, value=5.0, interval=(2.0, 9.0)), replace(CARD, value=1.0, interval=(-3.0, 4.0))
    difference = compare(a, b)
    assert difference.value == 4 and difference.interval == pytest.approx((4 - math.hypot(3, 3), 4 + math.hypot(4, 4))) and not difference.significant
    assert compare(a, replace(b, value=0.0, interval=(-1, 1))).significant and compare(replace(b, value=0.0, interval=(-1, 1)), a).significant
    assert compare(a, replace(b, interval=None)).interval is None
    assert "not told apart" in repr(difference)
    with pytest.raises(ValueError, match=r"vary=\['step'\]; a protocol has name"): compare(a, b, vary="step")


def test_where_a_file_of_scores_comes_from_is_told_even_without_a_command(tmp_path):
    save_scores(tmp_path / "plain.json", [CARD])
    assert provenance(tmp_path / "plain.json").startswith(f"not recorded: {environment()['date']}")


def test_an_average_has_students_interval():
    runs = [replace(CARD, value=v, interval=None, seed=i) for i, v in enumerate([1.0, 1.5, 0.8, 1.1])]
    mean = average(runs)
    expected = scipy.stats.ttest_1samp([r.value for r in runs], 0).confidence_interval(0.95)
    assert mean.value == pytest.approx(1.1) and mean.interval == pytest.approx(tuple(expected)) and mean.seed == (0, 1, 2, 3)
    assert mean.notes["values"] == [1.0, 1.5, 0.8, 1.1] and mean.steps == 50
    with pytest.raises(ValueError, match="different protocols .*steps"): average([runs[0], replace(runs[1], steps=20)])
    with pytest.raises(ValueError, match="got 1 scores"): average(runs[:1])
    with pytest.raises(ValueError, match=r"got seeds \(0, 0\); expected different ones"): average([runs[0], runs[0]])


def test_paired_runs_are_compared_seed_by_seed():
    values = {"a": [1.0, 1.5, 0.8, 1.1], "b": [1.2, 1.6, 1.1, 1.4]}
    a, b = (average([replace(CARD, value=v, interval=None, seed=i, model=name) for i, v in enumerate(vs)]) for name, vs in values.items())
    found, theirs = compare_paired(a, b, vary="model"), scipy.stats.ttest_rel(values["a"], values["b"]).confidence_interval(0.95)
    assert found.value == pytest.approx(-0.225) and found.interval == pytest.approx(tuple(theirs)) and found.significant and not compare(a, b, vary="model").significant
    assert compare_paired(b, a, vary="model").interval == pytest.approx((-theirs.high, -theirs.low))
    with pytest.raises(ValueError, match="different protocols .model"): compare_paired(a, b)
    with pytest.raises(ValueError, match="expected two `average`s over the same seeds"): compare_paired(replace(a, seed=(0, 1, 2, 9)), a, vary="seed")
    with pytest.raises(ValueError, match="expected two `average`s"): compare_paired(CARD, CARD)


# ---- on disk ----

def test_cards_and_rows_survive_a_file(tmp_path):
    several = replace(CARD, seed=(0, 1), interval=None)
    save_scores(tmp_path / "new" / "cards.json", [CARD, several])
    assert load_scores(tmp_path / "new" / "cards.json") == [CARD, several]
    rows = [{"distance": CARD, "floor": None}, {"distance": several, "floor": CARD}]
    save_scores(tmp_path / "rows.json", rows, {"command": "x"})
    assert load_scores(tmp_path / "rows.json") == rows and json.loads((tmp_path / "rows.json").read_text())["about"] == {"command": "x"}
    assert {"date", "cpu", "cores", "torch"} <= environment().keys()


@pytest.mark.parametrize("damage", [lambda s: s[:-40], lambda s: s.replace('"value": 1.5', '"value": NaN'), lambda s: s.replace('"steps"', '"stpes"'),
                                    lambda s: s.replace("1.2,", "1.7,"), lambda s: s.replace('"scores"', '"cards"'), lambda s: "[]", lambda s: s.replace('"n_fake": 797', '"n_fake": -797'),
                                    lambda s: s.replace("Fr\\u00e9chet distance", "FID")])
def test_a_file_edited_into_nonsense_is_named(tmp_path, damage):
    save_scores(tmp_path / "cards.json", [CARD])
    text = (tmp_path / "cards.json").read_text()
    assert damage(text) != text
    (tmp_path / "cards.json").write_text(damage(text))
    with pytest.raises(ValueError, match="cards.json does not hold scores as save_scores writes them"): load_scores(tmp_path / "cards.json")


def test_a_card_equals_itself_after_its_dict(): assert Score(**asdict(CARD)) == CARD


def test_a_result_is_read_where_it_is_or_fetched_once(tmp_path, monkeypatch):
    from ddpm_course import cards
    fetched = []
    def fetch(url, file): fetched.append(url), save_scores(file, [CARD])
    monkeypatch.setattr(cards.urllib.request, "urlretrieve", fetch)
    for _ in range(2): assert load_scores(result_file("toy.json", tmp_path / "results")) == [CARD]
    assert fetched == [cards.RESULTS + "toy.json"]
    def refuse(url, file): raise OSError("no network")
    monkeypatch.setattr(cards.urllib.request, "urlretrieve", refuse)
    with pytest.raises(OSError, match="no .*other.json, and https://.*other.json could not be fetched .no network.; make it with ddpm-course table"): result_file("other.json", tmp_path)
    def cut_off(url, path):
        Path(path).write_text('{"about"')
        raise OSError("connection lost")
    monkeypatch.setattr(cards.urllib.request, "urlretrieve", cut_off)
    for _ in range(2):
        with pytest.raises(OSError, match="connection lost"): result_file("other.json", tmp_path)
