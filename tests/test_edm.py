"EDM's network and loss held to what they are made for, flow matching to the oracle."

import math
from dataclasses import fields

import pytest
import torch

from conformance.rules import MIXTURE
from ddpm_course import augmentation, edm, flow, models
from ddpm_course.augmentation import PARAMETERS, Augment
from ddpm_course.ddpm import DDPMLoss
from ddpm_course.denoisers import ExactDenoiser
from ddpm_course.edm import EDMLoss, Precond
from ddpm_course.exact import GaussianMixture
from ddpm_course.experiments.cifar10_edm import AS_PUBLISHED, IMAGES
from ddpm_course.experiments.edm import (
    CONFIGURATIONS,
    EDM,
    SCHEDULE,
    ScheduleLoss,
    edm_loss,
    edm_network,
    edm_row,
)
from ddpm_course.flow import ExactVelocity, FlowLoss, VelocityNet, as_velocity, from_velocity
from ddpm_course.images import load_digits
from ddpm_course.models import condition
from ddpm_course.nesting import rebuilt
from ddpm_course.randomness import BatchRandom
from ddpm_course.saving import load_model, save_model
from ddpm_course.solvers import as_denoiser, euler_steps, heun_sample, karras_sigmas
from ddpm_course.training import fit
from ddpm_course.unet import UNet
from ddpm_course.unet_options import DDPMPP
from fakes import Constant, randn, same_run, small_unet
from mutants import EDM_BUGS, broken_module

SIGMAS = torch.tensor([0.002, 0.05, 0.5, 3.0, 80.0], dtype=torch.float64)


class Answer(torch.nn.Module):
    "A raw network that notes its input, and answers with a share of it."

    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, x, c_noise):
        self.seen = x, c_noise
        return self.share * x


# ---- preconditioning ----


def test_the_coefficients_are_those_of_the_paper(edm=edm):
    c_skip, c_out, c_in, c_noise = edm.Precond(Answer(0), 0.5).coefficients(SIGMAS)
    for i, s in enumerate(SIGMAS.tolist()):
        assert c_skip[i] == pytest.approx(0.25 / (s**2 + 0.25))
        assert c_out[i] == pytest.approx(0.5 * s / math.sqrt(0.25 + s**2))
        assert c_in[i] == pytest.approx(1 / math.sqrt(s**2 + 0.25))
        assert c_noise[i] == pytest.approx(math.log(s) / 4)


def test_a_network_that_answers_nothing_is_exact_on_a_gaussian():
    "What remains for F to learn is only what is not Gaussian: c_skip x is the best linear guess."
    x = randn(5, 1, 2, 2)
    exact = ExactDenoiser(GaussianMixture(torch.zeros(1, 1, 2, 2), 0.7))
    assert torch.allclose(Precond(Answer(0), 0.7)(x, SIGMAS), exact(x, SIGMAS), atol=1e-12)


def test_input_and_target_have_unit_variance(edm=edm):
    n = 200_000
    x0, eps = 0.5 * randn(n, 1, 1, 1), randn(n, 1, 1, 1, seed=1)
    for s in SIGMAS:
        model = edm.Precond(Answer(0), 0.5)
        c_skip, c_out, _, _ = model.coefficients(s)
        x = x0 + s * eps
        model(x, s.expand(n))
        seen, c_noise = model.net.seen
        assert seen.std() == pytest.approx(1, abs=0.01)
        assert ((x0 - c_skip * x) / c_out).std() == pytest.approx(1, abs=0.01)
        assert c_noise.shape == (n,)
        assert edm.EDMLoss().weight(s) * c_out**2 == pytest.approx(1)


def test_a_unet_in_it_is_a_denoiser_of_the_course():
    net = Precond(small_unet())
    assert net.num_classes == 3
    x = heun_sample(condition(net, 1), (2, 1, 8, 8), 4, seed=0)
    assert x.shape == (2, 1, 8, 8) and x.isfinite().all() and x.dtype == torch.float32
    with pytest.raises(ValueError, match="sigma_data=0"):
        Precond(small_unet(), 0)


# ---- the loss ----


