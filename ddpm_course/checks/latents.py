"Checkers for the exercises of chapter 51."

import torch

from ddpm_course.checks import Exercise, randn


# ---- one scale a channel ----

def latents():
    "Latents (N, C, h, w) whose channels differ in place and size."
    scale, place = (torch.tensor(v).view(-1, 1, 1) for v in ([0.2, 1, 6], [1.0, -2, 0.5]))
    return [(randn(6, 3, 4, 5) * scale + place,), (randn(3, 2, 4, 5, seed=1) * 3 - 4,)]


CHANNEL = (0, 2, 3)
ALL = (0, 1, 2, 3)


def over(*dims, correction=0, apply=lambda z, mean, std: (z - mean) / std, std_dims=None):
    "A normalization over these dimensions: `apply` of z, its mean, and its standard deviation."
    def function(z):
        std = z.std(dims if std_dims is None else std_dims, correction=correction, keepdim=True)
        return apply(z, z.mean(dims, keepdim=True), std)
    return function


def either(what, *dims, **how):
    "A mistake as it is, and with the divisor that std() has by itself."
    return {what: over(*dims, **how),
            f"{what}; besides, it divides by one less than the count: pass correction=0":
                over(*dims, correction=1, **how)}


def of_squares(z): return z.square().mean(CHANNEL, keepdim=True).sqrt()


normalized = Exercise(
    over(*CHANNEL), latents,
    either("this takes one mean and one standard deviation over all channels: the small channel "
           "stays small", *ALL)
    | either("this normalizes every image by itself; the numbers must be the same for all images, "
             "or decode cannot undo them", 2, 3)
    | either("this normalizes every image by itself, and all its channels alike; take the mean "
             "over the images and the positions", 1, 2, 3)
    | either("this normalizes over the channels; each channel has its own mean and spread", 1)
    | either("this takes the last dimension for the channels; they are the second", 0, 1, 2)
    | either("this has one scale for every position; a channel has the same scale everywhere", 0)
    | either("the mean is still there: subtract it first", *CHANNEL,
             apply=lambda z, mean, std: z / std)
    | either("this divides by the variance; the standard deviation is its root", *CHANNEL,
             apply=lambda z, mean, std: (z - mean) / std**2)
    | either("this multiplies by the standard deviation; divide by it", *CHANNEL,
             apply=lambda z, mean, std: (z - mean) * std)
    | either("this subtracts the mean from what was divided already; subtract it first", *CHANNEL,
             apply=lambda z, mean, std: z / std - mean)
    | either("only the mean is divided here; subtract first, and divide what is left", *CHANNEL,
             apply=lambda z, mean, std: z - mean / std)
    | either("this adds the mean; it is to be subtracted", *CHANNEL,
             apply=lambda z, mean, std: (z + mean) / std)
    | either("the mean is over all channels; each has its own", *ALL, std_dims=CHANNEL)
    | either("the spread is over all channels; each has its own", *CHANNEL, std_dims=ALL)
    | {"this divides by N h w - 1; pass correction=0": over(*CHANNEL, correction=1),
       "the mean is gone, but the spread is as it was; divide by it":
           over(*CHANNEL, apply=lambda z, mean, std: z - mean),
       "this divides by the root of the mean square; the standard deviation is that of deviations "
       "from the mean": lambda z: (z - z.mean(CHANNEL, keepdim=True)) / of_squares(z),
       "this divides by the root of the mean square, and the mean is still there":
           lambda z: z / of_squares(z),
       "this adds 1e-5 to the variance, as batch normalization does":
           lambda z: torch.nn.functional.batch_norm(z, None, None, training=True)},
    "One number a channel, the same for every image: that is what decode can undo.",
    keeps_inputs=True)


# ---- in batches ----

def batches():
    return [([randn(5), 3 * randn(40, seed=1) + 2, randn(11, seed=2) - 4],),
            ([randn(7, seed=3) + 100, randn(2, seed=4)],),
            ([randn(30, seed=5) + 1e7, randn(20, seed=6) + 1e7],)]


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


streamed = Exercise(
    pair(mean, std), batches,
    {f"this is the mean of the batches' means: {SHORT}": pair(mean_of_means, std),
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
     "this divides by one less than there are numbers": pair(mean, lambda p: std(p, 1))},
    "Counts, means and squared deviations can be merged, and nothing cancels.", tol=1e-9)


