"Checkers for the exercises of chapter 51."

import math

import torch

from ddpm_course.checks import Exercise, outcome, randn
from ddpm_course.checks.batches import MISMERGED, Joining, merged


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
    | either("std_mean gives the spread first and then the mean; here they are exchanged", *CHANNEL,
             apply=lambda z, mean, std: (z - std) / mean)
    | either("this normalizes over images and channels; take images and positions, (0, 2, 3)", 0, 1)
    | either("this leaves out the last dimension: take (0, 2, 3)", 0, 2)
    | either("this divides by the root of the standard deviation; that is a root already", *CHANNEL,
             apply=lambda z, mean, std: (z - mean) / std.sqrt())
    | {"this divides by N h w - 1; pass correction=0": over(*CHANNEL, correction=1),
       "the mean is gone, but the spread is as it was; divide by it":
           over(*CHANNEL, apply=lambda z, mean, std: z - mean),
       "this divides by the root of the mean square; the standard deviation is that of deviations "
       "from the mean": lambda z: (z - z.mean(CHANNEL, keepdim=True)) / of_squares(z),
       "this divides by the root of the mean square, and the mean is still there":
           lambda z: z / of_squares(z),
       "this divides by the largest value; divide by the standard deviation": lambda z: (
           (z - z.mean(CHANNEL, keepdim=True)) / z.abs().amax(CHANNEL, keepdim=True)),
       "this stretches each channel from 0 to 1; mean 0 and standard deviation 1 are asked for":
           lambda z: (z - z.amin(CHANNEL, keepdim=True)) / (
               z.amax(CHANNEL, keepdim=True) - z.amin(CHANNEL, keepdim=True)),
       "this adds 1e-5 to the variance, as batch normalization does":
           lambda z: torch.nn.functional.batch_norm(z, None, None, training=True)},
    "One number a channel, the same for every image: that is what decode can undo.",
    keeps_inputs=True)


# ---- in batches ----

def batches():
    return [([randn(5), 3 * randn(40, seed=1) + 2, randn(11, seed=2) - 4],),
            ([randn(7, seed=3) + 100, randn(2, seed=4)],),
            ([randn(30, seed=5) + 1e7, randn(20, seed=6) + 1e7],)]


class OneAtATime(Exercise):
    "An exercise in which the batches must not be joined."
    def changed(self, answer):
        with Joining() as joining: outcome(answer, self.cases()[0])
        if joining.seen: return ("this joins the batches to one tensor, which a large data set "
                                 "would not fit into; touch one batch at a time")
        return super().changed(answer)


streamed = OneAtATime(
    merged, batches,
    MISMERGED,
    "Counts, means and squared deviations can be merged, and nothing cancels.", tol=1e-9,
    keeps_inputs=True)


# ---- the schedule in disguise ----

def schedules():
    return [(torch.linspace(0.999, 0.001, 9, dtype=torch.float64), 5.49),
            (torch.linspace(0.95, 0.1, 5, dtype=torch.float64), 0.25)]


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
     "this divides the new signal by 1 minus itself; divide by the sum of signal and noise":
         lambda alpha_bars, std: alpha_bars * std**2 / (1 - alpha_bars * std**2),
     "this takes the root of std; the SNR grows with the variance, std squared":
         lambda alpha_bars, std: disguised(alpha_bars, std**0.5),
     "this multiplies the log-SNR by std^2; it is the SNR that is multiplied":
         lambda alpha_bars, std: (alpha_bars.logit() * std**2).sigmoid(),
     "the log-SNR is a natural logarithm; this adds one to the base 10": lambda alpha_bars, std: (
         (alpha_bars.logit() + 2 * math.log10(std)).sigmoid()),
     "sigmoid takes the logarithm of the SNR, and this gives it the SNR":
         lambda alpha_bars, std: snr(alpha_bars, std).sigmoid(),
     "this squares the share of the signal rate; square both rates first, and divide by their sum":
         lambda alpha_bars, std: (snr(alpha_bars, std)**0.5 / (1 + snr(alpha_bars, std)**0.5))**2,
     "std has no say here: this is the schedule that was given": lambda alpha_bars, std: alpha_bars,
     "this squares std twice; the SNR grows with the variance, std squared":
         lambda alpha_bars, std: disguised(alpha_bars, std**4),
     "alpha_bar is squared, too; the signal is std^2 alpha_bar": lambda alpha_bars, std: (
         (alpha_bars * std)**2 / ((alpha_bars * std)**2 + 1 - alpha_bars)),
     "this is 1 - alpha_bar, the share of the noise":
         lambda alpha_bars, std: 1 - disguised(alpha_bars, std**2),
     "this is the signal rate; alpha_bar is its square":
         lambda alpha_bars, std: disguised(alpha_bars, std**2).sqrt(),
     "this is the SNR; alpha_bar is SNR / (1 + SNR)": snr},
    "A scale is a shift of the log-SNR by 2 log std: forget it, and you train under another "
    "schedule.", keeps_inputs=True)


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
     "the roots are missing in x0_hat: it is sqrt(1 - alpha_bar_t) over sqrt(alpha_bar_t)":
         with_x0(lambda e, t, prev: -e * (1 - t) / t),
     "this takes x_t for x0_hat: take the network's noise away first, and divide":
         with_x0(lambda e, t, prev: (1 - t)**0.5),
     "x_t over sqrt(alpha_bar_t) still holds its noise; take the network's away first":
         with_x0(lambda e, t, prev: ((1 - t) / t)**0.5),
     "this squares e; the share counts once":
         with_x0(lambda e, t, prev: e * rest(e, t)),
     "the ratio in x0_hat is upside down: (1 - alpha_bar_t) over alpha_bar_t":
         with_x0(lambda e, t, prev: -e * (t / (1 - t))**0.5),
     "x0_hat is multiplied by sqrt(alpha_bar_prev) alone; it holds that of t already":
         lambda e, t, prev: (t / prev)**0.5 * rest(e, t) + (1 - prev)**0.5 * (1 + e),
     "this rescales the noise of x_t; DDIM goes through x0_hat":
         lambda e, t, prev: (1 + e) * ((1 - prev) / (1 - t))**0.5,
     "x0_hat has the share e alone; this multiplies it by 1 + e, too":
         lambda e, t, prev: (prev**0.5 * rest(e, t) + (1 - prev)**0.5) * (1 + e),
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
     "x0_hat is divided by the root of alpha_bar_t and multiplied by that of alpha_bar_prev; here "
     "both are of the same one":
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
     "the network overestimates the noise: (1 + e) eps in the second term, and not (1 - e) eps":
         with_noise(lambda e, t, prev: (1 - prev)**0.5 * (1 - e)),
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
