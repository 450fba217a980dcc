"What a model is, and the random numbers of training and sampling."

import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

from ddpm_course.attention import TextUNet
from ddpm_course.autoencoders import Autoencoder
from ddpm_course.classifiers import DigitsClassifier, ResNet
from ddpm_course.edm import Precond
from ddpm_course.flow import VelocityNet
from ddpm_course.folded import FoldedUNet
from ddpm_course.models import (
    MODELS,
    Conditioned,
    Wrapper,
    condition,
    device_of,
    estimate,
    inference_mode,
    predicts_of,
    split_output,
    said_by,
)
from ddpm_course.noising import PREDICTS, eps_from_x0, linear_schedule, q_sample, v_from
from ddpm_course.randomness import BatchRandom, ImageNoise, image_seeds
from ddpm_course.transformer import DiT
from ddpm_course.unet import UNet
from ddpm_course.vae import VAE
from fakes import Constant, randn, small_unet

SCHEDULE = linear_schedule(100, 1e-3, 0.1)


@pytest.fixture
def unet():
    return small_unet()


def draw(rng, like):
    return rng.rand(), rng.randint(1000), rng.randn_like(like)


@pytest.mark.parametrize("devices", [2, 4])
def test_rows_do_not_depend_on_the_split(devices):
    size, like = 8 // devices, torch.zeros(8, 3, 4, 4)
    whole = draw(BatchRandom(1, 2, 8), like)
    parts = [
        draw(BatchRandom(1, 2, 8, slice(i * size, (i + 1) * size)), like[:size])
        for i in range(devices)
    ]
    for k in range(3):
        assert torch.equal(whole[k], torch.cat([part[k] for part in parts]))


def test_steps_and_seeds_differ_and_repeat():
    first = [
        draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0]
        for seed in range(5)
        for step in range(50)
    ]
    again = [
        draw(BatchRandom(seed, step, 4), torch.zeros(4, 1, 2, 2))[0]
        for seed in range(5)
        for step in range(50)
    ]
    assert (
        torch.equal(torch.stack(first), torch.stack(again))
        and len({tuple(row.tolist()) for row in first}) == 250
    )


def test_noise_keeps_dtype_and_memory_format():
    like = torch.zeros(4, 3, 8, 8, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last
    )
    z = BatchRandom(0, 0, 4).randn_like(like)
    assert z.dtype == torch.float64 and z.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(z, BatchRandom(0, 0, 4).randn_like(like.contiguous()))


def test_seeds_are_injective_within_32_bits():
    seeds = [s for run in (0, 1, 2, 65535) for s in image_seeds(run, 65536)]
    assert len(set(seeds)) == 4 * 65536 and min(seeds) == 0 and max(seeds) == 2**32 - 1
    assert image_seeds(3, 10) == image_seeds(3, 1000)[:10] and image_seeds([5, 5], 2) == [5, 5]


@pytest.mark.parametrize(
    "seed, n", [(70_000, 4), (-1, 4), (0, 65_537), ([1, 2], 3), ([0, 2**32], 2), ([-1], 1)]
)
def test_bad_seeds_are_refused(seed, n):
    with pytest.raises(ValueError, match="seed.*expected"):
        image_seeds(seed, n)


@pytest.mark.parametrize("side", [1, 2, 8])
def test_an_images_noise_does_not_depend_on_the_batch(side):
    seeds, steps = image_seeds(4, 6), 40
    whole, parts = (
        ImageNoise(seeds, (6, 1, side, side)),
        [ImageNoise(seeds[:4], (4, 1, side, side)), ImageNoise(seeds[4:], (2, 1, side, side))],
    )
    for _ in range(steps):
        assert torch.equal(next(whole), torch.cat([next(part) for part in parts]))


def test_image_noise_is_standard_normal():
    noise = ImageNoise(image_seeds(0, 8), (8, 1, 8, 8))
    z = torch.stack([next(noise) for _ in range(64)])  # (64, 8, 1, 8, 8)
    assert z.dtype == torch.float32 and abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    assert (
        z.flatten(2).transpose(0, 1).flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.1
    )  # images
    assert z.flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.25  # steps


