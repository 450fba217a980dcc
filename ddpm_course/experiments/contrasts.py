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


def forest(panels, # {title: {label: `Contrast`}}
           xlabels, # one a panel, such as "distance"
           width: float=10): # inches
    """A line for each difference beside that of no difference: thick 95 %, thin the joint interval;
    filled where even that one does not hold 0."""
    figure = new_figure(width, 1.1 + 0.27 * max(map(len, panels.values())))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, xlabel, (title, found) in zip(axes, xlabels, panels.items()):
        places = range(len(found), 0, -1)
        for y, (single, joint) in zip(places, found.values()):
            color = "tab:blue" if single.significant else "tab:gray"
            ax.plot(joint.interval, [y, y], color=color, lw=0.8)
            ax.plot(single.interval, [y, y], color=color, lw=3)
            fill = color if joint.significant else "white"
            ax.plot(single.value, y, "o", color=color, ms=6, mfc=fill)
        ax.axvline(0, color="black", lw=1)
        ax.set(title=title, xlabel=xlabel, ylim=(0.3, len(found) + 0.7))
        ax.set_yticks(places, found)
    return figure
