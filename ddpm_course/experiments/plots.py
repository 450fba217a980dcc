"What the plots of several studies share."

from matplotlib.figure import Figure


def new_figure(width, height):
    "A figure of this many inches, that belongs to no window."
    return Figure(figsize=(width, height), dpi=76, layout="constrained")


def error_bars(cards):
    "The intervals of cards as matplotlib wants them: (2, n), how far below and above the value."
    return [[s.value - s.interval[0] for s in cards], [s.interval[1] - s.value for s in cards]]


def plain_ticks(axis, values):
    "Ticks of a log axis at these values, written out."
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)


def floor_line(ax, rows, vertical=False):
    "A dashed gray line at the matched floor of the rows."
    line = ax.axvline if vertical else ax.axhline
    line(rows[0]["matched_floor"].value, color="gray", ls="--", lw=1, label="matched floor")


def forest(panels, # {title: {label: `Difference`}}
           xlabel, # such as "distance of the first minus that of the second"
           width=10):
    "Differences with their intervals, one a line, beside the line of no difference: a figure."
    lines = max(map(len, panels.values()))
    figure = new_figure(width, 1.1 + 0.27 * lines)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, found) in zip(axes, panels.items()):
        for y, d in zip(range(len(found), 0, -1), found.values()):
            color = "tab:blue" if d.significant else "tab:gray"
            ax.plot(d.interval, [y, y], color=color, lw=2)
            ax.plot(d.value, y, "o", color=color, ms=5, mfc=color if d.significant else "white")
        ax.axvline(0, color="black", lw=1)
        ax.set(title=title, xlabel=xlabel, ylim=(0.3, len(found) + 0.7))
        ax.set_yticks(range(len(found), 0, -1), found)
    return figure