@pytest.mark.parametrize("clip", [None, 1.0, 0.5])
@pytest.mark.parametrize("predicts", PREDICTS)
def test_estimate_is_consistent(predicts, clip):
    x0, eps = 3 * randn(4, 1, 4, 4), randn(4, 1, 4, 4, seed=1)
    x_t, t = q_sample(SCHEDULE, x0, 40, eps), torch.full((4,), 40)
    answer = {"eps": eps, "x0": x0, "v": v_from(SCHEDULE, t, x0, eps)}[predicts]
    variance = randn(4, 1, 4, 4, seed=2)
    for out in (answer, torch.cat([answer, variance], 1)):
        x0_hat, eps_hat, var_out = estimate(Constant(out, predicts), SCHEDULE, x_t, 40, clip)
        assert torch.allclose(x0_hat, x0 if clip is None else x0.clamp(-clip, clip), atol=1e-10)
        signal, noise = SCHEDULE.rates(t, x_t)
        assert torch.allclose(signal * x0_hat + noise * eps_hat, x_t, atol=1e-10)  # never stale
        assert torch.equal(eps_hat, eps_from_x0(SCHEDULE, x_t, 40, x0_hat))
        assert var_out is None if out is answer else torch.equal(var_out, variance)


def test_split_output_names_both_shapes():
    for shape in ((2, 3, 4, 4), (1, 1, 4, 4), (2, 1, 4, 2)):
        with pytest.raises(ValueError, match="the model returned .* for x_t"):
            split_output(torch.zeros(shape), torch.zeros(2, 1, 4, 4))


def test_condition_binds_labels(unet):
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([5, 5, 5])
    assert torch.equal(condition(unet, 2)(x, t), unet(x, t, torch.tensor([2, 2, 2])))
    assert torch.equal(condition(unet, [0, 1, 3])(x, t), unet(x, t, torch.tensor([0, 1, 3])))
    assert condition(unet, 2).num_classes is None and condition(unet, 2).predicts == "eps"


@pytest.mark.parametrize("y", [4, -1, [0, 5], 0.5])
def test_condition_refuses_bad_labels(unet, y):
    with pytest.raises((TypeError, ValueError), match="^y"):
        condition(unet, y)


def test_condition_errors(unet):
    bound = condition(unet, [0, 1])
    with pytest.raises(ValueError, match="no classes"):
        condition(bound, 1)
    with pytest.raises(ValueError, match="no classes"):
        condition(lambda x_t, t: x_t, 1)
    with pytest.raises(ValueError, match="bound by condition"):
        bound(torch.zeros(2, 1, 8, 8), torch.tensor([0, 0]), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="\\(2,\\).*expected .*\\(3,\\)"):
        bound(torch.zeros(3, 1, 8, 8), torch.tensor([0, 0, 0]))


def test_wrappers_keep_the_contract():
    model = Constant(torch.zeros(2, 1, 4, 4), "v", num_classes=3)
    wrapped = Wrapper(Wrapper(model))
    assert (
        wrapped.predicts == "v"
        and wrapped.num_classes == 3
        and isinstance(condition(wrapped, 1), Conditioned)
    )
    assert not hasattr(Wrapper(lambda x_t, t: x_t), "predicts")
    wrapped(torch.zeros(2, 1, 4, 4), torch.tensor([0, 0]))
    assert model.seen[-1][2] is None


def two_pixels(predicts, **more):
    "A network as torch has it, which answers half of what it sees."

    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, x_t, t, y=None):
            return x_t * self.gain

    net = Half()
    for name, value in ({"predicts": predicts} | more).items():
        setattr(net, name, value)
    return net


def test_what_a_network_predicts_is_seen_through_what_is_put_around_it():
    net = two_pixels("v", num_classes=3, label_drop=0.1)
    bound = condition(torch.nn.DataParallel(net), 1)
    for around in (
        torch.nn.DataParallel(net),
        Wrapper(torch.nn.DataParallel(net)),
        torch.compile(net),
        torch.nn.DataParallel(torch.compile(net)),
        partial(net, y=torch.tensor([1])),
        net.forward,
        bound,
    ):
        assert predicts_of(around) == "v"
        assert said_by(around, "label_drop") == 0.1 and device_of(around).type == "cpu"
    assert said_by(torch.nn.DataParallel(net), "num_classes") == 3
    assert said_by(bound, "num_classes") is None
    assert predicts_of(lambda x_t, t: x_t) == "eps"  # nothing can be seen through a function
    x = torch.ones(1, 1, 2, 1)
    v = estimate(net, SCHEDULE, x, 40)[0]
    assert torch.equal(estimate(torch.nn.DataParallel(net), SCHEDULE, x, 40)[0], v)


