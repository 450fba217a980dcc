"Behind every exercise: the right answer passes, and each wrong one that a checker names is recognised as that one."

import importlib, re

import pytest
import torch

from ddpm_course.checks import Exercise
from tree import CHAPTERS, ROOT, code, module_of

CHECKED = {p.stem: importlib.import_module(f"ddpm_course.checks.{p.stem}") for p in sorted((ROOT / "ddpm_course" / "checks").glob("*.py")) if p.stem != "__init__"}
EXERCISES = {f"{module}.{name}": value for module, file in CHECKED.items() for name, value in vars(file).items() if isinstance(value, Exercise)}
WRONG = [(name, what) for name, exercise in EXERCISES.items() for what in exercise.wrong]
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def disturbed(value):
    "The same kind of value with other numbers in it."
    if isinstance(value, (tuple, list)): return [*map(disturbed, value)] if isinstance(value, list) else tuple(map(disturbed, value))
    value = torch.as_tensor(value)
    return ~value if value.dtype == torch.bool else value * 1.7 + 0.123


def is_truth(value): return all(map(is_truth, value)) if isinstance(value, (tuple, list)) else torch.as_tensor(value).dtype == torch.bool


def complaint(exercise, answer):
    with pytest.raises(AssertionError) as caught: exercise(answer)
    return str(caught.value)


@each
def test_the_right_answer_passes(exercise, capsys):
    exercise(exercise.right)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize("name, what", WRONG, ids=lambda x: re.sub(r"\W+", "_", x)[:60])
def test_a_named_mistake_is_recognised(name, what):
    exercise = EXERCISES[name]
    assert complaint(exercise, exercise.wrong[what]) == f"Not yet: {what}"


@each
def test_an_unfilled_stub_is_told_so_and_stops_no_run(exercise, capsys):
    exercise(lambda *args: None)
    assert capsys.readouterr().out.startswith("Your turn")


@each
def test_any_other_answer_is_wrong_without_a_name(exercise):
    said = complaint(exercise, lambda *args: disturbed(exercise.right(*args)))
    if is_truth(exercise.right(*exercise.cases()[0])): said = complaint(exercise, lambda *args: "maybe") # yes and no leave no room for another answer
    assert said.startswith("Not yet: ") and said not in {f"Not yet: {what}" for what in exercise.wrong}


def test_a_list_of_floats_is_as_exact_as_a_tensor_and_float32_is_told(capsys):
    exercise = CHECKED["ddpm"].respaced_betas
    exercise(lambda *args: exercise.right(*args).tolist())
    assert capsys.readouterr().out.startswith("Right.")
    assert "float64" in complaint(exercise, lambda *args: exercise.right(*args).float())


def test_of_several_parts_the_first_wrong_one_is_named():
    exercise = CHECKED["training"].clip_by_norm
    said = complaint(exercise, lambda *args: [exercise.right(*args)[0], *(0.9 * g for g in exercise.right(*args)[1:])])
    assert re.fullmatch(r"Not yet: the first value that is furthest off should be \S+, and is \S+ \(part 2 of 2\)", said)


def test_a_tensor_of_two_is_as_good_as_two_numbers(capsys):
    exercise = CHECKED["scores"].plain_interval
    exercise(lambda values: values.quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)))
    assert capsys.readouterr().out.startswith("Right.")
    with pytest.raises(AssertionError, match="got a tuple of 3"): exercise(lambda values: values[:3])


@each
def test_it_names_some_mistake_and_is_asked_twice_alike(exercise):
    assert exercise.wrong, "name at least one usual mistake"
    exercise(exercise.right), exercise(exercise.right) # cases do not depend on how often they were asked for


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_uses_its_own_checks_and_all_of_them(path):
    used = {name for cell in code(path) for name in re.findall(r"^check\.(\w+)\(", cell.source, flags=re.M)}
    assert used == {name.split(".")[1] for name in EXERCISES if name.split(".")[0] == module_of(path)}
