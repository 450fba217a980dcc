"Slides for a teacher, a deck a part: `python -m ddpm_course.site.slides FOLDER`, then Quarto."

# Goals, figures, captions, summaries and, as speaker notes, what the page says below a figure are
# taken from the chapters, so that nothing is kept twice. `make slides` renders them.

import io
import re
import sys
from pathlib import Path

from PIL import Image

from ddpm_course.site.extras import options, parts, picture
from ddpm_course.site.parts import enlarged
from ddpm_course.site.reference import chapters, read, title

REVEAL = """project: {type: default, output-dir: rendered}
format:
  revealjs: {theme: default, slide-number: true, embed-resources: true}
"""
SECTION = re.compile(r"^##+ (.+)$", flags=re.M)


def on_slide(text, path):
    "Prose of a chapter for a slide: links lead to the site, and a figure is the one shown."
    text = text.replace("](#", f"]({path.name}#")
    text = re.sub(r"\]\((?:\d\d_)?(\w+)\.ipynb", r"](../\1.html", text)
    text = re.sub(r"(^|[.?!] )@fig-\w[\w-]*", r"\1The figure", text, flags=re.M)
    return re.sub(r"@fig-\w[\w-]*", "the figure", text)


def section(cells, heading):
    "What stands below a heading of the second level, up to the next one."
    text = "\n\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, flags=re.S | re.M)
    return found[1].strip() if found else ""


def goals(cells):
    "The list of what the reader can do after a chapter."
    return "\n".join(re.findall(r"^- .*$", cells[1]["source"], flags=re.M))


def notes(cell, path):
    "The first paragraph below a figure, as speaker notes."
    if cell["cell_type"] != "markdown": return ""
    first = next((p for p in cell["source"].split("\n\n") if p and p[0] not in "#|:<$-"), "")
    return f"\n\n::: {{.notes}}\n{on_slide(first, path)}\n:::" * bool(first)


def grown(data, width=480):
    "A picture of few pixels, such as a frame of a player, with more of them; others as they are."
    image = Image.open(io.BytesIO(data))
    times = -(-width // image.width)
    if times <= 1: return data
    enlarged(image, times).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def figures(path, cells, folder):
    "A slide for each figure before the exercises; their pictures are written into the folder."
    heading = title(path)
    for c, below in zip(cells, [*cells[1:], cells[-1]]):
        if c["cell_type"] == "markdown": heading = (SECTION.findall(c["source"]) or [heading])[-1]
        if heading == "Exercises": return
        about = options(c["source"])
        label = about.get("label", "")
        data = picture(c) if label.startswith("fig-") else None
        if data is None: continue
        data = grown(data)
        file = f"{path.stem}-{label}.{'png' if data[1:4] == b'PNG' else 'jpg'}"
        (folder / file).write_bytes(data)
        alt = about.get("fig-alt", about["fig-cap"]).replace('"', "'")
        image = f'![{on_slide(about["fig-cap"], path)}]({file}){{fig-alt="{alt}"}}'
        yield f"## {on_slide(heading, path)}\n\n{image}{notes(below, path)}"


def chapter_slides(path, folder):
    "The slides of a chapter."
    cells = read(path)
    subtitle = cells[0]["source"].partition("> ")[2].splitlines()[0]
    slides = [f"# {title(path)}\n\n{subtitle}",
              f"## After this chapter you can {{.smaller}}\n\n{on_slide(goals(cells), path)}",
              *figures(path, cells, folder),
              f"## Summary {{.smaller}}\n\n{on_slide(section(cells, 'Summary'), path)}"]
    return "\n\n".join(slides)


def deck(digit, folder):
    "Write the deck of a part; its file."
    about = "Diffusion models from first principles"
    head = f'---\ntitle: "{digit} {parts()[digit]}"\nsubtitle: "{about}"\n---'
    own = [path for path in chapters() if path.name[0] == digit]
    file = folder / f"part_{digit}.qmd"
    text = "\n\n".join([head, *(chapter_slides(path, folder) for path in own)])
    file.write_text(text + "\n", "utf-8", newline="\n")
    return file


def decks(folder): # made where it is not there
    "Write the decks of all parts, and what Quarto has to know of them."
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "_quarto.yml").write_text(REVEAL, "utf-8", newline="\n")
    return [deck(digit, folder) for digit in parts()]


if __name__ == "__main__":
    print(f"wrote {len(decks(sys.argv[1]))} decks into {sys.argv[1]}")
