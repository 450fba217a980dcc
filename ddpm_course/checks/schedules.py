"Checkers for the exercises of 40 Schedules."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.shares import MISSHARED, even, placed


def widths():
    return [(even(0.999, 0.001, 12), 2), (even(0.9, 0.2, 5), 4), (even(0.99, 1e-4, 7), 0.5)]


def moved(alpha_bars, by):
    return (alpha_bars.logit() + by).sigmoid()


shift = Exercise(
    right=lambda alpha_bars, k: moved(alpha_bars, -2 * math.log(k)),
    cases=widths,
    wrong={
        "this raises the log-SNR: a larger image would get less noise. Subtract 2 log "
        "k": lambda alpha_bars, k: (
            moved(alpha_bars, 2 * math.log(k))
        ),
        "this lowers the log-SNR by log k; averaging k x k pixels divides the variance of the "
        "noise by k^2, so it takes 2 log k": lambda alpha_bars, k: (
            moved(alpha_bars, -math.log(k))
        ),
        "this divides alpha_bar by k^2; it is the ratio alpha_bar / (1 - alpha_bar) that is "
        "divided": lambda alpha_bars, k: (
            alpha_bars / k**2
        ),
        "these are log-SNRs; take them back to alpha_bar with a sigmoid": lambda alpha_bars, k: (
            alpha_bars.logit() - 2 * math.log(k)
        ),
        "this is the SNR divided by k^2; alpha_bar is SNR / (1 + SNR)": lambda alpha_bars, k: (
            alpha_bars / (1 - alpha_bars) / k**2
        ),
        "this takes a logarithm to another base; the log-SNR is a natural "
        "logarithm": lambda alpha_bars, k: (
            moved(alpha_bars, -2 * math.log2(k))
        ),
        "this takes a logarithm to the base 10; the log-SNR is a natural logarithm":
            lambda alpha_bars, k: moved(alpha_bars, -2 * math.log10(k)),
        "this takes the root of alpha_bar first; the SNR is alpha_bar / (1 - alpha_bar) itself":
            lambda alpha_bars, k: moved(alpha_bars.sqrt(), -2 * math.log(k)),
        "this divides the log-SNR by k^2; it is the SNR that is divided, so a logarithm is "
        "subtracted": lambda alpha_bars, k: (
            (alpha_bars.logit() / k**2).sigmoid()
        ),
        "this subtracts 2 log k from the logarithm of alpha_bar; the SNR is alpha_bar over "
        "1 - alpha_bar, and alpha_bar is its SNR / (1 + SNR)": lambda alpha_bars, k: (
            (alpha_bars.log() - 2 * math.log(k)).sigmoid()
        ),
        "this subtracts log (2k); 2 log k is the logarithm of k^2":
            lambda alpha_bars, k: moved(alpha_bars, -math.log(2 * k)),
        "this lowers the log-SNR by 4 log k; the logarithm of the ratio of the rates is half of "
        "it, and falls by log k": lambda alpha_bars, k: moved(alpha_bars, -4 * math.log(k)),
        "sigmoid takes the whole log-SNR; this gives it the logarithm of the ratio of the rates, "
        "half of that": lambda alpha_bars, k: (alpha_bars.logit() / 2 - 2 * math.log(k)).sigmoid(),
        "this gives sigmoid half the log-SNR": lambda alpha_bars, k: (
            alpha_bars.logit() / 2 - math.log(k)).sigmoid(),
        "this multiplies 1 - alpha_bar by k^2, and may pass 1; it is the SNR that is divided":
            lambda alpha_bars, k: 1 - k**2 * (1 - alpha_bars),
        "(1 - alpha_bar) / alpha_bar is one over the SNR": lambda alpha_bars, k: (
            moved(1 - alpha_bars, -2 * math.log(k))),
        "alpha_bar is SNR / (1 + SNR); this divides by 1 - SNR": lambda alpha_bars, k: (
            alpha_bars / ((1 - alpha_bars) * k**2 - alpha_bars)),
        "this divides alpha_bar by k; it is the SNR that is divided, and by k^2":
            lambda alpha_bars, k: alpha_bars / k,
        "this subtracts 2 log k from the SNR; subtract it from the logarithm":
            lambda alpha_bars, k: 1 - 1 / (1 + alpha_bars / (1 - alpha_bars) - 2 * math.log(k)),
        "this multiplies the log-SNR; 2 log k is to be subtracted from it": lambda alpha_bars, k: (
            (alpha_bars.logit() * 2 * math.log(k)).sigmoid()),
        "sigmoid takes the logarithm of the SNR, and this gives it the SNR":
            lambda alpha_bars, k: (alpha_bars / (1 - alpha_bars) / k**2).sigmoid(),
        "this multiplies 1 - alpha_bar by k^2, and cuts off what passes 1; it is the SNR that is "
        "divided": lambda alpha_bars, k: (1 - k**2 * (1 - alpha_bars)).clamp(min=0),
        "this subtracts 2 log k from the SNR, and gives it to sigmoid; both take the logarithm":
            lambda alpha_bars, k: (alpha_bars / (1 - alpha_bars) - 2 * math.log(k)).sigmoid(),
        "this lowers the log-SNR by half of log k; averaging divides the variance of the noise by "
        "k^2, so it takes 2 log k": lambda alpha_bars, k: moved(alpha_bars, -math.log(k) / 2),
        "these are signal rates; alpha_bar is their square": lambda alpha_bars, k: (
            moved(alpha_bars, -2 * math.log(k)).sqrt()),
        "this is 1 - alpha_bar, the variance of the noise": lambda alpha_bars, k: (
            1 - moved(alpha_bars, -2 * math.log(k))),
        "this multiplies by the width; the logarithm of k is what is to be "
        "subtracted": lambda alpha_bars, k: (
            moved(alpha_bars, -2 * k)
        ),
    },
    praise="For k = 1 nothing changes, and two shifts in a row are one by the product of their "
           "widths.",
    keeps_inputs=True,
)


