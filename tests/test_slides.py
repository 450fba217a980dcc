"Decks of slides: all figures and summaries of a part, and nothing that leads nowhere."

import io, re

import pytest
import yaml
from PIL import Image

from ddpm_course.site import slides
from ddpm_course.site.extras import options, parts, picture
from test_notebooks import LESSONS, div_faults, lesson
from tree import ROOT, cells, none


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "(folder, {digit: text of the deck})."
    folder = tmp_path_factory.mktemp("decks") / "slides"
    files = slides.decks(folder)
    assert [file.name for file in files] == [f"part_{digit}.qmd" for digit in parts()]
    return folder, {file.stem[-1]: file.read_text("utf-8") for file in files}


def test_the_decks_are_a_quarto_project_of_their_own(made):
    "Else Quarto would take them for pages of the site."
    settings = yaml.safe_load((made[0] / "_quarto.yml").read_text("utf-8"))
    assert settings["project"] == {"type": "default", "output-dir": "rendered"}
    assert "revealjs" in settings["format"]
    assert "_slides/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_chapter_is_there_with_its_figures_and_its_summary(made, path):
    folder, texts = made
    text = texts[path.name[0]]
    title = cells(path)[0].source.splitlines()[0]
    assert len(re.findall(rf"^{re.escape(title)}$", text, flags=re.M)) == 1
    shown = [
        c.directives["label"]
        for c in lesson(path)
        if c.directives.get("label", "").startswith("fig-")
        and picture({"outputs": c.outputs}) is not None
    ]
    files = re.findall(rf"\]\({path.stem}-(fig-[\w-]+)\.(\w+)\)", text)
    assert [label for label, _ in files] == shown and len(shown) >= 4
    for label, kind in files:
        with Image.open(folder / f"{path.stem}-{label}.{kind}") as image:
            assert image.width >= 480
    summary = prose_of(path).partition("\n## Summary\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^- .*$", summary, flags=re.M)
    assert len(lines) >= 3
    none(f"not on a slide: {line}" for line in lines if slides.on_slide(line, path) not in text)


def prose_of(path):
    return "\n".join(c.source for c in cells(path) if c.kind == "markdown")


@pytest.mark.parametrize("digit", parts())
def test_a_deck_can_be_rendered(made, digit):
    folder, texts = made
    _, head, body = texts[digit].split("---\n", 2)
    assert yaml.safe_load(head)["title"] == f"{digit} {parts()[digit]}"
    none(div_faults(body))
    assert not re.search(r"@fig-|\.ipynb|\{\{<", body)
    for target in re.findall(r"\]\(([^)\s]+)\)", body):
        page = re.fullmatch(r"\.\./(\w+)\.html(#.*)?", target)
        there = page and any((ROOT / "nbs").glob(f"*{page[1]}.ipynb"))
        assert there or target.startswith("https:") or (folder / target).is_file(), target


def test_a_figure_that_begins_a_sentence_is_written_large():
    text = "@fig-a shows it. See @fig-b; [12](12_unet.ipynb#x), [here](#y)."
    assert slides.on_slide(text, LESSONS[0]) == (
        "The figure shows it. See the figure; [12](../unet.html#x), [here](../images.html#y)."
    )
    assert options('#| fig-cap: "A \\"word\\""')["fig-cap"] == 'A "word"'


def test_only_small_pictures_grow():
    def png(width):
        Image.new("L", (width, 8)).save(buffer := io.BytesIO(), "PNG")
        return buffer.getvalue()

    assert slides.grown(png(500)) == png(500)
    with Image.open(io.BytesIO(slides.grown(png(64)))) as image:
        assert image.size == (512, 64)
