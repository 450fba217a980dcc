"Rows that no other dominates, right and wrong: what exercise 2 of chapter 90 compares."

from operator import mul

import torch


def dominated(costs, distances, beats):
    rows = list(zip(costs, distances))
    return [any(beats(c, d, cost, distance) for c, d in rows) for cost, distance in rows]


def kept(costs, distances, beats): return [not lost for lost in dominated(costs, distances, beats)]


def of_others(costs, distances, beats):
    "Rows that are beaten by none of the others, whichever these are."
    rows = list(enumerate(zip(costs, distances)))
    return [not any(i != j and beats(*row, *other) for i, row in rows) for j, other in rows]


def walked(costs, distances, key):
    "From the cheapest row on, those that are better than all that were kept."
    out = [False] * len(costs)
    best = float("inf")
    for i in sorted(range(len(costs)), key=lambda i: key(costs[i], distances[i])):
        if distances[i] < best:
            out[i] = True
            best = distances[i]
    return out


def before(costs, distances):
    return [kept(costs[:i + 1], distances[:i + 1], better)[i] for i in range(len(costs))]


def better(c, d, cost, distance): return c <= cost and d <= distance and (c < cost or d < distance)


def lined_up(costs, distances):
    "The rows in the order of their cost, and of their distance where that is the same."
    return zip(*sorted(zip(costs, distances)))


MISFRONTED = {
    "these are the rows that lose; keep the others":
        lambda costs, distances: dominated(costs, distances, better),
    "a row that costs as much and is better beats this one, too; "
    "so does one as good that costs less":
        lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x and d < y),
    "a row does not beat itself: it has to be better in one of the two":
        lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c <= x and d <= y),
    "two equal rows do not beat each other: one has to be better in one of the two":
        lambda costs, distances: of_others(costs, distances,
                                           lambda c, d, x, y: c <= x and d <= y),
    "of two equal rows only the first is kept; neither beats the other":
        lambda costs, distances: walked(costs, distances, lambda c, d: (c, d)),
    "of rows that cost the same, a worse one that comes first in the list is kept; sort by both":
        lambda costs, distances: walked(costs, distances, lambda c, d: c),
    "of rows that cost the same, the better one beats the other":
        lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x and d <= y),
    "of rows that are as good, the cheaper one beats the others":
        lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c <= x and d < y),
    "this compares a row with those before it; one after it may beat it, too": before,
    "this compares a row with those after it; one before it may beat it, too":
        lambda costs, distances: before(costs[::-1], distances[::-1])[::-1],
    "the rows are sorted here, and the answers stand in that order; keep that of the rows":
        lambda costs, distances: kept(*lined_up(costs, distances), better),
    "the answers stand in the order of cost, and of two equal rows only the first is kept":
        lambda costs, distances: walked(*lined_up(costs, distances), lambda c, d: (c, d)),
    "this goes through the rows as they stand; go from the cheapest on":
        lambda costs, distances: [d < min([*distances[:i], float("inf")])
                                  for i, d in enumerate(distances)],
    "every row is kept here: none beats all, itself included; one that beats it is enough":
        lambda costs, distances: [True] * len(costs),
    "this takes the smallest product of cost and distance; that is one row of several":
        lambda costs, distances: [c * d == min(map(mul, costs, distances))
                                  for c, d in zip(costs, distances)],
    "these are the rows themselves; return True or False for each row": lambda costs, distances: [
        row for row, keep in zip(zip(costs, distances), kept(costs, distances, better)) if keep],
    "one row that beats it is enough: any, not all": lambda costs, distances: [
        not all(better(c, d, x, y) for c, d in zip(costs, distances) if (c, d) != (x, y))
        for x, y in zip(costs, distances)],
    "these are the rows that beat another; asked for are those that none beats":
        lambda costs, distances: [
            any(better(x, y, c, d) for c, d in zip(costs, distances))
            for x, y in zip(costs, distances)],
    "this keeps the cheapest and the best alone; between them others may be worth their price":
        lambda costs, distances: [c == min(costs) or d == min(distances)
                                  for c, d in zip(costs, distances)],
    "less cost is better; this keeps the rows with more":
        lambda costs, distances: kept([-c for c in costs], distances, better),
    "it has to be at least as good in both; "
    "a row that is better in one and worse in the other beats nothing":
        lambda costs, distances: kept(costs, distances, lambda c, d, x, y: c < x or d < y),
    "a smaller distance is better; this keeps the rows with the larger one":
        lambda costs, distances: kept(costs, [-d for d in distances], better),
    "less cost and less distance are better; this keeps the worst":
        lambda costs, distances: kept([-c for c in costs], [-d for d in distances], better),
    "this asks for the smallest distance alone; "
    "a worse one that costs less may be worth its price":
        lambda costs, distances: [d == min(distances) for d in distances],
    "this asks for the smallest cost alone":
        lambda costs, distances: [c == min(costs) for c in costs],
    "these are the rows that lose in both; keep those that none beats": lambda costs, distances:
        dominated(costs, distances, lambda c, d, x, y: c < x and d < y),
    "of rows that are as good, a dearer one that comes first in the list is kept; sort by both":
        lambda costs, distances: walked(distances, costs, lambda c, d: c),
    "this goes from the dearest on; go from the cheapest":
        lambda costs, distances: walked(costs, distances, lambda c, d: -c),
    "this compares a row with the one before it alone; any other may beat it":
        lambda costs, distances: [i == 0 or d < distances[i - 1] for i, d in enumerate(distances)],
    "this counts the rows that are left; return True or False for each row":
        lambda costs, distances: sum(kept(costs, distances, better)),
    "this is one answer for all rows; return True or False for each":
        lambda costs, distances: all(kept(costs, distances, better)),
    "these are the numbers of the rows; return True or False for each row":
        lambda costs, distances: torch.tensor(kept(costs, distances, better)).nonzero()[:, 0],
}