def rates():
    "Signal rates (T,) of three made-up schedules."
    return [
        ((1 - even(1e-4, 0.02, 300)).cumprod(0).sqrt(),),
        ((1 - even(0.02, 0.3, 10)).cumprod(0).sqrt(),),
        (torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64),),
    ]


def stretched(signal):
    return (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])


zero_terminal = Exercise(
    right=stretched,
    cases=rates,
    wrong={
        "this sets the last rate to 0 and leaves the others: one step then takes all that was "
        "left": lambda s: (
            torch.cat([s[:-1], torch.zeros(1, dtype=s.dtype)])
        ),
        "the last rate is 0, but the first has moved too; stretch what you shifted": lambda s: (
            s - s[-1]
        ),
        "the first rate is now 1, as if the first step added no noise; it should stay what it "
        "was": lambda s: (
            (s - s[-1]) / (s[0] - s[-1])
        ),
        "this shifts and stretches alpha_bar, the square of the rate": lambda s: stretched(
            s**2
        ).sqrt(),
        "these are alpha_bars; the signal rates were asked for": lambda s: stretched(s) ** 2,
        "the last rate is 0, but the stretch is upside down: multiply by the old range, s_1, over "
        "the new one, s_1 - s_T": lambda s: (
            (s - s[-1]) * (s[0] - s[-1]) / s[0]
        ),
        "this stretches, but does not shift: the last rate is not 0": lambda s: (
            s * s[0] / (s[0] - s[-1])
        ),
        "this stretches first and shifts by the old last rate then; shift first":
            lambda s: s * s[0] / (s[0] - s[-1]) - s[-1],
        "this takes more away the later the step; the same is to be taken from every rate, and "
        "what is left stretched": lambda s: s - s[-1] * even(0, 1, len(s)),
        "this puts the first rate back by hand, and the others are shifted and not stretched":
            lambda s: torch.cat([s[:1], s[1:] - s[-1]]),
        "the first and the last rate are exchanged: the last one is subtracted":
            lambda s: (s - s[0]) * s[-1] / (s[-1] - s[0]),
        "this takes the second rate for the first; positions count from 0":
            lambda s: (s - s[-1]) * s[1] / (s[1] - s[-1]),
        "this multiplies by 1 less the last rate; shift first, by the last rate":
            lambda s: s * (1 - s[-1]),
        "this adds the two rates below; the old range is s_1 - s_T":
            lambda s: (s - s[-1]) * s[0] / (s[0] + s[-1]),
        "this takes the first rate for 1 below; the shifted range is s_1 - s_T":
            lambda s: (s - s[-1]) * s[0] / (1 - s[-1]),
        "these are alpha_bars, shifted and not stretched; the signal rates were asked for":
            lambda s: s**2 - s[-1]**2,
        "this is a straight line; shift and stretch the rates that are given":
            lambda s: s[0] * even(1, 0, len(s)),
        "this divides by the first rate; multiply by s_1 / (s_1 - s_T), the old range over the new":
            lambda s: (s - s[-1]) / s[0],
        "this stretches by the last rate; multiply by s_1 / (s_1 - s_T)":
            lambda s: (s - s[-1]) * s[-1] / (s[0] - s[-1]),
        "this takes the first rate for 1; it stays what it was":
            lambda s: (s - s[-1]) / (1 - s[-1]),
        "these are rates already; this takes their root first":
            lambda s: stretched(s.sqrt()),
        "this takes the roots of the rates, and squares them at the end; stretch the rates":
            lambda s: stretched(s.sqrt())**2,
        "this shifts and stretches alpha_bar, and returns it; stretch the rates":
            lambda s: stretched(s**2),
    },
    keeps_inputs=True,
    praise="A straight line takes the old rates to the new ones; the first stays, the last is 0.",
)


def curves():
    "(level (N,) falling, loss (N,) at these levels, n)"
    plain = even(8, -8, 4001)
    uneven = 8 - 16 * even(0, 1, 4001) ** 2
    return [
        (plain, torch.sigmoid(plain), 6),
        (uneven, torch.exp(-((uneven - 1) ** 2) / 8) + 0.05, 9),
        (uneven, torch.sigmoid(uneven - 2) + 0.01, 5),
        (plain[::125], torch.ones(33, dtype=torch.float64), 6), # far enough apart to miss one
    ]


