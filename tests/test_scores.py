"Cards, intervals and comparisons."

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import scipy.stats
import torch

from ddpm_course import cards
from ddpm_course.cards import (
    environment,
    load_about,
    load_scores,
    provenance,
    result_file,
    save_scores,
)
from ddpm_course.protocols import FIELDS, NOT_RECORDED, not_recorded
from ddpm_course.scores import (
    INCEPTION,
    Score,
    average,
    bootstrap,
    compare,
    compare_paired,
    format_score,
    resample,
)
from fakes import randn

OPTIONS = dict(
    model="toy",
    sampler="DDIM",
    steps=50,
    nfe=50,
    spacing="trailing",
    eta=0.0,
    guidance=1.0,
    guidance_interval=None,
    rescale=0.0,
    negative=None,
    variance="small",
    rho=7,
    instrument="0123456789ab",
    weights="ema",
    seed=0,
)
CARD = Score(
    "Fréchet distance",
    1.5,
    (1.2, 1.9),
    797,
    797,
    "digits, held out",
    "digits classifier",
    notes={"seconds": 9.8},
    **OPTIONS,
)


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

    def spread(i):
        return x[i].var(0, correction=0).sum().item() # every resample is less varied

    low, high = bootstrap(spread, 10)
    value, rng = spread(torch.arange(10)), torch.Generator().manual_seed(0)
    plain = torch.tensor([spread(torch.randint(10, (10,), generator=rng)) for _ in range(200)])
    assert (
        low < value < high and plain.quantile(0.975) < value
    ) # the plain interval misses its own value


def test_groups_keep_their_counts():
    groups = torch.tensor([0] * 7 + [3] * 2 + [1] * 5)
    rng = torch.Generator().manual_seed(0)
    draws = [resample(14, groups, rng) for _ in range(50)]
    assert all(torch.equal(groups[i], groups) for i in draws)
    assert len({tuple(i.tolist()) for i in draws}) > 40 and any(len(i.unique()) < 14 for i in draws)
    share = bootstrap(lambda i: (groups[i] == 3).double().mean(), 14, groups=groups)
    assert share == pytest.approx((2 / 14, 2 / 14)) # it was not left to chance


def test_it_is_repeatable_and_needs_two_images():
    x = randn(30)

    def again(**kw):
        return bootstrap(lambda i: x[i].mean(), 30, **kw)

    assert again() == again() != again(seed=1)
    with pytest.raises(ValueError, match="n=1; expected a whole number of at least 2"):
        bootstrap(lambda i: 0.0, 1)


@pytest.mark.parametrize("constant", randn(20).tolist())
def test_where_nothing_varies_the_interval_still_holds_the_value(constant):
    low, high = bootstrap(
        lambda i: constant, 50
    ) # as of a sampler that always draws the same image
    assert low <= constant <= high and high - low < 1e-12


def test_the_same_indices_for_both_make_a_paired_interval():
    common = randn(200, seed=1)
    a, b = common + 0.05 * randn(200, seed=2) + 0.05, common
    paired = bootstrap(lambda i: a[i].mean() - b[i].mean(), 200, resamples=2000)
    theirs = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert paired == pytest.approx(tuple(theirs), abs=0.003)
    apart = compare(
        *(Score("mean", x.mean().item(), bootstrap(lambda i: x[i].mean(), 200)) for x in (a, b))
    )
    assert paired[0] > 0 and not apart.significant


# ---- cards ----


