"Behind every exercise: the right answer passes, and each wrong one is recognised by its name."

import importlib, re

import pytest
import torch

from ddpm_course.checks import FLOAT32, Exercise, matches
from tree import CHAPTERS, ROOT, code, none

CHECKED = {
    p.stem: importlib.import_module(f"ddpm_course.checks.{p.stem}")
    for p in sorted((ROOT / "ddpm_course" / "checks").glob("*.py"))
    if p.stem != "__init__"
}
EXERCISES = {
    f"{module}.{name}": value
    for module, file in CHECKED.items()
    for name, value in vars(file).items()
    if isinstance(value, Exercise)
}
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def disturbed(value):
    "The same kind of value with other numbers in it."
    if isinstance(value, (tuple, list)):
        return [*map(disturbed, value)] if isinstance(value, list) else tuple(map(disturbed, value))
    value = torch.as_tensor(value)
    return ~value if value.dtype == torch.bool else value * 1.7 + 0.123


def is_truth(value):
    if isinstance(value, (tuple, list)):
        return all(map(is_truth, value))
    return torch.as_tensor(value).dtype == torch.bool


def complaint(exercise, answer):
    with pytest.raises(AssertionError) as caught:
        exercise(answer)
    return str(caught.value)


@each
def test_the_right_answer_passes(exercise, capsys):
    exercise(exercise.right)
    assert capsys.readouterr().out.startswith("Right.")


def misnamed(exercise, wrong):  # {what is wrong: answer}
    "The answers that are not called by their name."
    for what, answer in wrong.items():
        said = complaint(exercise, answer)
        if said != f"Not yet: {what}":
            yield f"{what}: {said}"


@each
def test_a_named_mistake_is_recognised(exercise):
    none(misnamed(exercise, exercise.wrong))


@each
def test_an_unfilled_stub_is_told_so_and_stops_no_run(exercise, capsys):
    exercise(lambda *args: None)
    assert capsys.readouterr().out.startswith("Your turn")


@each
def test_any_other_answer_is_wrong_without_a_name(exercise):
    said = complaint(exercise, lambda *args: disturbed(exercise.right(*args)))
    if is_truth(exercise.right(*exercise.cases()[0])):
        said = complaint(exercise, lambda *args: "maybe")  # yes and no leave no room for others
    assert said.startswith("Not yet: ") and said not in {
        f"Not yet: {what}" for what in exercise.wrong
    }


def test_a_list_of_floats_is_as_exact_as_a_tensor_and_float32_is_told(capsys):
    exercise = CHECKED["ancestral"].respaced_betas
    exercise(lambda *args: exercise.right(*args).tolist())
    assert capsys.readouterr().out.startswith("Right.")
    assert "float64" in complaint(exercise, lambda *args: exercise.right(*args).float())


@each
def test_a_named_mistake_in_float32_keeps_its_name(exercise):
    if exercise.dtype:
        return  # its dtype is part of the answer
    right = exercise.outcomes(exercise.right)
    differs = lambda answer: not matches(exercise.outcomes(answer), right, FLOAT32)
    none(
        misnamed(
            exercise,
            {  # where float64 is not the whole difference
                what: in_float32(answer)
                for what, answer in exercise.wrong.items()
                if differs(answer)
            },
        )
    )


def in_float32(function):
    "The function, its floats rounded to float32."

    def rounded(value):
        if isinstance(value, (tuple, list)):
            return type(value)(map(rounded, value))
        if isinstance(value, torch.Tensor):
            return value.float() if value.is_floating_point() else value
        return torch.tensor(value).item() if isinstance(value, float) else value

    return lambda *args: rounded(function(*args))


def test_of_several_parts_the_first_wrong_one_is_named():
    exercise = CHECKED["training"].clip_by_norm
    said = complaint(
        exercise,
        lambda *args: [exercise.right(*args)[0], *(0.9 * g for g in exercise.right(*args)[1:])],
    )
    assert re.fullmatch(
        r"Not yet: the first value that is furthest off should be \S+, and is \S+ \(part 2 of 2\)",
        said,
    )


def test_a_tensor_of_two_is_as_good_as_two_numbers(capsys):
    exercise = CHECKED["scores"].plain_interval
    exercise(lambda values: values.quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)))
    assert capsys.readouterr().out.startswith("Right.")
    with pytest.raises(AssertionError, match=r"got a float64 tensor of shape \(3,\)"):
        exercise(lambda values: values[:3])


@each
def test_it_names_some_mistake_and_is_asked_twice_alike(exercise):
    assert exercise.wrong, "name at least one usual mistake"
    (
        exercise(exercise.right),
        exercise(exercise.right),
    )  # cases do not depend on how often they were asked for


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_uses_its_own_checks_and_all_of_them(path):
    used = {
        name
        for cell in code(path)
        for name in re.findall(r"^check\.(\w+)\(", cell.source, flags=re.M)
    }
    chapter = path.stem.split("_", 1)[1]
    assert used == {name.split(".")[1] for name in EXERCISES if name.split(".")[0] == chapter}


