"Checkers for the exercises of 50 The variational autoencoder."

import torch

from ddpm_course.checks import Exercise, randn


# ---- KL between two Gaussians ----


def kl_of(mean1, logvar1, mean2, logvar2):
    var1 = logvar1.exp()
    var2 = logvar2.exp()
    return 0.5 * (logvar2 - logvar1 + (var1 + (mean1 - mean2).square()) / var2 - 1).flatten(1).sum(
        1
    )


def pairs():
    return [
        [randn(3, 2, 4, 4, seed=4 * i + k) * (0.7 if k % 2 else 1) for k in range(4)]
        for i in range(2)
    ]


kl_between = Exercise(
    kl_of,
    pairs,
    {
        "exp(logvar) is the variance already; this squares it": lambda m1, l1, m2, l2: kl_of(
            m1, 2 * l1, m2, 2 * l2
        ),
        "logvar is taken for the variance; take its exponential": lambda m1, l1, m2, l2: (
            0.5 * ((l2 / l1).log() + (l1 + (m1 - m2).square()) / l2 - 1).flatten(1).sum(1)
        ),
        "this is KL(second || first); the expectation is over the first": lambda m1, l1, m2, l2: (
            kl_of(m2, l2, m1, l1)
        ),
        "this is the KL to N(0, 1); compare with the second Gaussian": lambda m1, l1, m2, l2: kl_of(
            m1, l1, 0 * m2, 0 * l2
        ),
        "the squared difference of the means is to be divided by the second variance, "
        "too": lambda m1, l1, m2, l2: (
            0.5 * (l2 - l1 + (l1 - l2).exp() + (m1 - m2).square() - 1).flatten(1).sum(1)
        ),
        "twice too much; there is a factor 1/2": lambda *args: 2 * kl_of(*args),
        "the sign of the logarithms is wrong: it is logvar2 - logvar1": lambda m1, l1, m2, l2: (
            kl_of(m1, l1, m2, l2) + (l1 - l2).flatten(1).sum(1)
        ),
        "the -1 is missing; without it the KL of a Gaussian to itself is not "
        "0": lambda m1, l1, m2, l2: (
            kl_of(m1, l1, m2, l2) + 0.5 * m1[0].numel()
        ),
        "the difference of the means is to be squared": lambda m1, l1, m2, l2: (
            0.5 * (l2 - l1 + (l1.exp() + m1 - m2) / l2.exp() - 1).flatten(1).sum(1)
        ),
        "this divides by the first variance; the second Gaussian sets the "
        "scale": lambda m1, l1, m2, l2: (
            0.5 * (l2 - l1 + (l2.exp() + (m1 - m2).square()) / l1.exp() - 1).flatten(1).sum(1)
        ),
        "this is the mean over the latent numbers; their nats add up": lambda *args: (
            kl_of(*args) / args[0][0].numel()
        ),
        "this is one number for the whole batch; keep one an image": lambda *args: kl_of(
            *args
        ).sum(),
        "this is the mean of the batch; keep one number an image": lambda *args: kl_of(
            *args
        ).mean(),
    },
    "With N(0, 1) as the second Gaussian it is `kl`.",
)


# ---- the reparameterization ----


def reparameterized(mean, logvar, noise):
    return mean + (0.5 * logvar).exp() * noise


def with_gradients(function):
    "A sample, and gradients of the sum of its squares by mean and logvar: 0 where none arrives."

    def see(mean, logvar, noise):
        mean, logvar = (v.clone().requires_grad_() for v in (mean, logvar))
        z = function(mean, logvar, noise)
        if z is None:
            return None
        z = torch.as_tensor(z)
        grads = (
            torch.autograd.grad(z.square().sum(), (mean, logvar), allow_unused=True)
            if z.requires_grad
            else (None, None)
        )
        return z.detach(), *(torch.zeros_like(mean) if g is None else g for g in grads)

    return see


OWN_NOISE = "this draws noise of its own; use the noise that is given"


def ignores_noise(function, mean, logvar, noise):
    "Do two calls with the same arguments differ?"
    try:
        one = function(mean.clone(), logvar.clone(), noise.clone())
        two = function(mean.clone(), logvar.clone(), noise.clone())
        return bool((torch.as_tensor(one) != torch.as_tensor(two)).any())
    except Exception:  # the checks below tell it in words
        return False


class Sampled(Exercise):
    "An exercise that looks at the gradients, too."

    def __call__(self, answer):
        if ignores_noise(answer, *self.cases()[0]):
            raise AssertionError(f"Not yet: {OWN_NOISE}")
        Exercise(
            with_gradients(self.right),
            self.cases,
            {what: with_gradients(f) for what, f in self.wrong.items()},
            self.praise,
        )(with_gradients(answer))


reparameterize = Sampled(
    reparameterized,
    lambda: [tuple(randn(3, 2, 2, 2, seed=3 * i + k) for k in range(3)) for i in range(2)],
    {
        "the values are right, and no gradient reaches mean or logvar": lambda m, l, noise: (
            reparameterized(m, l, noise).detach()
        ),
        "the values are right, and no gradient reaches logvar: the encoder would never learn how "
        "sure to be": lambda m, l, noise: (
            reparameterized(m, l.detach(), noise)
        ),
        "the values are right, and no gradient reaches the mean": lambda m, l, noise: (
            reparameterized(m.detach(), l, noise)
        ),
        "exp(logvar) is the variance; the noise is multiplied by its square "
        "root": lambda m, l, noise: (
            m + l.exp() * noise
        ),
        "logvar is taken for the standard deviation; that is exp(logvar / 2)": lambda m, l, noise: (
            m + l * noise
        ),
        "exp(-logvar / 2) is one over the standard deviation": lambda m, l, noise: (
            m + (-0.5 * l).exp() * noise
        ),
        "this leaves out the mean": lambda m, l, noise: (0.5 * l).exp() * noise,
    },
    "The randomness comes from outside, so the sample is a differentiable function of what the "
    "encoder said.",
)


