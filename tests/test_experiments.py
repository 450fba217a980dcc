"Experiments as data, as runs and as commands: on the digits, in seconds; and what they refuse."

import inspect
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images

from ddpm_course import cli
from ddpm_course.autoencoders import train_vae
from ddpm_course.cards import load_scores
from ddpm_course.classifiers import digits_classifier, train_features
from ddpm_course.comparisons import PAIRED
from ddpm_course.data import image_folder
from ddpm_course.edm import Precond
from ddpm_course.experiments import (
    commands,
    costs,
    datasets,
    measuring,
    sample_runs,
    squares,
    studies,
    training_runs,
)
from ddpm_course.experiments.datasets import CIFAR10_CLASSES, load_split
from ddpm_course.experiments.generation import generate
from ddpm_course.experiments.plans import DataSet, parse_changes
from ddpm_course.experiments.preparation import load_prepared, prepare_folders
from ddpm_course.experiments.registry import EXPERIMENTS, TABLES, experiment_of
from ddpm_course.experiments.samplers import Sampler
from ddpm_course.features import extract, feature_distance
from ddpm_course.images import load_digits
from ddpm_course.memory import saved_bytes
from ddpm_course.models import condition
from ddpm_course.preprocessing import PREPROCESSING
from ddpm_course.randomness import image_seeds
from ddpm_course.runs import checkpoints
from ddpm_course.saving import Trained, load_model
from ddpm_course.scores import compare
from ddpm_course.solvers import Churn, as_denoiser, heun_sample
from ddpm_course.training import digits_model
from ddpm_course.unet import UNet
from ddpm_course.vae import VAE

PLANS = [
    (e.name, size, variant)
    for e in EXPERIMENTS.values()
    for size, scale in e.sizes.items()
    for variant in scale.plans
]


# ---- as data ----


@pytest.mark.parametrize("name, size, variant", PLANS, ids="-".join)
def test_a_plan_is_data_from_which_everything_is_built(name, size, variant):
    plan = EXPERIMENTS[name].plan(size, variant)[1]
    assert plan.told == json.loads(json.dumps(plan.told))
    if size == "full":
        assert plan.told["recipe"] and plan.weights in ("ema", "model")
    schedule = plan.schedule.build()
    assert len(schedule) == 1000
    loss = plan.loss.build(schedule)
    with torch.device("meta"):
        model = plan.network.build(in_channels=3)
    if name == "cifar10-edm":  # Karras et al. train with labels alone
        assert model.num_classes == 10 and not getattr(loss, "drop", 0)
    else:
        assert (model.num_classes is not None) == (loss.drop > 0)


OWN = [
    (name, size, variant)
    for name, size, variant in PLANS
    for latents in [EXPERIMENTS[name].plan(size, variant)[1].latents]
    if latents and latents.autoencoder.make is training_runs.own_autoencoder
]


@pytest.mark.parametrize("name, size, variant", OWN, ids="-".join)
def test_a_plan_knows_the_latents_of_its_autoencoder(name, size, variant):
    plan = EXPERIMENTS[name].plan(size, variant)[1]
    options = plan.latents.autoencoder.options
    names = ("latent_channels", "channels", "layers", "groups")
    given = inspect.signature(train_vae).parameters
    vae = {k: options.get(k, given[k].default) for k in names}
    C, H, W = datasets.shape_of(plan.data)
    with torch.device("meta"):
        mean = VAE(C, **vae).encode(torch.empty(1, C, H, W))[0]
    assert costs.input_shape(plan) == mean.shape[1:]


def test_networks_that_are_compared_on_a_cpu_work_equally_much():
    plans = EXPERIMENTS["cifar10-backbones"].scale("cpu").plans
    work = {name: costs.forward_gflop(plan) for name, plan in plans.items()}
    assert len(work) == 2 and max(work.values()) < 1.03 * min(work.values())
    assert len({(plan.steps(50_000), plan.batch_size) for plan in plans.values()}) == 1


def test_the_reports_settings_are_those_of_the_reports():
    plan = EXPERIMENTS["imagenet100"].plan("full", "report")[1]
    betas = plan.schedule.build().betas
    assert len(betas) == 1000 and np.allclose([betas[0], betas[-1]], [0.0002, 0.02])
    recipe = plan.recipe
    assert [recipe[k] for k in ("epochs", "batch_size", "lr", "weight_decay", "clip_grad")] == [
        50,
        4,
        1e-4,
        1e-4,
        1.0,
    ]
    assert plan.data.size == 128 and plan.steps(126_689) == round(50 * 126_689 / 4)
    evaluations = EXPERIMENTS["imagenet100"].scale("full").evaluations
    assert [(e.n, e.split) for e in evaluations] == [(1000, "val"), (50_000, "train")]


