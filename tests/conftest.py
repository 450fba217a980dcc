"Fixtures of more than one file."

import sys

import pytest

from mutants import broken_copy


@pytest.fixture
def broken(tmp_path, monkeypatch):
    "broken(module, right, wrong): samplers of a copy of the package where `right` reads `wrong`."
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *bug: broken_copy(tmp_path, *bug)
    for name in [n for n in sys.modules if n.startswith("broken_")]:
        del sys.modules[name]
