"Mean and spread of batches, right and wrong: what exercise 2 of chapter 51 compares."

import torch
from torch.overrides import TorchFunctionMode


def mean(parts): return torch.cat(parts).mean()


def std(parts, correction=0): return torch.cat(parts).std(correction=correction)


def plain(values): return torch.stack(values).mean() # short batches count as much as long ones


def weighed(values, parts):
    return sum(len(b) * v for v, b in zip(values, parts)) / len(torch.cat(parts))


def means(parts): return [b.mean() for b in parts]


def spreads(parts, correction=0): return [b.std(correction=correction) for b in parts]


def within(parts): return [b.var(correction=0) for b in parts]


def around(parts, center): return (torch.cat(parts) - center).square().mean().sqrt()


def so_far(parts):
    "Deviations from the mean of what has been seen yet."
    seen = [torch.cat(parts[:i + 1]).mean() for i in range(len(parts))]
    return torch.cat([b - m for b, m in zip(parts, seen)]).square().mean().sqrt()


SHORT = "short batches count as much as long ones"
BETWEEN = "what the batches differ by is lost"


def pair(first, second): return lambda parts: (first(parts), second(parts))


def mean_of_means(parts): return plain(means(parts))


class Joining(TorchFunctionMode):
    "Notices whether tensors are joined."
    seen = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen = self.seen or func in (torch.cat, torch.concat, torch.concatenate, torch.hstack)
        return func(*args, **(kwargs or {}))


def merged(parts):
    "The right answer, one batch at a time."
    n = sum(map(len, parts))
    center = sum(b.sum() for b in parts) / n
    return center, (sum((b - center).square().sum() for b in parts) / n).sqrt()


def updated(delta=lambda old, new, place: place - old, # of this batch to what came before
            between=lambda delta, n, k: delta**2 * n * k / (n + k), # squares that it adds
            step=lambda delta, n, k: delta * k / (n + k)): # of the mean
    "Merging batch by batch, with some part of it changed."
    def function(parts):
        n = squares = place = 0.0
        for b in parts:
            k = len(b)
            old = place
            place = old + step(b.mean() - old, n, k)
            squares = squares + (b - b.mean()).square().sum() + between(
                delta(old, place, b.mean()), n, k)
            n = n + k
        return place, (squares / n).sqrt()
    return function


def halving(p):
    "The mean of what came before and of the new batch."
    place = p[0].mean()
    for b in p[1:]: place = (place + b.mean()) / 2
    return place


def from_first(p):
    "Everything counted from the first number, which is not added back."
    return mean(p) - p[0][0], std(p)


def unkept(p):
    "n stays 0."
    own = sum((b - b.mean()).square().sum() for b in p)
    return p[-1].mean(), (own / len(p[-1])).sqrt()


def rounded(p): return merged([b.float() for b in p])


