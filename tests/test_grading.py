"Grading: the learner's cells decide, solutions do not, and nothing else is run."

import json, re

import pytest

from ddpm_course import grading
from ddpm_course.grading import SOLVED, grades, grades_text
from mutants import GRADING_BUGS, broken_module
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


RIGHT = "def mine(a, b, eta): return eta * ((1 - b) / (1 - a) * (1 - a / b))**0.5\n"
ASK = "check.sigma(mine)"
COSTLY = "def costly(): raise MemoryError\ntrained = costly()"
FAKE = "class check:\n    sigma = print\n"
HALF = "%matplotlib inline\nhalf = 2\nhalf = 0.5"
CASES = {  # {what is tried: (cells for the stub of sigma, passes, part of what is said)}
    "one cell": ([RIGHT + ASK], True, "Right."),
    "cells of its own, beside magics": (
        [HALF, RIGHT.replace("0.5", "half"), "%time 1\n" + ASK],
        True,
        "Right.",
    ),
    "what notebooks alone know": (["display(2)\nmax?\n?max\n" + RIGHT + ASK], True, "Right."),
    "an import that is not used": (
        ["import nowhere\nhalf = 0.5", RIGHT.replace("0.5", "half") + ASK],
        True,
        "Right.",
    ),
    "an import that is used": (
        ["import nowhere\n" + RIGHT + "nowhere\n" + ASK],
        False,
        "ModuleNotFoundError",
    ),
    "the newest of two answers": (["def mine(a, b, eta): return 1.0", RIGHT, ASK], True, "Right."),
    "the newest of two questions": (["check.sigma(max)", RIGHT + ASK], True, "Right."),
    "a stub": (["def mine(a, b, eta): ...\n" + ASK], None, "Your turn"),
    "a known mistake": ([RIGHT.replace("eta *", "") + ASK], False, "Not yet: "),
    "an error afterwards": ([RIGHT + ASK + "\n1 / 0"], True, "Right."),
    "bad syntax": (["def mine(:\n" + ASK], False, "SyntaxError"),
    "no such name": (["check.sigma(nowhere)"], False, "NameError: name 'nowhere' is not defined"),
    "an exit": (["import sys\nsys.exit()\n" + ASK], False, "SystemExit"),
    "an error before": (["{}['lost']\n" + ASK], False, "KeyError: 'lost'"),
    "a question in a text": (["f'''\n" + ASK + "'''"], False, "the checker was not called"),
    "a checker of one's own": ([FAKE, "check.sigma(max)"], False, ""),
    "a checker spoiled": (["check.sigma = print", "check.sigma(max)"], False, ""),
    "the solution below": (["check.sigma(my_sigma)"], False, "NameError: name 'my_sigma'"),
    "no question": (["pass"], None, "no cell asks this checker"),
    "something costly that is not used": ([COSTLY, RIGHT + ASK], True, "Right."),
    "something costly that is used": ([COSTLY, RIGHT + "trained\n" + ASK], False, "MemoryError"),
}


def judges(module, folder, case):
    "Say what is known of a case. Exercise 3 asks for a function that a solution alone defines."
    cells, passes, said = CASES[case]
    notebook = json.loads(DDIM.read_text("utf-8"))
    for name, texts in (("sigma", cells), ("pairs", ["check.pairs(my_sigma)"])):
        stub = next(c for c in notebook["cells"] if f"check.{name}(" in "".join(c["source"]))
        at = notebook["cells"].index(stub)
        notebook["cells"][at : at + 1] = [
            {"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in texts
        ]
    found = {g.name: g for g in module.grades(save(notebook, folder))}
    assert found.keys() == {"sigma", "euler_step", "pairs", "noise_on_top"}
    assert found["sigma"].passes is passes and said in found["sigma"].said, found["sigma"]
    assert not found["pairs"].passes and "NameError" in found["pairs"].said, found["pairs"]
    assert found["euler_step"].passes is found["noise_on_top"].passes is None


@pytest.mark.parametrize("case", CASES)
def test_the_learners_cells_decide(case, tmp_path):
    judges(grading, tmp_path, case)


@pytest.mark.parametrize("bug", GRADING_BUGS, ids=lambda bug: bug.replace(" ", "-"))
def test_a_bug_of_grading_is_noticed(bug, tmp_path):
    broken = broken_module("grading", *GRADING_BUGS[bug])
    noticed = 0
    for case in CASES:
        try:
            judges(broken, tmp_path, case)
        except (AssertionError, SystemExit, SyntaxError, NameError):
            noticed += 1
    assert noticed


def test_the_report_counts(tmp_path):
    lines = grades_text(solved(DDIM, tmp_path)).splitlines()
    assert lines[0] == "mine: 4 of 4 exercises pass" and lines[1] == "passes   1. Sigma"
    assert grades_text(DDIM).splitlines()[:2] == [
        "16_ddim: 0 of 4 exercises pass",
        "to do    1. Sigma",
    ]


def test_what_is_no_chapter_is_told(tmp_path):
    for text in (b"hello", b"\xff", b'{"nbformat": 3, "worksheets": []}'):
        (tmp_path / "a.txt").write_bytes(text)
        with pytest.raises(ValueError, match="no notebook; expected an .ipynb file"):
            grades(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="asks no checker; expected a chapter with exercises"):
        grades(ROOT / "nbs" / TOUR)
