"Checkers for the exercises of 60 Guidance."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.spreads import MISSPREAD


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two(): return drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1)


slope = Exercise(
    right=lambda eps_c, eps_u, noise: (eps_u - eps_c) / noise,
    cases=lambda: [(*two(), noise) for noise in (0.3, 0.9, 0.05)],
    wrong={
        "the sign is wrong: eps points from the data to the noise, and a score points back":
            lambda eps_c, eps_u, noise: (eps_c - eps_u) / noise,
        "this is the difference of the noises; the score is -eps / sqrt(1 - alpha_bar), so divide "
        "by the noise rate, and mind the sign": lambda eps_c, eps_u, noise: eps_c - eps_u,
        "this is the difference of the noises; the score is -eps / sqrt(1 - alpha_bar), so divide "
        "by the noise rate": lambda eps_c, eps_u, noise: eps_u - eps_c,
        "this multiplies by the noise rate; the score is -eps divided by it":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) * noise,
        "this multiplies by the noise rate; the score is -eps divided by it, and its sign is "
        "missing": lambda eps_c, eps_u, noise: (eps_c - eps_u) * noise,
        "this divides by the noise's variance; eps is x's distance from its mean in units of the "
        "standard deviation, so one division by the rate is left":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / noise**2,
        "this takes the root of the noise rate; it is given as sqrt(1 - alpha_bar) already":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / noise**0.5,
        "this takes noise for alpha_bar; it is given as sqrt(1 - alpha_bar) already":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / (1 - noise)**0.5,
        "this is the gradient of log p(x_t | y); take the gradient of log p(x_t) away":
            lambda eps_c, eps_u, noise: -eps_c / noise,
        "this is the gradient of log p(x_t | y), and its sign is wrong; take the gradient of "
        "log p(x_t) away": lambda eps_c, eps_u, noise: eps_c / noise,
        "this is the gradient of log p(x_t); take it away from that of log p(x_t | y)":
            lambda eps_c, eps_u, noise: -eps_u / noise,
        "only the unconditional prediction is divided by the noise rate; divide the difference":
            lambda eps_c, eps_u, noise: -eps_c + eps_u / noise,
        "only the conditional prediction is divided by the noise rate; divide the difference":
            lambda eps_c, eps_u, noise: eps_u - eps_c / noise,
        "only the unconditional prediction is divided, and it is subtracted: put the difference in "
        "brackets": lambda eps_c, eps_u, noise: -eps_c - eps_u / noise,
        "this is a ratio of the two, divided by the noise rate; logarithms turn the ratio of "
        "densities into a difference": lambda eps_c, eps_u, noise: -eps_c / eps_u / noise,
        "this multiplies by the noise's variance; the score is -eps divided by the rate":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) * noise**2,
        "this takes the size of the difference; the slope has a sign":
            lambda eps_c, eps_u, noise: (eps_u - eps_c).abs() / noise,
        "this is the mean of the two scores; Bayes' rule divides the densities, so subtract":
            lambda eps_c, eps_u, noise: -(eps_c + eps_u) / 2 / noise,
        "only the conditional prediction is divided by the noise rate, and the sign is wrong":
            lambda eps_c, eps_u, noise: eps_c / noise - eps_u,
        "this divides by the square of the signal rate; the score is -eps over the noise rate":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / (1 - noise**2),
        "this takes the root of the noise rate, and the sign is wrong":
            lambda eps_c, eps_u, noise: (eps_c - eps_u) / noise**0.5,
        "this divides by 1 - noise; the score is -eps over the noise rate itself":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / (1 - noise),
        "this divides by the signal rate; the score is -eps over the noise rate":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / (1 - noise**2)**0.5,
        "this divides by the noise's variance, and the sign is wrong; a score is -eps over the "
        "rate": lambda eps_c, eps_u, noise: (eps_c - eps_u) / noise**2,
        "this is a ratio of the two; logarithms turn the ratio of densities into a difference":
            lambda eps_c, eps_u, noise: eps_c / eps_u,
        "this adds the two scores; Bayes' rule divides the densities, so subtract":
            lambda eps_c, eps_u, noise: -(eps_c + eps_u) / noise,
    },
    keeps_inputs=True,
    praise="A classifier's gradient without a classifier: that is what the label adds to the "
           "score.")


