"Checkers for the exercises of chapter 51."

import torch

from ddpm_course.checks import Exercise, randn


def latents():
    "Latents (N, C, h, w) whose channels differ in place and size."
    return [
        (
            randn(6, 3, 4, 5) * torch.tensor([0.2, 1, 6]).view(-1, 1, 1)
            + torch.tensor([1.0, -2, 0.5]).view(-1, 1, 1),
        ),
        (randn(2, 1, 2, 2, seed=1) * 3 - 4,),
    ]


def over(*dims, correction=0, centered=True, squared=False):
    "A wrong normalization: over other dimensions, with another divisor."

    def function(z):
        std, mean = torch.std_mean(z, dims, correction=correction, keepdim=True)
        return (z - mean * centered) / (std**2 if squared else std)

    return function


normalized = Exercise(
    right=over(0, 2, 3),
    cases=latents,
    wrong={
        "this takes one mean and one standard deviation over all channels: the small channel stays "
        "small": over(
            0, 1, 2, 3
        ),
        "this normalizes every image by itself; the numbers must be the same for all images, or "
        "decode cannot undo them": over(
            2, 3
        ),
        "this has one scale for every position; a channel has the same scale everywhere": over(0),
        "the mean is still there: subtract it first": over(0, 2, 3, centered=False),
        "this divides by the variance; the standard deviation is its root": over(
            0, 2, 3, squared=True
        ),
        "this divides by N h w - 1; pass correction=0": over(0, 2, 3, correction=1),
    },
    praise="One number a channel, the same for every image: that is what decode can undo.",
)


def batches():
    return [
        ([randn(5), 3 * randn(40, seed=1) + 2, randn(11, seed=2) - 4],),
        ([randn(7, seed=3) + 100, randn(2, seed=4)],),
        ([randn(30, seed=5) + 1e7, randn(20, seed=6) + 1e7],),
    ]


def moments(parts):
    return torch.cat(parts).mean(), torch.cat(parts).std(correction=0)


streamed = Exercise(
    right=moments,
    cases=batches,
    wrong={
        "this is the mean of the batches' means: short batches count as much as long "
        "ones": lambda parts: (
            torch.stack([b.mean() for b in parts]).mean(),
            moments(parts)[1],
        ),
        "this averages the batches' standard deviations; what the batches differ by is "
        "lost": lambda parts: (
            moments(parts)[0],
            sum(len(b) * b.std(correction=0) for b in parts) / sum(map(len, parts)),
        ),
        "this is the root of the averaged variances within batches; the spread between their means "
        "belongs to it": lambda parts: (
            moments(parts)[0],
            (sum(len(b) * b.var(correction=0) for b in parts) / sum(map(len, parts))).sqrt(),
        ),
        "the second number is the variance; take its root": lambda parts: (
            moments(parts)[0],
            moments(parts)[1] ** 2,
        ),
        "this is the root of the mean square; subtract the squared mean before taking "
        "it": lambda parts: (
            moments(parts)[0],
            torch.cat(parts).square().mean().sqrt(),
        ),
        "E[z^2] - E[z]^2 is the difference of two large numbers here, and loses its digits: add up "
        "squared deviations, batch by batch": lambda parts: (
            moments(parts)[0],
            (torch.cat(parts).square().mean() - torch.cat(parts).mean() ** 2).clamp(min=0).sqrt(),
        ),
        "this divides by one less than there are numbers": lambda parts: (
            moments(parts)[0],
            torch.cat(parts).std(),
        ),
    },
    praise="Counts, means and squared deviations can be merged, and nothing cancels.",
    tol=1e-9,
)


def schedules():
    return [
        (torch.linspace(0.999, 0.001, 9, dtype=torch.float64), 5.49),
        (torch.linspace(0.9, 0.1, 5, dtype=torch.float64), 0.25),
    ]


def disguised(alpha_bars, by):
    return (alpha_bars.logit() + torch.as_tensor(by, dtype=torch.float64).log()).sigmoid()


disguise = Exercise(
    right=lambda alpha_bars, std: disguised(alpha_bars, std**2),
    cases=schedules,
    wrong={
        "the SNR grows with the variance, std squared": disguised,
        "this is the other way around: larger data have more signal": lambda alpha_bars, std: (
            disguised(alpha_bars, std**-2)
        ),
        "this multiplies alpha_bar; it is the ratio alpha_bar / (1 - alpha_bar) that is "
        "multiplied": lambda alpha_bars, std: (
            alpha_bars * std**2
        ),
        "this is the SNR; alpha_bar is SNR / (1 + SNR)": lambda alpha_bars, std: (
            std**2 * alpha_bars / (1 - alpha_bars)
        ),
    },
    praise="A scale is a shift of the log-SNR by 2 log std: forget it, and you train under another "
           "schedule.",
)


def starts():
    return [(0.01, 2.4e-9, 1e-3), (0.01, 4e-5, 6e-5), (-0.1, 0.3, 0.6)]


def stepped(e, ab_t, ab_prev, x0=None, eps=None):
    x0 = -e * ((1 - ab_t) / ab_t) ** 0.5 if x0 is None else x0
    return ab_prev**0.5 * x0 + (1 - ab_prev) ** 0.5 * (1 + e if eps is None else eps)


first_step = Exercise(
    right=stepped,
    cases=starts,
    wrong={
        "the estimate of x0 is not 0: the wrong noise leaves something over, divided by "
        "sqrt(alpha_bar_t)": lambda e, ab_t, ab_prev: (
            stepped(e, ab_t, ab_prev, x0=0)
        ),
        "the sign of x0_hat: too much noise subtracted leaves a negative "
        "rest": lambda e, ab_t, ab_prev: (
            stepped(e, ab_t, ab_prev, x0=e * ((1 - ab_t) / ab_t) ** 0.5)
        ),
        "the second term uses the network's noise, 1 + e times the true "
        "one": lambda e, ab_t, ab_prev: (
            stepped(e, ab_t, ab_prev, eps=1)
        ),
        "x0_hat is divided by sqrt(alpha_bar_t), not by alpha_bar_t": lambda e, ab_t, ab_prev: (
            stepped(e, ab_t, ab_prev, x0=-e * (1 - ab_t) ** 0.5 / ab_t)
        ),
        "x_t is sqrt(1 - alpha_bar_t) eps, and so is what the network takes for "
        "noise": lambda e, ab_t, ab_prev: (
            stepped(e, ab_t, ab_prev, x0=-e / ab_t**0.5)
        ),
    },
    praise="Divided by a root of alpha_bar that is nearly 0, a small error is no longer small.",
    tol=1e-7,
)