PUBLISHED = {  # of the reports, by experiment: what has to stand beside ours
    "imagenet100": [42.18, 44.32, 43.21, 42.38, 340, 335],
    "imagenet100-latent": [36.42, 32.85, 28.76, 25.13, 332, 248.5],
    "imagenet100-schedules": [23.87],
    "imagenet100-length": [323.51],
    "imagenet100-equal-steps": [290],
    "imagenet100-advanced": [23.87, 22.41, 21.12],
    "cifar10-edm": [2.48, 1.88, 1.79],
    "cifar10": [519, 556, 3.17, 13.36, 4.16, 18.96],
    "cifar10-guidance": [6.29, 4.66, 10.23, 16.23],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_rows_stand_with_their_source(name):
    rows = EXPERIMENTS[name].published
    found = [p.values.get("FID") for p in rows]
    assert not {*PUBLISHED[name]} - {*found} and all(p.source for p in rows)
    w = {p.where["guidance"] for p in rows if p.values.get("FID") == 32.85}
    assert w in (set(), {1.5, 2.5})  # w as s, and as s - 1


def test_names_are_of_one_thing():
    assert not TABLES.keys() & EXPERIMENTS.keys()
    assert all(e.table in TABLES or e.table is None for e in EXPERIMENTS.values())
    assert all(
        {"smoke", "digits", "full"} <= e.sizes.keys() or e.pretrained for e in EXPERIMENTS.values()
    )


@pytest.mark.parametrize("guidance, passes", [(1.0, 1), (2.0, 2)])
def test_evaluations_are_counted_at_the_network(guidance, passes):
    trained, y = digits_model(), torch.arange(10)
    count = lambda *asked: generate(Sampler(*asked), trained, y, 0, progress=False).nfe
    assert count("DDIM", 4, {}, guidance) == 4 * passes
    assert count("Euler", 4, {}, guidance) == 4 * passes
    assert count("DPM-Solver++(2M)", 4, {}, guidance) == 4 * passes
    assert count("Heun", 4, {}, guidance) == 7 * passes
    some = {"scale": 2.0, "interval": (300, 700)}  # of the timesteps 999, 666, 333, 0
    assert count("DDIM", 4, {"spacing": "linspace"}, some) == 6


def test_a_sampler_as_data_is_the_function_that_it_names():
    trained, y = digits_model(), torch.arange(10)
    seeds = image_seeds(0, 10)
    drawn = generate(
        Sampler("Heun", 5, {"churn": {"S_churn": 2.0}}), trained, y, seeds, progress=False
    )
    model = as_denoiser(condition(trained.model, y), trained.schedule, trained.clip)
    ours = heun_sample(model, (10, 1, 8, 8), 5, churn=Churn(2.0), seed=seeds)
    assert torch.equal(drawn.images, ours)


def test_a_network_without_schedule_is_walked_in_sigma_alone():
    torch.manual_seed(0)
    net = UNet(1, channels=(8, 16), attention=(False, False), groups=4)
    network = Trained(Precond(net), None, (1, 8, 8), None, {})
    walk = lambda name: [*Sampler(name, 3).walk(network.model, network, [0, 1])]
    assert walk("Heun")[-1].x_prev.shape == (2, 1, 8, 8)
    with pytest.raises(ValueError, match="DDIM and DDPM walk the timesteps.*expected Euler, Heun"):
        walk("DDIM")


def test_variants_may_have_samplers_of_their_own():
    scale = experiment_of("imagenet100-advanced").scale("digits")
    variances = {
        v: {s.options["variance"] for s in scale.of(v).samplers} for v in ("plain", "combined")
    }
    assert variances == {"plain": {"small"}, "combined": {"learned"}}


def test_fields_of_the_recipe_are_set_by_their_kind():
    given = ["lr=1e-4", "batch_size=64", "compile=false", "steps=1e3", "precision=no"]
    changes = parse_changes(given)
    assert changes == dict(lr=1e-4, batch_size=64, compile=False, steps=1000, precision="no")
    plan = EXPERIMENTS["imagenet100"].plan("full", "report")[1].with_recipe(changes)
    assert "epochs" not in plan.recipe and plan.steps(1) == 1000 and plan.recipe["warmup"] == 0
    with pytest.raises(ValueError, match="--set lrr: a recipe has no such field; it has steps"):
        plan.with_recipe({"lrr": 1.0})
    for text, says in (
        ("lr", "expected field=value"),
        ("steps=1.5", "a whole number"),
        ("lr=fast", "a number"),
        ("compile=maybe", "true or false"),
    ):
        with pytest.raises(ValueError, match=says):
            parse_changes([text])


# ---- costs ----


def test_arithmetic_and_memory_are_counted():
    plan = EXPERIMENTS["cifar10"].plan("full", "field")[1]
    cost = costs.cost_of(plan)
    assert cost.parameters == 35_746_307 and cost.images == 800_000 * 128
    assert cost.gflop == pytest.approx(12.4, abs=0.2)  # 6.2 billion multiply-adds
    small = EXPERIMENTS["cifar10"].plan("smoke", "field")[1]
    model = small.network.build(in_channels=1)
    x = torch.randn(16, 1, 8, 8)  # with more of them, Upsample keeps less on a CPU
    y = torch.zeros(16, dtype=torch.int64)
    real = saved_bytes(lambda x: model(x, y, y), x)
    assert costs.activation_bytes(small, 16) == pytest.approx(real, rel=0.01)
    large = replace(small, recipe=small.recipe | {"accumulate": 4})
    assert costs.cost_of(large).bytes < costs.cost_of(small).bytes


# ---- a run ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    studies.train_experiment(
        "cifar10-guidance",
        "smoke",
        out=out,
        device="cpu",
        progress=False,
        changes={"save_every": 3},
    )
    return out


