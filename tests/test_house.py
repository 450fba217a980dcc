"House rules: floors and wings, nothing defined twice, names defined, everything short."

import ast, subprocess, sys

import pytest

from tree import CHAPTERS, FILES, MODULES, NOTEBOOKS, ROOT, code, module_of, none

FLOOR = {
    module_of(path): floor for floor, path in enumerate(CHAPTERS) if module_of(path)
}  # module -> position of its chapter
PARSED = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
EXPORTED = [name for name in MODULES if name in FLOOR]


def imported(tree, where=""):
    "Modules that code of module `where` imports, in functions too: 'noising', 'checks.noising'."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ("ddpm_course." + where).split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *[node.module] * bool(node.module)])
            found = [base, *(f"{base}.{a.name}" for a in node.names)]
        else:
            continue
        for name in found:
            name = name.removeprefix("ddpm_course.")
            if name in PARSED:
                yield name


FOUND = {}  # floors of plain files; None while one is looked for


def floor(module):
    "The position of a module's chapter; of a plain file, of the last chapter that it imports."
    if module in FLOOR:
        return FLOOR[module]
    if module not in FOUND:
        FOUND[module] = None
        below = [floor(name) for name in imported(PARSED[module], module)]
        FOUND[module] = max(below, default=-1)
    circle = [name for name, found in FOUND.items() if found is None]
    assert FOUND[module] is not None, f"{module} imports itself, through {circle}"
    return FOUND[module]


def defined(tree, constants=True):
    "Names defined at the top level: functions, classes, and constants if wanted."
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if "patch" not in "".join(map(ast.unparse, node.decorator_list)):
                yield node.name  # a method that stands outside
        elif constants and isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and not target.id.startswith(("__", "_all_")):
                    yield target.id


def test_every_module_belongs_to_one_chapter():
    modules = [module_of(path) for path in CHAPTERS]
    none(
        f"two chapters export {name}.py" for name in {*modules} - {None} if modules.count(name) > 1
    )
    none(
        f"{path.name} exports {module}.py, which lacks the chapter's name"
        for path, module in zip(CHAPTERS, modules)
        if module and module != path.stem.split("_", 1)[1]
    )


@pytest.mark.parametrize("name", PARSED)
def test_a_module_imports_only_earlier_chapters(name):
    others = [*imported(PARSED[name], name)]
    if name in FLOOR:
        none(
            f"{MODULES[name].name} ({CHAPTERS[FLOOR[name]].stem}) imports {other}"
            for other in others
            if floor(other) >= FLOOR[name]
        )
    else:
        floor(name)  # a plain file may import anything but itself


def test_no_method_module_imports_the_experiments():
    none(
        f"{name} imports {other}"
        for name in MODULES
        if not name.startswith("experiments.") and name != "cli"
        for other in imported(PARSED[name], name)
        if other.startswith("experiments")
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_an_exported_cell_imports_only_earlier_chapters(path):
    here = CHAPTERS.index(path)
    none(
        f"{path.name}, {cell}: imports {name}, which comes later"
        for cell in code(path)
        if cell.exported
        for name in imported(cell.tree)
        if floor(name) >= here
    )


LIGHT = {"torch", "tqdm", "numpy", "fastcore"}


def foundation(names):
    "These modules and all that they import, in functions too."
    found, todo = set(), [*names]
    while todo:
        name = todo.pop()
        if name not in found:
            todo += imported(PARSED[name], name)
        found.add(name)
    return found


@pytest.mark.parametrize("name", sorted(foundation(["sampling", "schedules", "guidance"])))
def test_samplers_and_schedules_stand_on_torch_alone(name):
    heavy = []
    for node in PARSED[name].body:  # what runs when the module is imported
        if isinstance(node, ast.Import):
            heavy += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            heavy.append(node.module)
    heavy = [
        n
        for n in heavy
        if n.split(".")[0] not in LIGHT | {"ddpm_course"} | sys.stdlib_module_names
        or n.split(".")[0] == "fastcore"
        and n != "fastcore.basics"
    ]
    assert not heavy, f"{name} imports {heavy}"


def test_sampling_loads_torch_and_little_else():
    modules = "ddpm_course.sampling, ddpm_course.schedules, ddpm_course.guidance"
    code = f"import sys, {modules}; print(*{{m.split('.')[0] for m in sys.modules}})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout.split()
    )
    assert not loaded & {
        "accelerate",
        "diffusers",
        "matplotlib",
        "safetensors",
        "scipy",
        "sklearn",
        "torchmetrics",
        "torchvision",
    }


def test_no_name_is_defined_twice():
    homes = {}
    for name in MODULES:
        for what in defined(PARSED[name]):
            homes.setdefault(what, []).append(name)
    none(
        f"{what} is defined in {' and '.join(places)}"
        for what, places in homes.items()
        if len(places) > 1
    )


