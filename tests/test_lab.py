"The controls of the notebooks, in a real JupyterLab in a real browser."

import shutil, statistics
from pathlib import Path

import pytest

from ddpm_course.site.measure import browser

NBS = Path(__file__).parents[1] / "nbs"
WITH_CONTROLS = [p for p in sorted(NBS.glob("*.ipynb")) if "interact(" in p.read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="needs a Chromium on the PATH")
def test_each_control_has_a_name_and_acts_at_once(tmp_path):
    "In the median of five moves within 300 ms: for a quiet machine."
    from lab import lab, opened, times

    found = {}
    with lab(tmp_path) as (page, address):
        for path in WITH_CONTROLS:
            shutil.copy(path, tmp_path)
            opened(page, address, path.name)
            found[path.stem] = times(page)
    print(found)
    for stem, controls in found.items():
        assert controls and not [name for name in controls if "without a name" in name], stem
        for name, moves in controls.items():
            assert None not in moves, f"{stem}: {name} did not act"
            assert statistics.median(moves) < 300, f"{stem}: {name} took {moves} ms"
