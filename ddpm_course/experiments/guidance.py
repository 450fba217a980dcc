"How much guidance?"

from .families import Family, of_card
from .generation import measure
from .plots import error_bars, floor_line, new_figure
from .protocol import GUIDED_DIGITS
from .samplers import Sampler
from .tables import NETWORKS, Table, product

GUIDANCE_SCALES = (0.0, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0)


def guided_row(network, sampler, steps, guidance, seed, n):
    "n digits by a sampler under guidance, with precision and recall: {name: Score}."
    asked = Sampler(sampler, steps, guidance=guidance)
    return measure(asked, NETWORKS[network](), n, seed, progress=False, model=network,
                   protocol=GUIDED_DIGITS)[0]


def plot_guidance(rows): # of `GUIDANCE`
    "Accuracy against distance, each point with its scale, and scores against the scale: a figure."
    figure = new_figure(6.4, 3.2)
    left, right = figure.subplots(1, 2)
    asked = [row for row in rows if row["distance"].guidance > 0] # at 0 no digit was asked for
    trade_off(left, asked)
    against_scale(right, rows)
    left.legend(fontsize=8, loc="lower right")
    parts = [ax.get_legend_handles_labels() for ax in (right, right.figure.axes[-1])]
    figure.legend(*(a + b for a, b in zip(*parts)), fontsize=8, loc="outside lower right", ncols=4)
    return figure


def trade_off(ax, rows):
    "Accuracy against distance, each point with its scale."
    x, y = ([row[name] for row in rows] for name in ("distance", "accuracy"))
    ax.errorbar([s.value for s in x], [s.value for s in y], error_bars(y), error_bars(x), fmt="o-",
                ms=4, capsize=2, lw=1)
    for i, cards in enumerate(neighbors(x)): # below and above their points in turn
        low, *_, high = sorted(2 * [s.guidance for s in cards])
        point = (cards[-1].value, y[x.index(cards[-1])].value)
        ax.annotate(f"{low:g}" if low == high else f"{low:g} to {high:g}", point,
                    xytext=(4, 6 if i and i % 2 == 0 else -14), textcoords="offset points")
    floor_line(ax, rows, vertical=True)
    ax.margins(y=0.15)
    ax.set(title="every point a scale s", xlabel="Fréchet distance", ylabel="accuracy")


def neighbors(cards):
    "Cards in order of their values, in lists of those that lie so close that labels would meet."
    cards = sorted(cards, key=lambda s: s.value)
    near = 0.04 * (cards[-1].value - cards[0].value)
    groups = [cards[:1]]
    for before, card in zip(cards, cards[1:]):
        if card.value - before.value < near: groups[-1].append(card)
        else: groups.append([card])
    return groups


def against_scale(ax, rows):
    "Accuracy, precision and recall against the scale, and the distance on an axis of its own."
    below = ax.twinx()
    def show(on, name, label, **look):
        cards = [row[name] for row in rows]
        on.errorbar([s.guidance for s in cards], [s.value for s in cards], error_bars(cards), ms=4,
                    capsize=2, lw=1, label=label, **look)
    for name in ("accuracy", "precision", "recall"): show(ax, name, name, fmt="o-")
    show(below, "distance", "distance (right axis)", fmt="s--", color="gray")
    below.set(ylabel="Fréchet distance", ylim=(0, None))
    ax.set(title="what the scale does", xlabel="guidance scale s", ylabel="share")


GUIDED_COLUMNS = ("sampler", "guidance", "steps", "nfe", "accuracy", "precision",
                  "precision_floor", "recall", "recall_floor", "distance", "nearest")
TO_PLAIN = {f"s = {s:g}": ({"guidance": s}, {"guidance": 1.0}) for s in GUIDANCE_SCALES if s > 1}
GUIDANCE = Table(
    "guidance", "DDIM under guidance scales from 0 to 7.", guided_row, plot=plot_guidance,
    family=Family({"distance": TO_PLAIN, "accuracy": of_card("accuracy", TO_PLAIN),
                   "recall": of_card("recall", TO_PLAIN)}, vary=("guidance", "nfe"),
                  margins={"distance": 0.5, "accuracy": 0.01}),
    grid={"digits": product(seed=range(3), network="digits", sampler="DDIM", steps=50,
                            guidance=GUIDANCE_SCALES, n=797),
          "smoke": product(seed=range(2), network="smoke", sampler="DDIM", steps=4,
                           guidance=[0.0, 1.0, 3.0], n=100)},
    columns=GUIDED_COLUMNS)
