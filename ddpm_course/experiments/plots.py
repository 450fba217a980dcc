"What the plots of several studies share."


def new_figure(width, height):
    "A figure of this many inches, that belongs to no window, in the dots per inch of the page."
    from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


def error_bars(cards):
    "The intervals of cards as matplotlib wants them: (2, n), how far below and above the value."
    ends = [s.interval or (s.value, s.value) for s in cards] # none: no bar
    return [[s.value - low for s, (low, _) in zip(cards, ends)],
            [high - s.value for s, (_, high) in zip(cards, ends)]]


def plain_ticks(axis, values):
    "Ticks of a log axis at these values, written out."
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)


def plot_variants(rows, title): # means over seeds, of a table whose rows differ in `variant`
    "The distance of each variant, with its interval, beside the floor: a figure."
    figure = new_figure(6.4, 2.6)
    ax = figure.subplots()
    cards = [row["distance"] for row in rows][::-1]
    ax.errorbar([s.value for s in cards], range(len(cards)), xerr=error_bars(cards), fmt="o",
                capsize=3)
    floor_line(ax, rows, vertical=True)
    ax.set(yticks=range(len(cards)), yticklabels=[s.variant for s in cards],
           xlabel="Fréchet distance", title=title)
    return figure


def floor_line(ax, rows, vertical=False):
    "A dashed gray line at the matched floor of the rows."
    line = ax.axvline if vertical else ax.axhline
    line(rows[0]["matched_floor"].value, color="gray", ls="--", lw=1, label="matched floor")