def test_levels_are_log_normal(edm=edm):
    x = torch.zeros(50_000, 1, 1, 1)
    logs = edm.EDMLoss(-0.7, 0.4).sigma(x, BatchRandom(0, 0, len(x))).log()
    assert abs(logs.mean() + 0.7) < 4 * 0.4 / 50_000**0.5
    assert abs(logs.std() - 0.4) < 4 * 0.4 / 100_000**0.5


def test_the_loss_of_the_linear_guess_is_one_at_every_level(edm=edm):
    "On Gaussian data F = 0 leaves a target of variance 1, which lambda counts alike everywhere."
    x = 0.5 * randn(100_000, 1, 1, 1)
    for mean in (-4.0, -1.2, 3.0):
        loss = edm.EDMLoss(mean, 0.1)(edm.Precond(Answer(0)), x, None, BatchRandom(0, 0, len(x)))
        assert loss.shape == (100_000,) and loss.mean().item() == pytest.approx(1, abs=0.03)


def test_the_exact_denoiser_has_the_least_loss():
    x = MIXTURE.sample(20_000, seed=0).double()
    exact = ExactDenoiser(MIXTURE)
    least = EDMLoss()(exact, x, None, BatchRandom(0, 0, len(x))).mean()
    for share in (0.98, 1.02):
        other = EDMLoss()(lambda x, s: share * exact(x, s), x, None, BatchRandom(0, 0, len(x)))
        assert least < other.mean()
    for bad in (dict(P_std=0), dict(sigma_data=-1)):
        with pytest.raises(ValueError, match="expected a finite number above 0"):
            EDMLoss(**bad)


# ---- flow matching ----


def test_denoiser_and_velocity_are_one_field(flow=flow):
    x, t = randn(200, 1, 1, 1), torch.linspace(0.001, 0.999, 200, dtype=torch.float64)
    u = flow.as_velocity(ExactDenoiser(MIXTURE))
    assert (u(x, t) - ExactVelocity(MIXTURE)(x, t)).abs().max() < 1e-8
    sigma = t / (1 - t)
    noisy = x * (1 + sigma).view(-1, 1, 1, 1)
    back = flow.from_velocity(ExactVelocity(MIXTURE))(noisy, sigma)
    assert (back - ExactDenoiser(MIXTURE)(noisy, sigma)).abs().max() < 1e-8
    assert (flow.from_velocity(u)(noisy, sigma) - back).abs().max() < 1e-8


def test_at_time_one_nothing_is_known_but_the_mean():
    x = randn(9, 1, 1, 1)
    mean = (MIXTURE.weights * MIXTURE.means.flatten()).sum()
    u = ExactVelocity(MIXTURE)(x, torch.ones(9, dtype=torch.float64))
    assert torch.allclose(u, x - mean, atol=1e-12)
    for t in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"start at sigma_max / \(1 \+ sigma_max\)"):
            as_velocity(ExactDenoiser(MIXTURE))(x, torch.full((9,), t))


def on_straight_paths(x_t, times, second):
    "States at each time, by Euler's or Heun's method in t along the exact velocity."
    u = lambda x, t: ExactVelocity(MIXTURE)(x, torch.full((len(x),), t, dtype=torch.float64))
    for t, s in zip(times, times[1:]):
        trial = x_t + (s - t) * u(x_t, t)
        if second and s > 0:
            trial = x_t + (s - t) * (u(x_t, t) + u(trial, s)) / 2
        x_t = trial
        yield x_t


def test_euler_walks_the_same_way_in_both_and_heun_does_not():
    x_T, sigmas = randn(50, 1, 1, 1), karras_sigmas(18)
    times = [*(sigmas / (1 + sigmas)).tolist(), 0.0]
    start = 80.0 * x_T / 81.0
    flow = [*on_straight_paths(start, times, False)]
    steps = [*euler_steps(ExactDenoiser(MIXTURE), x_T.shape, sigmas=sigmas, x_T=x_T)]
    for step, x_t, t in zip(steps, flow, times[1:], strict=True):
        assert (step.x_prev * (1 - t) - x_t).abs().max() < 1e-8
    *_, heun = on_straight_paths(start, times, True)
    other = heun_sample(ExactDenoiser(MIXTURE), x_T.shape, sigmas=sigmas, x_T=x_T)
    assert (heun - other).abs().max() > 1e-4  # its mean of slopes is taken in other coordinates