from_w = Exercise(
    right=lambda eps_c, eps_u, w: (1 + w) * eps_c - w * eps_u,
    cases=lambda: [(*two(), w) for w in (0.5, 2.0, 7.5)],
    keeps_inputs=True,
    wrong={
        "this reads w as s: at w = 0 the paper has the conditional prediction, and this has the "
        "unconditional one": lambda eps_c, eps_u, w: eps_u + w * (eps_c - eps_u),
        "this moves away from the label: the two predictions are swapped":
            lambda eps_c, eps_u, w: (1 + w) * eps_u - w * eps_c,
        "the difference is the wrong way round: w times eps_c - eps_u is added to eps_c":
            lambda eps_c, eps_u, w: eps_c - w * (eps_c - eps_u),
        "these weights do not add up to 1: subtract w times the unconditional prediction, not "
        "1 + w times": lambda eps_c, eps_u, w: (1 + w) * (eps_c - eps_u),
        "these weights do not add up to 1: the conditional prediction has the weight 1 + w":
            lambda eps_c, eps_u, w: w * eps_c - w * eps_u,
        "these weights do not add up to 1: the conditional prediction has the weight 1 + w, and "
        "here it has 1": lambda eps_c, eps_u, w: eps_c - w * eps_u,
        "these weights do not add up to 1: w times the unconditional prediction is subtracted, "
        "not once": lambda eps_c, eps_u, w: (1 + w) * eps_c - eps_u,
        "these weights do not add up to 1: w eps_c is missing, and w eps_u is to be subtracted":
            lambda eps_c, eps_u, w: eps_c + w * eps_u,
        "these weights do not add up to 1: 1 + w belongs to eps_c, and w to eps_u":
            lambda eps_c, eps_u, w: w * eps_c - (1 + w) * eps_u,
        "these weights do not add up to 1: the conditional prediction has the weight 1 + w, and "
        "here it has 1 - w": lambda eps_c, eps_u, w: (1 - w) * eps_c - w * eps_u,
        "this adds the unconditional prediction once; w times it is to be subtracted":
            lambda eps_c, eps_u, w: eps_u + (1 + w) * eps_c,
        "the 1 stands alone here, as a number: put 1 + w in brackets":
            lambda eps_c, eps_u, w: 1 + w * eps_c - w * eps_u,
        "here the weight of the unconditional prediction is 1 - w; it is w":
            lambda eps_c, eps_u, w: (1 + w) * eps_c - (1 - w) * eps_u,
        "this starts from the unconditional prediction and goes away from the label":
            lambda eps_c, eps_u, w: eps_u - (1 + w) * (eps_c - eps_u),
        "the weight of the unconditional prediction is w - 1 here; it is w":
            lambda eps_c, eps_u, w: (1 + w) * eps_c - (w - 1) * eps_u,
        "these weights do not add up to 1: w times the unconditional prediction is missing":
            lambda eps_c, eps_u, w: (1 + w) * eps_c,
        "this divides by 1 + 2 w; the weights 1 + w and -w add up to 1 already":
            lambda eps_c, eps_u, w: ((1 + w) * eps_c - w * eps_u) / (1 + 2 * w),
        "w has no say here: the difference is added once":
            lambda eps_c, eps_u, w: 2 * eps_c - eps_u,
        "these weights do not add up to 1: the conditional prediction has the weight 1 + w, and "
        "here it has w - 1": lambda eps_c, eps_u, w: (w - 1) * eps_c - w * eps_u,
        "w has no say here: this is the unconditional prediction": lambda eps_c, eps_u, w: eps_u,
        "w has no say here: this is the conditional prediction":
            lambda eps_c, eps_u, w: eps_c,
        "this adds the unconditional prediction where the paper subtracts it":
            lambda eps_c, eps_u, w: (1 + w) * eps_c + w * eps_u,
        "this starts from the conditional prediction and then adds 1 + w times the difference: 1 "
        "is counted twice": lambda eps_c, eps_u, w: eps_c + (1 + w) * (eps_c - eps_u),
        "this takes s = w - 1; the paper's w is 1 less than our s, so s = 1 + w":
            lambda eps_c, eps_u, w: eps_u + (w - 1) * (eps_c - eps_u),
    },
    praise="The same as eps_u + s (eps_c - eps_u) with s = 1 + w.")


final_spread = Exercise(
    right=lambda std_c, std_u, s: std_c * (std_c / std_u)**(s - 1),
    cases=lambda: [(0.5, 1.0, 1.2), (0.2, 0.3, 1.5), (0.9, 1.0, 4.0), (0.5, 2.0, 0.0)],
    wrong=MISSPREAD,
    praise="At s = 0 it is the spread of everything, at s = 1 that of the class, and from there "
           "it falls geometrically.")


