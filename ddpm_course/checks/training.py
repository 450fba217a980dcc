"Checkers of chapter 21."

import math

import torch

from ddpm_course.checks import Exercise

halflife_of = Exercise(
    lambda decay, batch: -batch / math.log2(decay),
    lambda: [(0.9999, 128), (0.5, 64), (0.999, 1024)],
    {"the half-life is in images, and a step brings `batch` of them; this counts steps":
        lambda decay, batch: -1 / math.log2(decay),
     "this is where the share has fallen to 1/e, not to 1/2: take the logarithm to base 2":
        lambda decay, batch: -batch / math.log(decay),
     "the logarithm of a decay is negative, and so is this half-life":
        lambda decay, batch: batch / math.log2(decay),
     "this is the mean age of what is averaged, batch / (1 - decay), not the half-life":
        lambda decay, batch: batch / (1 - decay),
     "this is half of the mean age; after how many steps is decay^n equal to 1/2?":
        lambda decay, batch: 0.5 * batch / (1 - decay),
     "ln 2 / (1 - decay) is close for a decay near 1, and no more: use the logarithm of it":
        lambda decay, batch: math.log(2) * batch / (1 - decay),
     "this has the logarithm upside down": lambda decay, batch: -batch * math.log2(decay),
     "this takes the logarithm to base 10": lambda decay, batch: -batch / math.log10(decay),
     "more images a step make it longer: multiply by the batch, do not divide":
        lambda decay, batch: -1 / math.log2(decay) / batch},
    "0.9999 at 128 images a step is a half-life of 887,000 images; at 32 a step, of 222,000.",
    tol=1e-6)


def _trapezoid(step, steps, lr, warmup, cooldown, first=1, last=0, early=0):
    up = (step + first) / warmup
    down = (steps - last - step) / (cooldown + early)
    return lr * min(1.0, up, down)


trapezoid = Exercise(
    _trapezoid,
    lambda: [(s, 100, 2.0, 20, 30) for s in (0, 7, 19, 20, 50, 69, 70, 71, 85, 99)],
    {"the first step's rate is 0, so that step is lost: count from (step + 1)":
        lambda *a: _trapezoid(*a, first=0),
     "this reaches 0 at the last step, so that step is lost: it would be 0 at step `steps`":
        lambda *a: _trapezoid(*a, last=1),
     "the first step's rate is 0, and so is the last one's: both are lost":
        lambda *a: _trapezoid(*a, first=0, last=1),
     "the rate never falls": lambda step, steps, lr, warmup, cooldown:
        lr * min(1.0, (step + 1) / warmup),
     "the rate does not climb: the first `warmup` steps go up along a line":
        lambda step, steps, lr, warmup, cooldown: lr * min(1.0, (steps - step) / cooldown),
     "there is no plateau: the rate begins to fall only `cooldown` steps before the end":
        lambda step, steps, lr, warmup, cooldown:
            lr * min((step + 1) / warmup, (steps - step) / (steps - warmup)),
     "the line down begins `cooldown` steps after the start; it begins that long before the end":
        lambda step, steps, lr, warmup, cooldown:
            lr * min(1.0, (step + 1) / warmup, (steps - step) / (steps - cooldown)),
     "this multiplies by the highest rate only while it climbs": lambda *a:
        _trapezoid(*a) if a[0] < a[3] else _trapezoid(*a) / a[2],
     "these are shares of the highest rate; multiply by lr": lambda *a: _trapezoid(*a) / a[2],
     "warm-up and cool-down are the wrong way round":
        lambda step, steps, lr, warmup, cooldown: _trapezoid(step, steps, lr, cooldown, warmup)},
    "Nothing before the cool-down depends on `steps`: such a run can be made longer.")


def gradients():
    g = torch.linspace(-1, 1, 12, dtype=torch.float64)
    return [([g.view(3, 4).clone(), 2 * g[:5]], 1.0), ([0.1 * g[:6].view(2, 3), 0.05 * g[:3]], 1.0),
            ([0 * g[:6], 0 * g[:2]], 1.0)]


def norm(grads): return torch.cat([g.flatten() for g in grads]).norm()


def _scaled(grads, factor): return [g * min(1.0, float(factor)) for g in grads]


