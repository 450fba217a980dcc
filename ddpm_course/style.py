"One look for the figures and tables of all pages, on light paper and on dark."

from html import escape

GRAY = "#767676" # 4.5 to 1 on white; the site's dark theme makes figures a fifth brighter


def course_style():
    "Set matplotlib's defaults to those of the course: transparent ground, mid-gray text and axes."
    import matplotlib.pyplot as plt
    plt.rcParams.update({name: "none" for name in ("figure.facecolor", "axes.facecolor",
                                                   "savefig.facecolor", "legend.facecolor")})
    plt.rcParams.update({name: GRAY for name in ("text.color", "axes.labelcolor", "axes.edgecolor",
                                                 "axes.titlecolor", "xtick.color", "ytick.color")})
    plt.rcParams.update({
        "figure.dpi": 100, "figure.figsize": (7.4, 3.2), "figure.constrained_layout.use": True,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})


def course_table(heads, # names of the columns
                 rows, # one list of cells a row; a cell is shown as str() writes it
                 caption: str="", # what to see
                 best=()): # (row, column) of each cell to mark: bold, with a star
    "Results as an HTML table: columns of numbers to the right, others to the left."
    from IPython.display import HTML
    rows = [[escape(str(cell)) for cell in row] for row in rows]
    sides = ["right" if all(map(_is_number, column)) else "left" for column in zip(*rows)]
    for i, j in best: rows[i][j] = f"<b>{rows[i][j]}&nbsp;★</b>"
    lines = [_line("th", map(escape, heads), sides), *(_line("td", row, sides) for row in rows)]
    caption = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(lines[1:])
    return HTML(f"<table>{caption}<thead>{lines[0]}</thead><tbody>{body}</tbody></table>")


def _is_number(text):
    "Does this cell hold a number, with a unit perhaps, or nothing?"
    return not text or text.lstrip("-+")[:1].isdigit()


def _line(tag, cells, sides):
    "A row of a table."
    whole = ";white-space:nowrap" if tag == "td" else "" # a number and its star stay together
    style = {"left": "text-align:left", "right": f"text-align:right{whole}"}
    row = "".join(f'<{tag} style="{style[side]}">{cell}</{tag}>'
                  for cell, side in zip(cells, sides))
    return f"<tr>{row}</tr>"