def four(): return [(drawn(5, 4, 6, 7), drawn(5, 4, 6, 7, seed=1), s) for s in (1.5, 4.0)]


def some(eps_c, eps_u, s, channels, rest):
    guided = eps_u + s * (eps_c - eps_u)
    return torch.cat([guided[:, :channels], rest[:, channels:]], 1)


def along(dim):
    "The first three along another dimension."
    def function(eps_c, eps_u, s):
        a, b = (eps.transpose(1, dim) for eps in (eps_c, eps_u))
        return some(a, b, s, 3, a).transpose(1, dim)
    return function


def flipped(eps_c, eps_u, s):
    "The first channel is left out in place of the last."
    return some(eps_c.flip(1), eps_u.flip(1), s, 3, eps_c.flip(1)).flip(1)


def but_third(eps_c, eps_u, s):
    order = [0, 1, 3, 2]
    return some(eps_c[:, order], eps_u[:, order], s, 3, eps_c[:, order])[:, order]


three_of_four = Exercise(
    right=lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_c),
    cases=four,
    wrong={
        "this guides all four channels, as it should be; the bug leaves the last one out":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 4, eps_c),
        "the fourth channel is the unconditional prediction here; the bug kept the conditional "
        "pass's": lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_u),
        "the fourth channel is 0 here, or missing":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, torch.zeros_like(eps_c)),
        "the fourth channel is missing: three come back, and it goes on as the conditional one":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 4, eps_c)[:, :3],
        "this leaves out the first channel; the bug left out the last": flipped,
        "this guides the first three images; channels are the second dimension, [:, :3]":
            along(0),
        "this guides the first three columns; channels are the second dimension, [:, :3]":
            along(3),
        "this guides the first three rows; channels are the second dimension, [:, :3]":
            along(2),
        "the fourth channel has to stay the last; this puts it first":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_c).roll(1, 1),
        "the base of the three is missing: the unconditional prediction, to which s times the "
        "difference is added": lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_c)
            - some(eps_u, eps_u, s, 3, 0 * eps_u),
        "the fourth channel is multiplied by s here; it is the conditional one as it is":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, s * eps_c),
        "this starts from the conditional prediction: s - 1 times the difference is left to add":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s + 1, 3, eps_c),
        "s times the whole conditional prediction is added; it is s times the difference":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_c)
                + some(s * eps_u, s * eps_u, s, 3, 0 * eps_u),
        "this goes away from the label: s times the difference is to be added":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, -s, 3, eps_c),
        "the fourth channel is the mean of both predictions; it is the conditional one":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, (eps_c + eps_u) / 2),
        "this starts from the conditional prediction, and guides all four channels":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s + 1, 4, eps_c),
        "s multiplies the conditional prediction alone; put the difference in brackets":
            lambda eps_c, eps_u, s: some(s * eps_c, eps_u, 1, 3, eps_c),
        "this leaves out the third channel; the bug left out the last": but_third,
        "the weights of the two add up to 1: s and 1 - s, not s - 1":
            lambda eps_c, eps_u, s: some(s * eps_c + (s - 1) * eps_u, eps_u, 1, 3, eps_c),
        "this guides the first channel alone; the bug leaves the last one alone out":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 1, eps_c),
        "the two predictions are swapped, in all four channels":
            lambda eps_c, eps_u, s: some(eps_u, eps_c, s, 3, eps_u),
        "this leaves out two channels; the bug left out the last one alone":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 2, eps_c),
        "nothing is guided here: this is the conditional prediction":
            lambda eps_c, eps_u, s: eps_c,
        "the first three are the unconditional prediction; add s times the difference":
            lambda eps_c, eps_u, s: some(eps_u, eps_u, s, 3, eps_c),
        "this guides the fourth channel alone; the bug is the other way round":
            lambda eps_c, eps_u, s: some(eps_c, eps_c, s, 3, some(eps_c, eps_u, s, 4, eps_c)),
        "this has s - 1 for s: at s = 1 it should be the conditional prediction":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s - 1, 3, eps_c),
        "the two predictions are swapped: the base is the unconditional one":
            lambda eps_c, eps_u, s: some(eps_u, eps_c, s, 3, eps_c),
    },
    keeps_inputs=True,
    praise="No error, no warning, and samples that look right.")


