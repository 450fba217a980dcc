"Spreads under guidance, wrong: what exercise 2 of chapter 60 compares."

import math

MISSPREAD = {
    "this is the spread of the tilted density p(x|y)^s p(x)^(1-s); guidance applied at every "
    "noise level lands elsewhere":
        lambda std_c, std_u, s: (s / std_c**2 - (s - 1) / std_u**2)**-0.5,
    "this extrapolates the spreads as if they were means":
        lambda std_c, std_u, s: std_u + s * (std_c - std_u),
    "this is the variance of the tilted density p(x|y)^s p(x)^(1-s), without its root; and "
    "guidance applied at every noise level lands elsewhere":
        lambda std_c, std_u, s: 1 / (s / std_c**2 - (s - 1) / std_u**2),
    "this extrapolates the variances as if they were means":
        lambda std_c, std_u, s: (std_u**2 + s * (std_c**2 - std_u**2))**0.5,
    "the two exponents are exchanged: s belongs to the class, and 1 - s to everything":
        lambda std_c, std_u, s: std_c**(1 - s) * std_u**s,
    "this starts from the class's spread, and goes the whole way on from there; spreads are "
    "not extrapolated like means": lambda std_c, std_u, s: std_c + s * (std_c - std_u),
    "the spread of the class is missing: at s = 1 it is what should be left":
        lambda std_c, std_u, s: std_u**(1 - s),
    "the spread of everything is missing: at s = 0 it is what should be left":
        lambda std_c, std_u, s: std_c**s,
    "the spread of everything is missing in front: this is the ratio alone, to the power s":
        lambda std_c, std_u, s: (std_c / std_u)**s,
    "everything is raised to s here; its exponent is 1 - s":
        lambda std_c, std_u, s: std_c**s * std_u**s,
    "the exponents of the two add up to 1; that of everything is 1 - s":
        lambda std_c, std_u, s: std_c**s * std_u**(s - 1),
    "the two powers are multiplied, not added":
        lambda std_c, std_u, s: std_c**s + std_u**(1 - s),
    "this divides the class's spread by s; the spread of everything has a say, too":
        lambda std_c, std_u, s: std_c / s,
    "this divides the class's variance by s; the spread of everything has a say, too":
        lambda std_c, std_u, s: std_c / s**0.5,
    "the exponents are halved; that of variances is s, and of spreads, too":
        lambda std_c, std_u, s: (std_c**s * std_u**(1 - s))**0.5,
    "this is a logarithm; take its exponential":
        lambda std_c, std_u, s: s * math.log(std_c) + (1 - s) * math.log(std_u),
    "here the ratio is upside down, and starts from everything: class over everything, to s":
        lambda std_c, std_u, s: std_u * (std_u / std_c)**s,
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
    "this counts from s + 1; at s = 1 it has to be the class's own spread, so from s - 1":
        lambda std_c, std_u, s: std_c * (std_c / std_u)**(s + 1),
    "the ratio of the variances is raised to s - 1; it is that of the spreads":
        lambda std_c, std_u, s: std_c * (std_c / std_u)**(2 * (s - 1)),
    "the root of the ratio is raised to s - 1; it is the ratio itself":
        lambda std_c, std_u, s: std_c * (std_c / std_u)**((s - 1) / 2),
    "this multiplies by s; the ratio is raised to a power":
        lambda std_c, std_u, s: std_c * (std_c / std_u) * s,
    "this divides by std_u once; its power is s - 1, one less than that of the class":
        lambda std_c, std_u, s: std_c**s / std_u,
    "s has no say here: this is the spread at s = 2":
        lambda std_c, std_u, s: std_c**2 / std_u,
    "everything is multiplied here; divide by it, to the power s - 1":
        lambda std_c, std_u, s: std_c * std_u**(s - 1),
    "this extrapolates the variances as if they were means, and takes no root":
        lambda std_c, std_u, s: std_u**2 + s * (std_c**2 - std_u**2),
    "this adds up spreads like precisions; guidance raises their ratio to s - 1":
        lambda std_c, std_u, s: 1 / (s / std_c - (s - 1) / std_u),
    "this is an exponential of the ratio; the ratio is raised to s - 1":
        lambda std_c, std_u, s: std_c * math.exp((1 - s) * std_c / std_u),
    "this is the spread of everything; guidance starts from the class's":
        lambda std_c, std_u, s: std_u,
}