# ---- the loss ----


def terms(x, x_hat, mean, logvar):
    return (
        (x_hat - x).square().flatten(1).mean(1),
        kl_of(mean, logvar, 0 * mean, 0 * logvar),
        x[0].numel(),
        mean[0].numel(),
    )


def loss_of(x, x_hat, mean, logvar, weight):
    error, nats, D, d = terms(x, x_hat, mean, logvar)
    return error + weight * nats / D


def wrong_loss(f):
    return lambda *args: f(*terms(*args[:4]), args[4])


vae_loss = Exercise(
    loss_of,
    lambda: [
        (
            randn(5, 3, 4, 4, seed=i),
            randn(5, 3, 4, 4, seed=i + 1),
            randn(5, 2, 2, 2, seed=i + 2),
            randn(5, 2, 2, 2, seed=i + 3),
            w,
        )
        for i, w in ((0, 0.3), (10, 1.7))
    ],
    {
        "every image pays for the KL of the whole batch; sum over the latent numbers of one "
        "image": wrong_loss(
            lambda error, nats, D, d, w: error + w * nats.sum() / D
        ),
        "the KL is divided by the number of latent numbers; divide it by the number of pixel "
        "values, as the error is": wrong_loss(
            lambda error, nats, D, d, w: error + w * nats / d
        ),
        "the KL is not divided by the number of pixel values": wrong_loss(
            lambda error, nats, D, d, w: error + w * nats
        ),
        "the error is summed over the pixels here; take the mean": wrong_loss(
            lambda error, nats, D, d, w: error * D + w * nats / D
        ),
        "the error is summed over the pixels and the KL is whole; divide both by the number of "
        "pixel values": wrong_loss(
            lambda error, nats, D, d, w: error * D + w * nats
        ),
        "the KL has the wrong sign: it is a price, not a prize": wrong_loss(
            lambda error, nats, D, d, w: error - w * nats / D
        ),
        "this is one number for the batch; keep one an image": wrong_loss(
            lambda error, nats, D, d, w: (error + w * nats / D).mean()
        ),
        "the KL is twice too large; there is a factor 1/2 in it": wrong_loss(
            lambda error, nats, D, d, w: error + 2 * w * nats / D
        ),
        "the error is halved, too; the 1/2 stands in the KL alone": wrong_loss(
            lambda error, nats, D, d, w: error / 2 + w * nats / D
        ),
        "this has no weight on the KL": wrong_loss(lambda error, nats, D, d, w: error + nats / D),
        "logvar is taken for the variance; take its exponential": lambda x, x_hat, m, l, w: (
            (x_hat - x).square().flatten(1).mean(1)
            + w * 0.5 * (m.square() + l - 1 - l.log()).flatten(1).sum(1) / x[0].numel()
        ),
        "exp(logvar) is the variance already; this squares it or takes its "
        "root": lambda x, x_hat, m, l, w: (
            loss_of(x, x_hat, m, 2 * l, w)
        ),
        "the KL is missing": wrong_loss(lambda error, nats, D, d, w: error),
    },
    "One number an image: the training loop takes the mean.",
)


# ---- nats of the best linear autoencoder ----


def spectra():
    return [
        (torch.tensor([4.0, 1.0, 0.5, 0.2, 0.05, 0.001], dtype=torch.float64), 0.3),
        (torch.tensor([2.0, 0.7, 0.6, 0.01], dtype=torch.float64), 1.0),
        (torch.tensor([3.0, 0.9, 0.4], dtype=torch.float64), 0.02),
    ]


def log_ratio(V, w):
    return (2 * V / w).log()


nats = Exercise(
    lambda variances, w: 0.5 * log_ratio(variances, w).clamp(min=0).sum(),
    spectra,
    {
        "directions below w/2 count as negative nats here; they collapse, and cost none": (
            lambda V, w: 0.5 * log_ratio(V, w).sum()
        ),
        "the sign is wrong; a KL is never negative": (
            lambda V, w: -0.5 * log_ratio(V, w).clamp(min=0).sum()
        ),
        "twice too much; there is a factor 1/2": (
            lambda V, w: log_ratio(V, w).clamp(min=0).sum()
        ),
        "this compares V with w; sigma^2 is w / (2 V), so the water line is w / 2": (
            lambda V, w: 0.5 * (V / w).log().clamp(min=0).sum()
        ),
        "this takes sigma^2 = w / (2 V + w); with the best J, 2 J^2 + w is 2 V": (
            lambda V, w: 0.5 * log_ratio(V + w / 2, w).sum()
        ),
        "this is the mean over the directions; their nats add up": (
            lambda V, w: 0.5 * log_ratio(V, w).clamp(min=0).mean()
        ),
        "this is one number a direction; an image costs their sum": (
            lambda V, w: 0.5 * log_ratio(V, w).clamp(min=0)
        ),
        "these are bits; nats use the natural logarithm": (
            lambda V, w: 0.5 * log_ratio(V, w).clamp(min=0).sum() / torch.tensor(2.0).log()
        ),
        "this counts the directions that are worth their nats; each costs its logarithm": (
            lambda V, w: (V > w / 2).sum()
        ),
        "this leaves out the variance of the means, which adds to the KL: with that of the noise "
        "it adds up to 1": lambda V, w: (
            0.5 * (1 / (2 * V / w).clamp(min=1) - 1 + log_ratio(V, w).clamp(min=0)).sum()
        ),
    },
    "Each halving of w costs another 0.35 nats for every direction above the water line.",
)