def test_the_exact_velocity_has_the_least_loss(flow=flow):
    x = MIXTURE.sample(20_000, seed=0).double()
    u = ExactVelocity(MIXTURE)
    loss = lambda model: flow.FlowLoss()(model, x, None, BatchRandom(0, 0, len(x)))
    assert loss(u).shape == (20_000,)
    for share in (0.98, 1.02):
        assert loss(u).mean() < loss(lambda x, t: share * u(x, t)).mean()


# ---- augmentation ----


def one(**parts):
    "Parameters (1, 9) of one augmentation."
    names = ["x_flip", "y_flip", "size", "cos_1", "sin", "along", "across", "right", "down"]
    return torch.tensor([[float(parts.get(name, 0)) for name in names]], dtype=torch.float64)


def test_each_part_is_what_it_says(augmentation=augmentation):
    augmented = augmentation.augmented
    x = randn(1, 2, 8, 8)
    assert torch.equal(augmented(x, one()), x)
    assert torch.allclose(augmented(x, one(x_flip=1)), x.flip(3), atol=1e-9)
    assert torch.allclose(augmented(x, one(y_flip=1)), x.flip(2), atol=1e-9)
    quarter = augmented(x, one(cos_1=-1, sin=1))
    assert torch.allclose(quarter, x.rot90(-1, (2, 3)), atol=1e-9)
    assert torch.allclose(augmented(x, one(right=0.25))[..., 2:], x[..., :-2], atol=1e-9)
    assert torch.allclose(augmented(x, one(down=0.25))[..., 2:, :], x[..., :-2, :], atol=1e-9)
    spot = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    spot[..., 6:10, 6:10] = 1
    assert augmented(spot, one(size=1)).sum() == pytest.approx(4 * 16, rel=0.1)  # twice the side
    wide = augmented(spot, one(along=1))  # twice as wide, half as high; mirrored at the border
    wide = wide[..., 4:12, :]
    assert wide.sum() == pytest.approx(16, rel=0.2)
    assert (wide.amax((0, 1, 2)) > 0.4).sum() == 8 and (wide.amax((0, 1, 3)) > 0.4).sum() == 2


def test_how_often_each_part_happens(augmentation=augmentation):
    x = torch.zeros(20_000, 1, 2, 2)
    parameters = augmentation.Augment(p=0.2).draw(x, BatchRandom(0, 0, len(x)))
    assert parameters.shape == (20_000, PARAMETERS)
    share = (parameters != 0).double().mean(0)
    expected = torch.tensor([0.5, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], dtype=torch.float64)
    assert (share - expected).abs().max() < 4 * 0.5 / 20_000**0.5
    assert (Augment(p=0, flip=False).draw(x, BatchRandom(0, 0, len(x))) == 0).all()
    with pytest.raises(ValueError, match="p=1.1; expected a finite number from 0 to 1"):
        Augment(p=1.1)


class Small(torch.nn.Module):
    "A raw network for images of two pixels that is told of augmentation, or is not."

    def __init__(self, told):
        super().__init__()
        torch.manual_seed(0)
        self.told = told
        self.embed = torch.nn.Linear(PARAMETERS, 32, bias=False)  # zeros embed as nothing
        self.inner = torch.nn.Linear(3, 32)
        self.outer = torch.nn.Sequential(
            torch.nn.SiLU(), torch.nn.Linear(32, 32), torch.nn.SiLU(), torch.nn.Linear(32, 2)
        )

    def forward(self, x, c_noise, augment=None):
        h = self.inner(torch.cat([x.flatten(1), c_noise[:, None]], 1))
        if self.told and augment is not None:
            h = h + self.embed(augment)
        return self.outer(h).view_as(x)


