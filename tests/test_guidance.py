"""Chapter 60: guidance against its formula, an independent implementation and exact distributions;
how often it calls the network; bad input."""

import copy, json, warnings

import pytest
import torch
from diffusers.guiders.guider_utils import rescale_noise_cfg

from ddpm_course import guidance
from ddpm_course.ddim import ddim_sample
from ddpm_course.ancestral import ddpm_sample
from ddpm_course.models import Wrapper, condition
from ddpm_course.saving import load_model
from ddpm_course.guidance import LabeledMixture, autoguidance, cfg, extrapolate
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import PREDICTS, linear_schedule
from ddpm_course.training import EMA, train_digits
from ddpm_course.unet import UNet

SCHEDULE = linear_schedule()
NULL = 4


def network(**kwargs):
    "A small U-Net whose output depends on everything it is given."
    torch.manual_seed(0)
    model = UNet(
        in_channels=3,
        channels=(32, 64),
        layers=1,
        attention=(False, True),
        groups=8,
        num_classes=NULL,
        **kwargs,
    )
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval().requires_grad_(False)


class Counted(Wrapper):
    "A model that notes the batch size of every call."

    def __init__(self, model):
        super().__init__(model)
        self.sizes = []

    def __call__(self, x_t, t, y=None):
        self.sizes.append(len(x_t))
        return super().__call__(x_t, t, y)


NET, WIDE = network(), network(learn_variance=True)
X, Y = (
    torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1)),
    torch.tensor([0, 1, 2, 3, 0]),
)
T = torch.tensor([0, 100, 400, 600, 999])
close = lambda a, b: torch.allclose(a, b, rtol=1e-4, atol=1e-5)
passes = lambda model, y=Y: (model(X, T, y), model(X, T, torch.full_like(Y, NULL)))


def follows_the_formula(guidance, scale=3):
    "One batched evaluation equals two passes."
    net, (c, u) = Counted(NET), passes(NET)
    guided = guidance.cfg(net, Y, scale)
    assert (
        close(guided(X, T), u + scale * (c - u)) and net.sizes == [10] and guided.evaluations == 2
    )


def keeps_the_variance(guidance):
    "The variance channels are the conditional pass's, at any scale."
    (c, u), out = passes(WIDE), guidance.cfg(WIDE, Y, 3)(X, T)
    assert (
        out.shape == (5, 6, 8, 8)
        and close(out[:, 3:], c[:, 3:])
        and not close(out[:, 3:], u[:, 3:])
    )


def acts_within_the_interval(guidance):
    """Guided where t lies in the interval, both ends included; the plain conditional model
    elsewhere, without a second pass."""
    net, (c, u), acts = Counted(NET), passes(NET), torch.tensor([False, True, True, True, False])
    out = guidance.cfg(net, Y, 3, interval=(100, 600))(X, T)
    assert (
        close(out[acts], (u + 3 * (c - u))[acts])
        and close(out[~acts], c[~acts])
        and net.sizes == [8]
    )  # 5 conditional, 3 without


def agrees_with_diffusers_rescaling(guidance, phi):
    c, u = passes(NET)
    assert close(
        guidance.cfg(NET, Y, 5, rescale=phi)(X, T), rescale_noise_cfg(extrapolate(u, c, 5), c, phi)
    )


# The formula


def test_scale_1_is_the_conditional_model_and_0_the_unconditional_one_in_one_evaluation():
    for scale, wanted in zip((1, 1.0, 0, 0.0), (0, 0, 1, 1)):
        net = Counted(NET)
        guided = cfg(net, Y, scale)
        assert (
            torch.equal(guided(X, T), passes(NET)[wanted])
            and net.sizes == [5]
            and guided.evaluations == 1
        )
    assert torch.equal(cfg(NET, Y, 1)(X, T), condition(NET, Y)(X, T))


@pytest.mark.parametrize("scale", [0.25, 1.5, 3, 7.5])
def test_one_batched_evaluation_equals_two_passes(scale):
    follows_the_formula(guidance, scale)
    c, u = passes(NET)
    assert close(
        cfg(NET, Y, scale)(X, T), (1 + (scale - 1)) * c - (scale - 1) * u
    )  # Ho & Salimans: scale = 1 + w


