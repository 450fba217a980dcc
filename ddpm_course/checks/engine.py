"Checkers of chapter 22."

import math

import torch

from ddpm_course.checks import Exercise


def _order(epoch):
    return torch.randperm(10, generator=torch.Generator().manual_seed(epoch)).tolist()


def _places(step, batch): return range(step * batch, (step + 1) * batch)


def _dropped(step, batch, n, order):
    epoch, k = divmod(step, n // batch)
    return order(epoch)[k * batch:(k + 1) * batch]


def _short(step, batch, n, order):
    epoch, k = divmod(step, -(-n // batch))
    return order(epoch)[k * batch:(k + 1) * batch]


def _joined(epoch, order): return order(epoch) + order(epoch + 1)


images_of = Exercise(
    lambda step, batch, n, order: [order(i // n)[i % n] for i in _places(step, batch)],
    lambda: [(0, 4, 10, _order), (2, 4, 10, _order), (7, 4, 10, _order), (13, 4, 10, _order),
             (1, 25, 10, _order)],
    {"here every epoch begins with a batch of its own, and what is left of the one before is "
     "dropped; lay epochs end to end": _dropped,
     "here every epoch begins with a batch of its own, and the last one before is short; lay "
     "epochs end to end": _short,
     "every epoch has the order of the first here; ask order(e) for its own":
        lambda step, batch, n, order: [order(0)[i % n] for i in _places(step, batch)],
     "the whole batch takes the order of the epoch in which it begins; it may reach into the next":
        lambda step, batch, n, order: [order(step * batch // n)[i % n]
                                       for i in _places(step, batch)],
     "the whole batch takes the order of the epoch in which it ends; it may begin before":
        lambda step, batch, n, order: [order(((step + 1) * batch - 1) // n)[i % n]
                                       for i in _places(step, batch)],
     "this ends with the epoch; a batch goes on into the next one":
        lambda step, batch, n, order: order(step * batch // n)[step * batch % n:][:batch],
     "this joins two epochs; a batch may be longer than both":
        lambda step, batch, n, order: _joined(step * batch // n, order)[step * batch % n:][:batch],
     "a place counts through all epochs; within its own it is place % n":
        lambda step, batch, n, order: [order(i // n)[i] for i in _places(step, batch)],
     "place // n is the epoch and place % n the place in it; here they are exchanged":
        lambda step, batch, n, order: [order(i % n)[i // n] for i in _places(step, batch)],
     "a range ends before its second number: the last image of the batch is missing":
        lambda step, batch, n, order: [order(i // n)[i % n] for i in _places(step, batch)[:-1]],
     "a range ends before its second number, so no 1 is added: one image is too many here":
        lambda step, batch, n, order: [order(i // n)[i % n]
                                       for i in range(step * batch, (step + 1) * batch + 1)],
     "the images of a batch are given in the order of their places; here they are sorted":
        lambda step, batch, n, order: sorted(order(i // n)[i % n] for i in _places(step, batch)),
     "the batch begins where the one before ends, and not with its epoch":
        lambda step, batch, n, order: order(step * batch // n)[:batch],
     "the batch of a step begins at step * batch; this begins at `step`":
        lambda step, batch, n, order: [order(i // n)[i % n] for i in range(step, step + batch)],
     "epochs are counted from 0; here the first is order(1)":
        lambda step, batch, n, order: [order(i // n + 1)[i % n] for i in _places(step, batch)],
     "step // n is no epoch: a step is `batch` images, so an epoch begins every n / batch steps":
        lambda step, batch, n, order: [order(step // n)[i % n] for i in _places(step, batch)],
     "the epoch of a place is place // n; here it is place // batch, and that is the step":
        lambda step, batch, n, order: [order(i // batch)[i % n] for i in _places(step, batch)],
     "this is the batch of the step after":
        lambda step, batch, n, order: [order(i // n)[i % n] for i in _places(step + 1, batch)],
     "these are places in all epochs; put them through the order of theirs":
        lambda step, batch, n, order: list(_places(step, batch)),
     "this is everything up to this step; return its own batch":
        lambda step, batch, n, order: [order(i // n)[i % n] for i in range((step + 1) * batch)],
     "each step is an epoch here; an epoch is over after n images":
        lambda step, batch, n, order: order(step)[:batch],
     "each step is an epoch here, and its batch goes round in it; an epoch is over after n images":
        lambda step, batch, n, order: [order(step)[i % n] for i in range(batch)],
     "steps are counted from 0; this is the batch of the step before":
        lambda step, batch, n, order: [order(i // n)[i % n] for i in _places(step - 1, batch)],
     "these are places in the line; put them through the order of their epoch":
        lambda step, batch, n, order: [i % n for i in _places(step, batch)]},
    "Nothing has to be remembered: a run can begin at any step.")


def _parts():
    g = torch.Generator().manual_seed(0)
    sizes = [(4, 4, 2), (1, 9), (3, 3, 3, 1)]
    return [([torch.rand(n, generator=g, dtype=torch.float64) + i for i, n in enumerate(s)],)
            for s in sizes]


def _all(parts): return torch.cat(parts).mean()


def _means(parts): return torch.stack([part.mean() for part in parts])


batch_loss = Exercise(
    lambda parts: (_all(parts), _means(parts).mean()),
    _parts,
    {"the two are exchanged: first the mean over all examples":
        lambda parts: (_means(parts).mean(), _all(parts)),
     "both are the mean of means; the first is the mean over all examples":
        lambda parts: (_means(parts).mean(), _means(parts).mean()),
     "both are the mean over all examples; the second averages the parts' means":
        lambda parts: (_all(parts), _all(parts)),
     "these are sums over the examples; divide by their number":
        lambda parts: (torch.cat(parts).sum(), _means(parts).sum()),
     "the second adds the parts' means; it averages them":
        lambda parts: (_all(parts), _means(parts).sum()),
     "the first adds the parts' means; it is the mean over all examples":
        lambda parts: (_means(parts).sum(), _means(parts).mean()),
     "the first divides by the number of parts; divide by the number of examples":
        lambda parts: (torch.cat(parts).sum() / len(parts), _means(parts).mean()),
     "the first is a sum over the examples; divide by their number":
        lambda parts: (torch.cat(parts).sum(), _means(parts).mean()),
     "the second adds the parts' means, and divides by the number of examples; divide by that of "
     "the parts": lambda parts: (_all(parts), _means(parts).sum() / len(torch.cat(parts))),
     "the parts are not equally large, so their number times the size of the first is not that of "
     "the examples": lambda parts:
        (torch.cat(parts).sum() / (len(parts) * len(parts[0])), _means(parts).mean()),
     "the second averages the sums of the parts; it averages their means":
        lambda parts: (_all(parts), sum(len(p) * p.mean() for p in parts) / len(parts)),
     "this is the median, which is no mean":
        lambda parts: (torch.cat(parts).median(), _means(parts).median())},
    "Sum first and divide once: then no part weighs more than another.")


def _hat(x, beta, n): return x / (1 - beta**n)


def _as_it_is(x, beta, n): return x


def _move(m, v, g): return m / math.sqrt(v)


def _moves(m, v, done, gradients, begin=1, hat_m=_hat, hat_v=_hat, move=_move, count=1,
           square=lambda g: g * g, betas=(0.9, 0.999), keep=False):
    moves = []
    b1, b2 = betas
    for n, g in enumerate(gradients):
        n = done + begin + count * n
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * square(g)
        m_hat = hat_m(m, b1, n)
        v_hat = hat_v(v, b2, n)
        moves.append(move(m_hat, v_hat, g))
        m, v = (m_hat, v_hat) if keep else (m, v)
    return moves


def _too_early(m, v, done, gradients):
    "Each move before its update, with the averages of the step before."
    moves = []
    for n, g in enumerate(gradients, done + 1):
        moves.append(m / (1 - 0.9**n) / math.sqrt(v / (1 - 0.999**n)))
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
    return moves


def _of_m(m, v, done, gradients):
    "The average m is squared in place of the gradient."
    moves = []
    for n, g in enumerate(gradients, done + 1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * m * m
        moves.append(_move(_hat(m, 0.9, n), _hat(v, 0.999, n), g))
    return moves


adam_moves = Exercise(
    _moves,
    lambda: [(0.5, 0.3, 10, [1.0, -2.0, 0.5]), (0.0, 0.0, 100, [1.0, 1.0, 1.0, 1.0]),
             (-0.2, 2.0, 1, [-3.0, 0.5])],
    {"nothing is corrected here: divide m and v by 1 - 0.9^n and 1 - 0.999^n":
        lambda *a: _moves(*a, hat_m=_as_it_is, hat_v=_as_it_is),
     "m is not corrected: divide it by 1 - 0.9^n": lambda *a: _moves(*a, hat_m=_as_it_is),
     "v is not corrected: divide it by 1 - 0.999^n": lambda *a: _moves(*a, hat_v=_as_it_is),
     "the correction multiplies here; divide m and v by it":
        lambda *a: _moves(*a, **dict.fromkeys(("hat_m", "hat_v"), lambda x, b, n: x * (1 - b**n))),
     "the correction of v belongs under the root, with v": lambda *a: _moves(
        *a, hat_v=lambda v, b, n: v / (1 - b**n)**2),
     "the two corrections are exchanged: 0.9 goes with m, and 0.999 with v": lambda *a: _moves(
        *a, hat_m=lambda m, b, n: _hat(m, 0.999, n), hat_v=lambda v, b, n: _hat(v, 0.9, n)),
     "the correction is 1 - 0.9^n; this takes the power of 1 - 0.9": lambda *a: _moves(
        *a, **dict.fromkeys(("hat_m", "hat_v"), lambda x, b, n: x / (1 - b)**n)),
     "the corrected averages go into the next step here; keep m and v as they are":
        lambda *a: _moves(*a, keep=True),
     "n begins one too high; the first is done + 1": lambda *a: _moves(*a, begin=2),
     "the gradient comes with 0.1, and its square with 0.001; here both come with 1":
        lambda m, v, done, gradients: _moves(m / 10, v / 1000, done, gradients,
                                             move=lambda m, v, g: 10 * m / math.sqrt(1000 * v)),
     "n stays the same here; it grows with every gradient": lambda *a: _moves(*a, count=0),
     "every n is `done` here; the first is done + 1, and it grows with every gradient":
        lambda *a: _moves(*a, begin=0, count=0),
     "each gradient begins with the m and v that were given; it goes on from those before it":
        lambda m, v, done, gradients: [_moves(m, v, done + n, [g])[0]
                                       for n, g in enumerate(gradients)],
     "this is the first move alone, as if the loop returned at once":
        lambda *a: _moves(*a)[:1],
     "each move comes before its update here; put the gradient into m and v first": _too_early,
     "this divides the gradient itself; m_hat, the average, belongs above":
        lambda *a: _moves(*a, move=lambda m, v, g: g / math.sqrt(v)),
     "the shares are exchanged: the old average keeps 0.9 and 0.999":
        lambda *a: _moves(*a, betas=(0.1, 0.001), hat_m=lambda m, b, n: _hat(m, 0.9, n),
                          hat_v=lambda v, b, n: _hat(v, 0.999, n)),
     "n begins with the steps done before; the next one is done + 1":
        lambda *a: _moves(*a, begin=0),
     "n begins at 1 again; count on from the steps done before":
        lambda m, v, done, gradients: _moves(m, v, 0, gradients),
     "this divides by v_hat; take its square root":
        lambda *a: _moves(*a, move=lambda m, v, g: m / v),
     "v averages the squares of the gradients; this takes their sizes":
        lambda *a: _moves(*a, square=abs),
     "v averages the squares of the gradients; this takes the gradients":
        lambda *a: _moves(*a, square=float),
     "the two averages begin at 0 here; go on from m and v":
        lambda m, v, done, gradients: _moves(0.0, 0.0, done, gradients),
     "0.9 and 0.999 are exchanged": lambda *a: _moves(*a, betas=(0.999, 0.9)),
     "this moves against the gradient, as the weight does; return m_hat / sqrt(v_hat) itself":
        lambda *a: [-move for move in _moves(*a)],
     "the square of the gradient comes with 0.001; here it comes with 0.1": lambda *a: _moves(
        *a, square=lambda g: 100 * g * g),
     "v averages the squares of the gradients; this takes the squares of m": _of_m,
     "0.999 belongs to v; here it is 0.99": lambda *a: _moves(*a, betas=(0.9, 0.99)),
     "the shares are exchanged, in the correction too: the old average keeps 0.9 and 0.999":
        lambda *a: _moves(*a, betas=(0.1, 0.001)),
     "this is m_hat alone; divide it by sqrt(v_hat)": lambda *a: _moves(
        *a, move=lambda m, v, g: m),
     "this adds the moves up to one number; return each of them": lambda *a: sum(_moves(*a)),
     "this is the last move alone; return all of them": lambda *a: _moves(*a)[-1],
     "this adds the moves up; return each of them":
        lambda *a: torch.tensor(_moves(*a), dtype=torch.float64).cumsum(0).tolist()},
    "What a checkpoint leaves out, the first steps after it pay for.")


lost_share = Exercise(
    lambda every, cost, between: cost / every + every / 2 / between,
    lambda: [(600.0, 10.0, 86_400.0), (60.0, 5.0, 3600.0), (3600.0, 30.0, 40_000.0)],
    {"on average only half of the time between two checkpoints is lost":
        lambda every, cost, between: cost / every + every / between,
     "this forgets the time that saving takes": lambda every, cost, between: every / 2 / between,
     "this forgets what a failure costs": lambda every, cost, between: cost / every,
     "these are seconds; divide what is lost by the time in which it is lost":
        lambda every, cost, between: cost + every / 2,
     "half of the cost is not lost, all of it is; halve what a failure loses":
        lambda every, cost, between: cost / 2 / every + every / between,
     "saving costs `cost` once in `every` seconds; this counts it once in `between`":
        lambda every, cost, between: (cost + every / 2) / between,
     "the two shares are added; this subtracts them":
        lambda every, cost, between: cost / every - every / 2 / between,
     "all of the cost is lost, and not half of it":
        lambda every, cost, between: cost / 2 / every + every / 2 / between,
     "the second share is upside down: a failure every `between` seconds loses every / 2":
        lambda every, cost, between: cost / every + between / (2 * every),
     "the first share is upside down: saving takes `cost` of every `every` seconds":
        lambda every, cost, between: every / cost + every / 2 / between,
     "what a failure loses is lost once in `between` seconds; this counts it at every checkpoint":
        lambda every, cost, between: (cost + every / 2) / every,
     "half of `every` is lost; this takes twice of it":
        lambda every, cost, between: cost / every + 2 * every / between,
     "cost is small beside every, so the share is cost / every; here the cost is added below":
        lambda every, cost, between: cost / (every + cost) + every / 2 / between,
     "a failure loses half of `every`; here the cost is counted among what it loses":
        lambda every, cost, between: cost / every + (every + cost) / 2 / between,
     "a failure loses half of `every`; here all of the cost is counted among what it loses":
        lambda every, cost, between: cost / every + (every / 2 + cost) / between,
     "the two shares are added; this takes the larger":
        lambda every, cost, between: max(cost / every, every / 2 / between),
     "every / 2 is divided by between; this multiplies":
        lambda every, cost, between: cost / every + every / 2 * between,
     "the two shares are added; this multiplies them":
        lambda every, cost, between: cost / every * every / 2 / between,
     "the shares are upside down": lambda every, cost, between: every / cost + 2 * between / every,
     "this is the best time between checkpoints, not what one loses":
        lambda every, cost, between: math.sqrt(2 * cost * between)},
    "Near its lowest point the curve is flat: any interval of the right size will do.")
