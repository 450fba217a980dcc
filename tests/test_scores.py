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
    compare,
    format_score,
)
from ddpm_course.comparisons import BY_INTERVALS, BY_SEED, OTHER_SEEDS, PAIRED, UNPAIRED
from ddpm_course.estimates import METHOD, NETWORK
from ddpm_course.influence import pooled
from ddpm_course.shares import share_interval
from ddpm_course.slopes import frechet_influence, mean_influence, share_influence
from ddpm_course.stats import FeatureStats
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
    assert card.steps is None and card.seed == (0, 1)  # what a card does not have is None
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


def measured(x, least=None, **options):
    "A card of the mean of some numbers."
    options = dict(seed=0) | options
    return Score("mean", x.mean().item(), None, len(x), influence=mean_influence(x), **options)


def test_a_card_makes_its_interval_from_its_influences():
    x = randn(50, seed=1)
    card = measured(x)
    theirs = scipy.stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert card.interval == pytest.approx(tuple(theirs)) and card.claim == NETWORK
    assert "this network, other images" in repr(card) and "given these reals" not in repr(card)
    hits = (x > -2).double()
    share = Score("share", hits.mean().item(), n_fake=50, influence=share_influence(hits))
    assert share.interval == pytest.approx(share_interval(hits)) and share.interval[1] <= 1
    assert Score("d", 1.0).claim == "" and "bias" not in card.notes
    y, real = randn(60, 3, seed=2), FeatureStats().update(randn(99, 3, seed=3))
    found = frechet_influence(y, real)
    told = Score("d", 1.0, None, 60, 99, "reals", influence=found)
    assert told.notes["bias"] == found.bias > 0
    lines = repr(told).splitlines()
    assert "given these reals" in lines[0] and lines[1] == f"bias at this n: {found.bias:+.3f}"
    assert told == replace(told, influence=None)  # what images did is no part of what is equal


def test_a_comparison_is_in_pairs_where_the_cards_say_that_it_may_be():
    common = randn(200, seed=1)
    a, b = measured(common + 0.05 * randn(200, seed=2) + 0.05), measured(common)
    other = measured(common, seed=1)
    paired, unpaired = compare(a, b), compare(a, other, vary="seed")
    assert paired.how == PAIRED and unpaired.how == UNPAIRED
    expected = scipy.stats.ttest_1samp(a.influence.first + a.value - common, 0)
    assert paired.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-5)
    assert unpaired.interval[1] - unpaired.interval[0] > 10 * (
        paired.interval[1] - paired.interval[0]
    )
    assert paired.significant and not unpaired.significant
    assert "in pairs" in repr(paired) and repr(unpaired).endswith("not told apart")
    labels = torch.arange(200) % 2  # of one alone: not the same labels
    fixed = replace(b, interval=None, influence=b.influence._replace(strata=labels))
    assert compare(a, fixed).how == UNPAIRED
    unseeded = [Score("mean", 0.0, n_fake=200, influence=s.influence) for s in (a, b)]
    assert compare(*unseeded).how == UNPAIRED


def test_as_good_as_needs_more_than_not_apart():
    x, noise = randn(400, seed=1), randn(400, seed=2)
    noise = noise - noise.mean()  # no difference at all, but for what is unknown of it
    near, far = (compare(measured(x + e * noise), measured(x)) for e in (0.05, 3.0))
    assert not near.significant and not far.significant
    assert near.within(0.1) and not far.within(0.1)
    assert not compare(CARD, replace(CARD, interval=None)).within(100)  # nothing is known of it


def test_cards_without_influences_have_the_interval_of_independent_errors():
    a, b = (
        replace(CARD, value=5.0, interval=(2.0, 8.0)),
        replace(CARD, value=1.0, interval=(-3.0, 5.0)),
    )
    difference = compare(a, b)
    assert difference.value == 4 and not difference.significant
    assert "not told apart" in repr(difference) and difference.how == BY_INTERVALS
    assert difference.interval == pytest.approx((4 - 5, 4 + 5), abs=1e-3)
    far = replace(b, value=0.0, interval=(-1, 1))
    assert compare(a, far).significant and compare(far, a).significant
    assert compare(a, replace(b, interval=None)).interval is None
    with pytest.raises(ValueError, match=r"vary=\['step'\]; a protocol has name"):
        compare(a, b, vary="step")


def runs(values, **options):
    return [
        replace(CARD, value=v, interval=None, seed=i, train_seed=i, **options)
        for i, v in enumerate(values)
    ]


def test_sets_of_one_network_are_pooled():
    "The mean over k sets is about the network, and k n images tell as much as they are."
    sets = [randn(40, seed=s) for s in range(3)]
    mean = average([measured(x, seed=s) for s, x in enumerate(sets)])
    assert mean.claim == NETWORK and mean.seed == (0, 1, 2) and len(mean.influence.first) == 120
    assert mean.value == pytest.approx(torch.cat(sets).mean().item())
    within = sum(x.var().item() / 40 for x in sets) ** 0.5 / 3
    assert (mean.interval[1] - mean.interval[0]) / 2 == pytest.approx(1.98 * within, rel=0.02)
    shifted = average([measured(x + 0.1, seed=s, z=1) for s, x in enumerate(sets)])
    found = compare(shifted, replace(mean, z=0), vary="z")
    assert found.how == PAIRED and found.interval == pytest.approx((0.1, 0.1), abs=1e-6)
    trained = average([measured(x, seed=s, train_seed=s) for s, x in enumerate(sets)])
    assert trained.claim == METHOD and trained.influence is None
    theirs = scipy.stats.ttest_1samp([x.mean() for x in sets], 0).confidence_interval(0.95)
    assert trained.interval == pytest.approx(tuple(theirs))


