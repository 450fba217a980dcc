"Checkers of chapter 24."

from ddpm_course.checks import Exercise, randn
from ddpm_course.noising import cosine_schedule, linear_schedule


def _list(T, n): return [round(T - i * T / n) - 1 for i in range(n)]


def _landings(T, n): return [t - T // n for t in _list(T, n)]


landings = Exercise(
    right=_landings,
    cases=lambda: [(1000, 30), (1000, 50), (1000, 7), (100, 8), (10, 4)],
    wrong={
        "this is the next timestep of the list, where it should go; diffusers subtracts T // n":
            lambda T, n: [*_list(T, n)[1:], -1],
        "these are the timesteps that the steps leave; return where they land": _list,
        "this walks on from the landing; each step leaves from its own timestep of the list":
            lambda T, n: [T - 1 - (i + 1) * (T // n) for i in range(n)],
        "this subtracts T / n and rounds; diffusers takes the whole part of T / n first":
            lambda T, n: [round(t - T / n) for t in _list(T, n)],
        "this rounds T / n; T // n is its whole part":
            lambda T, n: [t - round(T / n) for t in _list(T, n)],
        "these are leading timesteps, i times T // n; trailing ones begin at T - 1":
            lambda T, n: [(i - 1) * (T // n) for i in reversed(range(n))],
        "the list is one timestep too high: it begins at T - 1":
            lambda T, n: [t + 1 - T // n for t in _list(T, n)],
        "a landing on clean data is -1, and no timestep; nothing is cut off at 0":
            lambda T, n: [max(t, 0) for t in _landings(T, n)],
    },
    praise="Where n divides T, these are the timesteps of the list, and nothing is missed.")


def _misread(x0, eps, alpha_bar, sign=1, scale=True, swap=False, square=False):
    signal = alpha_bar**0.5
    noise = (1 - alpha_bar)**0.5
    x_t = signal * x0 + noise * eps
    v = signal * x0 - noise * eps if swap else signal * eps - noise * x0
    if square: return (x_t - (1 - alpha_bar) * v) / alpha_bar
    return (x_t - sign * noise * v) / (signal if scale else 1)


misread = Exercise(
    right=_misread,
    cases=lambda: [(randn(2, 1, 3, 3), randn(2, 1, 3, 3, seed=1), a) for a in (0.9, 0.4, 0.05)],
    wrong={
        "this gives x0 back: v was read as what it is, or eps was used itself; put v in the "
        "place of eps": lambda x0, eps, alpha_bar: x0,
        "the noise is added here; it is subtracted":
            lambda x0, eps, alpha_bar: _misread(x0, eps, alpha_bar, sign=-1),
        "divide by the signal rate, the root of alpha_bar, at the end":
            lambda x0, eps, alpha_bar: _misread(x0, eps, alpha_bar, scale=False),
        "in this v, x0 and eps are exchanged":
            lambda x0, eps, alpha_bar: _misread(x0, eps, alpha_bar, swap=True),
        "the rates are roots; this takes alpha_bar and 1 - alpha_bar in the estimate":
            lambda x0, eps, alpha_bar: _misread(x0, eps, alpha_bar, square=True),
        "this is v; return the estimate of x0 that is made of it":
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * eps - (1 - alpha_bar)**0.5 * x0,
        "this is x_t; return the estimate of x0":
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 + (1 - alpha_bar)**0.5 * eps,
    },
    praise="A lost entry of a configuration raises no error.")


def _veiled(a, x0, eps): return a**0.5 * x0 + (1 - a)**0.5 * eps


veiled = Exercise(
    right=lambda betas, x0, eps: _veiled(1 - betas[0], x0, eps),
    cases=lambda: [(schedule.betas, randn(2, 1, 3, 3), randn(2, 1, 3, 3, seed=1))
                   for schedule in (linear_schedule(100, rescale=True), cosine_schedule(50))],
    wrong={
        "this is clean data, as with set_alpha_to_one=True": lambda betas, x0, eps: x0,
        "alpha_bar of t = 0 is 1 - betas[0]; this takes betas[0] for it":
            lambda betas, x0, eps: _veiled(betas[0], x0, eps),
        "this is the noise level of the last timestep; the last step lands on that of the first":
            lambda betas, x0, eps: _veiled((1 - betas).prod(), x0, eps),
        "this takes the last of the betas; the first timestep has betas[0]":
            lambda betas, x0, eps: _veiled(1 - betas[-1], x0, eps),
        "the rates are roots: sqrt(alpha_bar) and sqrt(1 - alpha_bar)":
            lambda betas, x0, eps: (1 - betas[0]) * x0 + betas[0] * eps,
        "the picture keeps its full size here; it is multiplied by sqrt(alpha_bar)":
            lambda betas, x0, eps: x0 + betas[0]**0.5 * eps,
        "the noise is missing: sqrt(1 - alpha_bar) times eps":
            lambda betas, x0, eps: (1 - betas[0])**0.5 * x0,
        "the noise is subtracted here; DDIM's direction points to the noisy image":
            lambda betas, x0, eps: _veiled(1 - betas[0], x0, -eps),
        "this goes one timestep too far: the first two betas; the step lands on t = 0":
            lambda betas, x0, eps: _veiled((1 - betas[:2]).prod(), x0, eps),
    },
    praise="No network looks at this noise any more: it stays in every picture.")


def _final(alpha_bars, pairs, s, clean=1.0, power=2, root=True, sums=False, last=False):
    std = 1.0
    pairs = list(pairs)
    for t, q in pairs[-1:] if last else pairs:
        a = float(alpha_bars[t])
        b = float(alpha_bars[q]) if q >= 0 else clean or float(alpha_bars[0])
        gain = a**0.5 * s**power / (a * s**power + 1 - a)
        share = (1 - b) / (1 - a)
        k = b**0.5 * gain + (share**0.5 if root else share) * (1 - a**0.5 * gain)
        std = std + k if sums else std * k
    return std


def _walks():
    bars = linear_schedule().alpha_bars
    return [(bars, list(zip(_list(1000, n), _landings(1000, n))), s)
            for n, s in ((10, 0.5), (30, 0.5), (13, 1.5))]


def _wrapped(alpha_bars, pairs, s): # what alpha_bars[-1] is in Python
    return _final(alpha_bars, pairs, s, clean=float(alpha_bars[-1]))


final_std = Exercise(
    right=_final,
    cases=_walks,
    wrong={
        "alpha_bars[-1] is the last entry of the table; for q = -1 take 1": _wrapped,
        "the last step lands on alpha_bar of t = 0 here; for q = -1 take 1":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s, clean=None),
        "the ratio of the noise levels stands under a root":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s, root=False),
        "in the gain, s is squared":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s, power=1),
        "the factors of the steps are multiplied, not added":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s, sums=True),
        "this is the factor of the last step alone; multiply those of all":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s, last=True),
        "this is the variance; return its root":
            lambda alpha_bars, pairs, s: _final(alpha_bars, pairs, s)**2,
        "this goes to the next timestep of the list; land where the pair says":
            lambda alpha_bars, pairs, s: _final(
                alpha_bars, [(t, after) for (t, _), after in
                             zip(pairs, [*(t for t, _ in pairs[1:]), -1])], s),
        "this is the standard deviation of the data, which no finite number of steps reaches":
            lambda alpha_bars, pairs, s: s,
    },
    praise="Two numbers a step, and a whole sampler is judged.")