MISMERGED = {
    f"this is the mean of the batches' means: {SHORT}": pair(mean_of_means, std),
    f"this is the mean of the batches' means, and the spread around it: {SHORT}":
        pair(mean_of_means, lambda p: around(p, plain(means(p)))),
    f"these are the means over the batches of both numbers: {SHORT}, and {BETWEEN}":
        pair(mean_of_means, lambda p: plain(spreads(p))),
    f"these are the means over the batches of both numbers, with a correction: {SHORT}, and "
    f"{BETWEEN}": pair(mean_of_means, lambda p: plain(spreads(p, 1))),
    f"this averages the batches' means and variances: {SHORT}, and {BETWEEN}":
        pair(mean_of_means, lambda p: plain(within(p)).sqrt()),
    f"this averages the batches' standard deviations; {BETWEEN}":
        pair(mean, lambda p: weighed(spreads(p), p)),
    f"this averages the batches' standard deviations: {SHORT}, and {BETWEEN}":
        pair(mean, lambda p: plain(spreads(p))),
    f"this averages the batches' standard deviations, with a correction: {SHORT}, and {BETWEEN}":
        pair(mean, lambda p: plain(spreads(p, 1))),
    f"this is the root of the mean of the batches' variances: {SHORT}, and {BETWEEN}":
        pair(mean, lambda p: plain(within(p)).sqrt()),
    "this is the root of the averaged variances within batches; the spread between their means "
    "belongs to it": pair(mean, lambda p: weighed(within(p), p).sqrt()),
    "this is the spread between the batches' means; that within batches belongs to it":
        pair(mean, lambda p: torch.stack(means(p)).std(correction=0)),
    "these are deviations from the mean of the batches so far; it moves as more arrive":
        pair(mean, so_far),
    "the sum of squares is divided by the number of batches; divide by that of the numbers":
        pair(mean, lambda p: std(p) * (len(torch.cat(p)) / len(p))**0.5),
    "the sum is divided by the number of batches; divide by that of the numbers":
        pair(lambda p: torch.cat(p).sum() / len(p), std),
    "n is not under the root; divide the sum of squares by it first":
        pair(mean, lambda p: std(p) / len(torch.cat(p))**0.5),
    "the sum of squares is not divided by how many there are":
        pair(mean, lambda p: std(p) * len(torch.cat(p))**0.5),
    "these are absolute deviations; the standard deviation is the root of the mean squared one":
        pair(mean, lambda p: (torch.cat(p) - mean(p)).abs().mean()),
    "the two are exchanged: the mean comes first": pair(std, mean),
    "this is the last batch alone":
        lambda p: (p[-1].mean(), p[-1].std(correction=0)),
    "the second number is the variance; take its root": pair(mean, lambda p: std(p)**2),
    "this is the root of the mean square; subtract the squared mean before taking it":
        pair(mean, lambda p: torch.cat(p).square().mean().sqrt()),
    "E[z^2] - E[z]^2 is the difference of two large numbers here, and loses its digits: add up "
    "squared deviations, batch by batch": pair(
        mean, lambda p: (torch.cat(p).square().mean() - mean(p)**2).clamp(min=0).sqrt()),
    "this divides by one less than there are numbers": pair(mean, lambda p: std(p, 1)),
    "the distance of the two means is to be squared before it is weighed":
        updated(between=lambda delta, n, k: delta * n * k / (n + k)),
    "the distance is that to the mean of the batches before; here that has moved already":
        updated(delta=lambda old, new, place: place - new),
    "two sets of n and k numbers whose means are delta apart add delta^2 n k / (n + k); n is "
    "missing": updated(between=lambda delta, n, k: delta**2 * k / (n + k)),
    "two sets of n and k numbers whose means are delta apart add delta^2 n k / (n + k); k is "
    "missing": updated(between=lambda delta, n, k: delta**2 * n / (n + k)),
    "two sets of n and k numbers whose means are delta apart add delta^2 n k / (n + k); this does "
    "not divide": updated(between=lambda delta, n, k: delta**2 * n * k),
    "the mean moves by the share of the new batch, k / (n + k), and not by that of the old ones":
        updated(step=lambda delta, n, k: delta * n / (n + k)),
    "the mean moves to each new batch altogether; its share is k / (n + k)":
        updated(step=lambda delta, n, k: delta),
    "the count of the numbers so far is not kept up: every batch is merged with none": unkept,
    "this is in float32, which has seven digits, and 10,000,000 takes all of them": rounded,
    "each new batch counts as much as all before it together": pair(halving, std),
    "each new batch counts as much as all before it together, and the spread is around that":
        pair(halving, lambda p: around(p, halving(p))),
    "the first number is the sum; divide it by how many there are":
        pair(lambda p: torch.cat(p).sum(), std),
    "the first batch is left out": lambda p: merged(p[1:]),
    "the last batch is left out": lambda p: merged(p[:-1]),
    "this is the first batch alone": lambda p: merged(p[:1]),
    "each batch has its own root here; add up the squares of all, divide, and take one root":
        pair(mean, lambda p: sum((b - mean(p)).square().sum().sqrt() for b in p)
             / len(torch.cat(p))),
    "this is the root of a negative number: E[z^2] comes first, and loses its digits even then":
        pair(mean, lambda p: mean(p) * torch.nan),
    "this is the spread between the batches' means, with a correction; that within batches belongs "
    "to it": pair(mean, lambda p: torch.stack(means(p)).std()),
    "the mean is counted from the first number; add that again at the end": from_first,
}
