"Checkers of chapter 22."

import math

import torch

from ddpm_course.checks import Exercise


def _order(epoch):
    return torch.randperm(10, generator=torch.Generator().manual_seed(epoch)).tolist()


def _places(step, batch): return range(step * batch, (step + 1) * batch)


def _dropped(step, batch, n, order):
    epoch, k = divmod(step, max(1, n // batch))
    return order(epoch)[k * batch:(k + 1) * batch]


def _short(step, batch, n, order):
    epoch, k = divmod(step, -(-n // batch))
    return order(epoch)[k * batch:(k + 1) * batch]


images_of = Exercise(
    lambda step, batch, n, order: [order(i // n)[i % n] for i in _places(step, batch)],
    lambda: [(0, 4, 10, _order), (2, 4, 10, _order), (7, 4, 10, _order), (1, 25, 10, _order)],
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
     "each step is an epoch here; an epoch is over after n images":
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
     "the first divides by the number of parts; divide by the number of examples":
        lambda parts: (torch.cat(parts).sum() / len(parts), _means(parts).mean()),
     "here the parts' means are weighted by their sizes twice":
        lambda parts: (_all(parts), sum(len(p) * p.mean() for p in parts) / len(parts)),
     "this is the median, which is no mean":
        lambda parts: (torch.cat(parts).median(), _means(parts).median())},
    "Sum first and divide once: then no part weighs more than another.")


def _moves(m, v, done, gradients, begin=1, fix_m=True, fix_v=True, root=math.sqrt, power=2,
           betas=(0.9, 0.999)):
    moves = []
    b1, b2 = betas
    for n, g in enumerate(gradients, done + begin):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs(g)**power
        m_hat = m / (1 - b1**n) if fix_m else m
        v_hat = v / (1 - b2**n) if fix_v else v
        moves.append(m_hat / root(v_hat))
    return moves


adam_moves = Exercise(
    _moves,
    lambda: [(0.5, 0.3, 10, [1.0, -2.0, 0.5]), (0.0, 0.0, 100, [1.0, 1.0, 1.0, 1.0]),
             (-0.2, 2.0, 1, [3.0, 0.5])],
    {"nothing is corrected here: divide m and v by 1 - 0.9^n and 1 - 0.999^n":
        lambda *a: _moves(*a, fix_m=False, fix_v=False),
     "m is not corrected: divide it by 1 - 0.9^n": lambda *a: _moves(*a, fix_m=False),
     "v is not corrected: divide it by 1 - 0.999^n": lambda *a: _moves(*a, fix_v=False),
     "n begins with the steps done before; the next one is done + 1":
        lambda *a: _moves(*a, begin=0),
     "n begins at 1 again; count on from the steps done before":
        lambda m, v, done, gradients: _moves(m, v, 0, gradients),
     "this divides by v_hat; take its square root": lambda *a: _moves(*a, root=float),
     "v averages the squares of the gradients": lambda *a: _moves(*a, power=1),
     "the two averages begin at 0 here; go on from m and v":
        lambda m, v, done, gradients: _moves(0.0, 0.0, done, gradients),
     "0.9 and 0.999 are exchanged": lambda *a: _moves(*a, betas=(0.999, 0.9)),
     "this moves against the gradient, as the weight does; return m_hat / sqrt(v_hat) itself":
        lambda *a: [-move for move in _moves(*a)],
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
     "the two shares are added; this multiplies them":
        lambda every, cost, between: cost / every * every / 2 / between,
     "the shares are upside down": lambda every, cost, between: every / cost + 2 * between / every,
     "this is the best time between checkpoints, not what one loses":
        lambda every, cost, between: math.sqrt(2 * cost * between)},
    "Near its lowest point the curve is flat: any interval of the right size will do.")
