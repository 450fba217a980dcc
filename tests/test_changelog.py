"CHANGELOG.md tells where each name is now."

import importlib, re

from ddpm_course import __version__
from tree import MODULES, ROOT, none

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| (.*) \|$", TEXT, flags=re.M)


def test_the_newest_entry_is_this_version():
    assert re.search(r"^## (\S+)", TEXT, flags=re.M)[1] == __version__


def test_each_name_is_where_the_table_says():
    faults = []
    for _, module, names in ROWS:
        assert module in MODULES, f"there is no module {module}"
        found = importlib.import_module(f"ddpm_course.{module}")
        for name in names.split(", "):
            now = found
            for part in name.split("→")[-1].strip(" `").split("."):
                now = getattr(now, part, None)
            if now is None:
                faults.append(f"{module} holds no {name}")
    assert len(ROWS) > 40
    none(faults)
