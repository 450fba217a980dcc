"The plans of the teaching page: every chapter once, in order, with what it needs before it."

import re

import pytest
import yaml

from ddpm_course.site.extras import parts
from test_notebooks import LESSONS
from tree import CHAPTERS, ROOT, cells

PAGE = "\n\n".join(c.source for c in cells(ROOT / "nbs" / "teaching.ipynb") if c.kind == "markdown")


def plan(heading):
    "[(chapters, handed in)] of the weeks below a heading."
    text = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (\d\d) \|", text, flags=re.M)
    assert [int(week) for week, _, _ in rows] == [*range(1, len(rows) + 1)]
    return [(re.findall(r"\((\w+\.ipynb)\)", listed), handed) for _, listed, handed in rows]


@pytest.mark.parametrize("heading, weeks", [("Six weeks", 6), ("Twelve weeks", 12)])
def test_a_plan_goes_through_the_chapters_in_order(heading, weeks):
    found = plan(heading)
    assert len(found) == weeks
    chapters = [name for listed, _ in found for name in listed]
    assert chapters == sorted({*chapters}) and chapters[0] == CHAPTERS[0].name
    for listed, handed in found:
        assert handed in [name[:2] for name in listed], f"{handed} is not read that week"


def test_twelve_weeks_and_their_project_are_the_whole_course():
    listed = {name for names, _ in plan("Twelve weeks") for name in names}
    project = {*re.findall(r"\((9\d_\w+\.ipynb)\)", PAGE)} - listed
    assert listed | project == {path.name for path in CHAPTERS}


def test_six_weeks_say_what_they_leave_out():
    listed = {name[:2] for names, _ in plan("Six weeks") for name in names}
    text = PAGE.partition("## Six weeks\n")[2].partition("\n|")[0]
    told = {*re.findall(r"\b\d\d\b", text)}
    lessons = {path.name[:2] for path in LESSONS}
    assert told | listed >= {n for n in lessons if n < "80"} and not told & listed


def test_what_is_left_out_but_needed_is_said():
    names = {name for listed, _ in plan("Six weeks") for name in listed}
    needs = [
        text
        for name in names
        for cell in cells(ROOT / "nbs" / name)[:2]
        for text in re.findall(r"\*\*You need\*\* (.*?)(?:\n|\*\*|$)", cell.source)
    ]
    needed = {n for text in needs for n in re.findall(r"\]\((\d\d)_", text) if n < "70"}
    left_out = needed - {name[:2] for name in names}
    told = PAGE.partition("are needed in part:")[2].partition("\n")[0]
    assert left_out and left_out == {*re.findall(r"\b\d\d\b", told)}


def test_each_deck_has_a_link():
    linked = re.findall(r"\[(\d .*?)\]\(https://\S+/slides/part_(\d)\.html\)", PAGE)
    assert [(f"{d} {name}", d) for d, name in parts().items()] == linked


def test_the_pages_are_in_the_sidebar():
    text = (ROOT / "_quarto.yml").read_text("utf-8")
    contents = yaml.safe_load(text)["website"]["sidebar"]["contents"][-1]["contents"]
    assert {"architecture.ipynb", "teaching.ipynb"} <= {x for x in contents if isinstance(x, str)}
