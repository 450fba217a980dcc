"Checkers for the exercises of 81 EDM."

import math

import torch

from ddpm_course.augmentation import augmented
from ddpm_course.checks import Exercise, randn
from ddpm_course.edm import Precond


def levels():
    "(sigma, sigma_data)"
    return [(0.03, 0.5), (0.7, 0.75), (1.3, 0.4), (20.0, 0.6)]


def scales(sigma, data, skip=2, root=0.5, top=1):
    "c_skip, c_out, c_in with other powers: of sigma_data in c_skip, of the total, and above c_out."
    total = sigma**2 + data**2
    return [data**skip / total, sigma * data**top / total**root, 1 / total**root]


coefficients = Exercise(
    right=lambda sigma, data: scales(sigma, data),
    cases=levels,
    wrong={
        "c_in divides by the standard deviation of the input; here by its variance":
            lambda s, d: [*scales(s, d)[:2], 1 / (s**2 + d**2)],
        "standard deviations do not add; variances do: sqrt(sigma^2 + sigma_data^2)":
            lambda s, d: [d**2 / (s + d)**2, s * d / (s + d), 1 / (s + d)],
        "c_skip is the share of the variance that is data: both squared":
            lambda s, d: [d / (s + d), *scales(s, d)[1:]],
        "c_skip is the share of the data; this is the share of the noise":
            lambda s, d: [s**2 / (s**2 + d**2), *scales(s, d)[1:]],
        "c_skip compares variances; here it is a ratio of standard deviations":
            lambda s, d: [d / (s**2 + d**2)**0.5, *scales(s, d)[1:]],
        "c_out has the root of the sum below; here the sum":
            lambda s, d: [scales(s, d)[0], s * d / (s**2 + d**2), scales(s, d)[2]],
        "c_out is what is left to say, sigma sigma_data over the root; sigma_data is missing":
            lambda s, d: scales(s, d, top=0),
        "c_out is small where the noise is: sigma is missing above the line":
            lambda s, d: [scales(s, d)[0], d / (s**2 + d**2)**0.5, scales(s, d)[2]],
        "these are the coefficients for sigma_data = 0.5, whatever it is":
            lambda s, d: scales(s, 0.5),
        "the order is c_skip, c_out, c_in": lambda s, d: scales(s, d)[::-1],
    },
    praise="At little noise the input is passed through; at much noise the network says it all.")


def fields():
    "(x, sigma, u): u(x_t, t) any function of image and time"
    bent = lambda x_t, t: torch.sin(x_t) / (0.3 + t) + t
    return [(randn(2, 1, 2, 2, seed=i), sigma, bent) for i, sigma in enumerate((0.3, 1.0, 9.0))]


def from_flow(x, sigma, u, time=None, shown=None, start=None, sign=-1, times=None):
    "D from a velocity, with one part replaced."
    t = sigma / (1 + sigma) if time is None else time
    x_t = (1 - t) * x if shown is None else shown
    return (x_t if start is None else start) + sign * (t if times is None else times) * u(x_t, t)


denoised_by_flow = Exercise(
    right=lambda x, sigma, u: from_flow(x, sigma, u),
    cases=fields,
    wrong={
        "the flow model knows x_t = (1 - t) x; here it is shown x itself":
            lambda x, s, u: from_flow(x, s, u, shown=x),
        "the flow is asked at t = sigma / (1 + sigma); here at sigma":
            lambda x, s, u: from_flow(x, s, u, time=s, shown=x / (1 + s), times=s / (1 + s)),
        "t = sigma / (1 + sigma); this uses sigma / sqrt(1 + sigma^2), which is VP's":
            lambda x, s, u: from_flow(x, s, u, time=s / (1 + s**2)**0.5),
        "x_t = (1 - t) x; this divides by sqrt(1 + sigma^2), as DDPM's x_t":
            lambda x, s, u: from_flow(x, s, u, shown=x / (1 + s**2)**0.5),
        "go back from x_t, where the velocity lives; here from x":
            lambda x, s, u: from_flow(x, s, u, start=x),
        "u = eps - x_0 points to the noise; go against it: x_t - t u":
            lambda x, s, u: from_flow(x, s, u, sign=1),
        "the way back to t = 0 has the length t; here sigma":
            lambda x, s, u: from_flow(x, s, u, times=s),
        "the way back to t = 0 has the length t; here 1 - t, which leads to the noise":
            lambda x, s, u: from_flow(x, s, u, times=1 / (1 + s)),
        "this is the noise, x_t + (1 - t) u": lambda x, s, u:
            from_flow(x, s, u, sign=1, times=1 / (1 + s)),
    },
    praise="A flow model is a denoiser in other coordinates.",
    keeps_inputs=True)


def pairs():
    "(x0, noise, sigma, parameters)"
    turn = torch.zeros(3, 9, dtype=torch.float64)
    turn[:, 3] = -0.3
    turn[:, 4] = 0.714
    turn[1, 0] = 1
    turn[2, 7] = 0.1
    return [(randn(3, 1, 6, 6), randn(3, 1, 6, 6, seed=1), sigma, turn) for sigma in (0.4, 3.0)]