@pytest.mark.parametrize(
    "change, error, says",
    [
        (dict(value=math.nan), ValueError, "value=nan; expected a finite number; look for NaN"),
        (dict(value="1.5"), ValueError, "value='1.5'"),
        (dict(name=""), TypeError, "expected what was measured"),
        (
            dict(interval=(1.6, 1.9)),
            ValueError,
            r"expected \(low, high\) with the value 1.5 between",
        ),
        (dict(interval=(1.9, 1.2)), ValueError, "between"),
        (dict(interval=(1.2,)), ValueError, "between"),
        (dict(n_fake=0), ValueError, "n_fake=0; expected a whole number of at least 1"),
        (dict(steps=-50), ValueError, "steps=-50"),
        (dict(nfe=2.5), ValueError, "nfe=2.5"),
        (dict(rho=math.inf), TypeError, "rho=inf: a protocol holds numbers"),
        (dict(model=torch.ones(2)), TypeError, "model=tensor.*: a protocol holds numbers, texts"),
        (
            dict(protocol={"value": 2}),
            ValueError,
            r"the options \['value'\] have the names of a card's own fields",
        ),
        (
            dict(name="FID"),
            ValueError,
            "a score named FID has features 'inception-2015' and at least 10,000.*'FID@797'",
        ),
        (dict(name="FID", features=INCEPTION), ValueError, "n_fake=797"),
    ],
)
def test_a_card_refuses_what_cannot_be(change, error, says):
    with pytest.raises(error, match=says):
        replace(CARD, **change)


def test_fid_is_a_name_to_be_earned():
    def fid(n_fake, n_real):
        return replace(CARD, name="FID", features=INCEPTION, n_fake=n_fake, n_real=n_real)

    assert fid(10_000, 50_000).name == "FID"
    for counts in ((9_999, 50_000), (50_000, 9_999)):
        with pytest.raises(ValueError, match="name it for what it is"):
            fid(*counts)


def test_a_card_prints_as_one_line_with_its_whole_protocol():
    line = str(CARD)
    assert (
        "\n" not in line
        and line.startswith("Fréchet distance 1.500 [1.200, 1.900]")
        and "9.8" not in line
    )
    told = {key: v for key, v in CARD.settings.items() if key != "name" and v is not None}
    assert all(f"{key} {v}" in line for key, v in told.items()) and told.keys() >= {
        "rho",
        "eta",
        "n_fake",
    }
    assert str(replace(CARD, eta=NOT_RECORDED)).endswith("not recorded: ('eta',)")
    assert format_score(replace(CARD, interval=None), 1) == "1.5"


def test_the_protocol_is_open_and_its_parts_are_attributes():
    card = Score(
        "toy", 1.0, churn=40, guidance_interval=[100, 600], sigmas=[[1, 2], [3]], seed=[0, 1]
    )
    assert (
        card.churn == 40 and card.guidance_interval == (100, 600) and card.sigmas == ((1, 2), (3,))
    )
    assert card.steps is None and card.seed == (0, 1) # what a card does not have is None
    with pytest.raises(AttributeError):
        card._repr_html_
    assert replace(card, churn=0).churn == 0 and replace(card, churn=0).sigmas == card.sigmas


# ---- comparisons ----


@pytest.mark.parametrize("key", [*FIELDS, *OPTIONS])
def test_every_part_of_the_protocol_is_compared(key):
    numbers = {
        "n_fake": 400,
        "n_real": 400,
        "steps": 20,
        "nfe": 20,
        "guidance_interval": (200, 600),
    }
    changed = replace(CARD, **{key: numbers.get(key, "another")})
    for a, b in ((CARD, changed), (changed, CARD)):
        with pytest.raises(
            ValueError, match=f"{key}: .* and .*; measure them alike, or name in vary"
        ):
            compare(a, b)
    assert compare(CARD, changed, vary=key).value == 0
    assert compare(CARD, changed, vary=(key,)).significant is False


def test_an_option_that_only_one_card_has_is_a_difference():
    fewer = replace(CARD, protocol={key: v for key, v in CARD.protocol.items() if key != "rho"})
    with pytest.raises(ValueError, match="rho: 7 and 'absent'"):
        compare(CARD, fewer)
    with pytest.raises(ValueError, match="rho: 'absent' and 7"):
        compare(fewer, CARD)
    assert compare(CARD, fewer, vary="rho").value == 0


def test_what_was_not_recorded_is_refused_until_it_is_named():
    old = replace(CARD, instrument=NOT_RECORDED, variance=NOT_RECORDED)
    with pytest.raises(ValueError, match="variance: 'not recorded' and 'not recorded'; instrument"):
        compare(old, old)
    with pytest.raises(ValueError, match="instrument"):
        compare(old, CARD, vary="variance")
    assert not_recorded(CARD, old) == ("variance", "instrument") and not not_recorded(CARD)
    assert compare(old, old, vary=not_recorded(old)).value == 0


