"What users get: metadata that agree, a wheel that holds everything, commands that tell what lacks."

import ast, configparser, email, os, re, shutil, subprocess, sys, tarfile, tomllib, zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ddpm_course
from tree import ROOT, copy_to, none, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INI = configparser.ConfigParser(delimiters=["="], interpolation=None)
INI.read(ROOT / "settings.ini", encoding="utf-8")
SETTINGS = INI["DEFAULT"]
REQUIRED = {canonicalize_name(Requirement(line).name) for line in SETTINGS["requirements"].split()}
OPTIONAL = {
    canonicalize_name(Requirement(line).name) for line in SETTINGS["course_requirements"].split()
}

# As a practitioner would use it. It costs no more than torch, and nothing it needs is undeclared.
USE = """
import sys, torch
from ddpm_course.sampling import ddim_sample
heavy = {"diffusers", "torchmetrics", "torchvision", "sklearn", "scipy", "matplotlib", "accelerate"}
heavy = (heavy | {"PIL", "nbdev", "IPython", "pytest"}) & {*sys.modules}
assert not heavy, f"ddpm_course.sampling imports {heavy}"
import ddpm_course
assert ddpm_course.__file__.startswith(sys.prefix), ddpm_course.__file__
from ddpm_course.exact import GaussianMixture
from ddpm_course.noising import linear_schedule
schedule = linear_schedule()
model = GaussianMixture([0.3], [0.5], [1.0]).model(schedule)
x = ddim_sample(model, schedule, (4, 1, 8, 8), steps=10, clip=None, seed=0)
assert x.shape == (4, 1, 8, 8) and x.isfinite().all()
import importlib, pkgutil
for module in pkgutil.walk_packages(ddpm_course.__path__, "ddpm_course."):
    importlib.import_module(module.name)
from ddpm_course.data import cifar10
try: cifar10("no such folder")
except FileNotFoundError: pass
"""


def test_settings_pyproject_and_version_agree():
    assert SETTINGS["lib_name"] == PROJECT["name"] == ddpm_course.__name__
    assert f">={SETTINGS['min_python']}" == PROJECT["requires-python"]
    assert (
        SETTINGS["license"] == PROJECT["license"] == "Apache-2.0"
        and SETTINGS["author"] == PROJECT["authors"][0]["name"]
    )
    assert (ROOT / "LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert {
        "version",
        "readme",
        "description",
        "dependencies",
        "optional-dependencies",
        "scripts",
        "entry-points",
    } == {*PROJECT["dynamic"]}, "these live in settings.ini and __version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", ddpm_course.__version__)


