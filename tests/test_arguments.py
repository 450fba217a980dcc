"The kinds of arguments, and the doors that they stand at."

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from bad_arguments import draw, missing

from ddpm_course.arguments import check_fields, checked, explained
from ddpm_course.kinds import (
    a_mapping,
    a_path,
    a_schedule,
    as_labels,
    class_names_of,
    clean_images,
    clip_size,
    count,
    flag,
    gray_levels,
    having,
    in_range,
    listed,
    number,
    one_of,
    positive,
    reals,
    share,
    sizes,
    tensor,
    whole,
)
from ddpm_course.models import a_device

NAN = math.nan
IMAGES = torch.zeros(2, 1, 4, 4)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3), np.array(3)])
def test_whole_numbers_of_any_library_are_counts(value):
    assert count(value, "n") == 3 and type(count(value, "n")) is int


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        (count, [1, 10**30], [0, -1, 2.5, 3.0, NAN, math.inf, True, np.bool_(True), "12", None]),
        (count, [], [[3], np.array([3]), torch.tensor([3]), torch.tensor(True), 1j, b"3", {3}]),
        (whole(0, 9), [0, 9, np.int8(9)], [-1, 10, np.float64(3)]),
        (share, [0, 1, 0.5, np.float32(0.5)], [-1e-9, 1.1, NAN, "0.5", True, None, [0.5], 1j]),
        (positive, [1e-300, 7], [0, -1.0, math.inf, NAN, 10**400, torch.zeros(2)]),
        (number(below=1), [-1e300], [1]),
        (clip_size, [None, 1, 0.5, 0], [-1, NAN, math.inf, "1", True, IMAGES]),
        (flag, [True, False, np.bool_(True)], [1, 0, "yes", None, np.int64(1)]),
        (one_of("eps", "v"), ["eps"], ["x0", None, 3, ["eps"], IMAGES]),
        (sizes(), [(2, 1, 8, 8), [2, 1, 8, 8], torch.Size([2, 1, 8, 8]), np.array([2, 1, 8, 8])],
         ["abc", (0, 1, 8, 8), (2, 1, 8), 4, None, (2, 1, 8.0, 8), (2, 1, "8", 8), (2, 1, 8, True),
          (2, 1, 8, -8), {2, 1}, (1, 1, 10**12, 1)]),
        (listed(whole()), [[], (3, 1), range(3), np.arange(3), torch.arange(3), [np.int64(3)]],
         ["95", b"95", 5, None, [9.5], [True], ["9"], torch.rand(3), torch.tensor(3), {9: 5}]),
        (class_names_of, [["a", "b"], ("1",)], [["a", "a"], "ab", [1, 2], [None], None]),
        (a_device, ["cpu", torch.device("cpu")], ["", "gpu", "cuda:99", "meta", 3.5, ["cpu"]]),
        (reals, [[1, 2], (0.5,), 3, np.ones(2), torch.ones(2, dtype=torch.int8)],
         ["linear", None, ["a"], [[1], [1, 2]], {1: 2}, object(), [True], [1j]]),
        (tensor("(N, D)", finite=True), [torch.zeros(2, 3)],
         [np.zeros((2, 3)), torch.zeros(2), torch.full((2, 3), NAN), [[0.0]],
          torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.complex64)]),
        (a_mapping, [{}, {"a": 1}], [{1: 2}, [], None, "a"]),
        (a_path, ["runs/a.json"], ["", "  ", None, 3.5, ["a"]]),
        (having("real", what="a number"), [3], [None, "real", []]),
        (gray_levels, [IMAGES.byte(), IMAGES[0, 0].long()],
         [IMAGES, IMAGES.bool(), IMAGES.byte().numpy(), [[0]], None, IMAGES.cfloat()]),
        (as_labels, [3, [1, 2], np.arange(3), torch.arange(3)], [None, "x", {}, [[1], [1, 2]]]),
        (clean_images, [IMAGES, IMAGES - 1, IMAGES.bfloat16()],
         [IMAGES[0], IMAGES.long(), IMAGES + NAN, IMAGES + 255, "folder", None]),
        (a_schedule, [], [None, "cosine", [0.1, 0.2], 1000, torch.rand(10)]),
    ],
)  # fmt: skip
def test_a_kind_lets_through_what_is_of_it(kind, good, bad):
    for value in good:
        kind(value, "argument")
    for value in bad:
        with pytest.raises((TypeError, ValueError), match="argument.*expected|argument.*NaN"):
            kind(value, "argument")


@pytest.mark.parametrize(
    "x, warns",
    [
        (torch.rand(4, 1, 8, 8), True),
        (torch.rand(4, 1, 8, 8) * 2 - 1, False),
        (torch.rand(4, 1, 8, 8) * 0.2 - 1, False),  # dim
        (torch.rand(4, 1, 8, 8) * 0.2, False),  # flat, and near middle gray
        (torch.rand(4, 1, 8, 8) * 2 + 3, True),
        (torch.randn(4, 1, 8, 8), False),
    ],
)
def test_images_from_0_to_1_are_told_from_dim_ones(x, warns):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        in_range(x)
    assert bool(seen) == warns and all("x * 2 - 1" in str(w.message) for w in seen)
    with pytest.raises(ValueError, match="from_uint8"):
        in_range(x.abs() * 255 + 1)


def test_a_door_reads_names_annotations_and_what_it_is_told():
    @checked(scale=positive)
    def f(n, seed=None, steps: int = 5, clip: float | None = 1.0, *, scale=2.0, bold: bool = False):
        return n, seed, steps, clip, scale, bold

    assert f(np.int64(3), clip=None, bold=np.bool_(True)) == (3, None, 5, None, 2.0, True)
    for bad in ({"n": 0}, {"n": 1, "steps": "5"}, {"n": 1, "clip": -1}, {"n": 1, "scale": 0}):
        with pytest.raises((TypeError, ValueError), match="expected"):
            f(**bad)
    for bad in ({}, {"n": 1, "stpes": 3}):
        with pytest.raises(TypeError, match="f: "):
            f(**bad)
    with pytest.raises(TypeError, match="bold=1; expected True or False"):
        f(1, bold=1)


def test_an_explanation_comes_after_a_failure_alone():
    looked = []

    @explained(a=lambda value, name: looked.append(name) or number()(value, name))
    def half(a):
        return a / 2

    assert half(4) == 2 and not looked
    with pytest.raises(TypeError, match="a='4'; expected a finite number"):
        half("4")


def test_fields_of_a_frozen_dataclass_are_converted():
    @dataclass(frozen=True)
    class Plan:
        steps: int
        clip: float | None = 1.0

        def __post_init__(self):
            check_fields(self)

    assert type(Plan(np.int32(4)).steps) is int
    for bad in ((0,), (1000 / 96,), ("4",), (4, NAN)):
        with pytest.raises((TypeError, ValueError), match="expected"):
            Plan(*bad)


@pytest.mark.parametrize("n", [800, pytest.param(None, marks=pytest.mark.slow)])
def test_no_bad_argument_is_silent_and_nine_of_ten_errors_help(n):
    "Over the whole API: wrong types, dtypes, ranks, lengths and ranges, NaN, texts."
    ends, wrong = draw(n)
    print(dict(ends))
    assert ends.total() >= 800
    assert not ends["silent"], [case for case, end, _ in wrong if end == "silent"]
    assert ends["helped"] > 0.9 * ends.total(), wrong


def test_every_exported_function_is_tried_with_bad_arguments():
    assert not list(missing())