def test_notes_are_not_protocol():
    assert compare(CARD, replace(CARD, notes={})).value == 0


def test_a_difference_has_the_interval_of_independent_errors():
    a, b = (
        replace(CARD, value=5.0, interval=(2.0, 9.0)),
        replace(CARD, value=1.0, interval=(-3.0, 4.0)),
    )
    difference = compare(a, b)
    assert (
        difference.value == 4
        and not difference.significant
        and "not told apart" in repr(difference)
    )
    assert difference.interval == pytest.approx((4 - math.hypot(3, 3), 4 + math.hypot(4, 4)))
    far = replace(b, value=0.0, interval=(-1, 1))
    assert compare(a, far).significant and compare(far, a).significant
    assert compare(a, replace(b, interval=None)).interval is None
    with pytest.raises(ValueError, match=r"vary=\['step'\]; a protocol has name"):
        compare(a, b, vary="step")


def runs(values, **options):
    return [replace(CARD, value=v, interval=None, seed=i, **options) for i, v in enumerate(values)]


def test_an_average_has_students_interval():
    values = [1.0, 1.5, 0.8, 1.1]
    mean = average(runs(values))
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean.value == pytest.approx(1.1) and mean.interval == pytest.approx(tuple(expected))
    assert mean.seed == (0, 1, 2, 3) and mean.steps == 50
    assert mean.notes == {"values": values, "seconds": 9.8} # a note that all runs share is kept
    first, second = runs(values)[:2]
    with pytest.raises(ValueError, match="different protocols .*steps"):
        average([first, replace(second, steps=20)])
    with pytest.raises(ValueError, match="got 1 scores"):
        average([first])
    with pytest.raises(ValueError, match=r"got seeds \(0, 0\); expected different ones"):
        average([first, first])


def test_an_average_of_old_cards_has_to_be_asked_for():
    old = runs([1.0, 2.0], instrument=NOT_RECORDED)
    with pytest.raises(ValueError, match="instrument"):
        average(old)
    mean = average(old, vary="instrument")
    assert mean.value == 1.5 and mean.instrument == NOT_RECORDED
    with pytest.raises(ValueError, match="rho: 7 and 8"):
        average([*runs([1.0]), *runs([1.0, 2.0], rho=8)[1:]], vary="rho")


def test_paired_runs_are_compared_seed_by_seed():
    values = {"a": [1.0, 1.5, 0.8, 1.1], "b": [1.2, 1.6, 1.1, 1.4]}
    a, b = (average(runs(vs, model=name)) for name, vs in values.items())
    found = compare_paired(a, b, vary="model")
    theirs = scipy.stats.ttest_rel(values["a"], values["b"]).confidence_interval(0.95)
    assert found.value == pytest.approx(-0.225) and found.interval == pytest.approx(tuple(theirs))
    assert found.significant and not compare(a, b, vary="model").significant
    assert compare_paired(b, a, vary="model").interval == pytest.approx((-theirs.high, -theirs.low))
    with pytest.raises(ValueError, match="different protocols .model"):
        compare_paired(a, b)
    same = "expected two `average`s over the same seeds"
    with pytest.raises(ValueError, match=same):
        compare_paired(replace(a, seed=(0, 1, 2, 9)), a, vary="seed")
    with pytest.raises(ValueError, match=same):
        compare_paired(CARD, CARD)


# ---- on disk ----


def test_cards_and_rows_survive_a_file(tmp_path):
    several = replace(
        CARD, seed=(0, 1), interval=None, guidance_interval=(100, 600), sigmas=[[1.5, 2], [3]]
    )
    save_scores(tmp_path / "new" / "cards.json", [CARD, several])
    assert load_scores(tmp_path / "new" / "cards.json") == [CARD, several]
    rows = [{"distance": CARD, "floor": None}, {"distance": several, "floor": CARD}]
    save_scores(tmp_path / "rows.json", rows, {"command": "x"})
    assert load_scores(tmp_path / "rows.json") == rows
    assert load_about(tmp_path / "rows.json") == [{"command": "x"}] * 2
    assert {"date", "cpu", "cores", "torch", "threads"} <= environment().keys()


