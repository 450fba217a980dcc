"Fixtures of more than one file."

import gc, json, os, sys

import pytest

from mutants import broken_copy
from tree import Cell, copy_to, run


@pytest.fixture
def broken(tmp_path, monkeypatch):
    "broken(module, right, wrong): samplers of a copy of the package where `right` reads `wrong`."
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *bug: broken_copy(tmp_path, *bug)
    for name in [n for n in sys.modules if n.startswith("broken_")]:
        del sys.modules[name]


def pytest_collection_finish():
    gc.freeze()  # what was imported and collected stays: nobody need look through it again


@pytest.fixture(scope="session")
def smoke_tables(tmp_path_factory):
    """The folder of all tables at smoke size. A table that one test has made is there for the
    others, those of other workers too: it is gone on with, and has no row to make."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tables"
    out.mkdir(exist_ok=True)
    return out


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    "{name of a notebook: its cells as nbdev hands them to Quarto}; runs what the docs build runs."
    copy = tmp_path_factory.mktemp("site")
    copy_to(copy)
    run(
        sys.executable,
        "-c",
        "from nbdev.serve import proc_nbs; proc_nbs(force=True, n_workers=0)",
        cwd=copy,
    )
    return {
        p.name: [
            Cell(i, cell)
            for i, cell in enumerate(json.loads(p.read_text(encoding="utf-8"))["cells"])
        ]
        for p in (copy / "_proc").glob("*.ipynb")
    }
