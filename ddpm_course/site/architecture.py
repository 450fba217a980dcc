"The map of the modules, drawn from their imports: `python -m ddpm_course.site.architecture`."

# A module stands one floor above the highest that it imports. Lines lead down to what a module
# imports, but for what it reaches through another of its imports; the title of a box names all.

import ast
from html import escape

from ddpm_course.site.links import modules, page
from ddpm_course.site.reference import NOTEBOOKS, chapter_of, with_references

FILE = NOTEBOOKS / "images" / "architecture.svg"
SIDEBAR = NOTEBOOKS.parent / "_quarto.yml"
TINTS = {"1": "#cfe3f5", "2": "#d5ecd4", "3": "#fbe3c0", "4": "#e6dbf3", "5": "#f8d9dc",
         "6": "#d3eeee", "7": "#efe6c8", "8": "#dfe3ea"}
UNTINTED = "#ffffff"
SPAN = 1000 # of the map, in its own units
COLUMN = 106
ROW = 34
BOX = (98, 22)
TOP = 96 # legend and wings


def imports(module, tree):
    "The modules of the package that a module imports, in functions too."
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom | ast.Import): continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            above = ("ddpm_course." + module).split(".")[:-node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [base, *(f"{base}.{name}" for name in names)]
        found |= {name.removeprefix("ddpm_course.") for name in names}
    return found & modules().keys() - {module}


def method():
    "{module: what it imports} of the library itself, without the experiments and the command."
    return {module: imports(module, tree) for module, tree in modules().items()
            if not module.startswith("experiments") and module != "cli"}


def floors(graph):
    "{module: 0 for those that import none of the others, else one more than the highest of these}."
    found = {}
    def floor(module):
        if module not in found: found[module] = 1 + max(map(floor, graph[module]), default=-1)
        return found[module]
    for module in graph: floor(module)
    return found


def below(graph, module):
    "All that a module stands on."
    return set().union(graph[module], *(below(graph, other) for other in graph[module]))


def drawn_lines(graph, module):
    "What a module imports and does not reach through another of its imports."
    through = set().union(*(below(graph, other) for other in graph[module]))
    return sorted(graph[module] - through)


def places(graph):
    "{module: (x, y) of its box}, the highest floor on top, and the height of the map."
    floor = floors(graph)
    found = {}
    y = TOP
    columns = SPAN // COLUMN
    for level in range(max(floor.values()), -1, -1):
        names = sorted(module for module in graph if floor[module] == level)
        for row in (names[i:i + columns] for i in range(0, len(names), columns)):
            left = (SPAN - len(row) * COLUMN) / 2 + (COLUMN - BOX[0]) / 2
            found |= {name: (left + i * COLUMN, y) for i, name in enumerate(row)}
            y += ROW
        y += 14
    return found, y


def module_box(x, y, text, color, title, link=None, width=BOX[0]):
    "A named box; its title says more where the picture stands alone."
    inner = (f'<title>{escape(title)}</title><rect x="{x:g}" y="{y:g}" width="{width:g}" '
             f'height="{BOX[1]}" rx="4" fill="{color}" stroke="#767676"/>'
             f'<text x="{x + width / 2:g}" y="{y + 15:g}">{escape(text)}</text>')
    return f'<a href="../{link}.html">{inner}</a>' if link else f"<g>{inner}</g>"


def line(x, y, to_x, to_y):
    "A curve from the foot of one box to the head of another."
    from_x = x + BOX[0] / 2
    to_x += BOX[0] / 2
    y += BOX[1]
    return (f'<path d="M{from_x:g} {y:g}C{from_x:g} {y + 22:g} '
            f'{to_x:g} {to_y - 22:g} {to_x:g} {to_y:g}"/>')


def legend():
    "Which color is which part."
    entries = {f"part {digit}": color for digit, color in TINTS.items()} | {"plain file": UNTINTED}
    return [module_box(12 + i * 109, 12, text, color, text, width=100)
            for i, (text, color) in enumerate(entries.items())]


def wings():
    "The wings above the library, which import it and are imported by nothing in it."
    about = {"experiments": "tables, runs and commands", "checks": "behind the exercises",
             "site": "what makes these pages"}
    return [module_box(12 + i * 327, 50, f"{name}/: {told}", "#f2f2f2", name, width=320)
            for i, (name, told) in enumerate(about.items())]


def architecture():
    "The map as SVG."
    graph = method()
    at, height = places(graph)
    homes = {module: path.name for module, path in chapter_of().items()}
    lines = [line(*at[upper], *at[lower]) for upper in at for lower in drawn_lines(graph, upper)]
    tints = {module: TINTS.get(homes.get(module, "")[:1], UNTINTED) for module in graph}
    said = {module: f"{module} imports {', '.join(sorted(uses)) or 'none of the others'}"
            for module, uses in graph.items()}
    boxes = [module_box(*at[name], name, tints[name], said[name], page(name))
             for name in sorted(graph)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SPAN} {height}" '
            'font-family="sans-serif" font-size="11" text-anchor="middle">'
            f'<rect width="{SPAN}" height="{height}" fill="#fff"/>\n'
            f'<g fill="none" stroke="#767676" stroke-opacity=".45">{"".join(lines)}</g>\n'
            + "\n".join([*legend(), *wings(), *boxes]) + "\n</svg>\n")


if __name__ == "__main__":
    FILE.write_text(architecture(), "utf-8", newline="\n")
    sidebar = with_references(SIDEBAR.read_text("utf-8"))
    SIDEBAR.write_text(sidebar, "utf-8", newline="\n")
    print(f"drew {FILE.name}, and listed each module's reference page in {SIDEBAR.name}")