def test_it_is_linear_in_the_scale():
    at = lambda scale: cfg(NET, Y, scale)(X, T)
    assert close(at(0.3), 0.7 * at(0) + 0.3 * at(1)) and close(at(5), at(3) + 2 * (at(1) - at(0)))
    assert (at(3) - at(1)).abs().max() > 0.01  # the label matters to this network
    assert torch.equal(extrapolate(0 * X, X, 2.5), 2.5 * X)


def test_every_channel_of_the_prediction_is_guided_and_no_variance_channel():
    keeps_the_variance(guidance)
    c, u = passes(WIDE)
    out = cfg(WIDE, Y, 3)(X, T)
    for channel in range(3):
        assert close(out[:, channel], (u + 3 * (c - u))[:, channel]) and not close(
            out[:, channel], c[:, channel]
        )
    assert torch.equal(cfg(WIDE, Y, 1)(X, T), c) and torch.equal(cfg(WIDE, Y, 0)(X, T), u)


def test_one_int_stands_for_all_images_and_null_labels_are_not_guided():
    assert close(cfg(NET, 2, 3)(X, T), cfg(NET, torch.full((5,), 2), 3)(X, T))
    assert close(cfg(NET, NULL, 3)(X, T), passes(NET)[1])
    assert cfg(NET, 2, 3)(X[:2], T[:2]).shape == (2, 3, 8, 8)  # any batch size


def test_labels_follow_the_images():
    order = torch.tensor([3, 0, 4, 1, 2])
    assert close(cfg(NET, Y[order], 3)(X[order], T[order]), cfg(NET, Y, 3)(X, T)[order])


# Wrappers


@pytest.mark.parametrize("predicts", PREDICTS)
def test_it_wraps_any_prediction_and_averaged_weights(predicts):
    model = network(predicts=predicts)
    guided = cfg(Wrapper(EMA(model, 1000).model), Y, 3)
    assert (
        guided.predicts == predicts
        and guided.num_classes is None
        and guided.config == model.config
        and next(guided.parameters()).device.type == "cpu"
    )
    assert close(guided(X, T), extrapolate(*passes(model)[::-1], 3))
    with pytest.raises(ValueError, match="labels are bound already"):
        cfg(guided, Y, 2)
    with pytest.raises(ValueError, match="call it without y"):
        guided(X, T, Y)
    assert torch.equal(copy.deepcopy(guided)(X, T), guided(X, T))


@pytest.mark.parametrize("sample", [ddim_sample, ddpm_sample])
def test_samplers_give_the_same_image_from_every_parameterization(sample):
    data = GaussianMixture([-1.0, 0.5], [0.5, 0.3])
    images = [
        sample(
            cfg(LabeledMixture(data, SCHEDULE, p), torch.tensor([0, 1, 1]), 2.5),
            SCHEDULE,
            (3, 1, 1, 1),
            20,
            seed=0,
            clip=None,
        )
        for p in PREDICTS
    ]
    assert all(torch.allclose(x, images[0], atol=1e-4) for x in images)
    assert not torch.allclose(
        images[0],
        sample(
            cfg(LabeledMixture(data, SCHEDULE), 0, 1), SCHEDULE, (3, 1, 1, 1), 20, seed=0, clip=None
        ),
        atol=0.1,
    )


def test_doubled_channels_and_dropout_pass_through_a_sampler():
    noisy = network(learn_variance=True, dropout=0.5).train()
    images = [ddim_sample(cfg(noisy, Y, 2), SCHEDULE, (5, 3, 8, 8), 3, seed=0) for _ in range(2)]
    assert torch.equal(*images) and images[0].isfinite().all() and noisy.training


def test_half_precision_networks_are_guided_in_the_precision_of_the_sampler():
    rough = lambda x_t, t, y: NET(x_t, t, y).bfloat16()
    rough.num_classes = NULL
    out = cfg(rough, Y, 7.0)(X, T)
    assert out.dtype == torch.float32 and not torch.equal(out, out.bfloat16().float())


def test_gradients_reach_x_t():
    x = X.clone().requires_grad_()
    cfg(NET, Y, 3, interval=(100, 700))(x, T).sum().backward()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


# Negative labels, interval, rescale