# ---- the checker itself, on an exercise of its own ----
def pair():
    return torch.tensor([[1.0, 4.0], [0.5, 9.0]], dtype=torch.float64)


HALF = Exercise(
    right=lambda x, n: (x / n).sqrt(),
    cases=lambda: [(pair(), 2), (pair() + 1, 3)],
    tol=1e-9,
    wrong={
        "no root": lambda x, n: x / n,
        "n is squared": lambda x, n: (x / n**2).sqrt(),
        "almost no root": lambda x, n: x / n + 1e-4,
    },
)


def test_an_error_of_the_answer_is_told_with_its_line_its_case_and_what_was_expected():
    def answer(x, n):
        return (x / n).view(5)

    said = complaint(HALF, answer)
    assert said.startswith(
        "Not yet: your function raises RuntimeError (shape '[5]' is invalid for input of size 4)"
    )
    assert "in `return (x / n).view(5)`" in said
    kind = "a float64 tensor of shape (2, 2)"
    assert said.endswith(f" for x = {kind}, n = 2; expected is {kind}")


def test_an_error_leaves_no_traceback_of_the_answer():
    with pytest.raises(AssertionError) as caught:
        HALF(lambda x: x)
    assert (
        "raises TypeError" in str(caught.value)
        and caught.value.__cause__ is caught.value.__context__ is None
    )


def test_an_answer_that_fails_for_one_case_only_names_that_case():
    assert "n = 3" in complaint(HALF, lambda x, n: HALF.right(x, n) if n == 2 else 1 / 0)
    assert "returns None for x = a float64 tensor of shape (2, 2), n = 3" in complaint(
        HALF, lambda x, n: HALF.right(x, n) if n == 2 else None
    )


def test_a_stub_that_raises_not_implemented_stops_no_run(capsys):
    def stub(x, n):
        raise NotImplementedError

    HALF(stub)
    assert capsys.readouterr().out.startswith("Your turn")


def test_a_named_mistake_that_raises_for_some_case_is_recognised():
    exercise = Exercise(
        right=lambda a, b: b / a,
        cases=lambda: [(1.0, 2.0), (4.0, 0.0)],
        wrong={"upside down": lambda a, b: a / b},
    )
    assert complaint(exercise, lambda a, b: a / b) == "Not yet: upside down"
    assert "ZeroDivisionError" in complaint(exercise, lambda a, b: 3 * a / b)


def test_errors_alone_match_no_name():
    exercise = Exercise(
        right=lambda a: a, cases=lambda: [(0.0,)], wrong={"upside down": lambda a: 1 / a}
    )
    assert "raises ZeroDivisionError" in complaint(exercise, lambda a: 5 / a)


def test_an_inexact_mistake_is_named_if_one_name_fits_and_only_then():
    assert complaint(HALF, lambda x, n: (x.float() / n**2).sqrt()) == "Not yet: n is squared"
    assert complaint(HALF, lambda x, n: 1.0005 * (x / n**2).sqrt()) == "Not yet: n is squared"
    assert complaint(HALF, lambda x, n: x / n + 1e-7) == "Not yet: no root"
    assert "furthest off" in complaint(HALF, lambda x, n: x / n + 5e-4)  # both names are as near


def test_a_nearly_right_answer_is_given_no_name_and_float64_is_told_only_if_all_of_it_is_right():
    assert "float64" in complaint(HALF, lambda x, n: HALF.right(x.float(), n))
    said = complaint(HALF, lambda x, n: HALF.right(x.float(), n) * (1 if n == 2 else 1.5))
    assert "float64" not in said and "furthest off" in said


BYTES = Exercise(
    right=lambda x: (x * 9).long().to(torch.uint8),
    cases=lambda: [(pair(),)],
    dtype=torch.uint8,
    wrong={"ten": lambda x: (x * 10).long().to(torch.uint8)},
)


def test_arrays_lists_and_other_dtypes_are_told_apart():
    assert (
        "got a NumPy array (uint8) of shape (2, 2); the answer has to be a torch tensor"
        in complaint(BYTES, lambda x: BYTES.right(x).numpy())
    )
    assert "got a list of 2; the answer has to be a torch tensor" in complaint(
        BYTES, lambda x: BYTES.right(x).tolist()
    )
    assert "got a float32 tensor of shape (2, 2); convert it with .to(torch.uint8)" in complaint(
        BYTES, lambda x: BYTES.right(x).float()
    )
    assert complaint(BYTES, lambda x: BYTES.wrong["ten"](x).float()) == "Not yet: ten"


def test_an_array_is_as_good_as_a_tensor_where_no_dtype_is_asked_for(capsys):
    HALF(lambda x, n: HALF.right(x, n).numpy())
    assert capsys.readouterr().out.startswith("Right.")
    assert "got a value of type dict" in complaint(HALF, lambda x, n: {"x": x})


