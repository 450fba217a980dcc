"One look for the figures and the tables of all pages, on light paper and on dark."

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


def _table_cell(value, form, best):
    "A value as HTML: text as it is, numbers in their format, the best bold and with a star."
    from html import escape
    text = escape(value if isinstance(value, str) else format(value, form))
    return f"<td><b>{text}&nbsp;★</b></td>" if best else f"<td>{text}</td>"


def show_table(rows, # {name of a row: its values}
               columns, # {name of a column: format of its numbers, such as ".2f"}
               caption="", # what to see
               best=()): # {name of a column: min or max}, to mark the best value of it
    "Results as an HTML table, one row a setting, the best values bold and with a star."
    from html import escape
    from IPython.display import HTML
    winners = [dict(best).get(name, lambda values: None)([row[i] for row in rows.values()])
               for i, name in enumerate(columns)]
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *columns])
    lines = ["".join(_table_cell(value, form, value == winner and winner is not None)
                     for value, form, winner in zip(row, columns.values(), winners))
             for row in rows.values()]
    named = zip(map(escape, map(str, rows)), lines)
    body = "".join(f"<tr><th>{name}</th>{line}</tr>" for name, line in named)
    style = "caption-side:top;color:inherit;text-align:left"
    return HTML(f'<table class="table table-sm"><caption style="{style}">{escape(caption)}'
                f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
