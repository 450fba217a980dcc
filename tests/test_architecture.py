"The map of the modules says what the modules import."

import re
from xml.etree import ElementTree

from ddpm_course.site.architecture import FILE, architecture
from test_house import PARSED, imported
from tree import MODULES

SVG = "{http://www.w3.org/2000/svg}"
LIBRARY = {name for name in MODULES if not name.startswith(("experiments.", "site."))} - {"cli"}


def boxes():
    "{module: (what its title says it imports, y of its box)}."
    found = {}
    for link in ElementTree.parse(FILE).iter(f"{SVG}a"):
        module, said = link.find(f"{SVG}title").text.split(" imports ")
        uses = set() if said == "none of the others" else {*said.split(", ")}
        found[module] = uses, float(link.find(f"{SVG}rect").get("y"))
        assert link.find(f"{SVG}text").text == module
    return found


def test_the_map_is_the_one_that_is_drawn_now():
    assert FILE.read_text("utf-8") == architecture(), "run python -m ddpm_course.site.architecture"


def test_its_boxes_are_the_modules_and_name_their_imports():
    found = boxes()
    assert found.keys() == LIBRARY
    for module, (uses, _) in found.items():
        assert uses == {*imported(PARSED[module], module)} & LIBRARY - {module}, module


def test_lines_lead_down_and_with_those_between_to_every_import():
    found = boxes()
    text = FILE.read_text("utf-8")
    at = {}
    for link in ElementTree.parse(FILE).iter(f"{SVG}a"):
        rect = link.find(f"{SVG}rect")
        at[float(rect.get("x")) + 49, float(rect.get("y"))] = link.find(f"{SVG}text").text
    lines = {module: set() for module in found}
    for x, y, to, low in re.findall(r'd="M(\S+) (\S+)C.*? (\S+) (\S+)"', text):
        upper, lower = at[float(x), float(y) - 22], at[float(to), float(low)]
        assert float(low) > float(y), f"{upper} to {lower}"
        assert lower in found[upper][0], f"{upper} does not import {lower}"
        lines[upper].add(lower)

    def reached(module):
        return set().union(lines[module], *map(reached, lines[module]))

    for module, (uses, _) in found.items():
        assert uses <= reached(module), module