clip_by_norm = Exercise(
    lambda grads, max_norm: _scaled(grads, max_norm / norm(grads)), # at norm 0 the factor is 1
    gradients,
    {"this clips each tensor by its own norm, and so turns the gradient; there is one norm over "
     "all of them": lambda grads, max_norm: [_scaled([g], max_norm / g.norm())[0] for g in grads],
     "this clamps single values, and so turns the gradient; scale all of it by one number":
        lambda grads, max_norm: [g.clamp(-max_norm, max_norm) for g in grads],
     "norms do not add up, their squares do: this takes the sum of the tensors' norms":
        lambda grads, max_norm: _scaled(grads, max_norm / sum(g.norm() for g in grads)),
     "a gradient that is short enough stays as it is; this stretches it":
        lambda grads, max_norm: [g * max_norm / norm(grads) for g in grads],
     "a gradient that is short enough stays as it is, and one of 0 is not NaN; this stretches the "
     "first, and looks after the second":
        lambda grads, max_norm: [g * max_norm / norm(grads).clamp_min(1e-6) for g in grads],
     "gradients that are all 0 become NaN here, by 0 / 0":
        lambda grads, max_norm: [g / norm(grads) * min(max_norm, norm(grads)) for g in grads],
     "the norm is the square root of the sum of squares":
        lambda grads, max_norm: _scaled(grads, max_norm / norm(grads)**2),
     "this takes the largest value for the norm":
        lambda grads, max_norm: _scaled(grads, max_norm / max(g.abs().max() for g in grads)),
     "this adds absolute values; the norm adds squares":
        lambda grads, max_norm: _scaled(grads, max_norm / sum(g.abs().sum() for g in grads)),
     "nothing is clipped here": lambda grads, max_norm: [g.clone() for g in grads]},
    "One number scales everything: the step gets shorter, and keeps its direction.")


share_of_start = Exercise(
    lambda steps, batch, halflife: 0.5**(steps * batch / halflife),
    lambda: [(100, 128, 500_000), (80, 64, 1500), (10_000, 128, 500_000)],
    {"the half-life counts images: steps times batch of them have been seen":
        lambda steps, batch, halflife: 0.5**(steps / halflife),
     "this is what one step keeps; raise it to the number of steps":
        lambda steps, batch, halflife: 0.5**(batch / halflife),
     "this is the share of what came after the start":
        lambda steps, batch, halflife: 1 - 0.5**(steps * batch / halflife),
     "half after each half-life, so powers of 1/2 and not of 1/e":
        lambda steps, batch, halflife: math.exp(-steps * batch / halflife),
     "the share halves again and again; it does not fall along a line":
        lambda steps, batch, halflife: max(0.0, 1 - 0.5 * steps * batch / halflife),
     "here the start gains weight with every step; it loses":
        lambda steps, batch, halflife: 2.0**(steps * batch / halflife),
     "this adds up what single steps keep; multiply":
        lambda steps, batch, halflife: steps * 0.5**(batch / halflife),
     "images and half-life are the wrong way round in the exponent":
        lambda steps, batch, halflife: 0.5**(halflife / (steps * batch))},
    "At a half-life of 500,000 images, 2.9 % of a wrong start are still there after 20,000 steps "
    "of 128.", tol=1e-6)


def _smooth(values, d, first=None, corrected=True):
    total = 0.0 if first is None else values[0]
    weight = 0.0 if first is None else 1.0
    out = []
    for v in values:
        total = d * total + (1 - d) * v
        weight = d * weight + (1 - d)
        out.append(total / weight if corrected else total)
    return out


def _means(values, n): return [sum(values[max(0, i + 1 - n):i + 1]) / min(i + 1, n)
                               for i in range(len(values))]


smooth = Exercise(
    lambda values, halflife: _smooth(values, 0.5**(1 / halflife)),
    lambda: [([4.0, 2.0, 3.0, 1.0, 0.5], 2), ([1.0] * 6, 10), ([8.0, 0.0, 0.0, 0.0], 1)],
    {"the average begins at 0 and takes long to leave it: divide by the sum of the weights":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife), corrected=False),
     "the average begins at the first value, which then weighs too much: begin with nothing, "
     "and divide by the sum of the weights":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife), first=True),
     "the weights are exchanged: the older values keep d, the new one gets 1 - d":
        lambda values, halflife: _smooth(values, 1 - 0.5**(1 / halflife)),
     "half after a half-life, so powers of 1/2 and not of 1/e":
        lambda values, halflife: _smooth(values, math.exp(-1 / halflife)),
     "this is a sum of weighted values; divide by the sum of the weights":
        lambda values, halflife: [v / (1 - 0.5**(1 / halflife)) for v in
                                  _smooth(values, 0.5**(1 / halflife), corrected=False)],
     "this is the mean of everything so far; older values have to count less":
        lambda values, halflife: _means(values, len(values)),
     "this is the mean of the last `halflife` values; older ones count less and less, and never "
     "nothing": lambda values, halflife: _means(values, halflife),
     "this is the last average alone; return one a value":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife))[-1],
     "nothing is averaged here": lambda values, halflife: list(values)},
    "Adam corrects its two averages in the same way, and so do most plots of a loss.")