def test_pooled_influences_have_the_variance_of_a_mean_of_scores():
    "The second order of k sets is a k-th of that of one, as their variance is."
    real = FeatureStats().update(randn(300, 3, seed=9))
    parts = [frechet_influence(randn(60, 3, seed=s), real) for s in range(4)]
    whole = pooled(parts)
    one = sum(p.second.double().square().mean().item() / (2 * 60**2) for p in parts) / 4
    assert whole.second.double().square().mean().item() / (2 * 240**2) == pytest.approx(one / 4)
    assert whole.bias == pytest.approx(sum(p.bias for p in parts) / 4)


@pytest.mark.parametrize("misses", [(0, 0, 3), (97, 100, 100)])
def test_an_average_of_shares_keeps_to_0_and_1(misses):
    sets = [torch.ones(100).index_fill(0, torch.arange(n), 0) for n in misses]
    cards = [
        replace(card, value=hits.mean().item(), influence=share_influence(hits))
        for card, hits in zip(runs([0.0] * 3), sets)
    ]
    low, high = scipy.stats.ttest_1samp([x.mean() for x in sets], 0).confidence_interval(0.95)
    assert low < 0 or high > 1
    assert average(cards).interval == pytest.approx((max(low, 0), min(high, 1)))


def test_an_average_has_students_interval():
    values = [1.0, 1.5, 0.8, 1.1]
    mean = average(runs(values))
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean.value == pytest.approx(1.1) and mean.interval == pytest.approx(tuple(expected))
    assert mean.seed == (0, 1, 2, 3) and mean.steps == 50
    assert mean.notes == {"values": values, "seconds": 9.8}  # a note that all runs share is kept
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


def test_runs_are_compared_seed_by_seed_where_the_seeds_are_the_same():
    values = {"a": [1.0, 1.5, 0.8, 1.1], "b": [1.2, 1.6, 1.1, 1.4]}
    a, b = (average(runs(vs, model=name)) for name, vs in values.items())
    found = compare(a, b, vary="model")
    theirs = scipy.stats.ttest_rel(values["a"], values["b"]).confidence_interval(0.95)
    assert found.how == BY_SEED and found.estimate.claim == METHOD == a.claim
    assert found.value == pytest.approx(-0.225) and found.interval == pytest.approx(tuple(theirs))
    assert found.significant
    assert compare(b, a, vary="model").interval == pytest.approx((-theirs.high, -theirs.low))
    with pytest.raises(ValueError, match="different protocols .model"):
        compare(a, b)
    others = replace(b, seed=(4, 5, 6, 7), train_seed=(4, 5, 6, 7))
    unpaired = compare(a, others, vary=("model", "seed", "train_seed"))
    welch = scipy.stats.ttest_ind(values["a"], values["b"], equal_var=False)
    assert unpaired.how == OTHER_SEEDS and not unpaired.significant
    assert unpaired.interval == pytest.approx(tuple(welch.confidence_interval(0.95)))


# ---- on disk ----


def test_influences_survive_a_file_and_belong_to_their_cards(tmp_path):
    labels = torch.arange(40) % 4
    x, real = randn(40, 3, seed=1), FeatureStats().update(randn(99, 3, seed=2))
    hits = (torch.arange(40) > 3).double()
    parts = {
        "distance": frechet_influence(x, real, labels),
        "accuracy": share_influence(hits, labels),
        "all right": share_influence(torch.ones(40), labels),
        "nearest": mean_influence(x[:, 0]),
    }
    values = {"distance": 1.0, "accuracy": 0.9, "all right": 1.0, "nearest": x[:, 0].mean().item()}
    row = {k: Score(k, values[k], n_fake=40, seed=0, influence=p) for k, p in parts.items()}
    file = tmp_path / "cards.json"
    save_scores(file, [row, {"floor": Score("floor", 1.0), "none": None}], {})
    again = load_scores(file)[0]
    assert again == row
    for name, part in parts.items():
        kept = again[name].influence
        assert torch.allclose(kept.first, part.first, atol=1e-6) and kept.share == part.share
        assert torch.allclose(kept.second, part.second, rtol=0.01) and kept.bias == part.bias
        assert kept.strata is part.strata is None or torch.equal(kept.strata, part.strata)
        assert compare(again[name], row[name]).value == 0
        ends = replace(again[name], interval=None).interval
        assert ends == pytest.approx(row[name].interval, rel=1e-3)
    beside = file.with_suffix(".safetensors")
    assert beside.stat().st_size < 40 * (2 * 4 + 2 + 1) + 2 * len(parts["distance"].second) + 2000
    file.write_text(file.read_text().replace('"value": 1.0', '"value": 1.001', 1))
    with pytest.raises(ValueError, match="are those of the value 1.0"):
        load_scores(file)
    save_scores(file, [CARD])
    assert not beside.exists() and load_scores(file) == [CARD]


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
    "file",
    [f for f in RESULTS if isinstance(json.loads(f.read_text()).get("scores"), list)],
    ids=lambda f: f.stem,
)
def test_committed_cards_are_read_and_say_what_made_them(file):
    for scores, about in zip(load_scores(file), load_about(file), strict=True):
        assert {"date", "torch"} <= about.keys()
        for card in [scores] if isinstance(scores, Score) else filter(None, scores.values()):
            no_network = card.features == "pixels" or card.name == "bits per dimension"
            assert "instrument" in card.protocol or no_network  # the bound is the model's own


@pytest.mark.parametrize("bad", [[3], ["x"], [{"a": 3}], [None]])
def test_only_scores_and_rows_of_them_are_saved(tmp_path, bad):
    with pytest.raises(TypeError, match=r"scores\[0\].*expected a Score, or a row"):
        save_scores(tmp_path / "x.json", bad)
    assert not [*tmp_path.iterdir()]
