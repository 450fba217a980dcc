"One look for the figures and tables of all pages, on light paper and on dark."

from html import escape

GRAY = "#767676" # 4.5 to 1 on white; and on the dark pages, which make figures a little brighter


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


def show_table(rows, # {name of a row: its values}
               columns, # {name of a column: format of its numbers, such as ".2f"}
               caption: str="", # what to see
               best=None): # {column: min or max}: whose best value is marked
    "Results as an HTML table, one named row a setting."
    named = [{"": str(name)} | dict(zip(columns, values)) for name, values in rows.items()]
    return html_table(named, caption, best=best, form=columns)


def _side(value):
    return f'style="text-align: {"left" if isinstance(value, str) else "right"}"'


def _cell(value, form, best):
    "A value as a cell: numbers to the right, an interval small below, the best bold with a star."
    ends = value[1:] if isinstance(value, tuple) else ()
    texts = [escape(v if isinstance(v, str) else format(v, "," if isinstance(v, int) else form))
             for v in (value[0] if ends else value, *ends)]
    text = f"<strong>{texts[0]}&nbsp;★</strong>" if best else texts[0]
    if ends: text += f"<br><small>{texts[1]} to {texts[2]}</small>"
    return f"<td {_side(value)}>{text}</td>"


def html_table(rows, # one dict a row, {column: text, number or (value, low, high)}
               caption: str="", # what to see
               note: str="", # small, below the caption: hardware and date
               best=None, # {column: min or max}: whose best value is marked
               form: str | dict=".2f"): # of numbers that are not whole, one for all or by column
    "Rows as an HTML table, which fits any width, where printed text would wrap."
    from IPython.display import HTML
    first = lambda value: value[0] if isinstance(value, tuple) else value
    marks = {name: pick(first(row[name]) for row in rows) for name, pick in (best or {}).items()}
    heads = "".join(f"<th {_side(v)}>{escape(str(name))}</th>" for name, v in rows[0].items())
    forms = form if isinstance(form, dict) else dict.fromkeys(rows[0], form)
    lines = ["".join(_cell(v, forms.get(name, ""), name in marks and first(v) == marks[name])
                     for name, v in row.items()) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    small = f"<br><small>{escape(note)}</small>" if note else ""
    return HTML(f"<table><caption>{escape(caption)}{small}</caption><thead><tr>{heads}</tr>"
                f"</thead><tbody>{body}</tbody></table>")


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