def test_requirements_are_what_the_package_imports():
    ours = packages_distributions()
    third_party = {}
    for path in (ROOT / "ddpm_course").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in (name.split(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name != "ddpm_course":
                    third_party.setdefault(name, path.name)
    homes = {
        name: {canonicalize_name(home) for home in ours.get(name, [name])} for name in third_party
    }
    none(
        f"{file} imports {name}, which settings.ini does not require"
        for name, file in third_party.items()
        if not homes[name] & (REQUIRED | OPTIONAL)
    )
    none(
        f"settings.ini requires {name}, which the package does not import"
        for name in REQUIRED - set().union(*homes.values())
    )


# ---- sdist -> wheel -> an environment without anything else ----


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "The sdist, and the wheel built from it."
    copy = tmp_path_factory.mktemp("source")
    copy_to(copy)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", cwd=copy)
    (sdist,), (wheel,) = (copy / "dist").glob("*.tar.gz"), (copy / "dist").glob("*.whl")
    return sdist, wheel


def test_sdist_and_wheel_hold_the_package_and_nothing_else(built):
    files = {
        str(p.relative_to(ROOT))
        for p in (ROOT / "ddpm_course").rglob("*")
        if p.is_file() and p.suffix != ".pyc"
    }
    with tarfile.open(built[0]) as sdist:
        in_sdist = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    with zipfile.ZipFile(built[1]) as wheel:
        in_wheel = {*wheel.namelist()}
    none(
        f"the sdist lacks {name}"
        for name in (files | {"settings.ini", "setup.py", "pyproject.toml", "LICENSE", "README.md"})
        - in_sdist
    )
    none(f"the wheel lacks {name}" for name in files - in_wheel)
    none(f"the wheel holds {name}" for name in in_wheel - files if ".dist-info/" not in name)
    none(
        f"the sdist holds {name}"
        for name in in_sdist
        if name.startswith(("nbs/", "tests/", "runs/"))
    )


def test_wheel_says_what_settings_say(built):
    with zipfile.ZipFile(built[1]) as wheel:
        info = next(name for name in wheel.namelist() if name.endswith("/METADATA")).removesuffix(
            "METADATA"
        )
        metadata, scripts = (
            email.message_from_bytes(wheel.read(f"{info}METADATA")),
            wheel.read(f"{info}entry_points.txt").decode(),
        )
        assert f"{info}licenses/LICENSE" in wheel.namelist()
    assert (metadata["Version"], metadata["Summary"]) == (
        ddpm_course.__version__,
        SETTINGS["description"],
    )
    links = re.findall(r"""\]\(([^)]+)|src="([^"]+)""", metadata.get_payload())
    assert len(links) > 40, "PyPI shows README.md"
    none(f"{a or b} leads nowhere on PyPI" for a, b in links if not re.match("https:|#", a or b))
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {canonicalize_name(r.name) for r in required if not r.marker} == REQUIRED
    assert {*metadata.get_all("Provides-Extra")} == {"course", "onnx", "dev"}
    assert (
        SETTINGS["console_scripts"].replace("=", " = ") in scripts
        and "ddpm_course.site.links:d" in scripts
    )


def closure(names):
    "Distributions that are installed because `names` require them, `names` included."
    found, todo = {}, [Requirement(name) for name in names]
    while todo:
        requirement = todo.pop()
        try:
            dist = distribution(requirement.name)
        except PackageNotFoundError:
            continue  # for another platform, or an extra that nobody asked for
        key = canonicalize_name(requirement.name), *sorted(requirement.extras)
        if key in found:
            continue
        found[key] = dist
        for line in dist.requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
            ):
                todo.append(needed)
    return found.values()


def environment_of(wheel, folder, requirements):
    "The Python of a new environment with our wheel, and links to what its requirements bring."
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    links = folder / "links"
    links.mkdir()
    for dist in closure(requirements):
        for top in {
            file.parts[0] for file in dist.files if file.parts[0] not in ("..", "__pycache__")
        }:
            if not (links / top).exists():
                (links / top).symlink_to(dist.locate_file(top).resolve())
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(sys.executable, *install, wheel)
    packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (packages / "requirements.pth").write_text(f"{links}\n")
    return python


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    "With what the package requires, and nothing else."
    folder = tmp_path_factory.mktemp("environment")
    return environment_of(built[1], folder, SETTINGS["requirements"].split())


@pytest.fixture(scope="module")
def course(built, tmp_path_factory):
    "With what `pip install ddpm_course[course]` brings."
    names = f"{SETTINGS['requirements']} {SETTINGS['course_requirements']}".split()
    return environment_of(built[1], tmp_path_factory.mktemp("course"), names)


def test_the_wheel_works_with_its_requirements_alone(environment, tmp_path):
    run(
        environment,
        "-c",
        "import importlib.util as u; assert not any(map(u.find_spec, ('nbdev', 'diffusers', "
        "'pytest', 'torchmetrics', 'jupyterlab')))",
        cwd=tmp_path,
    )
    run(environment, "-c", USE, cwd=tmp_path, PYTHONPATH="")


OFFLINE = """
import sys, time
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"): raise OSError(f"{event}: no network here")
sys.addaudithook(refuse)
"""
ARE_SEVENS = """
seconds = time.process_time() - began # of one thread: wall time, where nothing else runs
from ddpm_course.classifiers import digits_classifier
read = digits_classifier()(sevens).argmax(1)
print(seconds, (read == 7).sum().item(), len(sevens))
"""


def test_five_lines_of_the_readme_draw_digits_in_seconds_without_a_download(environment, tmp_path):
    (text,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), flags=re.S | re.M
    )
    imports, lines = text.split("\n\n")
    assert len(text.split("\n")) - 2 == 5 and "import" not in lines
    program = OFFLINE + imports + "\nbegan = time.process_time()\n" + lines + ARE_SEVENS
    seconds, right, n = map(
        float, run(environment, "-c", program, cwd=tmp_path, PYTHONPATH="").split()
    )
    assert n == 16 and right >= 14, f"{right:.0f} of {n:.0f} are read as sevens"
    assert seconds < 10, f"{seconds:.1f} s of one core after the imports"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["11_noising", "16_ddim", "20_saving"])
