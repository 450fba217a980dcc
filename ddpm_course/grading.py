"Which exercises of a learner's notebook pass: `ddpm-course grade NOTEBOOK`."

# The learner's own cells are run, each exercise with those before it that define what it uses, so
# that nothing is trained or drawn for a grade. It is a stranger's code: grade what you would run.

import ast
import contextlib
import importlib
import io
import json
import linecache
import re
import symtable
from dataclasses import dataclass
from pathlib import Path

from .arguments import checked
from .checks import Exercise

SOLVED = '#| code-summary: "Solution"'
CHECKS = re.compile(r"^from ddpm_course\.checks import (\w+) as (\w+)", flags=re.M)
HEAD = re.compile(r"^### (\d+\. .+)", flags=re.M)


@dataclass(frozen=True)
class Grade:
    "What became of one exercise."
    name: str # of its checker
    title: str # its heading, "1. Sigma"
    passes: bool | None # None: not done yet
    said: str # what the checker said, or why it was not asked


class _Cell:
    "A code cell: its source without lines of IPython alone, the global names it binds and uses."
    def __init__(self, number, source):
        self.name = f"<cell {number}>"
        self.source = re.sub(r"^(\s*)([%!?].*|[\w.]+\?+)$", r"\1pass", source, flags=re.M)
        try: tables = [*_tables(symtable.symtable(self.source, self.name, "exec"))]
        except SyntaxError: tables = [] # running it tells
        top = tables[0].get_symbols() if tables else []
        self.binds = {s.get_name() for s in top if s.is_assigned() or s.is_imported()}
        self.uses = {s.get_name() for table in tables for s in table.get_symbols()
                     if s.is_referenced() and (table is tables[0] or s.is_global())}

    def run(self, names, wanted): # the namespace; the names that any of the cells run uses
        "Run the cell, without imports of what is not wanted; errors show its lines."
        lines = self.source.splitlines(keepends=True)
        linecache.cache[self.name] = len(self.source), None, lines, self.name
        tree = ast.parse(self.source, self.name)
        tree.body = [s for s in tree.body if not _imported(s) or _imported(s) & {*wanted, "*"}]
        exec(compile(tree, self.name, "exec"), names)


def _imported(statement):
    "The names that an import statement binds; none for another statement."
    if not isinstance(statement, (ast.Import, ast.ImportFrom)): return set()
    return {alias.asname or alias.name.split(".")[0] for alias in statement.names}


def _tables(table):
    "A symbol table, and all within it."
    yield table
    for child in table.get_children(): yield from _tables(child)


def _needed(cells, i):
    "The cells before cell i that bind what it uses, and those that these need, in order."
    found = set()
    todo = [i]
    while todo:
        at = todo.pop()
        homes = [next((j for j in reversed(range(at)) if name in cells[j].binds), None)
                 for name in cells[at].uses - cells[at].binds]
        todo += {*homes} - found - {None}
        found.update(todo)
    return [cells[j] for j in sorted(found)]


class _Asked:
    "Stands for the module of checkers in a learner's cell, and keeps what each of them says."
    def __init__(self, module):
        self.module = module
        self.verdicts = {}

    def __getattr__(self, name):
        exercise = getattr(self.module, name)
        return lambda answer: self.verdicts.update({name: exercise.verdict(answer)})


def _verdict(cells, i, name, module, alias):
    "(passes, what is said) of the exercise that cell i hands to a checker."
    names = {"__name__": "__main__", "display": print} # a notebook has it without an import
    asked = _Asked(module)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            needed = _needed(cells, i)
            wanted = set().union(*(cell.uses for cell in (*needed, cells[i])))
            for cell in needed: cell.run(names, wanted)
            cells[i].run(names | {alias: asked}, wanted)
    except (Exception, SystemExit) as error: # whatever a learner's cell may raise
        if name not in asked.verdicts: return False, f"{type(error).__name__}: {error}"
    return asked.verdicts.get(name, (False, "the checker was not called"))


def _exercises(cells, alias):
    "{name of a checker: (its last cell, the heading above)}; cells are (kind, source)."
    found = {}
    title = ""
    for i, (kind, source) in enumerate(cells):
        if kind == "markdown": title = (HEAD.findall(source) or [title])[-1]
        if kind != "code" or SOLVED in source: continue
        for name in re.findall(rf"^{alias}\.(\w+)\(", source, flags=re.M): found[name] = i, title
    return found


@checked
def grades(file) -> list: # the learner's copy of a chapter
    "A `Grade` for each exercise of the chapter; the learner's cells are run, solutions are not."
    text = Path(file).read_bytes()
    try: raw = [(c["cell_type"], "".join(c["source"])) for c in json.loads(text)["cells"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} is no notebook; expected an .ipynb file") from None
    found = CHECKS.search("\n".join(source for kind, source in raw if kind == "code"))
    if not found:
        raise ValueError(f"{file} asks no checker; expected a chapter with exercises, and the line "
                         "from ddpm_course.checks import NAME as check")
    module = importlib.import_module(f"ddpm_course.checks.{found[1]}")
    asked = _exercises(raw, found[2])
    own = [_Cell(i, source if kind == "code" and SOLVED not in source else "")
           for i, (kind, source) in enumerate(raw)]
    left_out = [n for n, e in vars(module).items() if isinstance(e, Exercise) and n not in asked]
    return [Grade(name, title, *_verdict(own, i, name, module, found[2]))
            for name, (i, title) in asked.items()] + [
            Grade(name, name, None, "no cell asks this checker") for name in left_out]


@checked
def grades_text(file) -> str: # the learner's copy of a chapter
    "What `ddpm-course grade` prints: how many exercises pass, and a line for each."
    found = grades(file)
    state = {True: "passes", False: "not yet", None: "to do"}
    lines = [f"{state[g.passes]:9}{g.title}" for g in found]
    lines = [line if g.passes is not False else f"{line}: {g.said.removeprefix('Not yet: ')}"
             for line, g in zip(lines, found)]
    passed = sum(g.passes is True for g in found)
    return "\n".join([f"{Path(file).stem}: {passed} of {len(found)} exercises pass", *lines])
