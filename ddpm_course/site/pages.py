"How a notebook becomes a page: what nbdev's docs build does to each, beside what it does itself."

import re
from html import escape
from pathlib import Path

from fastcore.nbio import mk_cell

from ddpm_course.site.links import index, modules, page

SITE = index["settings"]["doc_host"].rstrip("/") + "/" + index["settings"]["doc_baseurl"].strip("/")
SOLUTION = '#| code-summary: "Solution"\n'
FOLD = "#| code-fold: true\n"
TASK = re.compile(r"### (\d+\. .+)") # how an exercise begins
HEADING = re.compile(r"##? ") # ends the last one
NAMED = re.compile(rf"\[`([^`]+)`\]\({re.escape(SITE)}/([^)]+)\)") # as nbdev links a name
GLANCE = 4 # lines
READ = 8 # lines


class Notebook:
    "A processor of a whole notebook."
    def __init__(self, nb): self.nb = nb

    def __call__(self, cell): pass


def is_solution(cell):
    "Is this cell part of a solution?"
    return cell.cell_type == "code" and SOLUTION in cell.source


class fold_exercises(Notebook):
    """Put each exercise into a box that is closed at first, and its solution, with the outputs and
    with what is said of it, into a box in that box."""
    def begin(self):
        self.cells = []
        self.boxes = []
        for cell in self.nb.cells:
            task = TASK.match(cell.source) if cell.cell_type == "markdown" else None
            if task or HEADING.match(cell.source): self.close()
            if task:
                self.open("note", f"Exercise {task[1]}")
                cell.source = cell.source[task.end():].lstrip()
            if is_solution(cell):
                if "tip" not in self.boxes: self.open("tip", "Solution")
                cell.source = cell.source.replace(SOLUTION, "").replace(FOLD, "")
            self.cells.append(cell)
        self.close()
        self.nb.cells = self.cells

    def open(self, kind, title):
        fence = f'::: {{.callout-{kind} collapse="true"}}'
        self.cells.append(mk_cell(f"{fence}\n## {title}", "markdown"))
        self.boxes.append(kind)

    def close(self):
        self.cells += [mk_cell(":::", "markdown") for _ in self.boxes]
        self.boxes.clear()


def fold_plumbing(cell):
    "Fold imports, the code of a figure that is longer than a glance, and other long cells."
    if cell.cell_type != "code" or is_solution(cell) or "#| code-fold" in cell.source: return
    lines = [line for line in cell.source.splitlines() if line.strip() and line[:2] != "#|"]
    imports = lines and all(re.match(r"(from|import|    |\)|#)", line) for line in lines)
    if imports: what = "Imports"
    elif "#| label: fig-" in cell.source and len(lines) > GLANCE: what = "Code of the figure"
    elif not cell.directives_.keys() & {"exports", "eval"} and len(lines) > READ: what = "Code"
    else: return
    cell.source = f'{FOLD}#| code-summary: "{what}"\n{cell.source}'


class drop_entries(Notebook):
    "Take out the places of the entries that nbdev makes: they stand on the reference pages."
    def begin(self):
        self.nb.cells = [cell for cell in self.nb.cells if not getattr(cell, "has_sd", False)]


class link_reference(Notebook):
    "Say below a chapter's opening where the reference of its module is."
    def begin(self):
        number, _, module = Path(self.nb.path_).stem.partition("_")
        if not number.isdigit() or module not in modules(): return
        text = f"**Reference**: {link(f'ddpm_course.{module}', f'{page(module)}.html')}"
        at = next(i for i, c in enumerate(self.nb.cells) if c.source.startswith("## "))
        self.nb.cells.insert(at, mk_cell(text, "markdown"))


def link(name, target):
    "A link to a page that is made with the site, and is no file beside the notebooks."
    return f'<a href="{target}"><code>{escape(name)}</code></a>'


def keep_links_inside(cell):
    "Make nbdev's absolute links to this site relative, so that any copy of it links to itself."
    if cell.cell_type != "markdown": return
    cell.source = NAMED.sub(lambda found: link(*found.groups()), cell.source)
