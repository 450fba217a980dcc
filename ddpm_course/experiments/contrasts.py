"Many differences at once, seed by seed, and one picture of them."

from typing import NamedTuple

from ..scores import Difference, compare_paired
from .plots import new_figure


class Contrast(NamedTuple):
    "One difference between two means over the same seeds."
    single: Difference # with its 95 % interval, as if it had been the only one asked for
    joint: Difference # with the wider interval that is fair to one of many


def contrasts(pairs, # {label: (a, b)}: `average`s over the same seeds
              vary, # parts of the protocol that may differ, where the cards have them
              of: int): # how many differences are asked for in all
    "{label: Contrast}: a - b, with intervals at 95 % and at 1 - 0.05 / of (Bonferroni)."
    def one(a, b, level):
        names = [name for name in vary if name in a.settings or name in b.settings]
        return compare_paired(a, b, names, level)
    return {label: Contrast(one(a, b, 0.95), one(a, b, 1 - 0.05 / of))
            for label, (a, b) in pairs.items()}


def one_beside_others(panels):
    "(figure, axes): the last panel on the right, the others one above the other on its left."
    *left, right = (len(found) for found in panels.values())
    figure = new_figure(6.4, max(sum(0.2 * n + 0.9 for n in left), 0.2 * right + 0.9))
    if not left: return figure, [figure.subplots()]
    grid = figure.add_gridspec(len(left), 2, height_ratios=left)
    axes = [figure.add_subplot(grid[i, 0]) for i in range(len(left))]
    return figure, [*axes, figure.add_subplot(grid[:, 1])]


def forest(panels, # {title: {label: `Contrast`}}
           xlabels): # one a panel, such as "distance"
    """A line for each difference beside that of no difference: thick 95 %, thin the joint interval;
    filled where even that one does not hold 0."""
    figure, axes = one_beside_others(panels)
    for ax, xlabel, (title, found) in zip(axes, xlabels, panels.items()):
        places = range(len(found), 0, -1)
        for y, (single, joint) in zip(places, found.values()):
            color = "tab:blue" if single.significant else "tab:gray"
            ax.plot(joint.interval, [y, y], color=color, lw=0.9)
            ax.plot(single.interval, [y, y], color=color, lw=3.5, alpha=0.5)
            fill = color if joint.significant else "none"
            ax.plot(single.value, y, "o", color=color, ms=6.5, mew=1.4, mfc=fill)
        ax.axvline(0, color="gray", lw=1)
        ax.set(title=title, xlabel=xlabel, ylim=(0.3, len(found) + 0.7))
        ax.set_yticks(places, found)
        ax.locator_params(axis="x", nbins=4)
    if len(axes) == 2 and axes[0].get_ylim() == axes[1].get_ylim():
        axes[1].tick_params(labelleft=list(found) != list(next(iter(panels.values()))))
    return figure
