"A new chapter from a template: `make chapter NAME=17_adams`."

# It writes the notebook and its checkers, and lists them where chapters are listed. What a chapter
# needs beyond the template is what tests/test_notebooks.py asks of it.

import json
import re
import sys

from ddpm_course import __version__
from ddpm_course.site.links import PACKAGE
from ddpm_course.site.reference import NOTEBOOKS

ROOT = PACKAGE.parent
COLAB = "https://colab.research.google.com"
BADGE = (f'<a href="{COLAB}/github/ddpm-course/ddpm_course/blob/main/nbs/FILE.ipynb">'
         f'<img src="{COLAB}/assets/colab-badge.svg" alt="Open in Colab"></a>')
FOLDED = '#| code-summary: "Solution"\n#| code-fold: true\n'


class Code(str):
    "The source of a code cell."


# MODULE, FILE, NUMBER, TITLE and VERSION are filled in
CELLS = ["""# NUMBER TITLE

> One line that says what the reader sees here.""",
BADGE + """

After this chapter you can

- say in one sentence what the method does;
- compute it by hand for one pixel.

**You need** the forward noising of [chapter 11](11_noising.ipynb).
**It takes** a minute on a laptop CPU; a GPU is not needed.""",
Code("""#| hide
#| eval: false
# On Colab only: install this release, or the repository where there is none yet
import sys
if "google.colab" in sys.modules:
    repository = "git+https://github.com/ddpm-course/ddpm_course"
    !pip install -q ddpm_course==VERSION || pip install -q {repository}"""),
Code("#| default_exp MODULE"),
Code("""#| export
from ddpm_course.arguments import checked"""),
Code("""import matplotlib.pyplot as plt
import torch

from ddpm_course.checks import MODULE as check
from ddpm_course.images import load_digits, show_images
from ddpm_course.style import course_style"""),
Code("""#| hide
course_style()
torch.manual_seed(0);"""),
"""## The idea

What the idea is, in words and with one equation, in the symbols of [the notation](notation.ipynb):

$$x_t = \\sqrt{\\bar\\alpha_t}\\;x_0 + \\sqrt{1-\\bar\\alpha_t}\\;\\epsilon .$$""",
"""## By hand

A few lines that end in a value or a picture.""",
Code("""#| label: fig-MODULE
#| fig-cap: "What there is to see, in one sentence."
#| fig-alt: "Ten real digits"
show_images(load_digits().batch(range(10))[0], columns=10);"""),
"""@fig-MODULE shows what the words above mean: name a number on the page.

## The function""",
Code("""#| exports
@checked
def MODULE(x): # float (B, C, H, W)
    "What it returns: shape, range, unit, and the equation of the paper."
    return x / 2"""),
"""**Check** it against an exact value, a limit, or somebody else's code.""",
Code("""x = torch.ones(1, 1, 2, 2)
assert torch.equal(MODULE(x), x - 0.5)"""),
"""## Summary

- What to remember, one line each.""",
"## Exercises",
"""### 1. Half

Write the function again. `x` holds floats.""",
Code("""#| eval: false
def my_half(x):
    "x, halved."
    ... # your code

check.half(my_half)"""),
Code(FOLDED + """def my_half(x): return x / 2

check.half(my_half)"""),
"""## Further reading

- The paper, its year, *its title*, a link: which equation stands above."""]

CHECKERS = '''"Checkers for the exercises of TITLE."

from ddpm_course.checks import Exercise, randn

half = Exercise(
    right=lambda x: x / 2,
    cases=lambda: [(randn(3),), (randn(2, 2, seed=1),)],
    wrong={"this doubles x; divide it by 2": lambda x: 2 * x})
'''


def fill_in(text, name): # "17_adams"
    "A text of the template for a chapter of this name."
    number, module = name.split("_", 1)
    words = {"FILE": name, "NUMBER": number, "MODULE": module, "VERSION": __version__,
             "TITLE": module.replace("_", " ").capitalize()}
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def new_cell(number, text, name):
    "A cell of the notebook; a solution is closed in JupyterLab, too."
    metadata = {"jupyter": {"source_hidden": True}} if text.startswith(FOLDED) else {}
    source = fill_in(text, name).splitlines(keepends=True)
    shared = {"id": f"c{number}", "metadata": metadata, "source": source}
    if not isinstance(text, Code): return {"cell_type": "markdown", **shared}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **shared}


def notebook(name):
    "The notebook of a new chapter, as JSON."
    cells = [new_cell(i, text, name) for i, text in enumerate(CELLS)]
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def with_lines(name, before):
    "{file: its text with the new chapter behind the one before it}."
    row = fill_in("| NUMBER | [TITLE](FILE.ipynb) | `MODULE` | what you build or see |", name)
    found = {}
    for file, folder in (("README.md", "nbs/"), ("nbs/index.ipynb", "")):
        text = (ROOT / file).read_text("utf-8")
        old = re.search(rf'^.*\| {before[:2]} \| \[.*?\]\({folder}{before}\.ipynb\).*$', text, re.M)
        new = row.replace(f"]({name}", f"]({folder}{name}")
        line = f'{old[0]}\n{old[0].split("| ")[0]}' + (f'{new}\\n",' if not folder else new)
        found[file] = text.replace(old[0], line)
    text = (ROOT / "_quarto.yml").read_text("utf-8")
    added = text.replace(f"{before}.ipynb", f"{before}.ipynb, {name}.ipynb", 1)
    return found | {"_quarto.yml": added}


def new_chapter(name): # "17_adams": part and place, module
    "Write a chapter's notebook and checkers, and list it; what was written."
    if not re.fullmatch(r"[1-9]\d_[a-z]\w*", name):
        raise ValueError(f"NAME={name!r}; expected two digits and a module, such as 17_adams")
    chapters = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb"))
    taken = [c for c in chapters if c[:2] == name[:2] or c[3:] == name[3:]]
    if taken or (PACKAGE / f"{name[3:]}.py").exists():
        raise ValueError(f"NAME={name!r}: there is {(*taken, name[3:] + '.py')[0]} already")
    before = max(c for c in chapters if c < name)
    texts = {f"nbs/{name}.ipynb": notebook(name),
             f"ddpm_course/checks/{name[3:]}.py": fill_in(CHECKERS, name)}
    texts |= with_lines(name, before)
    for file, text in texts.items(): (ROOT / file).write_text(text, "utf-8", newline="\n")
    return [*texts]


if __name__ == "__main__":
    if len(sys.argv) != 2: sys.exit("make chapter NAME=17_adams: two digits and a module")
    try: print("wrote", ", ".join(new_chapter(sys.argv[1])))
    except ValueError as error: sys.exit(f"make chapter: {error}")