@pytest.mark.parametrize("told", [True, False])
def test_what_is_told_does_not_leak_into_samples_and_what_is_hidden_does(told, edm=edm):
    "All data are dark left and bright right; half of the training images are flipped."
    model = edm.Precond(Small(told))
    data = torch.tensor([-0.8, 0.8]).view(1, 1, 1, 2).expand(256, -1, -1, -1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = EDMLoss(augment=Augment(p=0))
    for step in range(400):
        loss(model, data, None, BatchRandom(0, step, 256)).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    x = heun_sample(model, (400, 1, 1, 2), 18, seed=0)
    flipped = (x[..., 0] > x[..., 1]).double().mean()
    assert flipped < 0.01 if told else 0.3 < flipped < 0.7


# ---- trained by `fit`, stopped, and kept in folders ----


def train(model, loss, **how):
    "A run of eight steps on digits."
    return fit(
        model,
        load_digits("train"),
        loss,
        steps=8,
        batch_size=8,
        lr=1e-3,
        ema_halflife=64,
        device="cpu",
        progress=False,
        **how,
    )


def raw(**options):
    torch.manual_seed(0)
    return UNet(1, (8, 16), layers=1, attention=(False, True), groups=4, num_classes=10, **options)


KEPT = {
    "Precond": lambda: (Precond(raw(dropout=0.1), 0.75), EDMLoss(sigma_data=0.75)),
    "told": lambda: (
        Precond(raw(linear_embedding=True, augment=PARAMETERS)),
        EDMLoss(augment=Augment()),
    ),
    "velocity": lambda: (VelocityNet(raw()), FlowLoss()),
}


@pytest.mark.parametrize("kind", KEPT)
def test_it_is_stopped_resumed_kept_and_loaded(kind, tmp_path):
    whole = train(*KEPT[kind]())
    train(*KEPT[kind](), out=tmp_path, stop_at=3)
    assert same_run(train(*KEPT[kind](), out=tmp_path, resume=True), whole)
    trained = load_model(tmp_path / "model")
    model = trained.model
    assert type(model) is type(whole.model) and type(model.net) is UNet and not model.training
    assert (model.predicts, model.num_classes) == (whole.model.predicts, 10)
    assert (trained.shape, trained.schedule) == ((1, 8, 8), None)
    if kind == "Precond":
        assert model.sigma_data == 0.75
    draw = lambda net: from_velocity(net) if kind == "velocity" else net
    a, b = (
        heun_sample(condition(draw(net), 3), (2, 1, 8, 8), 3, seed=0)
        for net in (model, whole.ema.model)
    )
    assert torch.allclose(a, b, atol=1e-4)  # the memory format is another one
    with pytest.raises(ValueError, match="another configuration"):
        train(Precond(raw(), 0.6), EDMLoss(), out=tmp_path, resume=True)


def test_a_network_that_no_folder_can_hold_is_trained_but_not_kept(tmp_path):
    model = Precond(Small(True))
    assert getattr(model, "config", None) is None  # all that `fit` without a folder asks
    with pytest.raises(AttributeError, match="Small is not registered.*models.register"):
        save_model(tmp_path / "model", model)
    assert not (tmp_path / "model").exists()
    with pytest.raises(ValueError, match="no architecture 'Smaller'; known: .*UNet.*; import"):
        rebuilt({"model": "Smaller", "arguments": {}})


# ---- configurations A to F ----


def test_each_configuration_changes_what_the_paper_changes():
    changes = {
        "B": {"batch_size", "lr", "clip_grad", "dropout"},
        "C": {"channels", "attention"},
        "D": {"target"},
        "E": {"log_normal"},
        "F": {"augment"},
    }
    for a, b in zip("ABCDE", "BCDEF"):
        old, new = CONFIGURATIONS[a], CONFIGURATIONS[b]
        differ = {f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name)}
        assert differ == changes[b]
    widths = [CONFIGURATIONS[name].channels for name in "AC"]
    assert widths == [(16, 32, 32), (32, 32)]  # the coarsest level goes, the finest doubles
    net = edm_network(1, **CONFIGURATIONS["F"].network).net
    own = {key: DDPMPP[key] for key in DDPMPP if key in net.config} | {"augment": PARAMETERS}
    changed = {key for key in own if net.config[key] != own[key]}
    assert changed == {"base", "channels", "layers", "attention"}  # else the paper's DDPM++


