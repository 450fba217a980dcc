"What the site shows beside the notebooks: reference, links, glossary, boxes; how pages measure."

import re, shutil

import pytest

import render
from ddpm_course.site import entries, extras, links, measure, pages, reference
from tree import NOTEBOOKS, ROOT, cells, none, prose


@pytest.fixture(scope="module")
def made():
    "{module: the entries of its reference page}."
    return {module: [*entries.entries(module)] for module in reference.documented()}


@pytest.mark.parametrize("module", reference.documented())
def test_every_public_name_has_an_entry_where_links_lead(made, module):
    heads = re.findall(r"^##+ (\S+) \{#(\S+)\}$", "\n".join(made[module]), flags=re.M)
    assert [name for name, _ in heads] == [*links.public_names(links.modules()[module])]
    linked = links.d["syms"][f"ddpm_course.{module}"]
    for name, at in heads:
        if full := linked.get(f"ddpm_course.{module}.{name}"):
            assert full == (
                f"{links.page(module)}.html#{at}",
                f"ddpm_course/{module}.py".replace("experiments.", "experiments/"),
            )


def test_an_entry_says_what_the_docstring_says(made):
    entry = next(e for e in made["ddim"] if e.startswith("## spaced_timesteps "))
    assert "spaced_timesteps(T: int, steps: int, spacing: str = 'trailing') -> list" in entry
    assert "| `T` | length of the schedule |" in entry
    assert "| `spacing` | one of SPACINGS |" in entry  # its comment stands behind the `-> list`
    assert "- Raises `TypeError` or `ValueError` where an argument is not what" in entry
    spaced = next(e for e in made["stepping"] if e.startswith("## trailing_timesteps "))
    assert re.search(r"^- Raises `ValueError`: steps=", spaced, flags=re.M)
    sample = next(e for e in made["ddim"] if e.startswith("## ddim_sample "))
    for row in ("| `steps` | number of steps, 1..T |", "| `progress` | show a bar |"):
        assert row in sample
    rate = next(e for e in made["training"] if e.startswith("## lr_at "))
    assert re.search(r"\| `step`, `steps` \| .*of the whole run \|", rate)  # one line, two names
    recipe = next(e for e in made["training"] if e.startswith("## Recipe "))
    assert "| `warmup` | steps up to it |" in recipe
    assert "<summary>Source</summary>" in entry and "NoneType" not in "".join(made["ddim"])


def test_a_docstring_means_itself():
    assert entries.plain("x * y_t in [0, 1], see `a_b`") == r"x \* y\_t in \[0, 1\], see `a_b`"


def test_common_words_are_no_links():
    names = {
        full.removeprefix(f"{module}.")
        for module, group in links.d["syms"].items()
        for full in group
    }
    assert names.isdisjoint({"start", "table", "sampling", "noise", "train"})
    assert names >= {"ddim_sample", "fit", "condition", "NoiseSchedule"}


class Page:
    "A notebook as a processor gets it."

    def __init__(self, *cells):
        self.cells, self.path_ = [pages.mk_cell(*cell) for cell in cells], "nbs/13_ddpm.ipynb"
        for cell in self.cells:
            cell.idx_ = 0


SOLVED = '#| code-summary: "Solution"\n#| code-fold: true\n'


def test_exercises_and_solutions_are_closed_boxes_with_all_that_belongs_to_them():
    page = Page(
        ("## Exercises\n\nTry.", "markdown"),
        ("### 1. One\n\nDo this.", "markdown"),
        ("#| eval: false\n...", "code"),
        (SOLVED + "x = 1", "code"),
        ("It is one.", "markdown"),
        ("### 2. Two\n\nDo that.", "markdown"),
        (SOLVED + "x = 2", "code"),
        ("## Further reading", "markdown"),
    )
    pages.fold_exercises(page).begin()
    task = '::: {.callout-note collapse="true"}\n## Exercise '
    solution = '::: {.callout-tip collapse="true"}\n## Solution'
    assert [cell.source for cell in page.cells] == [
        "## Exercises\n\nTry.",
        task + "1. One",
        "Do this.",
        "#| eval: false\n...",
        solution,
        "x = 1",
        "It is one.",
        ":::",
        ":::",
        task + "2. Two",
        "Do that.",
        solution,
        "x = 2",
        ":::",
        ":::",
        "## Further reading",
    ]


@pytest.mark.parametrize(
    "source, summary",
    [
        ("import torch\n\nfrom a import (\n    b)", "Imports"),
        ("#| label: fig-a\n" + "x = 1\n" * 5, "Code of the figure"),
        ("#| label: fig-a\n" + "x = 1\n" * 4, None),
        ("x = 1\n" * 9, "Code"),
        ("x = 1\n" * 8, None),
        (SOLVED + "x = 1\n" * 20, "Solution"),
    ],
)
def test_plumbing_is_folded_and_what_is_short_is_not(source, summary):
    cell = pages.mk_cell(source, "code")
    pages.fold_plumbing(cell)
    found = re.findall(r'^#\| code-summary: "(.*)"$', cell.source, flags=re.M)
    assert found == [summary] * bool(summary)


def test_links_of_names_lead_to_this_copy_of_the_site():
    cell = pages.mk_cell(f"[`fit`]({pages.SITE}/reference_training.html#fit)", "markdown")
    pages.keep_links_inside(cell)
    assert cell.source == '<a href="reference_training.html#fit"><code>fit</code></a>'


def test_a_chapter_leads_to_its_reference_and_back():
    page = Page(("badge", "markdown"), ("## First", "markdown"))
    pages.link_reference(page).begin()
    shown = '<a href="reference_ddpm.html"><code>ddpm_course.ddpm</code></a>'
    assert page.cells[1].source == f"**Reference**: {shown}"
    assert reference.chapter_of()["ddpm"].name == "13_ddpm.ipynb"