def test_each_row_says_what_made_it(tmp_path):
    here = environment() | {"command": "one"}
    save_scores(
        tmp_path / "rows.json",
        [CARD] * 3,
        [here, here, here | {"command": "two", "date": "2026-01-01"}],
    )
    assert [about["command"] for about in load_about(tmp_path / "rows.json")] == [
        "one",
        "one",
        "two",
    ]
    first, second = provenance(tmp_path / "rows.json").splitlines()
    assert first.startswith("2 rows by one: ") and second.startswith("1 rows by two: 2026-01-01, ")
    with pytest.raises(ValueError):
        save_scores(tmp_path / "rows.json", [CARD] * 3, [here])


def test_where_a_file_of_scores_comes_from_is_told_even_without_a_command(tmp_path):
    save_scores(tmp_path / "plain.json", [CARD])
    assert provenance(tmp_path / "plain.json").startswith(f"not recorded: {environment()['date']}")


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s[:-40],
        lambda s: s.replace('"value": 1.5', '"value": NaN'),
        lambda s: s.replace('"card"', '"crad"'),
        lambda s: s.replace("1.2,", "1.7,"),
        lambda s: s.replace('"scores"', '"cards"'),
        lambda s: "[]",
        lambda s: s.replace('"n_fake": 797', '"n_fake": -797'),
        lambda s: s.replace("Fr\\u00e9chet distance", "FID"),
        lambda s: s.replace('"protocol": {', '"protocol": {"n_fake": 1, '),
    ],
)
def test_a_file_edited_into_nonsense_is_named(tmp_path, damage):
    save_scores(tmp_path / "cards.json", [CARD])
    text = (tmp_path / "cards.json").read_text()
    assert damage(text) != text
    (tmp_path / "cards.json").write_text(damage(text))
    with pytest.raises(
        ValueError, match="cards.json does not hold scores as save_scores writes them"
    ):
        load_scores(tmp_path / "cards.json")


def test_a_card_equals_itself_after_its_dict():
    assert Score(**asdict(CARD)) == CARD


def test_a_result_is_read_where_it_is_or_fetched_once(tmp_path, monkeypatch):
    fetched = []

    def fetch(url, file):
        fetched.append(url)
        save_scores(file, [CARD])

    monkeypatch.setattr(cards.urllib.request, "urlretrieve", fetch)
    for _ in range(2):
        assert load_scores(result_file("toy.json", tmp_path / "results")) == [CARD]
    assert fetched == [cards.RESULTS + "toy.json"]


def test_a_result_that_cannot_be_fetched_leaves_nothing(tmp_path, monkeypatch):
    def refuse(url, file):
        raise OSError("no network")

    monkeypatch.setattr(cards.urllib.request, "urlretrieve", refuse)
    says = "no .*other.json, and https://.*other.json could not be fetched .no network.; make it"
    with pytest.raises(OSError, match=says):
        result_file("other.json", tmp_path)

    def cut_off(url, path):
        Path(path).write_text('{"about"')
        raise OSError("connection lost")

    monkeypatch.setattr(cards.urllib.request, "urlretrieve", cut_off)
    for _ in range(2):
        with pytest.raises(OSError, match="connection lost"):
            result_file("other.json", tmp_path)


RESULTS = sorted((Path(__file__).parents[1] / "nbs" / "results").rglob("*.json"))


@pytest.mark.parametrize(
    "file", [f for f in RESULTS if "scores" in json.loads(f.read_text())], ids=lambda f: f.stem
)
def test_committed_cards_are_read_and_say_what_made_them(file):
    for scores, about in zip(load_scores(file), load_about(file), strict=True):
        assert {"date", "torch"} <= about.keys()
        for card in [scores] if isinstance(scores, Score) else filter(None, scores.values()):
            assert "instrument" in card.protocol or card.features == "pixels"
