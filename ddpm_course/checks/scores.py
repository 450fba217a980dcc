"Checkers of chapter 31: intervals, pairs, and what they tell apart."

import torch

from ddpm_course.checks import Exercise, randn
from ddpm_course.checks.intervals import MISPLACED


def generator(seed): return torch.Generator().manual_seed(seed)


def resampled(x, resamples, rng):
    return x[torch.randint(len(x), (resamples, len(x)), generator=rng)]


def drawn(function):
    "What it returns; if rng was never asked, also whether there was no chance at all."
    def see(x, resamples, rng):
        before = rng.get_state()
        others = torch.get_rng_state()
        out = function(x, resamples, rng)
        if out is None or not torch.equal(before, rng.get_state()): return out
        return out, float(torch.equal(others, torch.get_rng_state()))
    return see


def tailed(x):
    "The numbers between two that lie far out, which nobody may miss."
    return torch.cat([x[:1] - 7, x, x[:1] + 9])


def between(x, resamples, rng, low=0, high=0):
    i = torch.randint(low, len(x) - high, (resamples, len(x)), generator=rng)
    return x[i].mean(1).std()


standard_error = Exercise( # of random numbers in an order of one's own, hence tol
    lambda x, resamples, rng: resampled(x, resamples, rng).mean(1).std(),
    lambda: [(tailed(randn(30, seed=1)), 10_000, generator(0)),
             (tailed(randn(60, seed=2).exp()), 10_000, generator(1))],
    {"this is the spread of x itself; the mean of n numbers spreads less":
         lambda x, resamples, rng: x.std(),
     "this is the spread of the numbers that were drawn; take the mean of each resample first, and "
     "the spread of the means as it is":
         lambda x, resamples, rng: resampled(x, resamples, rng).std(),
     "this is the formula, std / sqrt(n); the task asks for resamples":
         lambda x, resamples, rng: x.std() / len(x)**0.5,
     "this draws from torch's own random numbers; pass generator=rng":
         lambda x, resamples, rng: between(x, resamples, None),
     "every resample has the same mean here: this draws without replacement, or starts rng anew "
     "each time": lambda x, resamples, rng: 0 * between(x, 2, rng),
     "the last number is never drawn: randint leaves out its upper end by itself":
         lambda x, resamples, rng: between(x, resamples, rng, high=1),
     "the first number is never drawn; positions count from 0":
         lambda x, resamples, rng: between(x, resamples, rng, low=1),
     "this is the variance of the means; the standard error is its root":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(1).var(),
     "this divides by the root of n once more; the means spread less already":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(1).std() / len(x)**0.5,
     "this divides by the root of the resamples; more of them do not make the mean surer":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(1).std() / resamples**0.5,
     "this is the mean of the means; asked for is their spread":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(),
     "this draws n resamples; how many there are to be is `resamples`":
         lambda x, resamples, rng: between(x, len(x), rng),
     "these are n resamples of `resamples` numbers; it is the other way round":
         lambda x, resamples, rng:
             x[torch.randint(len(x), (len(x), resamples), generator=rng)].mean(1).std(),
     "this is the spread of the resamples' standard deviations; asked for is that of their means":
         lambda x, resamples, rng: resampled(x, resamples, rng).std(1).std(),
     "this averages the resamples' standard deviations; asked for is the spread of their means":
         lambda x, resamples, rng: resampled(x, resamples, rng).std(1).mean(),
     "this averages the resamples' standard errors by the formula; asked for is the spread of "
     "their means": lambda x, resamples, rng:
         resampled(x, resamples, rng).std(1).mean() / len(x)**0.5,
     "this is how far apart the smallest and the largest mean are; take their std()":
         lambda x, resamples, rng: torch.stack(
             resampled(x, resamples, rng).mean(1).aminmax()).diff()[0],
     "these are absolute deviations of the means, averaged; take their std()":
         lambda x, resamples, rng: (m := resampled(x, resamples, rng).mean(1)).sub(
             m.mean()).abs().mean(),
     "this is the spread of one number, and NaN: draw (resamples, n) numbers, and average rows":
         lambda x, resamples, rng: 0 * between(x, 2, rng) + torch.nan,
     "this is the spread of the sums; take the mean of each resample":
         lambda x, resamples, rng: between(x, resamples, rng) * len(x),
     "this is the spread of the medians; take the mean of each resample":
         lambda x, resamples, rng: resampled(x, resamples, rng).median(1).values.std(),
     "this is the spread of one resample; asked for is that of the means of many":
         lambda x, resamples, rng: resampled(x, 1, rng).std(),
     "these are the means, one a resample; asked for is their spread":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(1),
     "this is half of a 95 % interval; the standard error is without the factor 1.96":
         lambda x, resamples, rng: 1.96 * between(x, resamples, rng),
     "this averages over the resamples instead of within each":
         lambda x, resamples, rng: resampled(x, resamples, rng).mean(0).std()},
    "For a mean it agrees with std / sqrt(n); for anything else it is all there is.",
    tol=0.04, view=drawn)


