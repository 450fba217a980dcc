"The project's files, as the tests of house rules, notebooks and packaging read them."

import ast, json, os, re, shutil, subprocess, sys
from functools import cache, cached_property
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from ddpm_course.site.reference import MADE

ROOT = Path(__file__).parents[1]
SOURCES = [
    "pyproject.toml",
    "settings.ini",
    "setup.py",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
    "_quarto.yml",
    "nbs",
    "ddpm_course",
]


class Cell:
    "One cell of a notebook."

    def __init__(self, number, cell):
        self.number, self.kind, self.metadata = number, cell["cell_type"], cell["metadata"]
        self.source, self.outputs = "".join(cell["source"]), cell.get("outputs", [])

    @cached_property
    def directives(self):
        "{name: value} of the `#|` lines; a name given twice keeps its last value."
        found = re.findall(r"^#\|[ \t]*([\w-]+):?[ \t]*(.*?)[ \t]*$", self.source, flags=re.M)
        return {name: value.strip("\"'") for name, value in found}

    @cached_property
    def tree(self):
        "The syntax tree of a code cell, its % and ! lines being what IPython makes of them."
        return ast.parse(TransformerManager().transform_cell(self.source))

    @property
    def evaluated(self):
        return self.directives.get("eval") != "false"

    @property
    def exported(self):
        return any(name.startswith("export") for name in self.directives)

    @property
    def skipped(self):
        return not self.evaluated or self.directives.keys() & {"gpu", "slow", "notest"}

    def __str__(self):
        lines = [
            line for line in self.source.splitlines() if line.strip() and not line.startswith("#|")
        ]
        return f"cell {self.number} ({lines[0][:60] if lines else 'empty'})"


@cache
def cells(path):
    "The cells of the notebook at `path`."
    return [
        Cell(i, cell)
        for i, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"])
    ]


def code(path):
    return [c for c in cells(path) if c.kind == "code"]


def prose(path):
    "The markdown cells of a notebook as one text, without code in backticks."
    return without_code("\n\n".join(c.source for c in cells(path) if c.kind == "markdown"))


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^(```+).*?^\1", "", text, flags=re.S | re.M))


def module_of(path):
    "The name of the module that a notebook exports, or None."
    return next(
        (
            c.source.split("default_exp")[1].split()[0]
            for c in code(path)
            if "default_exp" in c.directives
        ),
        None,
    )


NOTEBOOKS = sorted(p for p in (ROOT / "nbs").glob("*.ipynb") if not MADE.match(p.name))
CHAPTERS = [p for p in NOTEBOOKS if p.name[0].isdigit()]
PACKAGE = ROOT / "ddpm_course"
FILES = {
    ".".join(p.relative_to(PACKAGE).with_suffix("").parts): p
    for p in sorted(PACKAGE.rglob("*.py"))
    if p.stem not in ("__init__", "_modidx")
}  # "ddim", "experiments.tables", "checks.ddim"
MODULES = {name: path for name, path in FILES.items() if not name.startswith("checks.")}
CHECKS = {name: path for name, path in FILES.items() if name.startswith("checks.")}
TOUR = "00_tour.ipynb"  # shows, and neither derives nor asks


def copy_to(folder):
    "Copy what the package and the site are made of into `folder`."
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name,
                folder / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", ".*"),
            )
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)


def run(*command, cwd=ROOT, **env):
    "Run a command of this Python's environment; its output, if it succeeds."
    env = {
        name: value
        for name, value in (os.environ | {"OMP_NUM_THREADS": "1"} | env).items()
        if name != "IN_TEST"
    }  # nbdev-export does nothing IN_TEST
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))} exits {done.returncode}:\n{done.stdout[-4000:]}"
    )
    return done.stdout


def script(name):
    return Path(sys.executable).with_name(name)


def none(faults):
    "Fail with one fault a line."
    faults = list(faults)
    assert not faults, "\n" + "\n".join(faults)
