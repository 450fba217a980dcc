"Checkers for the exercises of 60 Guidance."

import torch

from ddpm_course.checks import Exercise


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
        "this is a ratio of the two; logarithms turn the ratio of densities into a difference":
            lambda eps_c, eps_u, noise: eps_c / eps_u,
        "this adds the two scores; Bayes' rule divides the densities, so subtract":
            lambda eps_c, eps_u, noise: -(eps_c + eps_u) / noise,
    },
    praise="A classifier's gradient without a classifier: that is what the label adds to the "
           "score.")


from_w = Exercise(
    right=lambda eps_c, eps_u, w: (1 + w) * eps_c - w * eps_u,
    cases=lambda: [(*two(), w) for w in (0.5, 2.0, 7.5)],
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
    cases=lambda: [(0.5, 1.0, 3.0), (0.2, 0.3, 1.5), (0.9, 1.0, 6.0), (0.5, 2.0, 0.0)],
    wrong={
        "this is the spread of the tilted density p(x|y)^s p(x)^(1-s); guidance applied at every "
        "noise level lands elsewhere":
            lambda std_c, std_u, s: (s / std_c**2 - (s - 1) / std_u**2)**-0.5,
        "this extrapolates the spreads as if they were means":
            lambda std_c, std_u, s: std_u + s * (std_c - std_u),
        "here the ratio is upside down: a class that is narrower than the rest gets narrower":
            lambda std_c, std_u, s: std_c * (std_u / std_c)**(s - 1),
        "at s = 1 this is not the class's own spread; the power counts from 1":
            lambda std_c, std_u, s: std_c * (std_c / std_u)**s,
        "this is the variance; take its root":
            lambda std_c, std_u, s: (std_c * (std_c / std_u)**(s - 1))**2,
        "this starts from the spread of everything; at s = 1 it has to be the class's":
            lambda std_c, std_u, s: std_u * (std_c / std_u)**(s - 1),
        "this multiplies by s - 1; the ratio is raised to that power":
            lambda std_c, std_u, s: std_c * (std_c / std_u) * (s - 1),
        "the spread of the class is missing in front: this is the ratio alone":
            lambda std_c, std_u, s: (std_c / std_u)**(s - 1),
        "guidance with equal spreads keeps the spread; here they differ":
            lambda std_c, std_u, s: std_c,
    },
    praise="At s = 0 it is the spread of everything, at s = 1 that of the class, and from there "
           "it falls geometrically.")


def four(): return [(drawn(2, 4, 3, 3), drawn(2, 4, 3, 3, seed=1), s) for s in (1.5, 4.0)]


def some(eps_c, eps_u, s, channels, rest):
    guided = eps_u + s * (eps_c - eps_u)
    return torch.cat([guided[:, :channels], rest[:, channels:]], 1)


def flipped(eps_c, eps_u, s):
    "The first channel is left out in place of the last."
    return some(eps_c.flip(1), eps_u.flip(1), s, 3, eps_c.flip(1)).flip(1)


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
        "this leaves out two channels; the bug left out the last one alone":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 2, eps_c),
        "this guides the fourth channel alone; the bug is the other way round":
            lambda eps_c, eps_u, s: some(eps_c, eps_c, s, 3, some(eps_c, eps_u, s, 4, eps_c)),
        "this has s - 1 for s: at s = 1 it should be the conditional prediction":
            lambda eps_c, eps_u, s: some(eps_c, eps_u, s - 1, 3, eps_c),
        "the two predictions are swapped: the base is the unconditional one":
            lambda eps_c, eps_u, s: some(eps_u, eps_c, s, 3, eps_c),
    },
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
        "this is the same scale at every t": lambda t, T, top: torch.full_like(t, top),
        "this grows like a power; between 1 and top it is to be a straight line":
            lambda t, T, top: top**(t / (T - 1)),
    },
    praise="At the ends it is 1 and top; what lies between is the mean of the two, weighted by t.")
