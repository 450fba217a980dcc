"Checkers of chapter 21."

import math
import operator

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.plans import MISPLANS, plan

halflife_of = Exercise(
    lambda decay, batch: -batch / math.log2(decay),
    lambda: [(0.9999, 128), (0.25, 64), (0.999, 1024)],
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
     "this has the logarithm upside down, and its sign":
        lambda decay, batch: batch * math.log2(decay),
     "this is the mean age in steps; the half-life in images is asked for":
        lambda decay, batch: 1 / (1 - decay),
     "in each step the share `decay` stays; this takes the logarithm of 1 - decay":
        lambda decay, batch: -batch / math.log2(1 - decay),
     "this is where the share has fallen to 1/e, in steps: take the logarithm to base 2, and "
     "multiply by the batch": lambda decay, batch: -1 / math.log(decay),
     "a half-life may end within a step; this rounds it up to whole steps":
        lambda decay, batch: batch * math.ceil(-1 / math.log2(decay)),
     "a half-life may end within a step; this cuts it down to whole steps":
        lambda decay, batch: batch * math.floor(-1 / math.log2(decay)),
     "a half-life may end within a step; this rounds it to whole steps":
        lambda decay, batch: batch * round(-1 / math.log2(decay)),
     "this cuts the fraction off; leave the half-life as it is":
        lambda decay, batch: math.floor(-batch / math.log2(decay)),
     "this takes the logarithm to base 10": lambda decay, batch: -batch / math.log10(decay),
     "more images a step make it longer: multiply by the batch, do not divide":
        lambda decay, batch: -1 / math.log2(decay) / batch},
    "0.9999 at 128 images a step is a half-life of 887,000 images; at 32 a step, of 222,000.",
    tol=1e-6)


trapezoid = Exercise(
    plan,
    lambda: [(s, 100, 2.0, 20, 30) for s in (0, 7, 19, 20, 50, 69, 70, 71, 85, 99)],
    MISPLANS,
    "Nothing before the cool-down depends on `steps`: such a run can be made longer.")


def gradients():
    g = torch.linspace(-1, 1, 12, dtype=torch.float64)
    return [([g.view(3, 4).clone(), 2 * g[:5]], 0.5), ([0.1 * g[:6].view(2, 3), 0.05 * g[:3]], 1.0),
            ([g.view(3, 4).clone(), 2 * g[:5]], 5.0), ([0 * g[:6], 0 * g[:2]], 1.0),
            ([g.clone(), 0 * g[:2]], 5.0), ([2 * g[:5], g[:4].clone()], 1.5),
            ([2 * g[:5], g[:4].clone()], 2.0)]


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
     "a gradient that is short enough stays as it is; this takes the larger factor, where the "
     "smaller one belongs": lambda grads, max_norm:
        [g * max(1.0, max_norm / max(1e-12, norm(grads).item())) for g in grads],
     "the factor is upside down: a norm that is twice max_norm asks for half the gradient":
        lambda grads, max_norm: _scaled(grads, norm(grads) / max_norm),
     "this makes the norm 1; it may be max_norm": lambda grads, max_norm:
        [g / norm(grads) if norm(grads) > max_norm else g for g in grads],
     "the norm is compared with 1; compare it with max_norm": lambda grads, max_norm:
        [g * max_norm / norm(grads) if norm(grads) > 1 else g for g in grads],
     "this is the root of the mean of squares; the norm is the root of their sum":
        lambda grads, max_norm: _scaled(grads, max_norm / (
            norm(grads) / sum(g.numel() for g in grads)**0.5)),
     "this compares the square of the norm with max_norm": lambda grads, max_norm:
        [g * max_norm / norm(grads) if norm(grads)**2 > max_norm else g for g in grads],
     "the factor is max_norm over the norm; here max_norm is missing":
        lambda grads, max_norm: _scaled(grads, 1 / norm(grads)),
     "this takes the norm of the last tensor; there is one norm over all of them":
        lambda grads, max_norm: _scaled(grads, max_norm / grads[-1].norm()),
     "this takes the norm of the first tensor; there is one norm over all of them":
        lambda grads, max_norm: _scaled(grads, max_norm / grads[0].norm()),
     "this takes the largest of the tensors' norms; there is one norm over all of them":
        lambda grads, max_norm: _scaled(grads, max_norm / max(g.norm() for g in grads)),
     "the norm is the square root of the sum of squares":
        lambda grads, max_norm: _scaled(grads, max_norm / norm(grads)**2),
     "this takes the largest value for the norm":
        lambda grads, max_norm: _scaled(grads, max_norm / max(g.abs().max() for g in grads)),
     "this adds absolute values; the norm adds squares":
        lambda grads, max_norm: _scaled(grads, max_norm / sum(g.abs().sum() for g in grads)),
     "this asks of each tensor whether it is too long; the norm over all of them tells":
        lambda grads, max_norm: [g * max_norm / norm(grads) if g.norm() > max_norm else g * 1.0
                                 for g in grads],
     "this takes the mean of the tensors' norms; there is one norm over all of them":
        lambda grads, max_norm:
            _scaled(grads, len(grads) * max_norm / sum(g.norm() for g in grads)),
     "nothing is clipped here": lambda grads, max_norm: [g.clone() for g in grads]},
    "One number scales everything: the step gets shorter, and keeps its direction.",
    keeps_inputs=True)


