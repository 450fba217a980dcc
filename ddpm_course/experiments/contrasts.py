"Many differences at once, and one picture of them."

from ..estimates import ALIKE, APART, SMALL
from .plots import new_figure


def one_beside_others(panels):
    "(figure, axes): the last panel on the right, the others one above the other on its left."
    *left, right = (len(found) for found in panels.values())
    figure = new_figure(6.4, max(sum(0.2 * n + 0.9 for n in left), 0.2 * right + 0.9))
    if not left: return figure, [figure.subplots()]
    grid = figure.add_gridspec(len(left), 2, height_ratios=left)
    axes = [figure.add_subplot(grid[i, 0]) for i in range(len(left))]
    return figure, [*axes, figure.add_subplot(grid[:, 1])]


def forest(panels, # {title: {label: `Verdict`}}
           xlabels, # one a panel, such as "distance"
           margins=()): # one a panel, or None: the band of differences that do not matter
    """A line for each difference beside that of no difference: its own 95 % interval, unadjusted;
    filled where Holm's procedure calls it apart, a square where it is as good as none."""
    figure, axes = one_beside_others(panels)
    margins = margins or [None] * len(panels)
    for ax, xlabel, margin, (title, found) in zip(axes, xlabels, margins, panels.items()):
        if margin: ax.axvspan(-margin, margin, color="gray", alpha=0.15, lw=0)
        places = range(len(found), 0, -1)
        for y, verdict in zip(places, found.values()): one_line(ax, y, verdict)
        ax.axvline(0, color="gray", lw=1)
        ax.set(title=title, xlabel=xlabel, ylim=(0.3, len(found) + 0.7))
        ax.set_yticks(places, found)
        ax.locator_params(axis="x", nbins=4)
    if len(axes) == 2 and axes[0].get_ylim() == axes[1].get_ylim():
        axes[1].tick_params(labelleft=list(found) != list(next(iter(panels.values()))))
    return figure


def one_line(ax, y, verdict):
    "A difference and its interval at height y."
    apart = verdict.said in (APART, SMALL)
    color = "tab:blue" if apart else "tab:gray"
    ax.plot(verdict.estimate.interval(), [y, y], color=color, lw=2)
    mark = "s" if verdict.said in (ALIKE, SMALL) else "o"
    ax.plot(verdict.estimate.value, y, mark, color=color, ms=6.5, mew=1.4,
            mfc=color if apart else "none")


def difference_text(verdict, digits=1): # `Verdict`; digits after the point
    "A difference and its own interval, as a table shows them."
    numbers = verdict.estimate.value, *verdict.estimate.interval()
    value, low, high = (f"{v:+.{digits}f}" for v in numbers)
    return f"{value} [{low}, {high}]"
