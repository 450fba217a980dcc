"""Is the tree fit to be released as this tag? `python .ci/release.py v0.2.0`; exits 1 if not.

`python .ci/release.py --set 0.3.0` writes a version where one stands; CHANGELOG.md is yours."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {  # file: what stands before a version, and what behind it
    "ddpm_course/__init__.py": ('__version__ = "', '"'),
    "CITATION.cff": ("\nversion: ", "\n"),
} | {
    f"nbs/{path.name}": ("pip install -q ddpm_course==", " ")
    for path in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pattern(name):
    "What finds the version in a file."
    before, behind = map(re.escape, PLACES[name])
    return re.compile(rf"(?<={before})[^\s\"]+(?={behind})")


def set_version(version):
    "Write a version wherever one stands."
    for name in PLACES:
        text = pattern(name).sub(version, read(name))
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")


def faults(tag):
    "What does not agree with the version that the tag names."
    for name in PLACES:
        if (found := pattern(name).findall(read(name))) != [tag.removeprefix("v")]:
            yield f"the tag is {tag}, and {name} has {', '.join(found) or 'no version'}"
    newest = re.search(r"^## (\S+)\n(.*?)(?=^## |\Z)", read("CHANGELOG.md"), re.S | re.M)
    top, text = newest.groups()
    if tag != f"v{top}" or not text.strip():
        yield f"the tag is {tag}, and CHANGELOG.md begins with {top}; expected its changes there"


if __name__ == "__main__":
    if sys.argv[1] == "--set":
        sys.exit(set_version(sys.argv[2]))
    found = [*faults(sys.argv[1])]
    print("\n".join(found) or f"{sys.argv[1]} may be released")
    sys.exit(len(found) > 0)