def test_a_notebook_runs_where_the_wheel_and_its_extras_are_all_there_is(course, name, tmp_path):
    shutil.copy(ROOT / "nbs" / f"{name}.ipynb", tmp_path)
    said = run(course, ROOT / ".ci" / "notebooks.py", f"{name}.ipynb", cwd=tmp_path, PYTHONPATH="")
    assert f"{name}: ok" in said, said


def test_the_installed_command_runs_the_demo(environment, tmp_path):
    command = environment.with_name("ddpm-course")
    assert "demo" in run(command, "--help", cwd=tmp_path)
    how = ["--quick", "--train-steps", "2", "--out", tmp_path / "demo"]
    run(command, "demo", *how, cwd=tmp_path, PYTHONPATH="")
    none(
        f"the demo left no {name}"
        for name in (
            "model/config.json",
            "samples.png",
            "trajectory.png",
            "loss.png",
            "scores.json",
            "index.html",
        )
        if not (tmp_path / "demo" / name).is_file()
    )


@pytest.mark.skipif(
    "DDPM_COURSE_FULL_INSTALL" not in os.environ,
    reason="downloads some 3 GB: set DDPM_COURSE_FULL_INSTALL=1",
)
def test_the_wheel_installs_into_an_empty_environment(built, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv" / "bin" / "pip", "install", built[1], cwd=tmp_path)
    run(tmp_path / "venv" / "bin" / "python", "-c", USE, cwd=tmp_path, PYTHONPATH="")
    shutil.rmtree(tmp_path / "venv")  # 5 GB, which pytest would keep


# ---- the commands ----


@pytest.fixture
def bare(tmp_path):
    "make(target, ...) in a fresh copy, on a PATH that holds make and a shell and nothing else."
    copy_to(tmp_path)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "path").mkdir()
    for name in ("make", "sh", "awk"):
        (tmp_path / "path" / name).symlink_to(shutil.which(name))

    def make(*args):
        return subprocess.run(
            ["make", *args],
            cwd=tmp_path,
            env={"PATH": str(tmp_path / "path")},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    return make


def test_make_lists_the_targets(bare):
    assert {*re.findall(r"make (\w+)", bare().stdout)} == {
        "help",
        "demo",
        "test",
        "lab",
        "bench",
        "conformance",
        "docs",
        "chapter",
        "slides",
    }


def test_make_docs_without_quarto_says_how_to_get_it(bare):
    done = bare("docs")
    assert done.returncode and "https://quarto.org" in done.stderr and "pip" not in done.stdout, (
        done.stdout + done.stderr
    )


def test_make_refuses_an_old_python(bare, tmp_path):
    (old := tmp_path / "path" / "python3").write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = bare("demo")
    assert (
        done.returncode
        and "Python 3.11 or later" in done.stderr
        and not (tmp_path / ".venv").exists()
    ), done.stdout + done.stderr


def test_ci_runs_make_test():
    assert (
        os.access(ROOT / ".ci" / "run", os.X_OK)
        and "make test" in (ROOT / ".ci" / "run").read_text()
    )
