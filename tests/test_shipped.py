"The networks that ship: half precision on disk, float32 in memory, as good as their records say."

import hashlib, json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import t as student

from ddpm_course import shipped
from ddpm_course.experiments import shipping
from ddpm_course.shipped import WEIGHTS, fingerprint_of, load_shipped, names, record_of

KINDS = ["classifier", "digits", "latent", "text", "vae"]
each = pytest.mark.parametrize("name", KINDS)


def test_five_networks_ship():
    assert names() == KINDS == sorted(shipping.TRAIN)


def test_together_they_are_small():
    assert sum(p.stat().st_size for p in WEIGHTS.rglob("*") if p.is_file()) < 4_300_000


@each
def test_half_precision_on_disk_is_float32_in_memory(name):
    stored = load_file(WEIGHTS / name / "ema.safetensors")
    model = load_shipped(name).model
    assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, stored[key].to(value.dtype)), key


@each
def test_a_record_says_how_it_was_made_and_how_others_came_out(name):
    record = record_of(name)
    assert {"command", "parent commit", "date", "cpu", "torch", "threads"} <= record["made"].keys()
    assert record["made"]["command"] == f"ddpm-course train {name} --seed 0"
    if name == "text":  # the newest: it was not trained again yet, and its record says so
        assert record["retrained"] == []
        return
    seeds = [0, *(r["seed"] for r in record["retrained"])]
    assert len(seeds) == len({*seeds}) >= 6
    assert len({r["threads"] for r in record["retrained"]}) > 1
    for other in record["retrained"]:
        assert other["scores"].keys() == record["scores"].keys()


@each
def test_a_fingerprint_is_that_of_the_file(name):
    digest = hashlib.sha256((WEIGHTS / name / "ema.safetensors").read_bytes()).hexdigest()
    assert fingerprint_of(name) == digest[:16]


def test_each_load_is_a_copy():
    first = load_shipped("vae").model
    for p in first.parameters():
        p.zero_()
    assert any(p.any() for p in load_shipped("vae").model.parameters())


def test_an_unknown_name_is_told():
    known = "classifier, digits, latent, text, vae"
    with pytest.raises(ValueError, match=f"no shipped network 'cats'; there are {known}"):
        load_shipped("cats")


@pytest.mark.parametrize("name", ["classifier", "vae"])
def test_the_shipped_weights_score_what_their_record_says(name):
    for key, value in shipping.scores_of(name, load_shipped(name)).items():
        assert value == pytest.approx(record_of(name)["scores"][key], rel=1e-3), key


def test_shipping_keeps_rounded_averaged_weights(tmp_path, monkeypatch):
    "A short run goes through the whole way: trained, rounded, written, loaded."
    shipping.train_classifier(tmp_path / "run", seed=1, steps=3)
    shipping.ship("classifier", tmp_path / "run", seed=1, into=tmp_path / "weights")
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    trained = load_file(tmp_path / "run" / "model" / "ema.safetensors")
    for key, value in load_shipped("classifier").model.state_dict().items():
        assert torch.equal(
            value,
            trained[key].half().to(value.dtype) if value.is_floating_point() else trained[key],
        )
    record = json.loads((tmp_path / "weights" / "classifier" / "record.json").read_text())
    assert record["made"]["command"] == "ddpm-course train classifier --seed 1"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KINDS if record_of(name)["retrained"]])
def test_one_more_network_is_like_those_on_record(name, tmp_path):
    "About two minutes each: where 999 of 1,000 more would lie, by those on record (Student)."
    found = shipping.retrain(name, tmp_path / name, seed=10, progress=False)["scores"]
    record = record_of(name)
    for key, value in found.items():
        known = np.array([r["scores"][key] for r in [record, *record["retrained"]]])
        k, spread = len(known), max(known.std(ddof=1), 0.001)  # accuracies come in steps
        reach = student.ppf(0.9995, k - 1) * spread * (1 + 1 / k) ** 0.5
        assert abs(value - known.mean()) <= reach, f"{key}: {value}, recorded {known.tolist()}"
