"What the plots of several studies share."


def error_bars(cards):
    "The intervals of cards as matplotlib wants them: (2, n), how far below and above the value."
    return [[s.value - s.interval[0] for s in cards], [s.interval[1] - s.value for s in cards]]


def plain_ticks(axis, values):
    "Ticks of a log axis at these values, written out."
    axis.set_ticks(values, [f"{v:g}" for v in values])
    axis.set_ticks([], minor=True)