def weights(run):
    return load_file(run / "model" / "model.safetensors")


def test_a_run_leaves_its_page_settings_and_measurements(trained):
    page = (trained / "index.html").read_text()
    for part in (
        "loss.png",
        "loss-by-t.png",
        "grids/00000006.png",
        "grids/00000012.png",
        "ddpm-course evaluate",
        "&quot;lr&quot;: 0.002",
        "images/s",
    ):
        assert part in page, part
    for name in ("loss.png", "loss-by-t.png", "grids/00000012.png"):
        Image.open(trained / name).verify()
    settings = json.loads((trained / "experiment.json").read_text())
    assert settings["data"] == "digits train" and settings["plan"]["recipe"]["save_every"] == 3
    (measured,) = json.loads((trained / "measured.json").read_text())
    assert (measured["from"], measured["to"]) == (0, 12) and measured["bytes"] > 1e6


def test_a_run_that_an_error_stopped_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    real = training_runs.save_grid

    def fails(run, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_runs, "save_grid", fails)
    options = dict(
        size="smoke", out=tmp_path / "run", device="cpu", progress=False, changes={"save_every": 3}
    )
    with pytest.raises(KeyboardInterrupt):
        studies.train_experiment("cifar10-guidance", **options)
    assert not (tmp_path / "run" / "model").exists() and checkpoints(tmp_path / "run")
    monkeypatch.setattr(training_runs, "save_grid", real)
    with pytest.raises(FileExistsError, match="go on with --resume"):
        studies.train_experiment("cifar10-guidance", **options)
    studies.train_experiment("cifar10-guidance", resume=True, **options)
    now = weights(tmp_path / "run")
    assert all(torch.equal(v, now[k]) for k, v in weights(trained).items())
    with pytest.raises(ValueError, match="is another run .*seed: 0 there, 1 here"):
        studies.train_experiment("cifar10-guidance", seed=1, resume=True, **options)
    with pytest.raises(ValueError, match="recipe.lr: 0.002 there, 0.1 here"):
        options["changes"] = {"save_every": 3, "lr": 0.1}
        studies.train_experiment("cifar10-guidance", resume=True, **options)


def test_a_run_begins_with_the_weights_of_another(trained, tmp_path):
    out, other = tmp_path / "on", tmp_path / "other"
    begin = ["train", "cifar10-guidance", "--size", "smoke", "--device", "cpu", "--out"]
    cli.main([*begin, str(out), "--init", str(trained), "--set", "steps=1", "--set", "lr=1e-30"])
    before, after = weights(trained), weights(out)
    assert all(torch.allclose(v, after[k], atol=1e-20) for k, v in before.items())
    assert f'"start": "{trained}"' in commands.info_run(out)
    assert f"from the weights of {trained}." in (out / "index.html").read_text()
    shutil.rmtree(out / "model")
    command = shlex.split(said("sample", str(out), "--device", "cpu").partition("go on with: ")[2])
    assert command[command.index("--init") + 1] == str(trained)
    cli.main([*command[1:], "--device", "cpu"])
    assert all(torch.equal(v, after[k]) for k, v in weights(out).items())
    told = said(*begin, str(other), "--init", str(tmp_path / "nowhere"))
    assert "nowhere is no run of an experiment" in told
    told = said("train", "cifar10-backbones", *begin[2:], str(other), "--init", str(trained))
    assert "its network is {" in told and "expected that of this run" in told
    assert not other.exists()


def test_a_run_on_latents_begins_with_one_on_the_same_latents(tmp_path):
    first = tmp_path / "first"
    begin = ["train", "imagenet100-latent", "--size", "smoke", "--device", "cpu", "--out"]
    cli.main([*begin, str(first)])
    cli.main([*begin, str(tmp_path / "second"), "--init", str(first)])
    file = first / "model" / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"latent": config["latent"] | {"vae": "0" * 16}}))
    told = said(*begin, str(tmp_path / "third"), "--init", str(first))
    assert "its latents are not those of this run" in told and not (tmp_path / "third").exists()


