"Checkers for the exercises of 09 Guidance."

import torch

from ddpm_course.checks import Exercise


def drawn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pairs(): return [(drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1), noise) for noise in (0.3, 0.9, 0.05)]


slope = Exercise(
    right=lambda eps_c, eps_u, noise: (eps_u - eps_c) / noise,
    cases=pairs,
    wrong={
        "the sign is wrong: eps points from the data to the noise, and a score points back": lambda eps_c, eps_u, noise: (eps_c - eps_u) / noise,
        "this is the difference of the noises; the score is -eps / sqrt(1 - alpha_bar), so divide by the noise rate": lambda eps_c, eps_u, noise: eps_u - eps_c,
        "this multiplies by the noise rate; the score is -eps divided by it": lambda eps_c, eps_u, noise: (eps_u - eps_c) * noise,
        "this divides by the noise's variance; eps is x's distance from its mean in units of the standard deviation, so one division by the rate is left":
            lambda eps_c, eps_u, noise: (eps_u - eps_c) / noise**2,
        "this is the gradient of log p(x_t | y); take the gradient of log p(x_t) away": lambda eps_c, eps_u, noise: -eps_c / noise,
        "this is a ratio of the two; logarithms turn the ratio of densities into a difference": lambda eps_c, eps_u, noise: eps_c / eps_u,
    },
    praise="A classifier's gradient without a classifier: that is what the label adds to the score.")


def guided_pairs(): return [(drawn(3, 2, 4, 4), drawn(3, 2, 4, 4, seed=1), w) for w in (0.5, 2.0, 7.5)]


from_w = Exercise(
    right=lambda eps_c, eps_u, w: (1 + w) * eps_c - w * eps_u,
    cases=guided_pairs,
    wrong={
        "this reads w as s: at w = 0 the paper has the conditional prediction, and this has the unconditional one": lambda eps_c, eps_u, w: eps_u + w * (eps_c - eps_u),
        "this moves away from the label: the two predictions are swapped": lambda eps_c, eps_u, w: (1 + w) * eps_u - w * eps_c,
        "these weights do not add up to 1: subtract w times the unconditional prediction, not 1 + w times": lambda eps_c, eps_u, w: (1 + w) * (eps_c - eps_u),
        "this adds the unconditional prediction where the paper subtracts it": lambda eps_c, eps_u, w: (1 + w) * eps_c + w * eps_u,
        "this starts from the conditional prediction and then adds 1 + w times the difference: 1 is counted twice": lambda eps_c, eps_u, w: eps_c + (1 + w) * (eps_c - eps_u),
    },
    praise="The same as eps_u + s (eps_c - eps_u) with s = 1 + w.")


def to_rescale(): return [(drawn(4, 3, 5, 5) * torch.tensor([1, 2, 3, 4.0]).view(4, 1, 1, 1) + 0.5, drawn(4, 3, 5, 5, seed=1) * torch.tensor([1, 0.5, 2, 1]).view(4, 1, 1, 1), phi)
                          for phi in (0.7, 0.2, 1.0)]


def spread(x): return x.flatten(1).std(1).view(-1, 1, 1, 1)


def remixed(guided, cond, phi, ratio): return phi * guided * ratio + (1 - phi) * guided


rescale = Exercise(
    right=lambda guided, cond, phi: remixed(guided, cond, phi, spread(cond) / spread(guided)),
    cases=to_rescale,
    wrong={
        "this divides the wrong way round: the spread grows where it should shrink": lambda guided, cond, phi: remixed(guided, cond, phi, spread(guided) / spread(cond)),
        "this takes one spread for the whole batch; each image has its own": lambda guided, cond, phi: remixed(guided, cond, phi, cond.std() / guided.std()),
        "this takes a spread for each channel; the paper takes one for the image": lambda guided, cond, phi: remixed(
            guided, cond, phi, cond.std((2, 3), keepdim=True) / guided.std((2, 3), keepdim=True)),
        "phi is the share of the rescaled prediction; here it is that of the other one": lambda guided, cond, phi: remixed(guided, cond, 1 - phi, spread(cond) / spread(guided)),
        "this mixes with the conditional prediction; the paper mixes with the guided one": lambda guided, cond, phi: phi * guided * spread(cond) / spread(guided) + (1 - phi) * cond,
        "this leaves phi out, as if it were always 1": lambda guided, cond, phi: guided * spread(cond) / spread(guided),
        "this rescales around the mean; the paper scales the prediction itself": lambda guided, cond, phi: remixed(
            guided - guided.mean((1, 2, 3), keepdim=True), cond, phi, spread(cond) / spread(guided)) + guided.mean((1, 2, 3), keepdim=True),
    },
    praise="At phi = 1 every image has the spread of its own conditional prediction.")


final_spread = Exercise(
    right=lambda std_c, std_u, s: std_c * (std_c / std_u)**(s - 1),
    cases=lambda: [(0.5, 1.0, 3.0), (0.2, 0.3, 1.5), (0.9, 1.0, 6.0), (0.5, 2.0, 0.0)],
    wrong={
        "this is the spread of the tilted density p(x|y)^s p(x)^(1-s); guidance applied at every noise level lands elsewhere":
            lambda std_c, std_u, s: (s / std_c**2 - (s - 1) / std_u**2)**-0.5,
        "this extrapolates the spreads as if they were means": lambda std_c, std_u, s: std_u + s * (std_c - std_u),
        "here the ratio is upside down: a class that is narrower than the rest gets narrower": lambda std_c, std_u, s: std_c * (std_u / std_c)**(s - 1),
        "at s = 1 this is not the class's own spread; the power counts from 1": lambda std_c, std_u, s: std_c * (std_c / std_u)**s,
        "this is the variance; take its root": lambda std_c, std_u, s: (std_c * (std_c / std_u)**(s - 1))**2,
    },
    praise="At s = 0 it is the spread of everything, at s = 1 that of the class, and from there it falls geometrically.")


def four(): return [(drawn(2, 4, 3, 3), drawn(2, 4, 3, 3, seed=1), s) for s in (1.5, 4.0)]


def some(eps_c, eps_u, s, channels, rest): return torch.cat([eps_u[:, :channels] + s * (eps_c - eps_u)[:, :channels], rest[:, channels:]], 1)


three_of_four = Exercise(
    right=lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_c),
    cases=four,
    wrong={
        "this guides all four channels, as it should be; the bug leaves the last one out": lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 4, eps_c),
        "the fourth channel is the unconditional prediction here; the bug kept the conditional pass's": lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, eps_u),
        "the fourth channel is 0 here, or missing": lambda eps_c, eps_u, s: some(eps_c, eps_u, s, 3, torch.zeros_like(eps_c)),
        "this leaves out the first channel; the bug left out the last": lambda eps_c, eps_u, s: some(eps_c.flip(1), eps_u.flip(1), s, 3, eps_c.flip(1)).flip(1),
        "this has s - 1 for s: at s = 1 it should be the conditional prediction": lambda eps_c, eps_u, s: some(eps_c, eps_u, s - 1, 3, eps_c),
    },
    praise="No error, no warning, and samples that look right.")