@pytest.mark.parametrize("predicts", [None, "noise", 3])
def test_a_network_that_does_not_say_what_it_predicts_is_refused(predicts):
    for model in (two_pixels(predicts), Wrapper(two_pixels(predicts)), torch.nn.Identity()):
        with pytest.raises(ValueError, match="expected one of eps, x0, v: .*model.predicts ="):
            predicts_of(model)


def test_labels_are_bound_as_one_number_an_image(unet):
    for y in ([[0], [1]], torch.zeros(2, 1, dtype=torch.int64), [], "1", None, [0.0, 1.0], True):
        with pytest.raises((TypeError, ValueError), match="^y.*expected"):
            condition(unet, y)
    assert condition(unet, np.array([0, 3])).y.tolist() == [0, 3]


LEVELS = dict(channels=(8, 8), layers=1, attention=(False, False), groups=4)
TWO = torch.tensor([0, 2])
NETWORKS = {  # of each class that a folder may hold, and how it is asked
    "UNet": (lambda: UNet(1, **LEVELS), lambda net, x: net(x, TWO)),
    "FoldedUNet": (lambda: FoldedUNet(1, 2, **LEVELS), lambda net, x: net(x, TWO)),
    "TextUNet": (
        lambda: TextUNet(["a", "b"], 8, in_channels=1, **LEVELS | {"attention": (False, True)}),
        lambda net, x: net(x, TWO, TWO),
    ),
    "DiT": (lambda: DiT(1, 2, 16, 1, 2), lambda net, x: net(x, TWO)),
    "Precond": (lambda: Precond(UNet(1, **LEVELS)), lambda net, x: net(x, TWO + 0.5)),
    "VelocityNet": (lambda: VelocityNet(UNet(1, **LEVELS)), lambda net, x: net(x, TWO / 4)),
    "DigitsClassifier": (DigitsClassifier, lambda net, x: net(x)),
    "ResNet": (lambda: ResNet("small", 1, 10, 4), lambda net, x: net(x)),
    "VAE": (
        lambda: VAE(1, 2, (8, 8), groups=4),
        lambda net, x: net.decode(net.encode(x)[0].to(x.dtype)),
    ),
    "Autoencoder": (
        lambda: Autoencoder(
            in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=4
        ),
        lambda net, x: net.decode(net.encode(x)[0].to(x.dtype)),
    ),
}


@pytest.mark.parametrize("weights", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_in_the_dtype_of_its_weights(name, weights):
    "Whatever floats the images are: the cast is at its door."
    torch.manual_seed(0)
    make, ask = NETWORKS[name]
    net = make().eval().requires_grad_(False).to(weights)
    x = randn(2, 1, 8, 8).clamp(-1, 1).float()
    out = ask(net, x)
    for dtype, tol in ((torch.float64, 1e-3), (torch.float16, 0.02)):
        assert torch.allclose(ask(net, x.to(dtype)).float(), out.float(), atol=tol)


def test_every_registered_network_is_tried():
    ours = {name for name, cls in MODELS.items() if cls.__module__.startswith("ddpm_course")}
    assert ours == NETWORKS.keys()


def test_threads_that_share_a_network_leave_its_mode_alone():
    "One left in training mode drops out in nobody's forward pass, and is in training mode after."
    net = torch.nn.Dropout(0.5).train()
    inside, done = threading.Event(), threading.Event()

    def short():
        with inference_mode(net):
            inside.wait(10)
        done.set()

    thread = threading.Thread(target=short)
    thread.start()
    while net.training:
        time.sleep(0.001)
    with inference_mode(Wrapper(net)):
        inside.set()
        assert done.wait(10)
        assert not net.training and torch.equal(net(torch.ones(99)), torch.ones(99))
    thread.join()
    assert net.training
    with pytest.raises(KeyError), inference_mode(net), inference_mode(net):
        raise KeyError
    assert net.training


@pytest.mark.parametrize("seed", ["12", 1.5, True, None, [1.0, 2.0], ["1", "2"], [[1, 2]], b"12"])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises((TypeError, ValueError), match="seed.*expected"):
        image_seeds(seed, 2) if seed is not None else BatchRandom(seed, 0, 2)


def test_seeds_of_numpy_and_torch_are_seeds():
    plain = image_seeds(3, 2)
    assert image_seeds(np.int64(3), 2) == image_seeds(torch.tensor(3), 2) == plain
    assert image_seeds(np.array(plain), 2) == image_seeds(torch.tensor(plain), 2) == plain