def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    options = [
        "train",
        "cifar10",
        "--size",
        "smoke",
        "--set",
        "steps=100000",
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    code = "from ddpm_course.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        for _ in range(600):
            time.sleep(0.2)
            if checkpoints(tmp_path / "run"):
                break
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert f"go on with: ddpm-course {' '.join(options)} --resume" in told
    assert "Traceback" not in told


def test_samples_that_were_stopped_are_the_same_in_the_end(trained, monkeypatch):
    opened = studies.opened_run(trained, "cpu")
    sampler = opened.scale.samplers[1]
    real = sample_runs.keep_chunk
    kept = []

    def killed(file, *args):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(file.name)
        real(file, *args)

    monkeypatch.setattr(sample_runs, "keep_chunk", killed)
    draw = lambda n, seed=5, chunk=8: sample_runs.draw(
        opened.ready, sampler, n, seed, chunk, levels=16, progress=False
    )[0]
    read = lambda folder, n, chunk=8: [
        torch.cat(part)
        for part in list(
            zip(*(sample_runs.read_chunk(folder, i, n - i * chunk) for i in range(-(-n // chunk))))
        )[:2]
    ]
    with pytest.raises(KeyboardInterrupt):
        draw(30)
    monkeypatch.setattr(sample_runs, "keep_chunk", real)
    before = {p: p.stat().st_mtime_ns for p in draw(12).glob("*.safetensors")}
    folder = draw(30)
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    x, y = read(folder, 30)
    assert torch.equal(y, torch.arange(30) % 10)
    again = opened.ready._replace(folder=trained / "again")
    alone = sample_runs.draw(again, sampler, 30, 5, 8, levels=16, progress=False)[0]
    assert torch.equal(read(alone, 30)[0], x)
    other = draw(30, chunk=30)  # another chunk is another folder, and rounds differently
    assert other != folder and (read(other, 30, 30)[0].int() - x.int()).abs().max() <= 1
    assert not torch.equal(read(draw(30, 6), 30)[0], x)  # another seed


def test_a_run_is_scored_once_by_the_protocol_of_its_experiment(trained, monkeypatch):
    rows = studies.evaluate_run(trained, device="cpu", progress=False)
    assert [r.distance.guidance for r in rows] == [1.0, 3.0]
    card = rows[1].distance
    assert (card.n_fake, card.n_real, card.reference) == (100, 797, "digits test")
    assert card.nfe == 10 and card.size == "smoke" and card.variant == "field"
    assert 0 <= rows[0].accuracy.value <= 1 and rows[0].floor.value < card.value
    seen = extract(digits_classifier(), load_digits("test").batch(range(797))[0])
    right = seen.probabilities.argmax(1) == load_digits("test").labels
    ceiling = rows[0].real_accuracy
    assert ceiling.value == right.double().mean() and ceiling.n_fake == 797
    assert ceiling.instrument == rows[0].accuracy.instrument
    monkeypatch.setattr(studies, "cards_of", None, raising=False)
    again = studies.evaluate_run(trained, device="cpu", progress=False)
    assert [r.distance for r in again] == [r.distance for r in rows]
    assert compare(rows[0].distance, rows[1].distance, ("guidance", "nfe")).value


def test_every_experiment_runs_whole_at_smoke_size_by_one_call(smoke_tables, monkeypatch):
    assert {"imagenet100-latent", "imagenet100-length"} < EXPERIMENTS.keys()
    rows = studies.run_experiment(
        "imagenet100-latent", "smoke", smoke_tables, device="cpu", progress=False
    )
    assert [(r.distance.variant, r.distance.guidance) for r in rows] == [
        ("pretrained", 1.0),
        ("pretrained", 3.0),
        ("own", 1.0),
        ("own", 3.0),
    ]
    assert all(r.distance.clip is None for r in rows)
    text = studies.format_experiment("imagenet100-latent", "smoke", rows)
    assert "36.42" in text and "published, by their own protocols" in text
    monkeypatch.setattr(training_runs, "fit", None)  # nothing is trained again
    again = studies.run_experiment(
        "imagenet100-latent", "smoke", smoke_tables, device="cpu", progress=False
    )
    assert [r.distance for r in again] == [r.distance for r in rows]


def test_one_command_makes_every_table_at_smoke_size(smoke_tables):
    text = commands.make_table("all", "smoke", smoke_tables, 0, None, "cpu", 0)
    names = [*TABLES, *(name for name, e in EXPERIMENTS.items() if "smoke" in e.sizes)]
    assert [line[3:-3] for line in text.splitlines() if line.startswith("== ")] == names
    assert {f"{name}-smoke.csv" for name in TABLES} <= {p.name for p in smoke_tables.iterdir()}
    untrained = {"ddim-steps", "guidance", "question-3", "edm-samplers"}  # they take what ships
    for name in TABLES:
        told = load_scores(smoke_tables / f"{name}-smoke.json")[0]["distance"].settings
        assert ("train_seed" in told) == (name not in untrained)


def test_a_network_of_others_is_a_run_too(tmp_path, monkeypatch):
    published = EXPERIMENTS["cifar10-published"]
    network = UNet(3, (8,), layers=1, attention=(False,), groups=4)
    monkeypatch.setitem(EXPERIMENTS, published.name, replace(published, pretrained=lambda: network))
    for _ in range(2):  # the second time it is there
        studies.train_experiment(published.name, out=tmp_path / "run", device="cpu")
    opened = studies.opened_run(tmp_path / "run", "cpu")
    found = opened.ready.trained
    assert found.shape == (3, 32, 32) and found.clip == 1.0 and len(found.schedule) == 1000
    assert all(torch.equal(v, found.model.state_dict()[k]) for k, v in network.state_dict().items())
    folder, told = sample_runs.draw(opened.ready, Sampler("DDIM", 2), 3, progress=False)
    assert sample_runs.read_chunk(folder, 0, 3)[0].shape == (3, 3, 32, 32)
    assert told["guidance"] == 1.0 and told["trained_on"] == "by others"


# ---- what is refused ----


def said(*options):
    with pytest.raises(SystemExit) as e:
        cli.main([*options])
    return str(e.value)


def test_what_a_user_gets_wrong_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "--size digits and --size smoke run on a CPU" in said("train", "cifar10")
    assert "pass its folder with --data" in said("train", "cifar10", "--device", "cpu")
    assert "no folder" in said("train", "cifar10", "--device", "cpu", "--data", "nowhere")
    assert "neither cifar-10-batches-py" in said(
        "train", "cifar10", "--device", "cpu", "--data", "."
    )
    assert "there are the experiments cifar10" in said("train", "nothing")
    assert "has smoke, digits, full" in said("train", "cifar10", "--size", "huge")
    assert "has 'field', 'report'" in said("train", "cifar10", "--size", "smoke", "--variant", "x")
    assert "expected tensorboard, wandb or none" in said(
        "train", "cifar10", "--size", "smoke", "--tracker", "comet"
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install wandb" in said("train", "cifar10", "--size", "smoke", "--tracker", "wandb")
    assert "no run of an experiment" in said("sample", ".")
    assert "at full size: cifar10-schedules" in said("table", "schedules", "--size", "full")
    assert "and all" in said("table", "nothing")
    assert "size='huge'; tables have smoke" in said("table", "all", "--size", "huge")
    assert "has smoke, digits, full" in said("list", "--name", "cifar10-edm", "--size", "cpu")
    few = ("table", "ddim-steps", "--size", "smoke", "--workers", "-1", "--out", "t")
    assert "workers=-1; expected a whole number of at least 0" in said(*few)
    assert "pass its directory with --data" in said("prepare", "imagenet100", "--out", "p")
    assert not [*tmp_path.iterdir()]


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "options, says",
    [
        (["--set", "steps=inf"], "expected a whole number for steps"),
        (["--set", "steps=1e99"], "'steps=1e99'; expected a whole number for steps, at most 1,000"),
        (["--set", "batch_size=1e10"], "for batch_size, at most 1,000,000,000"),
        (["--set", "warmup=1e30"], "for warmup, at most 1,000,000,000"),
        (["--set", "accumulate=1e30"], "for accumulate, at most 1,000,000,000"),
        (["--set", "save_every=1e30"], "for save_every, at most 1,000,000,000"),
        (["--set", "epochs=1e99"], "are 3.12e+100 steps; expected at most 1,000,000,000"),
        (["--data", "digits"], "--data digits: the data here are the digits, which need no folder"),
        (["--set", "epochs=nan"], "epochs=nan; expected a finite number above 0"),
        (["--set", "epochs=-1"], "epochs=-1.0; expected a finite number above 0"),
        (["--set", "lr=nan"], "lr=nan; expected more than 0"),
        (["--set", "accumulate=0"], "accumulate=0; expected a whole number of at least 1"),
        (["--set", "precision=fp8"], "precision='fp8'; expected one of auto, bf16, no"),
        (["--set", "seed=1"], "--set seed: a recipe has no such field"),
        (["--seed", "-1"], "seed=-1; expected"),
        (["--device", "tpu"], "device='tpu' names no device"),
        (["--device", "meta"], "device='meta' cannot be used here (Cannot copy out of meta"),
        (["--device", ""], "device='' names no device"),
    ],
)
def test_odd_values_are_said_before_a_run_begins(options, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = ["--size", "smoke"] + ["--device", "cpu"] * ("--device" not in options)
    assert says in said("train", "cifar10-guidance", *usual, *options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "options, says",
    [
        ("sample --images 0", "images=0; expected a whole number of at least 1"),
        ("sample --chunk 0", "chunk=0; expected a whole number of at least 1"),
        ("sample --steps 0", "steps=0; expected a whole number of at least 1"),
        ("sample --seed -1", "seed=-1 for 64 images; expected a seed of 0..65535"),
        ("sample --images 65537", "at most 65536 images"),
        ("sample --guidance nan", "guidance=nan; expected a finite number of at least 0"),
        ("sample --sampler=", "no sampler ''; there are DDIM, DDPM"),
        ("evaluate --images 0", "images=0; expected at least 10 images"),
        ("evaluate --images 9", "images=9; expected at least 10 images"),
        ("evaluate --chunk -1", "chunk=-1; expected a whole number of at least 1"),
        ("evaluate --data nowhere", "--data nowhere: the data here are the digits"),
        ("evaluate --features nowhere", "--features nowhere: no model is there; expected incep"),
        ("evaluate --features RUN", "a UNet is there; expected inception, or the folder of"),
    ],
)
def test_odd_values_are_said_before_anything_is_drawn(options, says, trained):
    before = files(trained)
    command, *options = options.replace("RUN", str(trained)).split()
    assert says in said(command, str(trained), "--device", "cpu", *options)
    assert files(trained) == before


@pytest.mark.parametrize(
    "options, says",
    [
        ("train digits --data d", "--data d: digits, which is trained as it ships, cannot use it"),
        ("train vae --size smoke", "--size smoke: vae, which is trained as it ships"),
        ("train text --set steps=1", "--set ['steps=1']: text, which is trained"),
        ("train digits --init runs/a", "--init runs/a: digits, which is trained as it ships"),
        ("train cifar10-published --data d", "--data d: cifar10-published, of which nothing is"),
        ("table dynamics --size smoke --seed 1", "--seed 1: dynamics, a table of the digits, can"),
        ("table dynamics --size smoke --data d", "--data d: dynamics, a table of the digits, can"),
        ("table cifar10 --size smoke --workers 1", "--workers 1: cifar10, an experiment, cannot"),
        ("table cifar10 --size smoke --data d", "--data d: the data here are the digits, which"),
        ("table all --size smoke --data d", "--data d: the data here are the digits, which"),
        ("prepare cifar10 --out p --size 64", "--size 64: cifar10 cannot use it"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in said(*options.split())
    assert not [*tmp_path.iterdir()]


def test_a_network_without_classes_is_not_guided():
    model = SimpleNamespace(num_classes=None)
    opened = SimpleNamespace(
        ready=SimpleNamespace(trained=SimpleNamespace(model=model), folder="run"),
        scale=SimpleNamespace(samplers=()),
    )
    assert studies.chosen_samplers(opened, guidance=1.0)
    with pytest.raises(ValueError, match="--guidance 2.0: the network of run has no classes"):
        studies.chosen_samplers(opened, guidance=2.0)


def test_a_run_of_another_version_or_half_a_run_says_what_to_do(trained, tmp_path):
    settings = json.loads((trained / "experiment.json").read_text())
    run = tmp_path / "a run"
    shutil.copytree(trained, run)
    plan = {k: v for k, v in settings["plan"].items() if k != "recipe"}
    for other, says in (
        ([], "is damaged (TypeError"),
        (settings | {"plan": plan}, "is damaged (KeyError: 'recipe')"),
        (settings | {"format": 2}, "has format 2; this version of the course reads 1"),
        (settings | {"plan": settings["plan"] | {"grids": 3}}, "no longer has (grids: 3 there, 2"),
        (settings | {"experiment": "old"}, "no experiment 'old'"),
    ):
        (run / "experiment.json").write_text(json.dumps(other))
        assert says in said("sample", str(run), "--device", "cpu")
    (run / "experiment.json").write_text(json.dumps(settings))
    (run / "measured.json").write_text('[{"from": 0}]')
    assert "measured.json is damaged (KeyError: ('bytes', 'cpu'" in said("info", str(run))
    (run / "measured.json").unlink()
    shutil.rmtree(run / "model")
    told = said("sample", str(run), "--device", "cpu")
    assert "not trained to its end" in told
    command = shlex.split(told.partition("go on with: ")[2])
    assert command[-2:] == ["--set", "save_every=3"]
    assert shlex.join(command) in commands.info_run(run)
    cli.main([*command[1:], "--device", "cpu"])  # it is the command that goes on
    now = weights(run)
    assert all(torch.equal(v, now[k]) for k, v in weights(trained).items())


def test_a_start_that_is_killed_has_said_what_it_took(tmp_path):
    run = SimpleNamespace(recipe=SimpleNamespace(batch_size=4))
    for first, last in ((1, 5), (5, 6)):
        meter = measuring.Meter(tmp_path, "cpu", often=2)
        meter.__enter__()
        for run.step in range(first, last + 1):
            meter.seen(run)
    entries = measuring.read_measured(tmp_path / "measured.json")
    assert [(m["from"], m["to"]) for m in entries] == [(0, 4), (4, 6)]


def test_full_memory_says_what_to_change():
    for error in (
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ):
        with pytest.raises(MemoryError, match="batch of 128 .*--set accumulate=2"):
            with measuring.out_of_memory(128, 1, "cuda"):
                raise error
    with pytest.raises(RuntimeError, match="shapes"):
        with measuring.out_of_memory(128, 1, "cpu"):
            raise RuntimeError("shapes")


def test_a_full_disk_is_said_before(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 10**6}))
    with pytest.raises(OSError, match="needs .* more, and its disk has 1.0 MB free"):
        studies.train_experiment("cifar10", "digits", out=tmp_path / "run", device="cpu")


# ---- data ----


def folder_of_pictures(root, classes, n, kind="png", size=32, split="train"):
    photo = Image.fromarray(load_sample_images().images[0])
    for k, name in enumerate(classes):
        (root / split / name).mkdir(parents=True)
        for i in range(n):
            piece = photo.crop((9 * k, 7 * i, 9 * k + size, 7 * i + size))
            piece.save(root / split / name / f"{i:04}.{kind}")


def test_copies_of_cifar10_are_counted_and_named(tmp_path, monkeypatch):
    folder_of_pictures(tmp_path, CIFAR10_CLASSES, 3, "jpg")
    data = DataSet("cifar10")
    with pytest.raises(ValueError, match="30 images of CIFAR-10; expected 50,000"):
        load_split(data, tmp_path, "train")
    few = replace(datasets.SETS["cifar10"], splits={"train": 30})
    monkeypatch.setitem(datasets.SETS, "cifar10", few)
    loaded = load_split(data, tmp_path, "train")
    assert loaded.title == "CIFAR-10 (JPEG) train" and datasets.is_copy(loaded.title)
    assert not datasets.is_copy("CIFAR-10 train")
    assert not datasets.is_copy("ImageNet-100 (CMC list) train, course")
    assert loaded.images.labels.tolist() == [k for k in range(10) for _ in range(3)]
    (tmp_path / "train" / "frog" / "0000.jpg").rename(tmp_path / "train" / "frog" / "a.png")
    with pytest.raises(ValueError, match="several kinds"):
        load_split(data, tmp_path, "train")
    (tmp_path / "train" / "frog").rename(tmp_path / "train" / "toad")
    with pytest.raises(ValueError, match="1 of the 10 classes .*frog.* none of them .*toad"):
        load_split(data, tmp_path, "train")


def test_imagenette_is_read_as_its_archive_leaves_it(tmp_path, monkeypatch):
    folder_of_pictures(tmp_path / "imagenette2-160", datasets.IMAGENETTE_CLASSES, 2, "JPEG", 48)
    data = DataSet("imagenette", 32, flip=True)
    with pytest.raises(ValueError, match="20 images of Imagenette; expected 9,469"):
        load_split(data, tmp_path, "train")
    few = replace(datasets.SETS["imagenette"], splits={"train": 20})
    monkeypatch.setitem(datasets.SETS, "imagenette", few)
    for root in (tmp_path, tmp_path / "imagenette2-160"):
        images, title = load_split(data, root, "train")
        assert title == "Imagenette train, 32x32" and images.shape == (3, 32, 32) and images.flip
        assert [images.classes[k] for k in images.labels[::2]] == [*datasets.IMAGENETTE_CLASSES]
    with pytest.raises(ValueError, match="split='test'; imagenette has train"):
        load_split(data, tmp_path, "test")
    (tmp_path / "imagenette2-160" / "train" / "n03888257").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="1 of the 10 classes .*n03888257"):
        load_split(data, tmp_path, "train")


def test_what_cannot_be_fetched_can_be_put_there(tmp_path, monkeypatch):
    asked = []

    def fetch(url, root, md5):
        asked.append((url, md5))
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", fetch)
    text = said("prepare", "imagenette", "--out", str(tmp_path))
    assert "no network" in text and "imagenette2-160.tgz (MD5 e793b78c" in text
    assert asked == [torchvision.datasets.Imagenette._ARCHIVES["160px"]]
    assert "--data .: imagenette cannot use it" in said(
        "prepare", "imagenette", "--out", "x", "--data", "."
    )


def test_what_a_way_to_make_squares_does_to_a_distance(tmp_path):
    root, run, names = tmp_path / "train", tmp_path / "run", ["a", "b"]
    folder_of_pictures(tmp_path, names, 60, "png", 40)
    few = image_folder(root, 32)
    train_features(few, run, "tiny", width=4, steps=1, batch_size=8, device="cpu", progress=False)
    found = squares.square_distances(root, run, 60, "walls")
    seen = extract(load_model(run / "model").model, few.batch(range(120))[0])
    ways = [found[way].value for way in PREPROCESSING]
    assert len({*ways}) == 3  # 40 pixels are made 32
    assert abs(ways[0] - feature_distance(seen[0::2], seen[1::2])) < 1e-6
    between = compare(found["adm"], found["course"], ("preprocessing",))
    assert between.how == PAIRED and between.value == ways[2] - ways[0]
    text = squares.save_squares(root, tmp_path / "s.json", "walls", (32,), 60, str(run))
    kept = load_scores(tmp_path / "s-distances.json")[0]
    assert kept == found and "walls, course, 32x32" in text and text.count("gray levels") == 3


@pytest.fixture
def imagenet(tmp_path):
    for split, n in (("train", 4), ("val", 2)):
        folder_of_pictures(tmp_path / "in", ["n1", "n2", "n3"], n, "JPEG", 90, split)
    return tmp_path / "in", tmp_path / "out", {"train": 12, "val": 6}


def test_a_preparation_that_was_stopped_goes_on(imagenet, monkeypatch):
    source, out, splits = imagenet
    options = dict(size=32, preprocessing="adm", classes=["n1", "n2", "n3"], splits=splits)
    from ddpm_course.experiments import preparation

    real = preparation.write_array
    written = []

    def killed(file, squares):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(file.name)
        real(file, squares)

    monkeypatch.setattr(preparation, "write_array", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_folders(source, out, **options)
    with pytest.raises(FileNotFoundError, match="lacks 1 classes, such as n3"):
        load_prepared(out, "train", 32, "adm")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.npy")}
    monkeypatch.setattr(preparation, "write_array", real)
    assert prepare_folders(source, out, **options) == {"train": 12, "val": 6}
    assert len(before) == 2 and all(p.stat().st_mtime_ns == t for p, t in before.items())
    images, about = load_prepared(out, "train", 32, "adm")
    file = source / "train" / "n2" / "0001.JPEG"
    assert torch.equal(images.pixels[5], PREPROCESSING["adm"](file, 32)) and images.labels[5] == 1
    with pytest.raises(ValueError, match="prepared with size 32; .* asks for size 64"):
        load_prepared(out, "train", 64, "adm")
    with pytest.raises(ValueError, match="another preprocessing"):
        prepare_folders(source, out, **options | {"preprocessing": "course"})


def test_half_an_imagenet_is_refused(imagenet, tmp_path):
    source, out, splits = imagenet
    options = dict(size=32, classes=["n1", "n2", "n3"])
    with pytest.raises(ValueError, match="train holds 12 images .*expected 13"):
        prepare_folders(source, out, splits={"train": 13}, **options)
    with pytest.raises(FileNotFoundError, match="lacks 1 of the 4 classes, such as n9"):
        prepare_folders(source, out, splits=splits, size=32, classes=["n1", "n2", "n3", "n9"])
    (source / "val" / "n1" / "0000.JPEG").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="n1/0000.JPEG cannot be read"):
        prepare_folders(source, out, splits=splits, **options)


def adm_by_hand(im, size):
    "Dhariwal & Nichol's rule in another way: how often to halve is counted first."
    while min(im.size) // (2 * size):
        im = im.resize((im.width // 2, im.height // 2), Image.BOX)
    short = min(im.size)
    im = im.resize(
        (round(im.width * (size / short)), round(im.height * (size / short))), Image.BICUBIC
    )
    a = np.asarray(im)
    top, left = (a.shape[0] - size) // 2, (a.shape[1] - size) // 2
    return a[top : top + size, left : left + size]


@pytest.mark.parametrize("size", [24, 64, 100, 128])
def test_each_preprocessing_is_its_original(size, tmp_path):
    both = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(size), torchvision.transforms.CenterCrop(size)]
    )
    photos = [Image.fromarray(a) for a in load_sample_images().images]
    for box in ((0, 0, 640, 427), (10, 0, 411, 333), (0, 3, 201, 427), (5, 5, 133, 133)):
        for photo in photos:
            photo.crop(box).save(tmp_path / "photo.png")
            made = {
                k: f(tmp_path / "photo.png", size).permute(1, 2, 0).numpy()
                for k, f in PREPROCESSING.items()
            }
            assert np.array_equal(made["torchvision"], np.asarray(both(photo.crop(box))))
            assert np.array_equal(made["adm"], adm_by_hand(photo.crop(box), size))
            assert made["course"].shape == (size, size, 3)


def test_an_experiment_that_is_unknown_is_said():
    with pytest.raises(ValueError, match="no experiment 'x'; there are cifar10"):
        experiment_of("x")


def test_every_help_shows_an_example(capsys):
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        shown = "".join(capsys.readouterr().out.split())  # lines break at hyphens, too
        assert f"Example:ddpm-course{name}" in shown, name
