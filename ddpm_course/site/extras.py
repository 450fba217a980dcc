"More pages made for the site alone: an index of figures, and each part on one page, to print."

import base64
import io
import re
from functools import cache

from ddpm_course.site.pages import HEADING, SOLUTION, TASK
from ddpm_course.site.reference import NOTEBOOKS, cell, chapters, read, title, write

ATTRIBUTE = re.compile(r'^#\| ([\w-]+): "?(.*?)"?$', flags=re.M)
SETUP = re.compile(r"^#\| (hide|export|exporti|default_exp)\b", flags=re.M)
DIRECTIVES = re.compile(r"^#\| (exports|eval|gpu|slow|notest)\b.*\n?", flags=re.M)
INLINE = re.compile(r'src="data:image/\w+;base64,([^"]+)"')
LABEL = re.compile(r"(?<=[@#])fig-|(?<=^#\| label: )fig-", flags=re.M)


def options(source):
    "The `#| name: value` lines of a cell."
    return {name: value.replace('\\"', '"') for name, value in ATTRIBUTE.findall(source)}


def picture(cell):
    "The first picture that a cell left, of a player the frame shown first, as bytes, or None."
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        for kind in ("image/png", "image/jpeg"):
            if kind in data: return base64.b64decode("".join(data[kind]))
        if shown := INLINE.search("".join(data.get("text/html", ""))):
            return base64.b64decode(shown[1])
    return None


def thumbnail(data, width=180):
    "A small WebP of a picture, as a data URI."
    from PIL import Image
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    paper.thumbnail((width, width), Image.Resampling.LANCZOS)
    paper.convert("RGB").save(buffer := io.BytesIO(), "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def bracketed(text):
    "Text that may stand between brackets."
    return re.sub(r"([\[\]|*_])", r"\\\1", text)


def figures_of(path):
    "A line for each figure of a chapter: a small picture, its caption, a link."
    for c in read(path):
        about = options(c["source"])
        label = about.get("label", "")
        if not label.startswith("fig-"): continue
        data = picture(c)
        alt = bracketed(about.get("fig-alt", about["fig-cap"]))
        small = f"![{alt}]({thumbnail(data)})" if data else "Table"
        link = f"[{small}]({path.name}#{label})"
        yield f"::: {{.figure-entry}}\n{link}\n\n{about['fig-cap']}\n:::\n"


def figure_index():
    "The page of all figures."
    subtitle = "Every figure of the course, small, with a link to where it stands."
    cells = [cell(f"# Figures\n\n> {subtitle}\n\n- skip_exec: true")]
    for path in chapters():
        if found := [*figures_of(path)]:
            text = f"## {title(path)}\n\n::: {{.figure-index}}\n{''.join(found)}:::"
            cells.append(cell(text))
    return write("figures", cells)


@cache
def parts():
    "{digit: name} of the parts, as the sidebar has them: `1 Foundations`."
    config = (NOTEBOOKS / "_quarto.yml").read_text("utf-8")
    return dict(re.findall(r"- section: (\d) (.+)", config))


def printed(path):
    "The cells of a chapter as a part shows them: no setup, no solutions, labels of its own."
    number = path.name[:2]
    solving = False
    for c in read(path)[1:]:
        source = c["source"]
        if TASK.match(source) or HEADING.match(source): solving = False
        solving = solving or SOLUTION in source
        if solving or SETUP.search(source) or "colab-badge" in source: continue
        source = LABEL.sub(f"fig-{number}-", DIRECTIVES.sub("", source))
        if c["cell_type"] == "markdown": source = re.sub("^## ", "### ", source, flags=re.M)
        yield c | {"source": source}


def part(digit):
    "All chapters of a part on one page."
    name = parts()[digit]
    subtitle = "The whole part on one page; solutions stand in the chapters."
    settings = "- search: false\n- skip_exec: true"
    cells = [cell(f"# Part {digit}, {name}\n\n> {subtitle}\n\n{settings}")]
    for path in (path for path in chapters() if path.name[0] == digit):
        subtitle = read(path)[0]["source"].partition("> ")[2].splitlines()[0]
        cells += [cell(f"## {title(path)}\n\n*{subtitle}*"), *printed(path)]
    return write(f"part_{digit}", cells)


def extras():
    "Write the index of figures and the parts."
    return [figure_index(), *map(part, parts())]