noisy_first = Exercise(
    right=lambda x0, noise, sigma, told: augmented(x0 + sigma * noise, told),
    cases=pairs,
    wrong={
        "this moves the picture and then adds noise. That is right; here we want the bug":
            lambda x0, noise, sigma, told: augmented(x0, told) + sigma * noise,
        "nothing is moved here": lambda x0, noise, sigma, told: x0 + sigma * noise,
        "the noise alone is moved here; move the sum":
            lambda x0, noise, sigma, told: x0 + augmented(sigma * noise, told),
        "there is no noise in this": lambda x0, noise, sigma, told: augmented(x0, told),
        "the noise has the standard deviation sigma; here 1":
            lambda x0, noise, sigma, told: augmented(x0 + noise, told),
        "the noise has the standard deviation sigma; here sigma^2":
            lambda x0, noise, sigma, told: augmented(x0 + sigma**2 * noise, told),
    },
    praise="And wrong as wanted: bilinear maps average neighbors, and the noise shrinks with them.",
    keeps_inputs=True)


def targets():
    "(x0, noise, sigma, sigma_data)"
    return [(randn(2, 1, 2, 2, seed=i), randn(2, 1, 2, 2, seed=5 + i), sigma, data)
            for i, (sigma, data) in enumerate([(0.1, 0.5), (0.8, 0.75), (15.0, 0.6)])]


def raw(x0, noise, sigma, data):
    "(x, c_skip, c_out, c_in)"
    model = Precond(torch.nn.Identity(), data)
    scale = [c.item() for c in model.coefficients(torch.tensor(sigma, dtype=torch.float64))]
    return x0 + sigma * noise, *scale[:3]


def target(x0, noise, sigma, data, change=lambda x0, noise, x, skip, out, c_in:
           (x0 - skip * x) / out):
    "What F should answer, or what `change` makes of its parts."
    return change(x0, noise, *raw(x0, noise, sigma, data))


raw_target = Exercise(
    right=target,
    cases=targets,
    wrong={what: lambda *args, change=change: target(*args, change) for what, change in {
        "this is the denoised image; F has only to say what c_skip x does not":
            lambda x0, n, x, skip, out, c_in: x0,
        "this still has the size that D gives it; divide by c_out":
            lambda x0, n, x, skip, out, c_in: x0 - skip * x,
        "c_skip goes with the noisy x, not with x0":
            lambda x0, n, x, skip, out, c_in: (x0 - skip * x0) / out,
        "nothing of x is passed on here: c_skip x is missing":
            lambda x0, n, x, skip, out, c_in: x0 / out,
        "F sees c_in x, but the skip takes x itself":
            lambda x0, n, x, skip, out, c_in: (x0 - skip * c_in * x) / out,
        "D = c_skip x + c_out F: the skip is taken away from x0, not added":
            lambda x0, n, x, skip, out, c_in: (x0 + skip * x) / out,
        "this is the noise, as DDPM's network would predict it":
            lambda x0, n, x, skip, out, c_in: n,
        "this multiplies by c_out; divide by it":
            lambda x0, n, x, skip, out, c_in: (x0 - skip * x) * out,
        "the sign is turned around: x0 - c_skip x, not c_skip x - x0":
            lambda x0, n, x, skip, out, c_in: (skip * x - x0) / out,
    }.items()},
    praise="Minus the noise where there is little of it, the picture where there is much.",
    keeps_inputs=True)


def intervals():
    "(low, high, P_mean, P_std)"
    return [(0.1, 1.0, -1.2, 1.2), (0.5, 5.0, -0.4, 1.0), (0.002, 80.0, 0.3, 2.0)]


def below(sigma, mean, std, log=math.log, root=2**0.5):
    "Share of log-normal levels below sigma."
    return 0.5 * (1 + math.erf((log(sigma) - mean) / (std * root)))


def between(low, high, mean, std, **how):
    "Share of log-normal levels between low and high."
    return below(high, mean, std, **how) - below(low, mean, std, **how)


share = Exercise(
    right=between,
    cases=intervals,
    wrong={
        "the logarithm of sigma is normal, not sigma itself": lambda low, high, mean, std:
            between(low, high, mean, std, log=lambda x: x),
        "natural logarithms, not those to base 10": lambda low, high, mean, std:
            between(low, high, mean, std, log=math.log10),
        "erf has sqrt(2) below: the share below z is (1 + erf(z / sqrt(2))) / 2":
            lambda low, high, mean, std: between(low, high, mean, std, root=1),
        "P_std is a standard deviation; here it is used as a variance":
            lambda low, high, mean, std: between(low, high, mean, std**0.5),
        "this is the share below `high`; take away that below `low`":
            lambda low, high, mean, std: below(high, mean, std),
        "this is the share outside; the levels between were asked for":
            lambda low, high, mean, std: 1 - between(low, high, mean, std),
        "erf goes from -1 to 1, so that a difference of two is twice the share":
            lambda low, high, mean, std: 2 * between(low, high, mean, std),
        "this is the density at one level, not a share":
            lambda low, high, mean, std: math.exp(-((math.log(low) - mean) / std)**2 / 2) / (
                std * (2 * math.pi)**0.5),
    },
    praise="Where training looks is a choice; look where something can be learned.")