plain_interval = Exercise(
    lambda values: (values.quantile(0.025), values.quantile(0.975)),
    lambda: [(randn(1000, seed=1),), (randn(201, seed=2).exp(),)],
    MISPLACED,
    "Now look where the value itself lies.")


def half(x, t=2.776, n=None): return t * x.std() / (n or len(x))**0.5


def both_halves(a, b, **how): return (half(a, **how)**2 + half(b, **how)**2)**0.5


def apart(a, b, width): return bool((a.mean() - b.mean()).abs() > width)


def seeds(gap, spread=(1.0, 1.0), runs=5):
    return randn(runs, seed=3) * spread[0], randn(runs, seed=4) * spread[1] + gap


def gap_at(width, spread=(1.0, 1.0)): # runs whose means differ by just this much
    a, b = seeds(0.0, spread)
    return a - a.mean(), b - b.mean() + width(a, b)


def student(freedom): # factor of a 95 % interval
    from scipy.stats import t
    return t.ppf(0.975, freedom)


def welch(a, b): # half-width with the degrees of freedom of both together
    u = a.var() / len(a)
    v = b.var() / len(b)
    freedom = (u + v)**2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
    return student(float(freedom)) * (u + v)**0.5


LADDER = (0.3, 0.4, 0.47, 0.495, 0.505, 0.6, 0.703, 0.7066, 0.715, 0.76, 0.825, 0.85, 0.91, 0.935,
          0.97, 1.03, 1.1, 1.15, 1.3, 1.5, 1.9,
          2.5) # gaps, in half-widths; each tells another two apart


def told_cases():
    rungs = [gap_at(lambda a, b, s=s: s * both_halves(a, b), spread)
             for spread in ((1.0, 1.0), (1.0, 4.0), (0.4, 0.1)) for s in LADDER]
    return [seeds(0.0), seeds(9.0), seeds(-9.0), (seeds(0.0)[0], seeds(0.0)[0] + 0.1), *rungs]


def overlap(a, b): # of the two intervals
    return bool((a.mean() - b.mean()).abs() <= half(a) + half(b))