# ---- the schedule in disguise ----

def schedules():
    return [(torch.linspace(0.999, 0.001, 9, dtype=torch.float64), 5.49),
            (torch.linspace(0.9, 0.1, 5, dtype=torch.float64), 0.25)]


def disguised(alpha_bars, by): # the SNR times `by`
    return (alpha_bars.logit() + torch.as_tensor(by, dtype=torch.float64).log()).sigmoid()


def snr(alpha_bars, std): return std**2 * alpha_bars / (1 - alpha_bars)


disguise = Exercise(
    lambda alpha_bars, std: disguised(alpha_bars, std**2), schedules,
    {"the SNR grows with the variance, std squared": disguised,
     "this is the other way around: larger data have more signal":
         lambda alpha_bars, std: disguised(alpha_bars, std**-2),
     "this is the other way around, and not squared: the SNR is multiplied by std^2":
         lambda alpha_bars, std: disguised(alpha_bars, 1 / std),
     "this multiplies alpha_bar; it is the ratio alpha_bar / (1 - alpha_bar) that is multiplied":
         lambda alpha_bars, std: alpha_bars * std**2,
     "this multiplies alpha_bar, and cuts off what passes 1; it is the SNR that is multiplied":
         lambda alpha_bars, std: (alpha_bars * std**2).clamp(max=1),
     "this multiplies alpha_bar by std; it is the SNR that is multiplied, and by std^2":
         lambda alpha_bars, std: alpha_bars * std,
     "this divides alpha_bar; larger data have more signal, and it is the SNR that is multiplied":
         lambda alpha_bars, std: alpha_bars / std**2,
     "this divides the noise's variance and gives the signal all the rest; both are divided by "
     "their sum": lambda alpha_bars, std: 1 - (1 - alpha_bars) / std**2,
     "the ratio of the rates is the root of the SNR; square it before you take SNR / (1 + SNR)":
         lambda alpha_bars, std: (alpha_bars.logit() / 2 + torch.tensor(std).log()).sigmoid(),
     "the log-SNR grows by the logarithm of std^2; this adds std": lambda alpha_bars, std: (
         (alpha_bars.logit() + std).sigmoid()),
     "the log-SNR grows by the logarithm of std^2; this adds std^2": lambda alpha_bars, std: (
         (alpha_bars.logit() + std**2).sigmoid()),
     "the noise below keeps its 1 - alpha_bar: signal over signal and noise":
         lambda alpha_bars, std: alpha_bars * std**2 / (alpha_bars * std**2 + 1),
     "the signal above is to be multiplied by std^2, too": lambda alpha_bars, std: (
         alpha_bars / (alpha_bars * std**2 + 1 - alpha_bars)),
     "the signal below is alpha_bar std^2, as above": lambda alpha_bars, std: (
         alpha_bars * std**2 / (std**2 + 1 - alpha_bars)),
     "alpha_bar is SNR / (1 + SNR); this divides by 1 - SNR":
         lambda alpha_bars, std: snr(alpha_bars, std) / (1 - snr(alpha_bars, std)),
     "this is 1 - alpha_bar, the share of the noise":
         lambda alpha_bars, std: 1 - disguised(alpha_bars, std**2),
     "this is the signal rate; alpha_bar is its square":
         lambda alpha_bars, std: disguised(alpha_bars, std**2).sqrt(),
     "this is the SNR; alpha_bar is SNR / (1 + SNR)": snr},
    "A scale is a shift of the log-SNR by 2 log std: forget it, and you train under another "
    "schedule.")


# ---- the first step ----

def starts(): return [(0.01, 2.4e-9, 1e-3), (0.01, 4e-5, 6e-5), (-0.1, 0.3, 0.6), (3.0, 0.2, 0.5)]


def with_x0(f): # f(e, ab_t, ab_prev) is the estimate of x0, in units of eps
    return lambda e, t, prev: prev**0.5 * f(e, t, prev) + (1 - prev)**0.5 * (1 + e)


def rest(e, ab_t, ab_prev=None): return -e * ((1 - ab_t) / ab_t)**0.5


def with_noise(f): # f(e, ab_t, ab_prev) is the second term
    return lambda e, t, prev: prev**0.5 * rest(e, t) + f(e, t, prev)


def stepped(e, ab_t, ab_prev): return with_x0(rest)(e, ab_t, ab_prev)


