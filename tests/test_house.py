"House rules: a chapter imports only earlier ones, nothing is defined twice, names are defined, modules stay short."

import ast, subprocess, sys

import pytest

from tree import CHAPTERS, MODULES, NOTEBOOKS, ROOT, code, module_of, none

FLOOR = {module_of(path): floor for floor, path in enumerate(CHAPTERS) if module_of(path)} # module -> position of its chapter
CHECKS = {f"checks.{p.stem}": p for p in sorted((ROOT / "ddpm_course" / "checks").glob("*.py")) if p.stem != "__init__"}
PARSED = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in (MODULES | CHECKS).items()}


def imported(tree, names=FLOOR.keys() | PARSED):
    "Modules of this package that a syntax tree imports, inside functions too, as 'noising' or 'checks.noising'."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import): found = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "ddpm_course" * bool(node.level) + "." * bool(node.level and node.module) + (node.module or "")
            found = [base, *(f"{base}.{a.name}" for a in node.names)]
        else: continue
        for name in found:
            name = name.removeprefix("ddpm_course.")
            if name in names: yield name


def floor(module, seen=()):
    "The position of the chapter that a module belongs to; a plain file stands where the last chapter that it imports does."
    if module in FLOOR: return FLOOR[module]
    assert module not in seen, f"{module} imports itself, through {seen}"
    return max((floor(name, (*seen, module)) for name in imported(PARSED[module])), default=-1)


def defined(tree, constants=True):
    "Names that a module or cell defines at its top level: functions, classes and, if wanted, constants."
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): yield node.name
        elif constants and isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and not target.id.startswith(("__", "_all_")): yield target.id


def test_every_module_belongs_to_one_chapter():
    modules = [module_of(path) for path in CHAPTERS]
    none(f"two chapters export {name}.py" for name in {*modules} - {None} if modules.count(name) > 1)
    none(f"{path.name} exports {module}.py, which lacks the chapter's name" for path, module in zip(CHAPTERS, modules)
         if module and module != path.stem.split("_", 1)[1])


@pytest.mark.parametrize("name", PARSED)
def test_a_module_imports_only_earlier_chapters(name):
    if name in FLOOR: none(f"{MODULES[name].name} ({CHAPTERS[FLOOR[name]].stem}) imports {other}" for other in imported(PARSED[name]) if floor(other) >= FLOOR[name])
    elif name in CHECKS: none(f"{name} imports {other}, of a later chapter" for other in imported(PARSED[name]) if floor(other) > FLOOR[name.split(".")[1]])
    else: floor(name) # a plain file may import anything but itself


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_notebook_imports_only_earlier_chapters(path):
    here = CHAPTERS.index(path)
    none(f"{path.name}, {cell}: imports {name}, which comes {'with this chapter' if name in FLOOR and FLOOR[name] == here else 'later'}"
         for cell in code(path) for name in imported(cell.tree) if floor(name) > here or (name in FLOOR and FLOOR[name] == here))


def test_no_name_is_defined_twice():
    homes = {}
    for name in MODULES:
        for what in defined(PARSED[name]): homes.setdefault(what, []).append(name)
    none(f"{what} is defined in {' and '.join(places)}" for what, places in homes.items() if len(places) > 1)


def test_no_notebook_defines_a_function_that_stands_elsewhere():
    homes = {what: f"{name}.py" for name in FLOOR for what in defined(PARSED[name], constants=False)}
    faults = []
    for path in NOTEBOOKS:
        own = {what for c in code(path) if not c.exported and not c.skipped and "code-fold" not in c.directives for what in defined(c.tree, constants=False)}
        faults += [f"{path.name} defines {what}, which stands in {homes[what]}" for what in own if what in homes]
        homes |= {what: path.name for what in own}
    none(faults)


@pytest.mark.parametrize("what", [["--exclude=nbs", "."], ["--select=E9,F63,F7,F82", "nbs"]], ids=["modules", "notebooks"])
def test_no_undefined_names(what):
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", *what], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*MODULES.values(), *CHECKS.values()], ids=lambda p: p.stem)
def test_a_module_is_read_in_ten_minutes(path):
    n = len(path.read_text(encoding="utf-8").splitlines())
    assert n <= 320, f"{path.name} has {n} lines"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    none(f"{name}.{node.name} has no docstring" for node in PARSED[name].body
         if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and not ast.get_docstring(node))


@pytest.mark.parametrize("name", PARSED)
def test_no_star_imports_and_no_pickles(name):
    for node in ast.walk(PARSED[name]):
        if isinstance(node, ast.ImportFrom): assert "*" not in [a.name for a in node.names], f"{name} imports * from {node.module}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert f"{node.value.id}.{node.attr}" not in ("torch.load", "torch.save", "pickle.load", "pickle.dump"), f"{name} pickles, on line {node.lineno}"


def test_the_facade_defines_nothing():
    assert not [*defined(PARSED["sampling"], constants=False)]
