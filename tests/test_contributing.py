"CONTRIBUTING.md, followed to the letter in a copy of the project."

import json, os, re, shlex, shutil, subprocess, sys
from pathlib import Path

import pytest

from tree import ROOT, copy_to, none

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (An? [a-z]+)\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M))
BLOCK = re.compile(r"([^\n]*)\n\n```(python|bash)\n(.*?)```", flags=re.S)


def command(line):
    "What a line of the recipes is where there is no .venv: this Python stands for it."
    if made := re.fullmatch(r"make chapter NAME=(\w+)", line):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert "\t$(BIN)/python -m ddpm_course.site.chapter $(NAME)\n" in makefile
        return [sys.executable, "-m", "ddpm_course.site.chapter", made[1]]
    name, *rest = shlex.split(line)
    if name == ".venv/bin/ddpm-course":
        return [sys.executable, "-c", "from ddpm_course.cli import main; main()", *rest]
    assert name.startswith(".venv/bin/"), f"{line}: a recipe runs what is installed in .venv"
    return [Path(sys.executable).with_name(name.removeprefix(".venv/bin/")), *rest]


def carried_out(line, copy):
    env = os.environ | {"PYTHONPATH": f"{copy}:{copy / 'tests'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command(line), cwd=copy, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def follow(recipe, copy):
    "Do what a recipe says, block by block; what its commands print."
    printed, cells = "", []
    for said, kind, text in BLOCK.findall(recipe):
        if kind == "bash":
            if cells:
                exchange(copy / "nbs" / "17_adams.ipynb", cells)
            printed += "".join(carried_out(line, copy) for line in text.splitlines())
        elif write := re.search(r"Write `(\S+)`:$", said):
            (copy / write[1]).write_text(text, encoding="utf-8")
        elif below := re.search(r"In `(\S+)`, below `(.*)`:$", said):
            old = (copy / below[1]).read_text(encoding="utf-8")
            assert old.count(f"\n{below[2]}\n") == 1, f"{below[1]} has no line {below[2]}"
            new = old.replace(f"\n{below[2]}\n", f"\n{below[2]}\n{text}")
            (copy / below[1]).write_text(new, encoding="utf-8")
        else:
            assert said.endswith("exports and of the check below them:") or cells, said
            cells.append(text.rstrip())
    return printed


def exchange(path, new):
    "Put cells in the place of those that a notebook exports; the check of the template goes, too."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    kept, places = [], iter(new)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if re.match(r"#\| exports?\n", source):
            cell["source"] = next(places)
        if not source.startswith("x = torch.ones("):
            kept.append(cell)
        if re.match(r"#\| exports\n", source):
            kept += [cell | {"id": f"{cell['id']}{i}", "source": s} for i, s in enumerate(places)]
    path.write_text(json.dumps(notebook | {"cells": kept}), encoding="utf-8")


def copied(folder):
    "A copy of the project, with its tests."
    copy_to(folder)
    for name in ("tests", "benchmarks", ".ci", ".github"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("*.*"):
        if path.is_file() and not (folder / path.name).exists():
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("copy"))


def test_a_sampler_is_added_as_the_recipe_says(copy):
    assert "2 passed" in follow(RECIPES["A sampler"], copy)
    exported = (copy / "ddpm_course" / "adams.py").read_text(encoding="utf-8")
    assert "from .stepping import" in exported and "return x / 2" not in exported


def test_a_metric_is_added_as_the_recipe_says(copy):
    assert "3 passed" in follow(RECIPES["A metric"], copy)


def test_an_experiment_is_added_as_the_recipe_says(copy):
    printed = follow(RECIPES["An experiment"], copy)
    for spacing in ("trailing", "leading", "linspace", "quadratic"):
        assert len(re.findall(rf"^ *field +DDIM +5 +{spacing} ", printed, flags=re.M)) == 1, printed


@pytest.mark.slow
def test_what_the_recipes_leave_keeps_to_the_rules_of_the_house(tmp_path):
    copy = copied(tmp_path)
    for recipe in RECIPES.values():
        follow(recipe, copy)
    house = "tests/test_house.py tests/test_architecture.py"
    sidebar = "tests/test_notebooks.py::test_the_sidebar_lists_every_page"
    facade = "tests/test_samplers.py::test_the_facade_offers_the_samplers_and_defines_nothing"
    carried_out(f".venv/bin/python -m pytest -q {house} {sidebar} {facade}", copy)


def test_a_chapter_of_the_template_runs_and_is_listed(copy):
    carried_out("make chapter NAME=18_second_try", copy)
    carried_out(".venv/bin/nbdev-export", copy)
    carried_out(".venv/bin/nbdev-test nbs/18_second_try.ipynb", copy)
    for file in ("README.md", "nbs/index.ipynb", "_quarto.yml"):
        assert "18_second_try.ipynb" in (copy / file).read_text(encoding="utf-8")
    with pytest.raises(AssertionError, match="there is 18_second_try already"):
        carried_out("make chapter NAME=18_second_try", copy)
    with pytest.raises(AssertionError, match="expected two digits and a module"):
        carried_out("make chapter NAME=second", copy)


COMMUNITY = ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md"]


@pytest.mark.parametrize("name", COMMUNITY)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    none(
        f"{name} links to {target}, which is not there"
        for target in re.findall(r"\]\(([^)#\s]+)", text)
        if not re.match(r"[a-z]+:", target) and not (ROOT / target).exists()
    )
