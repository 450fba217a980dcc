"Workflows, releases and community files: what they name is there, and versions agree."

import re, shutil, subprocess, sys

import pytest
import yaml

from ddpm_course import __version__
from ddpm_course.site.chapter import CELLS
from test_notebooks import COLAB_CELL
from test_packaging import SETTINGS
from tree import ROOT, none

GITHUB = ROOT / ".github"
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (GITHUB / "workflows").iterdir()
}
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


def commands(workflow):
    "The lines that a workflow runs."
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            yield from step.get("run", "").splitlines()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_names_files_and_targets_that_are_there(name):
    lines = "\n".join(commands(WORKFLOWS[name]))
    made = re.findall(r"\bmake ([a-z]+)", lines)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M)
    none(f"{name}: make has no target {target}" for target in {*made} - {*targets})
    files = re.findall(r"(?<![\w/*])((?:\.ci|nbs|tests)/[\w./]+)", lines)
    none(f"{name}: {file} is not there" for file in files if not (ROOT / file).exists())
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


def test_the_page_of_digits_is_tested_with_the_program_that_it_loads():
    page = (ROOT / "nbs" / "live" / "networks.js").read_text("utf-8")
    loads = re.search(r"onnxruntime-web@[\d.]+", page)[0]
    assert any(loads in line.split() for line in commands(WORKFLOWS["test"]))


def test_who_may_write_runs_what_cannot_change_unseen():
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            steps = [step for step in job.get("steps", []) if "uses" in step]
            none(
                f"{name} leaves its token in the checkout"
                for step in steps
                if step["uses"].startswith("actions/checkout@")
                and step.get("with") != {"persist-credentials": False}
            )
            none(
                f"{name}: {step['uses']} is named by no commit"
                for step in steps
                if "write" in {*job.get("permissions", {}).values()}
                and not re.match(r"actions/|\S+@[0-9a-f]{40}$", step["uses"])
            )


def test_all_pythons_and_the_oldest_torch_are_tested():
    matrix = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == [SETTINGS["min_python"], "3.12", "3.13"]
    assert any(row["torch"] == "oldest" for row in matrix["include"])
    assert WORKFLOWS["test"]["jobs"]["smoke"]["strategy"]["matrix"]["os"] == [
        "macos-latest",
        "windows-latest",
    ]


def test_the_oldest_are_those_that_settings_allow():
    text = (ROOT / ".ci" / "oldest.txt").read_text("utf-8")
    oldest = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, flags=re.M))
    least = re.findall(r"([\w-]+)>=([\d.]+)", SETTINGS["requirements"])
    assert least and oldest.keys() == {name for name, _ in least} | {"torchvision"}
    for name, version in least:
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", oldest[name]), name


def test_a_release_is_built_after_the_tests_and_published_without_a_password():
    jobs = WORKFLOWS["release"]["jobs"]
    assert {*jobs["publish"]["needs"]} == {"test", "build"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert "workflow_call" in WORKFLOWS["test"][True]  # YAML 1.1 reads `on` as true
    assert 'python .ci/release.py "$GITHUB_REF_NAME"' in commands(WORKFLOWS["release"])


@pytest.fixture
def release(tmp_path):
    "release(*arguments): .ci/release.py in a copy of what it reads."
    for name in (".ci", "nbs", "ddpm_course"):
        (tmp_path / name).mkdir()
    for name in (".ci/release.py", "ddpm_course/__init__.py", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path in (ROOT / "nbs").glob("1[01]_*.ipynb"):
        shutil.copy(path, tmp_path / "nbs")

    def run(*arguments):
        command = [sys.executable, tmp_path / ".ci" / "release.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    return tmp_path, run


def test_the_tree_is_fit_for_the_tag_of_its_version(release):
    done = release[1](f"v{__version__}")
    assert (done.returncode, done.stdout) == (0, f"v{__version__} may be released\n")


def test_a_release_is_refused_for_each_place_that_has_another_version(release):
    folder, run = release
    refused = run("v9.9.9")
    assert refused.returncode == 1
    for place in ("__init__.py", "CITATION.cff", "CHANGELOG.md", "10_images", "11_noising"):
        assert place in refused.stdout
    assert run("--set", "9.9.9").returncode == 0
    assert run("v9.9.9").stdout == (
        f"the tag is v9.9.9, and CHANGELOG.md begins with {__version__}; "
        "expected its changes there\n"
    )
    text = (folder / "CHANGELOG.md").read_text("utf-8")
    for new, code in (("## 9.9.9\n\n", 1), ("## 9.9.9\n\n- New.\n\n", 0)):
        (folder / "CHANGELOG.md").write_text(text.replace("## ", f"{new}## ", 1), "utf-8")
        assert run("v9.9.9").returncode == code, new


def test_the_template_installs_what_chapters_install():
    assert COLAB_CELL.replace(__version__, "VERSION") in CELLS


def test_issues_about_scores_ask_for_the_card():
    forms = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in FORMS}
    asked = {part["id"]: part for part in forms["score"]["body"] if "id" in part}
    assert asked["card"]["validations"]["required"] and "print(score)" in str(asked["card"])
    none(f"{name} lacks a description" for name, form in forms.items() if not form["description"])


def test_the_citation_is_this_project():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (cited["cff-version"], cited["version"]) == ("1.2.0", __version__)
    assert cited["license"] == SETTINGS["license"]
    assert [author["name"] for author in cited["authors"]] == [SETTINGS["author"]]