def test_negative_labels_take_the_place_of_no_label():
    net, other = Counted(NET), torch.tensor([3, 2, 1, NULL, 0])
    c, n = NET(X, T, Y), NET(X, T, other)
    assert close(cfg(net, Y, 3, negative=other)(X, T), n + 3 * (c - n)) and net.sizes == [10]
    assert close(cfg(NET, Y, 2, negative=1)(X, T), extrapolate(NET(X, T, torch.ones_like(Y)), c, 2))
    assert torch.equal(cfg(NET, Y, 0, negative=other)(X, T), n) and close(
        cfg(NET, Y, 2, negative=Y)(X, T), c
    )
    assert torch.equal(cfg(NET, Y, 3, negative=NULL)(X, T), cfg(NET, Y, 3)(X, T))
    within = cfg(NET, Y, 3, negative=other, interval=(100, 600))(X, T)  # each image keeps its own
    assert close(within[1:4], (n + 3 * (c - n))[1:4]) and close(within[[0, 4]], c[[0, 4]])


def test_within_the_interval_it_guides_and_outside_it_does_not():
    net, (c, u) = Counted(NET), passes(NET)
    acts_within_the_interval(guidance)
    guided, acts = (
        cfg(net, Y, 3, interval=(100, 600)),
        torch.tensor([False, True, True, True, False]),
    )
    assert torch.equal(
        guided(X, torch.full_like(T, 700)), NET(X, torch.full_like(T, 700), Y)
    ) and close(guided(X, torch.full_like(T, 300)), cfg(NET, Y, 3)(X, torch.full_like(T, 300)))
    assert net.sizes == [5, 10]
    at_0 = cfg(Counted(NET), Y, 0, interval=(100, 600))
    assert close(at_0(X, T), torch.where(acts.view(-1, 1, 1, 1), u, c)) and at_0.sizes == [5]
    wide, (c, u) = cfg(WIDE, Y, 3, interval=(100, 600))(X, T), passes(WIDE)
    assert (
        close(wide[:, 3:], c[:, 3:])
        and close(wide[~acts], c[~acts])
        and close(wide[acts, :3], extrapolate(u, c, 3)[acts, :3])
    )


def test_an_interval_saves_calls_of_a_sampler():
    net = Counted(NET)
    ddim_sample(
        cfg(net, Y, 3, interval=(300, 599)),
        SCHEDULE,
        X.shape,
        timesteps=[999, 599, 450, 300, 299, 100],
        seed=0,
    )
    assert net.sizes == [5, 10, 10, 10, 5, 5]


@pytest.mark.parametrize("phi", [0.3, 0.7, 1.0])
def test_rescale_agrees_with_diffusers(phi):
    agrees_with_diffusers_rescaling(guidance, phi)
    wide, (c, u) = cfg(WIDE, Y, 5, rescale=phi)(X, T), passes(WIDE)
    assert close(
        wide[:, :3], rescale_noise_cfg(extrapolate(u, c, 5)[:, :3], c[:, :3], phi)
    ) and close(wide[:, 3:], c[:, 3:])


def test_rescale_1_gives_every_image_its_conditional_spread():
    spread = lambda x: x.flatten(1).std(1)
    assert close(spread(cfg(NET, Y, 6, rescale=1)(X, T)), spread(passes(NET)[0]))
    assert not torch.allclose(spread(cfg(NET, Y, 6)(X, T)), spread(passes(NET)[0]), rtol=0.01)
    assert cfg(NET, Y, 0, rescale=1).evaluations == 2 and close(
        spread(cfg(NET, Y, 0, rescale=1)(X, T)), spread(passes(NET)[0])
    )
    assert torch.equal(cfg(NET, Y, 1, rescale=1)(X, T), passes(NET)[0])
    one_pixel = cfg(LabeledMixture(GaussianMixture([-1.0, 1.0], 0.5), SCHEDULE), 0, 3, rescale=1)
    assert (
        one_pixel(torch.ones(2, 1, 1, 1), torch.tensor([10, 10])).isfinite().all()
    )  # no spread to give


def test_rescale_within_an_interval():
    out, plain, c = (
        cfg(NET, Y, 5, interval=(100, 600), rescale=0.7)(X, T),
        cfg(NET, Y, 5, rescale=0.7)(X, T),
        passes(NET)[0],
    )
    assert close(out[1:4], plain[1:4]) and close(out[[0, 4]], c[[0, 4]])


# Autoguidance