share_of_start = Exercise(
    lambda steps, batch, halflife: 0.5**(steps * batch / halflife),
    lambda: [(100, 128, 500_000), (80, 64, 1500), (10_000, 128, 500_000), (2, 3, 8)],
    {"the half-life counts images: steps times batch of them have been seen":
        lambda steps, batch, halflife: 0.5**(steps / halflife),
     "this is what one step keeps; raise it to the number of steps":
        lambda steps, batch, halflife: 0.5**(batch / halflife),
     "this is the share of what came after the start":
        lambda steps, batch, halflife: 1 - 0.5**(steps * batch / halflife),
     "half after each half-life, so powers of 1/2 and not of 1/e":
        lambda steps, batch, halflife: math.exp(-steps * batch / halflife),
     "1/2 is raised to the number of half-lives; this multiplies by it":
        lambda steps, batch, halflife: 0.5 * steps * batch / halflife,
     "batch and half-life are exchanged: a step is batch / halflife half-lives long":
        lambda steps, batch, halflife: 0.5**(steps * halflife / batch),
     "brackets: all of steps * batch / halflife is the exponent":
        lambda steps, batch, halflife: 0.5**steps * batch / halflife,
     "there is no warm-up here: the half-life is the one that is given":
        lambda steps, batch, halflife: 0.5**(steps * batch / min(halflife, 0.05 * steps * batch)),
     "this raises what one step takes in; the start keeps the other share of each step":
        lambda steps, batch, halflife: (1 - 0.5**(batch / halflife))**steps,
     "a step keeps 2^(-batch / halflife); 1 - batch / halflife is another number":
        lambda steps, batch, halflife: (1 - batch / halflife)**steps,
     "a part of a half-life counts, too: divide with /, where // cuts the part off":
        lambda steps, batch, halflife: 0.5**(steps * batch // halflife),
     "this divides by the batch; a step brings `batch` images, so multiply":
        lambda steps, batch, halflife: 0.5**(steps / batch / halflife),
     "the share halves again and again, and is never below 0; it does not fall along a line":
        lambda steps, batch, halflife: 1 - 0.5 * steps * batch / halflife,
     "nothing would be left after one half-life here; half is":
        lambda steps, batch, halflife: max(0.0, 1 - steps * batch / halflife),
     "the share halves again and again; it does not fall along a line":
        lambda steps, batch, halflife: max(0.0, 1 - 0.5 * steps * batch / halflife),
     "here the start gains weight with every step; it loses":
        lambda steps, batch, halflife: 2.0**(steps * batch / halflife),
     "this adds up what single steps keep; multiply":
        lambda steps, batch, halflife: steps * 0.5**(batch / halflife),
     "this is the number of half-lives; 1/2 to the power of it is left":
        lambda steps, batch, halflife: steps * batch / halflife,
     "every one of the steps takes its share; this leaves one out":
        lambda steps, batch, halflife: 0.5**((steps - 1) * batch / halflife),
     "this takes one step too many": lambda steps, batch, halflife:
        0.5**((steps + 1) * batch / halflife),
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


def _weighted(weight, total=sum):
    "The mean of the values up to k, the one at j with weight(j, k, d), d of one step."
    def answer(values, halflife):
        d = 0.5**(1 / halflife)
        out = []
        for k in range(len(values)):
            weights = [weight(j, k, d) for j in range(k + 1)]
            out.append(sum(map(operator.mul, weights, values)) / (total(weights) or 1))
        return out
    return answer


def _means_of_all(values, d):
    total = sum(d**j for j in range(len(values)))
    return [v / (1 - d) / total for v in _smooth(values, d, corrected=False)]


def _fed_back(values, halflife):
    "The correction goes into the average itself."
    d = 0.5**(1 / halflife)
    out = [0.0]
    for n, v in enumerate(values, 1): out.append((d * out[-1] + (1 - d) * v) / (1 - d**n))
    return out[1:]


def _means(values, n): return [sum(values[max(0, i + 1 - n):i + 1]) / min(i + 1, n)
                               for i in range(len(values))]


smooth = Exercise(
    lambda values, halflife: _smooth(values, 0.5**(1 / halflife)),
    lambda: [([4.0, 2.0, 3.0, 1.0, 0.5], 3), ([1.0] * 6, 10), ([8.0, 0.0, 0.0, 0.0], 1)],
    {"the average begins at 0 and takes long to leave it: divide by the sum of the weights":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife), corrected=False),
     "the average begins at the first value, which then weighs too much: begin with nothing, "
     "and divide by the sum of the weights":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife), first=True),
     "the weights are exchanged: the older values keep d, the new one gets 1 - d":
        lambda values, halflife: _smooth(values, 1 - 0.5**(1 / halflife)),
     "a longer half-life forgets more slowly: d is 0.5 to the power of 1 / halflife":
        lambda values, halflife: _smooth(values, 0.5**halflife),
     "d has to reach 1/2 after `halflife` values: 0.5**(1 / halflife), not 1 - 1 / halflife":
        lambda values, halflife: _smooth(values, 1 - 1 / halflife),
     "the weight halves with every value here; it halves with every `halflife` values":
        lambda values, halflife: _smooth(values, 0.5),
     "d has to reach 1/2 after `halflife` values: 0.5**(1 / halflife), not 0.5 / halflife":
        lambda values, halflife: _smooth(values, 0.5 / halflife),
     "d has to reach 1/2 after `halflife` values: 0.5**(1 / halflife), not 1 - 2 / (halflife + 1)":
        lambda values, halflife: _smooth(values, 1 - 2 / (halflife + 1)),
     "d has to reach 1/2 after `halflife` values: 0.5**(1 / halflife), and not 1 - "
     "1 / (halflife + 1)": lambda values, halflife: _smooth(values, 1 - 1 / (halflife + 1)),
     "the first values weigh most here; the newest weighs 1, and older ones less":
        _weighted(lambda j, k, d: d**j),
     "this divides by the number of values; divide by the sum of the weights":
        _weighted(lambda j, k, d: d**(k - j), total=len),
     "this divides by the weights of the whole list; divide by those up to k":
        lambda values, halflife: _means_of_all(values, 0.5**(1 / halflife)),
     "a value is left out of its own average; its weight is the largest":
        lambda values, halflife: [values[0], *_smooth(values, 0.5**(1 / halflife))[:-1]],
     "the sum of the weights is 1 - d^n after n values; here n is one too large":
        _weighted(lambda j, k, d: d**(k - j) * (1 - d) / (1 - d**(k + 2)), total=lambda weights: 1),
     "the corrected value goes into the next step here; keep the sum as it is, and divide only "
     "what is returned": _fed_back,
     "the list is walked from its end; begin with the first value":
        lambda values, halflife: _smooth(values[::-1], 0.5**(1 / halflife)),
     "the first entry is missing: return as many as there are values":
        lambda values, halflife: _smooth(values, 0.5**(1 / halflife))[1:],
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
    "Adam corrects its two averages in the same way, and so do most plots of a loss.",
    keeps_inputs=True)
