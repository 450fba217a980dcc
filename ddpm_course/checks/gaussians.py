"The KL between two Gaussians, right and wrong: what exercise 1 of chapter 50 compares."

import math


def nats_of(ratio, shift, log, one=1):
    "One number an image, from the parts of the KL: (var1 / var2, shift^2 / var2, log var1 / var2)."
    return 0.5 * (ratio + shift - one - log).flatten(1).sum(1)


def parts(m1, l1, m2, l2): return (l1 - l2).exp(), (m1 - m2).square() / l2.exp(), l1 - l2


def kl_of(mean1, logvar1, mean2, logvar2): return nats_of(*parts(mean1, logvar1, mean2, logvar2))


def changed(ratio=None, shift=None, log=None, one=1):
    "A KL with another function of (mean1, logvar1, mean2, logvar2) for some part."
    def f(*args):
        new = [g(*args) if g else part for g, part in zip((ratio, shift, log), parts(*args))]
        return nats_of(*new, one=one)
    return f


MISDIVERGED = {
    "exp(logvar) is the variance already; this squares it":
        lambda m1, l1, m2, l2: kl_of(m1, 2 * l1, m2, 2 * l2),
    "logvar is taken for the variance; take its exponential": changed(
        lambda m1, l1, m2, l2: l1 / l2, lambda m1, l1, m2, l2: (m1 - m2)**2 / l2,
        lambda m1, l1, m2, l2: (l1 / l2).log()),
    "exp(logvar / 2) is the standard deviation; the KL has variances, exp(logvar)": changed(
        lambda m1, l1, m2, l2: (0.5 * (l1 - l2)).exp(),
        lambda m1, l1, m2, l2: (m1 - m2)**2 / (0.5 * l2).exp()),
    "the squared difference of the means is divided by the second standard deviation; take the "
    "variance": changed(shift=lambda m1, l1, m2, l2: (m1 - m2)**2 / (0.5 * l2).exp()),
    "this is KL(second || first); the expectation is over the first":
        lambda m1, l1, m2, l2: kl_of(m2, l2, m1, l1),
    "this is the KL to N(0, 1); compare with the second Gaussian":
        lambda m1, l1, m2, l2: kl_of(m1, l1, 0 * m2, 0 * l2),
    "this is the difference of two KLs to N(0, 1), and may fall below 0":
        lambda m1, l1, m2, l2: kl_of(m1, l1, 0 * m1, 0 * l1) - kl_of(m2, l2, 0 * m1, 0 * l1),
    "the squared difference of the means is to be divided by the second variance, too":
        changed(shift=lambda m1, l1, m2, l2: (m1 - m2)**2),
    "the squared difference of the means is divided by the first variance; the second Gaussian "
    "sets the scale": changed(shift=lambda m1, l1, m2, l2: (m1 - m2)**2 / l1.exp()),
    "the difference of the means is missing": changed(shift=lambda m1, l1, m2, l2: 0),
    "the difference of the means is to be squared":
        changed(shift=lambda m1, l1, m2, l2: (m1 - m2) / l2.exp()),
    "the squared difference of the means is halved twice; the 1/2 stands in front of all":
        changed(shift=lambda *args: parts(*args)[1] / 2),
    "this divides by the first variance; the second Gaussian sets the scale": changed(
        lambda m1, l1, m2, l2: (l2 - l1).exp(), lambda m1, l1, m2, l2: (m1 - m2)**2 / l1.exp()),
    "the ratio of the variances is upside down: the first over the second":
        changed(lambda m1, l1, m2, l2: (l2 - l1).exp()),
    "the first variance is to be divided by the second": changed(lambda m, l, m2, l2: l.exp()),
    "twice too much; there is a factor 1/2": lambda *args: 2 * kl_of(*args),
    "the sign of the logarithms is wrong: it is logvar2 - logvar1":
        changed(log=lambda m1, l1, m2, l2: l2 - l1),
    "the logarithms are missing": changed(log=lambda m1, l1, m2, l2: 0),
    "logvar2 - logvar1 is to be halved, too: log sigma is half of it":
        changed(log=lambda m1, l1, m2, l2: 2 * (l1 - l2)),
    "only the logarithms are halved here; the 1/2 stands in front of all":
        lambda m1, l1, m2, l2: 2 * kl_of(m1, l1, m2, l2) + 0.5 * (l1 - l2).flatten(1).sum(1),
    "the -1 is missing; without it the KL of a Gaussian to itself is not 0": changed(one=0),
    "the 1 is to be subtracted; then the KL of a Gaussian to itself is 0": changed(one=-1),
    "these are bits; take the natural logarithm": lambda *args: kl_of(*args) / math.log(2),
    "a KL is never negative: the sign is wrong": lambda *args: -kl_of(*args),
    "this is the mean over the latent numbers; their nats add up":
        lambda *args: kl_of(*args) / args[0][0].numel(),
    "this is one number for the whole batch; keep one an image": lambda *args: kl_of(*args).sum(),
    "this is the mean of the batch; keep one number an image": lambda *args: kl_of(*args).mean(),
    "this is the ratio of the standard deviations; that of the variances belongs there":
        changed(lambda m1, l1, m2, l2: (0.5 * (l1 - l2)).exp()),
    "each mean is squared here; the difference of the means is":
        changed(shift=lambda m1, l1, m2, l2: (m1**2 - m2**2) / l2.exp()),
    "the squared difference of the means is divided by logvar2; the variance is exp(logvar2)":
        changed(shift=lambda m1, l1, m2, l2: (m1 - m2)**2 / l2),
    "logvar2 is missing: the logarithm is that of the ratio, logvar1 - logvar2":
        changed(log=lambda m1, l1, m2, l2: l1),
    "logvar1 is missing: the logarithm is that of the ratio, logvar1 - logvar2":
        changed(log=lambda m1, l1, m2, l2: -l2),
    "only the two squares are halved here; the 1/2 stands in front of all": lambda *args: (
        2 * kl_of(*args) - 0.5 * sum(parts(*args)[:2]).flatten(1).sum(1)),
    "the means are added here; their difference belongs there":
        changed(shift=lambda m1, l1, m2, l2: (m1 + m2)**2 / l2.exp()),
    "the squared difference of the means is multiplied by the second variance; divide by it":
        changed(shift=lambda m1, l1, m2, l2: (m1 - m2)**2 * l2.exp()),
    "this takes the size of the difference of the means; square it":
        changed(shift=lambda m1, l1, m2, l2: (m1 - m2).abs() / l2.exp()),
    "this divides the logarithms of the variances; subtract them":
        changed(lambda m1, l1, m2, l2: (l1 / l2).exp()),
    "this is the mean of both directions; the expectation is over the first alone":
        lambda m1, l1, m2, l2: (kl_of(m1, l1, m2, l2) + kl_of(m2, l2, m1, l1)) / 2,
    "this is the difference of the variances; divide the first by the second":
        changed(lambda m1, l1, m2, l2: l1.exp() - l2.exp()),
}