first_step = Exercise(
    stepped, starts,
    {"the estimate of x0 is not 0: the wrong noise leaves something over, divided by "
     "sqrt(alpha_bar_t)": with_x0(lambda e, t, prev: 0),
     "the sign of x0_hat: too much noise subtracted leaves a negative rest":
         with_x0(lambda e, t, prev: -rest(e, t)),
     "x0_hat is divided by sqrt(alpha_bar_t), not by alpha_bar_t":
         with_x0(lambda e, t, prev: -e * (1 - t)**0.5 / t),
     "x0_hat is divided by sqrt(alpha_bar_t); this does not divide":
         with_x0(lambda e, t, prev: -e * (1 - t)**0.5),
     "x0_hat is divided by sqrt(alpha_bar_t); this multiplies":
         with_x0(lambda e, t, prev: -e * ((1 - t) * t)**0.5),
     "the noise rate of x_t is sqrt(1 - alpha_bar_t); its root is missing":
         with_x0(lambda e, t, prev: -e * (1 - t) / t**0.5),
     "DDIM is not clipped here; x0_hat leaves [-1, 1]":
         with_x0(lambda e, t, prev: min(1, max(-1, rest(e, t)))),
     "x_t is sqrt(1 - alpha_bar_t) eps, and so is what the network takes for noise":
         with_x0(lambda e, t, prev: -e / t**0.5),
     "x_t is sqrt(1 - alpha_bar_t) eps; this takes eps for it":
         with_x0(lambda e, t, prev: (1 - (1 - t)**0.5 * (1 + e)) / t**0.5),
     "eps_hat is multiplied by the noise rate before x_t loses it":
         with_x0(lambda e, t, prev: ((1 - t)**0.5 - (1 + e)) / t**0.5),
     "x_t is not 0: with x0 = 0 its noise is left, sqrt(1 - alpha_bar_t) eps":
         with_x0(lambda e, t, prev: -(1 - t)**0.5 * (1 + e) / t**0.5),
     "x0_hat is multiplied by sqrt(alpha_bar_prev), which is missing":
         lambda e, t, prev: rest(e, t) + (1 - prev)**0.5 * (1 + e),
     "x0_hat is multiplied by sqrt(alpha_bar_prev); its root is missing":
         lambda e, t, prev: prev * rest(e, t) + (1 - prev)**0.5 * (1 + e),
     "x0_hat is multiplied by sqrt(alpha_bar_prev); this has that of t":
         lambda e, t, prev: t**0.5 * rest(e, t) + (1 - prev)**0.5 * (1 + e),
     "the roots are missing: rates are sqrt(alpha_bar) and sqrt(1 - alpha_bar)":
         lambda e, t, prev: -prev * e * (1 - t) / t + (1 - prev) * (1 + e),
     "the two alpha_bars are exchanged": lambda e, t, prev: stepped(e, prev, t),
     "the second term uses the network's noise, 1 + e times the true one":
         with_noise(lambda e, t, prev: (1 - prev)**0.5),
     "the network's noise is (1 + e) eps; this has the share e alone": lambda e, t, prev: (
         (prev * (1 - t) / t)**0.5 * (1 - e) + (1 - prev)**0.5 * e),
     "the network overestimates the noise, so it is (1 + e) eps, and not (1 - e) eps":
         lambda e, t, prev: stepped(-e, t, prev),
     "the second term steps to alpha_bar_prev; this has alpha_bar_t":
         with_noise(lambda e, t, prev: (1 - t)**0.5 * (1 + e)),
     "the second term is multiplied by sqrt(1 - alpha_bar_prev); its root is missing":
         with_noise(lambda e, t, prev: (1 - prev) * (1 + e)),
     "the second term is missing: the noise of x_prev": with_noise(lambda e, t, prev: 0),
     "the second term is to be added": with_noise(lambda e, t, prev: -(1 - prev)**0.5 * (1 + e)),
     "this is how far off the step is; asked for is where it arrives":
         with_noise(lambda e, t, prev: (1 - prev)**0.5 * e),
     "this is the right factor, from which the error drops out: leave it in the noise, and in "
     "x0_hat, which is computed at t": lambda e, t, prev: (1 - prev)**0.5},
    "Divided by a root of alpha_bar that is nearly 0, a small error is no longer small.", tol=1e-7)
