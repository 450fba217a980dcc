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