equal_shares = Exercise(
    right=placed,
    cases=curves,
    wrong=MISSHARED,
    praise="Between any two neighbors now lies the same area under the curve.",
    tol=2e-3,
    keeps_inputs=True,
)


def ratios():
    return [
        (torch.tensor([0.0, 0.01, 0.3, 1.0, 3.9, 4.5, 5.0, 7.0, 100.0], dtype=torch.float64), 5.0),
        (even(0.05, 3, 12), 1.0),
    ]


plus_one = Exercise(
    right=lambda snr, gamma: (snr + 1).clamp(max=gamma) / (snr + 1),
    cases=ratios,
    wrong={
        "this is the paper's weight, min(SNR, gamma) / (SNR + 1); the bug adds the 1 before it "
        "takes the minimum": lambda snr, gamma: (
            snr.clamp(max=gamma) / (snr + 1)
        ),
        "this is the weight for eps: it divides by SNR, and 0 / 0 is what zero terminal SNR makes "
        "of it": lambda snr, gamma: (
            snr.clamp(max=gamma) / snr
        ),
        "this adds 1 after the minimum, or to gamma as well; the bug adds it to the SNR alone, so "
        "that gamma caps SNR + 1": lambda snr, gamma: (
            (snr.clamp(max=gamma) + 1) / (snr + 1)
        ),
        "this is max where min belongs: another real bug, and a worse one": lambda snr, gamma: (
            snr.clamp(min=gamma) / (snr + 1)
        ),
        "this is the right weight for x0, min(SNR, gamma); a v-loss divides by SNR + "
        "1": lambda snr, gamma: (
            snr.clamp(max=gamma)
        ),
        "this divides by SNR; the bug divides by SNR + 1, as is right for v":
            lambda snr, gamma: (snr + 1).clamp(max=gamma) / snr,
        "this divides by SNR and adds 1 then; SNR + 1 below is to be in brackets":
            lambda snr, gamma: (snr + 1).clamp(max=gamma) / snr + 1,
        "this subtracts 1 from the SNR; the bug adds it":
            lambda snr, gamma: (snr - 1).clamp(max=gamma) / (snr - 1),
        "gamma caps SNR + 1, and not its logarithm":
            lambda snr, gamma: (snr + 1).log().clamp(max=gamma) / (snr + 1),
        "this adds 1 after the minimum, and divides by SNR; add it before, and divide by SNR + 1":
            lambda snr, gamma: (snr.clamp(max=gamma) + 1) / snr,
        "this divides gamma by SNR; the smaller of SNR + 1 and gamma is divided by SNR + 1":
            lambda snr, gamma: gamma / snr,
        "this multiplies by SNR; the weight has none": lambda snr, gamma: (
            (snr + 1).clamp(max=gamma) / (snr + 1) * snr),
        "gamma loses 1 here; it stays what it is": lambda snr, gamma: (
            (snr + 1).clamp(max=gamma - 1) / (snr + 1)),
        "this divides 1; the smaller of SNR + 1 and gamma is divided":
            lambda snr, gamma: 1 / (snr + 1),
        "this adds 1 to the SNR twice before it divides":
            lambda snr, gamma: (snr + 1).clamp(max=gamma) / (snr + 2),
        "this takes the maximum; the bug is in the 1, and the minimum stays":
            lambda snr, gamma: (snr + 1).clamp(min=gamma) / (snr + 1),
        "this divides gamma always; where SNR + 1 is smaller, that is divided":
            lambda snr, gamma: gamma / (snr + 1),
        "this divides by gamma; a v-loss divides by SNR + 1":
            lambda snr, gamma: (snr + 1).clamp(max=gamma) / gamma,
        "this multiplies by SNR + 1; a v-loss divides by it":
            lambda snr, gamma: (snr + 1).clamp(max=gamma) * (snr + 1),
        "this adds 1 to the weight; the bug adds it to the SNR":
            lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1) + 1,
        "the minimum is missing, or taken after the division; gamma caps what is divided, SNR + 1":
            lambda snr, gamma: (snr / (snr + 1)).clamp(max=gamma),
        "this is 1 everywhere: the minimum is missing, or taken after the division":
            lambda snr, gamma: torch.ones_like(snr),
        "this is upside down: the minimum stands above":
            lambda snr, gamma: (snr + 1) / (snr + 1).clamp(max=gamma),
        "gamma gets the 1 here, not the SNR": lambda snr, gamma: (
            snr.clamp(max=gamma + 1) / (snr + 1)
        ),
        "this is the weight for x0 with SNR + 1 in place of SNR; divide by SNR + "
        "1": lambda snr, gamma: (
            (snr + 1).clamp(max=gamma)
        ),
    },
    keeps_inputs=True,
    praise="That is how the training scripts of diffusers had it in late 2023 (issue 5654).",
)