def test_the_full_experiment_is_the_papers():
    "Karras et al. 2022, table 7 and appendix F, and their numbers of weights."
    with torch.device("meta"):
        nets = {name: edm_network(3, **c.network) for name, c in AS_PUBLISHED.items()}
    weights = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    assert {weights[name] for name in "CDE"} == {55_734_147} and weights["F"] == 55_735_299
    A, B = AS_PUBLISHED["A"], AS_PUBLISHED["B"]
    told = lambda c: (c.batch_size, c.lr, c.ema_halflife, c.dropout, round(c.warmup * c.batch_size))
    assert told(A) == (128, 2e-4, 900_000, 0.10, 640_000)
    assert told(B)[:4] == (512, 1e-3, 500_000, 0.13) and abs(told(B)[4] - 10_000_000) < 512
    loss = edm_loss(SCHEDULE, **AS_PUBLISHED["F"].loss)
    assert (loss.P_mean, loss.P_std, loss.sigma_data, loss.augment.p) == (-1.2, 1.2, 0.5, 0.12)
    assert nets["F"].sigma_data == 0.5 and IMAGES == 200_000_000


def test_the_loss_of_d_is_ddpms_for_a_denoiser():
    "The same timesteps and noise, and an error of D at sigma counts as one of eps does."
    x = randn(64, 1, 4, 4)
    model = Constant(0.3 * randn(64, 1, 4, 4, seed=1))
    of_eps = DDPMLoss(SCHEDULE)(model, x, None, BatchRandom(0, 0, 64))
    of_D = ScheduleLoss()(as_denoiser(model, SCHEDULE), x, None, BatchRandom(0, 0, 64))
    assert torch.allclose(of_D, of_eps, rtol=1e-9)


def test_the_table_runs_and_tells_all_that_a_score_depends_on(smoke_tables):
    rows = EDM.run(smoke_tables, "smoke", workers=0)
    told = {(row["distance"].configuration, row["distance"].nfe) for row in rows}
    assert told == {(name, nfe) for name in CONFIGURATIONS for nfe in (5, 11)}
    judged = EDM.family.judge(rows)
    assert [len(found) for found in judged.values()] == [6, 7]
    assert (smoke_tables / "edm-smoke.png").exists()
    last = [row for row in EDM.rows("smoke") if row["name"] == "F"][-1]
    again = edm_row(**last)
    kept = {
        row["distance"].sampler: row["distance"]
        for row in rows
        if row["distance"].configuration == "F"
    }
    for row in again:  # the same network, noise and labels, to the last digit
        assert row["distance"].value in kept[row["distance"].sampler].notes["values"]


# ---- the tests above can fail ----

NOTICED = {  # bug: the test that notices it
    "the input is divided by its variance": test_the_coefficients_are_those_of_the_paper,
    "the share of the noise is passed on": test_the_coefficients_are_those_of_the_paper,
    "the level itself, not its logarithm": test_the_coefficients_are_those_of_the_paper,
    "the raw network sees the unscaled input": test_input_and_target_have_unit_variance,
    "the weight of an error of x0": test_the_loss_of_the_linear_guess_is_one_at_every_level,
    "normal levels, not log-normal ones": test_levels_are_log_normal,
    "the network is not told": lambda edm: (
        test_what_is_told_does_not_leak_into_samples_and_what_is_hidden_does(True, edm)
    ),
    "the scale of VP": test_denoiser_and_velocity_are_one_field,
    "back from x, where x_t is meant": test_denoiser_and_velocity_are_one_field,
    "the velocity points to the data": test_the_exact_velocity_has_the_least_loss,
    "turned the other way": test_each_part_is_what_it_says,
    "shifted the other way": test_each_part_is_what_it_says,
    "a sine of the cosine's place": test_how_often_each_part_happens,
}


@pytest.mark.parametrize("bug", EDM_BUGS)
def test_a_bug_is_noticed(bug, monkeypatch):
    monkeypatch.setattr(models, "MODELS", dict(models.MODELS))  # where the copy registers itself
    with pytest.raises(AssertionError):
        NOTICED[bug](broken_module(*EDM_BUGS[bug]))
