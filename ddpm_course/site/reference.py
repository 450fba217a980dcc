"Pages made for the site alone: a reference page a module, the index of figures, printable parts."

import ast
import json
import re
import textwrap

from ddpm_course.site.entries import entries, plain
from ddpm_course.site.links import PACKAGE, anchor, modules, page, public_names

NOTEBOOKS = PACKAGE.parent / "nbs"
MADE = re.compile(r"^(reference_|part_|figures\b)") # the names of pages that are made


def cell(text):
    "A Markdown cell."
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def write(name, cells):
    "A notebook of these cells in nbs/; left alone where it says the same already."
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = {"cells": cells, "metadata": {"kernelspec": {
        "display_name": "python3", "language": "python", "name": "python3"}},
        "nbformat": 4, "nbformat_minor": 5}
    for i, c in enumerate(cells): c["id"] = f"c{i}"
    text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
    if not path.exists() or path.read_text("utf-8") != text: path.write_text(text, "utf-8")
    return path


def read(path):
    "The cells of a notebook, their sources as text."
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [c | {"source": "".join(c["source"])} for c in cells]


def chapters():
    "The notebooks with a number, in order."
    return [path for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))]


def title(path):
    "What a notebook calls itself: `13 DDPM`."
    return read(path)[0]["source"].splitlines()[0].removeprefix("# ")


def chapter_of():
    "{module: the notebook that exports it}."
    found = {}
    for path in chapters():
        text = "\n".join(c["source"] for c in read(path) if c["cell_type"] == "code")
        if name := re.search(r"^#\| default_exp (\S+)", text, flags=re.M): found[name[1]] = path
    return found


def first_line(module):
    "The first sentence of a module's docstring."
    text = ast.get_docstring(modules()[module]) or ""
    return text.splitlines()[0] if text else ""


def facade(tree):
    "A list of links for a module that re-exports the names of others."
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    names = [(alias.name, node.module.removeprefix("ddpm_course."))
             for node in imports for alias in node.names]
    return "\n".join(f"- [`{name}`]({page(home)}.ipynb#{anchor(name)}), of `{home}`"
                     for name, home in sorted(names))


def reference_page(module, home):
    "The notebook of one module; home is the chapter that derives it, or None."
    heading = f"# {module}\n\n> {first_line(module)}\n\n- skip_exec: true"
    derived = f"[{title(home)}]({home.name}) derives what stands here.\n\n" if home else ""
    rest = (ast.get_docstring(modules()[module]) or "").partition("\n")[2]
    rest = re.sub(r"^Docs: \S+$", "", rest, flags=re.M).strip()
    opening = derived + f"```python\nfrom ddpm_course import {module}\n```\n\n" + plain(rest)
    if "." in module:
        opening = opening.replace(f"from ddpm_course import {module}",
                                  f"import ddpm_course.{module}")
    found = [*entries(module)]
    body = found or [facade(modules()[module])]
    return write(page(module), [cell(heading), cell(opening), *map(cell, body)])


def documented():
    "The modules that have a page: those that define or, like `sampling`, collect public names."
    return [module for module, tree in modules().items()
            if [*public_names(tree)] or module == "sampling"]


def with_references(text):
    "The text of _quarto.yml, with the reference page of every module in its sidebar."
    for wing in ("library", "experiments"):
        pages = [f"{page(module)}.ipynb" for module in documented()
                 if module.startswith("experiments.") == (wing == "experiments")]
        lines = textwrap.wrap(", ".join(pages), 84)
        head = rf'(- section: "Reference: the {wing}"\n +contents:\n( +))\[.*?\]'
        text = re.sub(head, lambda at: at[1] + "[" + f"\n{at[2]}  ".join(lines) + "]", text,
                      flags=re.S)
    return text


def references():
    "Write the reference page of every module."
    homes = chapter_of()
    return [reference_page(module, homes.get(module)) for module in documented()]