BAD, BARE = copy.deepcopy(NET), lambda x_t, t: x_t
with torch.no_grad():
    [p.mul_(0.8) for p in BAD.parameters()]  # what it answers differs everywhere


def test_autoguidance_moves_away_from_the_bad_model():
    good, bad = Counted(condition(NET, Y)), Counted(condition(BAD, Y))
    guided, g, b = autoguidance(good, bad, 2.5), NET(X, T, Y), BAD(X, T, Y)
    assert (
        close(guided(X, T), b + 2.5 * (g - b))
        and good.sizes == bad.sizes == [5]
        and guided.evaluations == 2
    )
    assert (
        torch.equal(autoguidance(good, bad, 1)(X, T), g)
        and bad.sizes == [5]
        and autoguidance(good, bad, 1).evaluations == 1
    )
    assert close(autoguidance(good, bad, 0)(X, T), b)
    assert close(
        autoguidance(condition(WIDE, Y), condition(BAD, Y), 2)(X, T)[:, 3:], WIDE(X, T, Y)[:, 3:]
    )  # the bad one needs no variance
    assert guided.predicts == "eps" and guided.num_classes is None


def test_autoguidance_within_an_interval():
    good, bad = Counted(condition(NET, Y)), Counted(condition(BAD, Y))
    guided, g, b = autoguidance(good, bad, 3, interval=(100, 600)), NET(X, T, Y), BAD(X, T, Y)
    out = guided(X, T)
    assert close(out[1:4], (b + 3 * (g - b))[1:4]) and torch.equal(out[[0, 4]], g[[0, 4]])
    assert torch.equal(
        guided(X, torch.zeros_like(T)), NET(X, torch.zeros_like(T), Y)
    ) and bad.sizes == [5]  # not asked where it has no say


def test_autoguidance_composes_and_puts_the_bad_model_into_evaluation_mode_while_sampling():
    both = autoguidance(cfg(NET, Y, 2), condition(BAD, Y), 1.5)
    assert both.evaluations == 3 and close(
        both(X, T), extrapolate(BAD(X, T, Y), cfg(NET, Y, 2)(X, T), 1.5)
    )
    bad = network(dropout=0.5).train()
    images = [
        ddim_sample(
            autoguidance(condition(NET, Y), condition(bad, Y), 2), SCHEDULE, X.shape, 3, seed=0
        )
        for _ in range(2)
    ]
    assert torch.equal(*images) and bad.training and not NET.training


def test_autoguidance_refuses_models_that_do_not_go_together():
    other = condition(network(predicts="v"), Y)
    with pytest.raises(ValueError, match="predicts 'eps' and the bad one 'v'"):
        autoguidance(condition(NET, Y), other, 2)
    with pytest.raises(
        ValueError, match=r"bad has 4 classes and no labels; bind them first: condition\(bad, y\)"
    ):
        autoguidance(condition(NET, Y), BAD, 2)
    with pytest.raises(ValueError, match="model has 4 classes"):
        autoguidance(NET, condition(BAD, Y), 2)
    with pytest.raises(ValueError, match="finite number of at least 0"):
        autoguidance(condition(NET, Y), condition(BAD, Y), -1)
    with pytest.raises(ValueError, match="without y"):
        autoguidance(condition(NET, Y), condition(BAD, Y), 2)(X, T, Y)


@pytest.mark.parametrize(
    "other", [1, torch.tensor([1, 2, 1]), torch.tensor([2, 2]), torch.tensor([2, NULL, 2])]
)
def test_autoguidance_refuses_other_labels(other):
    "Of another class, in another order, of another number of images."
    y = torch.tensor([2, 1, 1])
    for model in (condition(NET, y), cfg(NET, y, 2), autoguidance(condition(NET, y), BARE, 2)):
        with pytest.raises(ValueError, match=r"labels \[2, 1, 1\] and the bad one to .*the same"):
            autoguidance(model, condition(BAD, other), 2)


def test_autoguidance_takes_the_same_labels_and_those_that_say_nothing():
    "One int for all images, `no label`, and a bad model that has no classes."
    for y, other in ((1, torch.tensor([1, 1])), (torch.tensor([2, 1]), NULL), (1, 1)):
        assert autoguidance(condition(NET, y), condition(BAD, other), 2).scale == 2
    assert autoguidance(condition(NET, Y), BARE, 2).bad is BARE