def test_no_notebook_defines_a_function_that_stands_elsewhere():
    homes = {
        what: f"{name}.py" for name in FLOOR for what in defined(PARSED[name], constants=False)
    }
    faults = []
    for path in NOTEBOOKS:
        own = {
            what
            for c in code(path)
            if not c.exported and not c.skipped and "code-fold" not in c.directives
            for what in defined(c.tree, constants=False)
        }
        faults += [
            f"{path.name} defines {what}, which stands in {homes[what]}"
            for what in own
            if what in homes
        ]
        homes |= {what: path.name for what in own}
    none(faults)


def ruff(*what):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--output-format=concise",
            *map(str, what),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "what",
    [["--exclude=nbs", "."], ["--select=E9,F63,F7,F82", "nbs"]],
    ids=["modules", "notebooks"],
)
def test_no_undefined_names(what):
    ruff(*what)


CAPTIONS = (  # `#| fig-cap: "..."` is one line, and no part of the page
    "--config=lint.task-tags=['|']",
    "--config=lint.pycodestyle.ignore-overlong-task-comments=true",
)


def test_lines_of_pages_fit_the_page():
    ruff("--select=E501", "--line-length=88", *CAPTIONS, "nbs")


def test_lines_of_plain_files_fit_a_screen():
    plain = [path for name, path in FILES.items() if name not in EXPORTED]
    ruff("--select=E501", "--line-length=100", *plain, "tests", "benchmarks", "setup.py")


def test_exported_modules_import_their_neighbors():
    "nbdev leaves an import absolute whose last line holds one name: a copy would use the original."
    none(
        f"{name} imports {node.module}"
        for name in EXPORTED
        for node in ast.walk(PARSED[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ddpm_course")
    )


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_a_module_is_read_in_ten_minutes(path):
    n = len(path.read_text(encoding="utf-8").splitlines())
    assert n <= 300, f"{path.name} has {n} lines"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_exports_what_its_story_carries(path):
    exported = [line for cell in code(path) if cell.exported for line in cell.source.splitlines()]
    n = sum(not line.startswith("@checked") for line in exported)  # a door is one line
    assert n <= 170, f"{path.name} exports {n} lines; leave plumbing to a plain file"


def body_lines(node):
    "Lines below signature and docstring; of a class, less the signatures of its methods."
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    n = node.end_lineno - first.lineno + 1
    if isinstance(node, ast.ClassDef):
        methods = [
            m for m in node.body if isinstance(m, ast.FunctionDef) and m.body[0].lineno > m.lineno
        ]
        n -= sum(m.body[0].lineno - m.lineno - 1 for m in methods)
    return n


@pytest.mark.parametrize("name", MODULES)
def test_functions_and_classes_are_short(name):
    limits = {ast.FunctionDef: 20, ast.ClassDef: 40}
    none(
        f"{name}.{node.name} has {body_lines(node)} lines"
        for node in ast.walk(PARSED[name])
        if type(node) in limits and body_lines(node) > limits[type(node)]
    )


def unrelated(node):
    "A tuple written out assigned to targets, none of which stands on the right, as in a swap?"
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
        return False
    targets = [t for t in node.targets if isinstance(t, ast.Tuple)]
    names = {ast.unparse(e) for t in targets for e in t.elts}
    return bool(targets) and not names & {ast.unparse(n) for n in ast.walk(node.value)}


@pytest.mark.parametrize("name", FILES)
def test_one_assignment_says_one_thing(name):
    none(
        f"{name}, line {node.lineno}: {ast.unparse(node)[:80]}"
        for node in ast.walk(PARSED[name])
        if unrelated(node)
    )


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_an_exported_cell_defines_one_public_name(path):
    faults = []
    for cell in (cell for cell in code(path) if cell.exported):
        public = [name for name in defined(cell.tree, constants=False) if not name.startswith("_")]
        if len(public) > 1:
            faults.append(f"{path.name}, {cell}: defines {', '.join(public)}")
    none(faults)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    none(
        f"{name}.{node.name} has no docstring"
        for node in PARSED[name].body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    )


@pytest.mark.parametrize("name", PARSED)
def test_no_star_imports_and_no_pickles(name):
    for node in ast.walk(PARSED[name]):
        if isinstance(node, ast.ImportFrom):
            assert "*" not in [a.name for a in node.names], f"{name} imports * from {node.module}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert f"{node.value.id}.{node.attr}" not in (
                "torch.load",
                "torch.save",
                "pickle.load",
                "pickle.dump",
            ), f"{name} pickles, on line {node.lineno}"


def test_the_facade_defines_nothing():
    assert not [*defined(PARSED["sampling"], constants=False)]