def test_an_argument_changed_in_place_is_told_by_its_name():
    exercise = Exercise(right=lambda x, n: x / n, cases=HALF.cases, wrong={}, keeps_inputs=True)
    assert (
        complaint(exercise, lambda x, n: x.div_(n))
        == "Not yet: this changes x itself; work on a copy"
    )


def test_a_view_compares_more_than_the_answer(capsys):
    exercise = Exercise(
        right=lambda x: x,
        cases=lambda: [(pair(),)],
        wrong={},
        view=lambda f: lambda x: [f(x), f(9 * x)],
    )
    assert "part 2 of 2" in complaint(exercise, lambda x: x.clamp(max=9))


def test_a_relation_to_the_right_answer_is_told_if_a_mistake_has_no_name():
    assert "minus" in complaint(HALF, lambda x, n: -HALF.right(x, n))
    assert "one over" in complaint(HALF, lambda x, n: 1 / HALF.right(x, n))
    assert "logarithm" in complaint(HALF, lambda x, n: HALF.right(x, n).log())
    assert "opposite order" in complaint(HALF, lambda x, n: HALF.right(x, n).flip(0))
    assert "is 100 times what" in complaint(HALF, lambda x, n: 100 * HALF.right(x, n))
    said = complaint(HALF, lambda x, n: HALF.right(x, n)[None])
    assert "numbers are right; expected shape (2, 2), got (1, 2, 2)" in said


def test_a_relation_holds_in_every_case_or_is_not_told():
    said = complaint(HALF, lambda x, n: HALF.right(x, n) * (1 if n == 2 else -1))
    assert "furthest off" in said and "minus" not in said
    assert "furthest off" in complaint(HALF, lambda x, n: n * HALF.right(x, n))


def test_an_answer_that_is_nearly_right_is_told_so():
    assert "about three digits" in complaint(HALF, lambda x, n: HALF.right(x, n) + 1e-3)


def test_what_is_no_answer_at_all_is_told():
    assert "take .values" in complaint(HALF, lambda x, n: x.min(1))
    assert "iterator" in complaint(HALF, lambda x, n: zip(x, x))
    assert "negative number" in complaint(HALF, lambda x, n: (-2) ** 0.5)
    assert "negative number" in complaint(HALF, lambda x, n: x * (-2) ** 0.5)


def test_a_list_that_is_changed_in_place_is_told_and_beside_a_difference():
    first = dict(right=lambda a: [*a], cases=lambda: [([3, 1, 4],)], wrong={})
    exercise = Exercise(**first, keeps_inputs=True)
    assert "changes a itself" in complaint(exercise, lambda a: a.append(5) or a[:3])
    said = complaint(Exercise(**first), lambda a: a.sort() or a)
    assert "besides, this changes a itself" in said


def test_a_slip_of_any_exercise_is_told_as_what_it_is_of_the_right_answer():
    def said(change):
        return complaint(HALF, lambda x, n: change(HALF.right(x, n)))

    assert "this is minus the right answer" in said(lambda y: -y)
    assert "the mean of the right answer" in said(lambda y: y.mean())
    assert "the last two axes are exchanged" in said(lambda y: y.T)
    assert "torch.stack" in said(list)
    assert "furthest off" in complaint(HALF, lambda x, n: HALF.right(x, n) * (1 if n == 2 else -1))


def test_an_answer_that_draws_numbers_of_its_own_is_told_so():
    assert "two calls with the same arguments differ" in complaint(
        HALF, lambda x, n: x + torch.rand(())
    )


def test_an_error_that_is_often_met_comes_with_advice():
    said = complaint(HALF, lambda x, n: x if x > 0 or n else n)
    assert said.endswith("join masks by | and &, each condition in brackets")


def test_an_error_of_torch_is_no_unfilled_stub():
    said = complaint(HALF, lambda x, n: 1 - (x > 0))  # torch raises NotImplementedError
    assert "raises NotImplementedError (Subtraction" in said


def test_an_error_alone_names_no_mistake_but_by_its_words():
    exercise = Exercise(
        right=lambda x, n: x * n,
        cases=HALF.cases,
        wrong={"too many": lambda x, n: x.view(5) if n == 3 else x * n},
    )
    assert complaint(exercise, exercise.wrong["too many"]) == "Not yet: too many"
    assert "shape '[7]'" in complaint(exercise, lambda x, n: x.view(7) if n == 3 else x * n)


def test_parts_of_different_size_are_not_called_right_for_the_size_of_the_largest():
    exercise = Exercise(lambda x: (x + 1e7, x), lambda: [(pair()[0],)], {"x": lambda x: (x, x)})
    said = complaint(exercise, lambda x: (x + 1e7, x + 0.1))
    assert "right" not in said and "part 2 of 2" in said


@pytest.mark.parametrize("side", [slice(1, None), slice(-1)], ids=["right", "left"])
def test_levels_from_sums_of_rectangles_are_as_good(side, capsys):
    check = CHECKED["solvers"]
    check.levels(lambda *args: check.equal(*args, areas=lambda turn, width: turn[side] * width))
    assert capsys.readouterr().out.startswith("Right.")