def moments():
    t = torch.tensor([0, 250, 600, 999])
    return [(t.clone(), 1000, 4.0), (t[:2].clone(), 500, 9.0), (t[:1].clone(), 10, 3.0)]


scales = Exercise(
    right=lambda t, T, top: 1 + (top - 1) * t / (T - 1),
    cases=moments,
    wrong={
        "this falls with t: 1 belongs to t = 0, and top to t = T - 1":
            lambda t, T, top: top + (1 - top) * t / (T - 1),
        "this starts from 0, which ignores the label; without guidance the scale is 1":
            lambda t, T, top: top * t / (T - 1),
        "this goes up to 1 + top; the way from 1 to top is top - 1":
            lambda t, T, top: 1 + top * t / (T - 1),
        "this divides by T; the last timestep is T - 1, and has to get top itself":
            lambda t, T, top: 1 + (top - 1) * t / T,
        "this counts t from 1; in code t = 0 is the first timestep":
            lambda t, T, top: 1 + (top - 1) * (t + 1) / T,
        "this divides by T + 1; the timesteps go from 0 to T - 1":
            lambda t, T, top: 1 + (top - 1) * t / (T + 1),
        "whole numbers are lost here: divide with /, not with //":
            lambda t, T, top: 1 + (top - 1) * (t // (T - 1)),
        "the 1 in front is missing: the way from 1 to top begins at 1":
            lambda t, T, top: (top - 1) * t / (T - 1),
        "this starts from 0 and is cut off at 1; the line begins at 1":
            lambda t, T, top: (top * t / (T - 1)).clamp(min=1),
        "this is the share of the way alone, from 0 to 1": lambda t, T, top: t / (T - 1),
        "this ends at 2: top - 1 times the share of the way is to be added to 1":
            lambda t, T, top: 1 + t / (T - 1),
        "this ends at 2 + top; the way from 1 to top is top - 1":
            lambda t, T, top: 1 + (top + 1) * t / (T - 1),
        "this starts from top and adds the share of the way; it starts from 1":
            lambda t, T, top: top + t / (T - 1),
        "this starts from 0, divides by T, and is cut off at 1; the line begins at 1":
            lambda t, T, top: (top * t / T).clamp(min=1),
        "this counts t down by one; in code t = 0 is the first timestep":
            lambda t, T, top: 1 + (top - 1) * (t - 1) / (T - 1),
        "this takes the root of the share of the way; it is to be a straight line":
            lambda t, T, top: 1 + (top - 1) * (t / (T - 1))**0.5,
        "this squares the share of the way; it is to be a straight line":
            lambda t, T, top: 1 + (top - 1) * (t / (T - 1))**2,
        "this is a cosine; between 1 and top it is to be a straight line":
            lambda t, T, top: 1 + (top - 1) * (1 - torch.cos(torch.pi * t / (T - 1))) / 2,
        "this divides by T - 2; from 0 to T - 1 there are T - 1 steps":
            lambda t, T, top: 1 + (top - 1) * t / (T - 2),
        "this subtracts t from 1, and not t / (T - 1)":
            lambda t, T, top: 1 + (top - 1) * (1 - t) / (T - 1),
        "this starts from 0, and divides by T": lambda t, T, top: top * t / T,
        "these are whole numbers; the scales lie between them, too":
            lambda t, T, top: (1 + (top - 1) * t / (T - 1)).long(),
        "this divides by the largest t of the batch; the last timestep of all is T - 1":
            lambda t, T, top: 1 + (top - 1) * t / t.max(),
        "999 is the last timestep only if T is 1000; it is T - 1":
            lambda t, T, top: 1 + (top - 1) * t / 999,
        "this divides by 1000; T may be another number, and the last timestep is T - 1":
            lambda t, T, top: 1 + (top - 1) * t / 1000,
        "these are the scales of all T timesteps; give those of the timesteps in `t`":
            lambda t, T, top: torch.linspace(1, top, T, dtype=torch.float64),
        "this spreads the scales over the batch, whatever the timesteps":
            lambda t, T, top: torch.linspace(1, top, len(t), dtype=torch.float64),
        "this is the same scale at every t": lambda t, T, top: torch.full_like(t, top),
        "this grows like a power; between 1 and top it is to be a straight line":
            lambda t, T, top: top**(t / (T - 1)),
    },
    keeps_inputs=True,
    praise="At the ends it is 1 and top; what lies between is the mean of the two, weighted by t.")