told_apart = Exercise(
    lambda a, b: apart(a, b, both_halves(a, b)), told_cases,
    {"this asks whether the intervals overlap, which adds the half-widths; independent errors add "
     "in quadrature": lambda a, b: not overlap(a, b),
     "1.96 is for many numbers; Student's factor for 5 runs is 2.776":
         lambda a, b: apart(a, b, both_halves(a, b, t=1.96)),
     "this is the spread of single runs; the mean of n runs spreads less, by the root of n":
         lambda a, b: apart(a, b, both_halves(a, b, n=1)),
     "this pairs the runs; the two means are independent, each with its own half-width":
         lambda a, b: apart(a, b, half(a - b)),
     "this spread divides by n; the estimate from few runs divides by n - 1, as std() does":
         lambda a, b: apart(a, b, 0.8**0.5 * both_halves(a, b)),
     "std() has divided by n - 1 already; the mean of n runs has the variance over n, 5":
         lambda a, b: apart(a, b, both_halves(a, b, n=4)),
     "this takes the variance for the spread: var() is std() squared":
         lambda a, b: apart(a, b, 2.776 * (a.var()**2 + b.var()**2)**0.5 / 5**0.5),
     "each mean is over 5 runs, not over all 10, and the two variances add up: none is halved":
         lambda a, b: apart(a, b, both_halves(a, b, n=10)),
     "this divides the spread by n; the variance falls like 1/n, and the spread like its root":
         lambda a, b: apart(a, b, both_halves(a, b) / 5**0.5),
     "the half-width is missing its factor: Student's t for 5 runs is 2.776":
         lambda a, b: apart(a, b, both_halves(a, b, t=1.0)),
     "this takes half of Student's factor; 2.776 is that of a half-width already":
         lambda a, b: apart(a, b, both_halves(a, b, t=1.388)),
     "this is a factor for other degrees of freedom; for 5 runs it is 2.776":
         lambda a, b: apart(a, b, both_halves(a, b, t=2.306)),
     "1.96 is for many numbers, and so is 2; Student's factor for 5 runs is 2.776":
         lambda a, b: apart(a, b, both_halves(a, b, t=2.0)),
     "this compares with the squared half-width; take its root":
         lambda a, b: apart(a, b, both_halves(a, b)**2),
     "this multiplies the squared error of the difference by Student's factor; take its root first":
         lambda a, b: apart(a, b, both_halves(a, b)**2 / 2.776),
     "Student's factor is under the root; it multiplies what comes out of it":
         lambda a, b: apart(a, b, both_halves(a, b) / 2.776**0.5),
     "this takes the half-width of a alone; a difference has the errors of both":
         lambda a, b: apart(a, b, half(a)),
     "this takes the half-width of b alone; a difference has the errors of both":
         lambda a, b: apart(a, b, half(b)),
     "this is Welch's test, which is narrower; asked for are Student's half-widths in quadrature":
         lambda a, b: apart(a, b, welch(a, b)),
     "this asks whether a mean lies in the other's interval; a difference has the errors of both":
         lambda a, b: apart(a, b, half(a)) and apart(a, b, half(b)),
     "this takes the spread of single runs, averaged over both; the mean of n runs spreads less":
         lambda a, b: apart(a, b, both_halves(a, b, n=2)),
     "this takes the smaller of the two half-widths; a difference has the errors of both":
         lambda a, b: apart(a, b, min(half(a), half(b))),
     "this subtracts the squared half-widths; independent errors add up":
         lambda a, b: apart(a, b, (half(a)**2 - half(b)**2).abs()**0.5),
     "this takes the mean of the half-widths; independent errors add in quadrature":
         lambda a, b: apart(a, b, (half(a) + half(b)) / 2),
     "this takes the root of the sum; square the half-widths before you add them":
         lambda a, b: apart(a, b, (half(a) + half(b))**0.5),
     "2.571 is Student's factor for 6 runs; for 5 it is 2.776":
         lambda a, b: apart(a, b, both_halves(a, b, t=2.571)),
     "this is True where the means are not told apart":
         lambda a, b: not apart(a, b, both_halves(a, b)),
     "any difference counts as apart here": lambda a, b: apart(a, b, 0.0),
     "the difference has a sign: take its size":
         lambda a, b: bool(a.mean() - b.mean() > both_halves(a, b)),
     "b may also be the smaller of the two: take the size of the difference":
         lambda a, b: bool(b.mean() - a.mean() > both_halves(a, b))},
    "Five runs each tell apart only what differs by about two spreads.")


def matched(n, seed, shared): # scores of images that share a part of their luck
    common = shared * randn(n, seed=seed)
    return common + randn(n, seed=seed + 1), common + 0.5 * randn(n, seed=seed + 2) + 0.3