# Exact distributions


def test_the_labeled_mixture_is_its_components_and_the_whole():
    data, t = (
        GaussianMixture([-1.0, 0.0, 2.0], [0.5, 0.3, 0.1], [1, 2, 3]),
        torch.tensor([5, 300, 700, 990]),
    )
    x = torch.linspace(-2, 2, 4).view(4, 1, 1, 1)
    for p in PREDICTS:
        model = LabeledMixture(data, SCHEDULE, p)
        assert model.num_classes == 3 and model.predicts == p
        for k in range(3):
            assert torch.allclose(
                model(x, t, torch.full((4,), k)),
                GaussianMixture(data.means[k : k + 1], data.stds[k : k + 1]).model(SCHEDULE, p)(
                    x, t
                ),
            )
        assert torch.allclose(model(x, t, torch.full((4,), 3)), data.model(SCHEDULE, p)(x, t))
        assert torch.allclose(
            model(x, t, torch.tensor([1, 3, 0, 2]))[1], data.model(SCHEDULE, p)(x, t)[1]
        )  # each image its own label
    with pytest.raises(ValueError, match="expected 0..2, or 3 for no label"):
        model(x, t, torch.full((4,), 4))
    with pytest.raises(ValueError, match="got no labels"):
        model(x, t)


def test_no_label_is_the_average_over_the_posterior_of_the_labels():
    "eps_u = sum_k p(k | x_t) eps_k: what a network trained with label dropout learns."
    data, t, x = (
        GaussianMixture([-1.0, 1.0], 0.4),
        torch.full((50,), 400),
        torch.linspace(-3, 3, 50, dtype=torch.float64).view(50, 1, 1, 1),
    )
    model, (signal, noise) = LabeledMixture(data, SCHEDULE), SCHEDULE.rates(400)
    posterior = data.components(x, signal, noise)[0].softmax(1)
    parts = torch.stack([model(x, t, torch.full((50,), k)).flatten() for k in (0, 1)], 1)
    assert torch.allclose((posterior * parts).sum(1), model(x, t, torch.full((50,), 2)).flatten())


def fine(mean, std):
    return GaussianMixture([mean], std).model(SCHEDULE)


def moments(model, steps=1000):
    "Mean and standard deviation that DDIM reaches, from an affine map's two points."
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)
    low, high = (
        ddim_sample(model, SCHEDULE, ends.shape, steps, x_T=ends, clip=None).flatten().tolist()
    )
    return (low + high) / 2, (high - low) / 2


@pytest.mark.parametrize("s", [1, 1.5, 2, 3])
def test_with_equal_spreads_guidance_moves_the_mean_and_keeps_the_spread(s):
    mean, std = moments(autoguidance(fine(1.0, 0.5), fine(0.4, 0.5), s))
    assert mean == pytest.approx(0.4 + s * 0.6, abs=0.01) and std == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("s", [1, 1.5, 2, 3])
def test_with_equal_means_the_spread_falls_geometrically_and_not_as_the_tilted_density_has_it(s):
    mean, std = moments(autoguidance(fine(0.0, 0.5), fine(0.0, 1.0), s))
    assert mean == pytest.approx(0, abs=1e-6) and std == pytest.approx(
        0.5 * 0.5 ** (s - 1), rel=0.015
    )
    tilted = (s / 0.5**2 - (s - 1) / 1.0**2) ** -0.5
    assert s == 1 or std < 0.95 * tilted


# Bad input


@pytest.mark.parametrize(
    "scale", [-1, -0.001, float("nan"), float("inf"), "3", None, True, torch.ones(2)]
)
def test_a_scale_that_is_none(scale):
    with pytest.raises((TypeError, ValueError), match="scale=.*expected a finite number of at"):
        cfg(NET, Y, scale)