def test_the_index_of_figures_has_every_figure_and_its_picture():
    for path in reference.chapters():
        text = "".join(extras.figures_of(path))
        labels = [c.directives["label"] for c in cells(path) if "label" in c.directives]
        figures = [label for label in labels if label.startswith("fig-")]
        assert re.findall(r"\]\(\S+\.ipynb#(\S+)\)", text) == figures
        assert text.count("data:image/webp") >= 0.8 * len(figures)  # the others are players


@pytest.mark.parametrize("path", reference.chapters(), ids=lambda p: p.stem)
def test_a_part_holds_its_chapters_with_labels_of_their_own(path):
    text = "\n".join(c["source"] for c in extras.printed(path))
    number = path.name[:2]
    labels = re.findall(r"^#\| label: (fig-\S+)", text, flags=re.M)
    assert all(label.startswith(f"fig-{number}-") for label in labels)
    none(ref for ref in re.findall(r"(?<![\w\[/.])@(fig-[\w-]+)", text) if ref not in labels)
    assert not re.search(r"^#\| (default_exp|exports?\b|eval)", text, flags=re.M)
    assert "Solution" not in text and "google.colab" not in text


TERMS = [c.source for c in cells(ROOT / "nbs" / "glossary.ipynb")[2:]]


@pytest.mark.parametrize("term", TERMS, ids=lambda text: text.splitlines()[0][3:40])
def test_a_term_is_explained_where_the_glossary_says(term):
    word = re.sub(r"\s*\(.*", "", term.splitlines()[0][3:]).lower()
    (file,) = re.findall(r"Explained in \[.*?\]\((\S+)\)", term)
    text = re.sub(r"[*_$]", "", prose(ROOT / "nbs" / file)).lower()
    assert text.count(word), f"{file} has no {word!r}"


def test_the_glossary_has_what_people_search_for():
    heads = [term.splitlines()[0] for term in TERMS]
    assert heads == sorted(heads, key=str.lower)
    words = ("FID", "EMA", "Score", "Variance preserving", "CFG", "DDIM", "NFE", "v-prediction")
    for word in words:
        assert any(re.match(rf"## (.*\()?{word}", head) for head in heads), word


# ---- in a browser ----

browser = pytest.mark.skipif(measure.browser() is None, reason="no Chromium on the PATH")


@pytest.fixture(scope="module")
def found(site, tmp_path_factory):
    "{page: what a browser measures of it}, of all notebooks without their mathematics."
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(ROOT / "nbs" / "styles.css", folder)
    for name in ("images", "results", "live"):
        shutil.copytree(ROOT / "nbs" / name, folder / name)
    for path in NOTEBOOKS:
        (folder / f"{path.stem}.html").write_text(render.page(site[path.name]), encoding="utf-8")
    return {page["page"]: page for page in measure.measured(folder, measure.pages_of(folder))}


@browser
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_fits_a_phone_has_nothing_dead_and_can_be_read(path, found):
    page = {"screens": 0, "prose": 1, "figures": 1}  # these need Quarto: `make docs` prints them
    none(f"{path.name}: {fault}" for fault in measure.faults(found[f"{path.stem}.html"] | page))


FAULTS = {
    "<p>" + "word " * 90 + "</p>": "figures 0.0% of the height, below 15%",
    "<div class='cell'><div class='sourceCode'>" + "<p>x</p>" * 90 + "</div></div>": "prose 0.0%",
    "<div style='height: 20000px'></div>": "22.2 screens, more than 18",
    "<div style='width: 600px; background: red'>wide</div>": "wider than 390 px: 608 px: DIV wide",
    "<div style='overflow-x: auto'><figure style='width: 600px; margin: 0'><figcaption>said"
    "</figcaption></figure></div>": "wider than 390 px: 608 px: FIGCAPTION said",
    "<img src='x.png'>": "1 pictures without alt",
    "<input type=range>": "1 controls without a name",
    "<script type='application/vnd.jupyter.widget-view+json'></script>": "1 widgets that need",
    "<p style='color: #999'>faint</p>": "contrast below 4.5 on light: 2.8 P",
    "<p style='color: #000'>black</p>": "contrast below 4.5 on dark: 1.",
}


CLOSED = "<details><summary>more</summary><p style='height: 20000px'>text</p></details>"
SCROLLS = "<div style='overflow-x: auto'><div style='width: 600px'>wide</div></div>"
FIGURE = "<figure><div style='height: 300px'></div></figure>"
TEXT = "<p style='height: 600px'>text</p>"
FINE = CLOSED + SCROLLS + FIGURE + TEXT


@pytest.fixture(scope="module")
def small_pages(tmp_path_factory):
    "{body: what the browser measures of a page with it}."
    folder = tmp_path_factory.mktemp("small")
    bodies = {f"chapter{i}.html": body for i, body in enumerate([*FAULTS, FINE])}
    for name, body in bodies.items():
        (folder / name).write_text(render.PAGE.format(body), encoding="utf-8")
    return {bodies[page["page"]]: page for page in measure.measured(folder, [*bodies])}


@browser
@pytest.mark.parametrize("body", FAULTS, ids=FAULTS.values())
def test_a_fault_of_a_page_is_found(body, small_pages):
    page = small_pages[body]
    assert any(fault.startswith(FAULTS[body]) for fault in measure.faults(page)), page


@browser
def test_what_is_closed_or_scrolls_is_no_fault(small_pages):
    page = small_pages[FINE]
    assert [*measure.faults(page)] == []
    assert 0.2 < page["figures"] < 0.4 and 0.5 < page["prose"] < 0.7
