"Grading: the learner's cells decide, solutions do not, and nothing else is run."

import json, re

import pytest

from ddpm_course.grading import SOLVED, grades, grades_text
from tree import CHAPTERS, ROOT, TOUR

WITH_EXERCISES = [path for path in CHAPTERS if path.name != TOUR]
DDIM = ROOT / "nbs" / "16_ddim.ipynb"
CALL = re.compile(r"^check\.(\w+)\(", flags=re.M)


def solved(path, folder):
    "A copy of a chapter whose stubs are gone and whose solutions are the learner's own."
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if SOLVED in source:
            cell["source"] = source.replace(SOLVED, "")
        elif cell["cell_type"] == "code" and CALL.search(source):
            cell["source"] = ""
    return save(notebook, folder)


def save(notebook, folder):
    (folder / "mine.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder / "mine.ipynb"


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)
def test_solutions_pass_and_an_untouched_chapter_is_still_to_do(path, tmp_path):
    names = [*dict.fromkeys(CALL.findall("\n".join(sources(path))))]
    untouched = grades(path)
    assert [(g.name, g.passes) for g in untouched] == [(name, None) for name in names]
    assert all(re.match(r"\d\. ", g.title) for g in untouched)
    done = grades(solved(path, tmp_path))
    assert [(g.name, g.passes) for g in done] == [(name, True) for name in names], done


def sources(path):
    return ["".join(c["source"]) for c in json.loads(path.read_text("utf-8"))["cells"]]


@pytest.fixture
def answered(tmp_path):
    "answered(cell, ...): {checker: grade} of chapter 16 with these cells for the stub of `sigma`."

    def graded(*cells):
        notebook = json.loads(DDIM.read_text("utf-8"))
        at = next(
            i for i, c in enumerate(notebook["cells"]) if "check.sigma(" in "".join(c["source"])
        )
        notebook["cells"][at : at + 1] = [
            {"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in cells
        ]
        return {g.name: g for g in grades(save(notebook, tmp_path))}

    return graded


RIGHT = "def mine(a, b, eta): return eta * ((1 - b) / (1 - a) * (1 - a / b))**0.5\n"
ASK = "check.sigma(mine)"


def test_an_answer_may_stand_in_cells_of_its_own_beside_magics(answered):
    power = "%matplotlib inline\nhalf = 0.5"
    split = RIGHT.replace("0.5", "half")
    assert answered(power, split, "%time pass\n" + ASK)["sigma"].passes
    assert answered(RIGHT + ASK)["euler_step"].passes is None


def test_a_known_mistake_is_named(answered):
    found = answered(RIGHT.replace("eta *", "") + ASK)["sigma"]
    assert found.passes is False and re.match("Not yet: .*eta", found.said), found


@pytest.mark.parametrize(
    "cell, said",
    [
        ("def mine(:\n" + ASK, "SyntaxError"),
        ("check.sigma(nowhere)", "NameError: name 'nowhere' is not defined"),
        ("import sys\nsys.exit()\n" + ASK, "SystemExit"),
        ("if False:\n    pass\nelse:\n    raise KeyError('lost')\n" + ASK, "KeyError: 'lost'"),
        ("f'''\n" + ASK + "'''", "the checker was not called"),
    ],
)
def test_a_cell_that_cannot_be_graded_says_why_and_the_others_are_graded(answered, cell, said):
    found = answered(cell)
    assert found["sigma"].passes is False and said in found["sigma"].said
    assert found["pairs"].passes is None


def test_what_comes_after_the_checker_changes_no_grade(answered):
    assert answered(RIGHT + ASK + "\n1 / 0")["sigma"].passes


def test_a_checker_of_ones_own_helps_nobody(answered):
    fake = "class check:\n    sigma = print\n"
    assert not answered(fake + "def mine(a, b, eta): return 1.0\n" + ASK)["sigma"].passes
    assert not answered("check.sigma = print", ASK.replace("mine", "max"))["sigma"].passes


def test_the_solution_below_is_not_the_learners(answered):
    found = answered("check.sigma(my_sigma)")["sigma"]
    assert found.passes is False and "my_sigma" in found.said


def test_an_exercise_that_was_deleted_counts(answered):
    found = answered("pass")
    assert len(found) == 5 and found["sigma"].said == "no cell asks this checker"


def test_only_what_an_answer_uses_is_run(answered):
    costly = "def costly(): raise MemoryError\ntrained = costly()"
    assert answered(costly, RIGHT + ASK)["sigma"].passes
    assert "MemoryError" in answered(costly, RIGHT + "mine(trained, 0, 0)\n" + ASK)["sigma"].said


def test_the_report_counts(tmp_path):
    lines = grades_text(solved(DDIM, tmp_path)).splitlines()
    assert lines[0] == "mine: 5 of 5 exercises pass" and lines[1] == "passes   1. Sigma"
    assert grades_text(DDIM).splitlines()[:2] == [
        "16_ddim: 0 of 5 exercises pass",
        "to do    1. Sigma",
    ]


def test_what_is_no_chapter_is_told(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ValueError, match="no notebook; expected an .ipynb file"):
        grades(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="asks no checker; expected a chapter with exercises"):
        grades(ROOT / "nbs" / TOUR)