def error(x): return x.std() / len(x)**0.5


paired_error = Exercise(
    lambda a, b: error(a - b),
    lambda: [matched(50, 1, 2.0), matched(300, 7, 0.5)[::-1], matched(20, 11, -3.0)],
    {"this adds the errors in quadrature, as if the images were independent; take the spread of "
     "the differences": lambda a, b: (error(a)**2 + error(b)**2)**0.5,
     "this adds the two errors; take the spread of the differences":
         lambda a, b: error(a) + error(b),
     "this subtracts the two errors; take the spread of the differences":
         lambda a, b: error(a) - error(b),
     "this is the spread of single differences; the mean of n spreads less, by the root of n":
         lambda a, b: (a - b).std(),
     "this is the variance of single differences; divide by n, and take the root":
         lambda a, b: (a - b).var(),
     "this adds the variances of the two means, as if the images were independent, and takes no "
     "root": lambda a, b: error(a)**2 + error(b)**2,
     "this subtracts the two variances; take that of the differences":
         lambda a, b: (error(a)**2 - error(b)**2).abs()**0.5,
     "the covariance counts twice: the variance of a - b is var a + var b - 2 cov":
         lambda a, b: ((a.var() + b.var() - torch.stack([a, b]).cov()[0, 1]) / len(a))**0.5,
     "this takes differences without their sign; luck goes both ways":
         lambda a, b: error((a - b).abs()),
     "this does not subtract the mean difference; the spread is around the mean":
         lambda a, b: (a - b).square().mean()**0.5 / len(a)**0.5,
     "std() has divided by n - 1 already; the mean of n differences has the variance over n":
         lambda a, b: (a - b).std() / (len(a) - 1)**0.5,
     "these are n differences, not 2n": lambda a, b: (a - b).std() / (2 * len(a))**0.5,
     "the root goes over the spread as well; only n stands under it":
         lambda a, b: ((a - b).std() / len(a))**0.5,
     "this is the variance of the mean difference; the standard error is its root":
         lambda a, b: (a - b).var() / len(a),
     "this divides by n; the variance falls like 1/n, and the spread like its root":
         lambda a, b: (a - b).std() / len(a),
     "this divides the variance by the root of n; the spread, std(), is divided by that":
         lambda a, b: (a - b).var() / len(a)**0.5,
     "this multiplies by the root of n; the mean of n spreads less than one, so divide":
         lambda a, b: (a - b).std() * len(a)**0.5,
     "this is the standard error of a alone": lambda a, b: error(a),
     "this is the standard error of b alone": lambda a, b: error(b),
     "this divides the mean difference by the root of n; the spread of the differences belongs "
     "there":
         lambda a, b: (a - b).mean() / len(a)**0.5,
     "this is the difference of the means; asked for is how far luck could move it":
         lambda a, b: a.mean() - b.mean(),
     "this takes the spread of the sums a + b; the luck they share has to drop out":
         lambda a, b: error(a + b),
     "this is half of a 95 % interval; the standard error is without the factor 1.96":
         lambda a, b: 1.96 * error(a - b),
     "this spread divides by n; from a sample divide by n - 1, as std() does":
         lambda a, b: (a - b).std(correction=0) / len(a)**0.5,
     "this takes the larger of the two errors; take the spread of the differences":
         lambda a, b: max(error(a), error(b)),
     "this takes the mean of the two variances; take that of the differences":
         lambda a, b: ((a.var() + b.var()) / (2 * len(a)))**0.5,
     "this averages the sizes of the differences; take their std()":
         lambda a, b: (a - b).abs().mean() / len(a)**0.5,
     "this multiplies the two scores; the difference is what counts": lambda a, b: error(a * b),
     "the spread of one number is NaN: take the differences image by image":
         lambda a, b: a.mean() * torch.nan,
     "this treats all 2n numbers as one sample": lambda a, b: error(torch.cat([a, b]))},
    "What both images share drops out of their difference.")