@pytest.mark.parametrize(
    "y, error, says",
    [
        (torch.tensor([0, 5]), ValueError, "y from 0 to 5; expected 0..3, or 4 for no label"),
        (-1, ValueError, "y from -1"),
        (5, ValueError, "y from 5"),
        (torch.tensor([0.0, 1.0]), TypeError, "float32; expected int64"),
        (2.0, TypeError, "expected int64"),
        (True, TypeError, "bool"),
        (
            torch.zeros(2, 2, dtype=torch.int64),
            ValueError,
            r"shape \(2, 2\); expected one label an image",
        ),
        (torch.tensor([1, 2], dtype=torch.int32), TypeError, "int32"),
    ],
)
def test_labels_that_cannot_be(y, error, says):
    with pytest.raises(error, match=says):
        cfg(NET, y, 3)
    with pytest.raises(error, match=says.replace("y from", "").replace("y:", "")):
        cfg(NET, 0, 3, negative=y)


def test_labels_of_another_batch_size():
    for bound in (cfg(NET, Y[:3], 3), cfg(NET, 1, 3, negative=Y[:3]), cfg(NET, Y[:3], 1)):
        with pytest.raises(ValueError, match="bound to 3 labels and got 5 images"):
            bound(X, T)
    with pytest.raises(ValueError, match="bound to 5 labels and got 10 images"):
        ddim_sample(cfg(NET, Y, 3), SCHEDULE, (10, 3, 8, 8), 2)


@pytest.mark.parametrize(
    "interval", [(600, 100), (-1, 5), (1, 2, 3), 300, (float("nan"), 5), (0.28, 2.9), ()]
)
def test_an_interval_that_is_none(interval):
    with pytest.raises(ValueError, match="interval=.*expected"):
        cfg(NET, Y, 3, interval=interval)


@pytest.mark.parametrize("rescale", [-0.1, 1.1, float("nan")])
def test_a_rescale_that_is_none(rescale):
    with pytest.raises(ValueError, match="rescale=.*expected 0"):
        cfg(NET, Y, 3, rescale=rescale)


def test_a_model_without_classes():
    for model in (
        UNet(in_channels=1, channels=(32, 64), layers=1, attention=(False, True), groups=8),
        condition(NET, Y),
        lambda x, t: x,
    ):
        with pytest.raises(ValueError, match="has no classes"):
            cfg(model, 0, 2)


def test_a_model_trained_without_label_dropout_warns_and_says_how_it_shows(tmp_path):
    def warned(model, *args, **kwargs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cfg(model, *args, **kwargs)
        return [str(w.message) for w in caught]

    model = network()
    assert warned(model, Y, 3) == []  # nobody knows how it was trained
    model.label_drop = 0.1
    assert warned(model, Y, 3) == []
    model.label_drop = 0.0
    (said,) = warned(Wrapper(EMA(model, 10).model), Y, 3)
    assert (
        "without label dropout" in said and "distorted or saturated" in said and "drop=0.1" in said
    )
    assert (
        warned(model, Y, 0) and warned(model, Y, 1) == [] and warned(model, Y, 3, negative=1) == []
    )
    assert warned(model, Y, 3, negative=model.num_classes)  # no label, written out
    run = train_digits(
        tmp_path, steps=1, device="cpu", progress=False
    )  # what fit and load_model say
    assert (
        warned(run.ema.model, 3, 2.0) == warned(load_model(tmp_path / "model").model, 3, 2.0) == []
    )


# What it was asked for


def test_options_say_all_that_was_asked_for_as_json():
    asked = cfg(NET, Y, 3, negative=1, interval=(100, 600), rescale=0.7).options
    wanted = {
        "guidance": "cfg",
        "scale": 3.0,
        "rescale": 0.7,
        "interval": [100, 600],
        "negative": 1,
    }
    assert json.loads(json.dumps(asked)) == asked == wanted
    assert cfg(NET, Y, 1).options["negative"] is None
    assert cfg(NET, Y, 2, negative=torch.tensor([1, NULL, 1, 1, 2])).options["negative"] == [
        1,
        NULL,
        1,
        1,
        2,
    ]
    assert Wrapper(cfg(NET, Y, 2)).options == cfg(NET, Y, 2).options  # wrappers pass it on


def test_autoguidance_names_the_bad_model_by_its_weights():
    options = lambda bad: autoguidance(cfg(NET, Y, 2), condition(bad, Y), 1.5).options
    said = options(BAD)
    assert json.loads(json.dumps(said)) == said and said["model"] == cfg(NET, Y, 2).options
    assert (said["guidance"], said["scale"], said["interval"]) == ("autoguidance", 1.5, None)
    assert options(BAD) == options(copy.deepcopy(BAD)) != options(NET)
