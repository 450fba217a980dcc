"Checkers for the exercises of 50 The variational autoencoder."

import math

import torch

from ddpm_course.checks import Exercise, outcome, randn
from ddpm_course.checks.gaussians import MISDIVERGED, kl_of


# ---- KL between two Gaussians ----

kl_between = Exercise(
    kl_of,
    lambda: [[randn(3, 2, 4, 5, seed=4 * i + k) * (0.7 if k % 2 else 1) for k in range(4)]
             for i in range(2)],
    MISDIVERGED,
    "With N(0, 1) as the second Gaussian it is `kl`.", keeps_inputs=True)


# ---- the reparameterization ----

def reparameterized(mean, logvar, noise): return mean + (0.5 * logvar).exp() * noise


def with_gradients(function):
    "A sample, and gradients of the sum of its squares by mean and logvar: 0 where none arrives."
    def see(mean, logvar, noise):
        mean, logvar = (v.clone().requires_grad_() for v in (mean, logvar))
        z = function(mean, logvar, noise)
        if z is None: return None
        z = torch.as_tensor(z)
        grads = (None, None)
        if z.requires_grad:
            grads = torch.autograd.grad(z.square().sum(), (mean, logvar), allow_unused=True)
        return z.detach(), *(torch.zeros_like(mean) if g is None else g for g in grads)
    return see


OWN_NOISE = "this draws noise of its own; use the noise that is given"


def ignores_noise(function, args):
    "Do two calls with the same arguments differ?"
    one, two = (outcome(function, [a.clone() for a in args]) for _ in range(2))
    try: return not torch.equal(*(torch.as_tensor(z).nan_to_num() for z in (one, two)))
    except Exception: return False # the checks below tell it in words


class Sampled(Exercise):
    "An exercise that looks at the gradients, too."
    def __call__(self, answer):
        if ignores_noise(answer, self.cases()[0]):
            raise AssertionError(f"Not yet: {OWN_NOISE}")
        wrong = {what: with_gradients(f) for what, f in self.wrong.items()}
        Exercise(with_gradients(self.right), self.cases, wrong, self.praise,
                 keeps_inputs=True)(with_gradients(answer))


reparameterize = Sampled(
    reparameterized,
    lambda: [tuple(randn(3, 2, 2, 2, seed=3 * i + k) for k in range(3)) for i in range(2)],
    {"the values are right, and no gradient reaches mean or logvar":
         lambda m, l, noise: reparameterized(m, l, noise).detach(),
     "the values are right, and no gradient reaches logvar: the encoder would never learn how "
     "sure to be": lambda m, l, noise: reparameterized(m, l.detach(), noise),
     "the values are right, and no gradient reaches the mean":
         lambda m, l, noise: reparameterized(m.detach(), l, noise),
     "exp(logvar) is the variance; the noise is multiplied by its square root":
         lambda m, l, noise: m + l.exp() * noise,
     "logvar is taken for the standard deviation; that is exp(logvar / 2)":
         lambda m, l, noise: m + l * noise,
     "logvar / 2 is the logarithm of the standard deviation; take its exponential":
         lambda m, l, noise: m + 0.5 * l * noise,
     "logvar is taken for the variance, and its root is NaN below 0; the standard deviation is "
     "exp(logvar / 2)": lambda m, l, noise: m + l.sqrt() * noise,
     "this halves the variance; halve the logarithm, exp(logvar / 2), to take its root":
         lambda m, l, noise: m + 0.5 * l.exp() * noise,
     "exp(logvar) is the variance, and this squares it; the noise is multiplied by its root":
         lambda m, l, noise: m + (2 * l).exp() * noise,
     "exp(-logvar / 2) is one over the standard deviation":
         lambda m, l, noise: m + (-0.5 * l).exp() * noise,
     "this subtracts the noise: as likely a sample, but not the one of this noise":
         lambda m, l, noise: m - (0.5 * l).exp() * noise,
     "this adds the mean before it multiplies; only the noise is scaled":
         lambda m, l, noise: (m + noise) * (0.5 * l).exp(),
     "this multiplies the noise by the mean, and adds the standard deviation":
         lambda m, l, noise: m * noise + (0.5 * l).exp(),
     "the noise is missing: every sample is the same": lambda m, l, noise: m + (0.5 * l).exp(),
     "the noise keeps its spread of 1 here; multiply it by the standard deviation":
         lambda m, l, noise: m + noise,
     "this is the mean alone; the noise, times the standard deviation, is to be added":
         lambda m, l, noise: m + 0 * noise,
     "mean and logvar are exchanged": lambda m, l, noise: reparameterized(l, m, noise),
     "this takes the exponential of the mean; only logvar is a logarithm":
         lambda m, l, noise: reparameterized(m.exp(), l, noise),
     "logvar is taken for the variance, without its sign; the spread is exp(logvar / 2)":
         lambda m, l, noise: m + l.abs().sqrt() * noise,
     "exp(logvar / 2) is the standard deviation; exp(logvar / 4) is its root":
         lambda m, l, noise: reparameterized(m, l / 2, noise),
     "this takes softplus; the standard deviation is exp(logvar / 2)":
         lambda m, l, noise: m + torch.nn.functional.softplus(l) * noise,
     "this leaves out the mean": lambda m, l, noise: (0.5 * l).exp() * noise},
    "The randomness comes from outside, so the sample is a differentiable function of what the "
    "encoder said.")


# ---- the loss ----

def terms(x, x_hat, mean, logvar):
    error = (x_hat - x).square().flatten(1).mean(1)
    return error, kl_of(mean, logvar, 0 * mean, 0 * logvar), x[0].numel(), mean[0].numel()


def loss_of(x, x_hat, mean, logvar, weight):
    error, nats, D, d = terms(x, x_hat, mean, logvar)
    return error + weight * nats / D


def wrong_loss(f): return lambda *args: f(*terms(*args[:4]), args[4])


def wrong_nats(f): # f(mean, logvar) is twice the KL of each latent number
    return lambda x, x_hat, mean, logvar, w: terms(x, x_hat, mean, logvar)[0] + (
        w * 0.5 * f(mean, logvar).flatten(1).sum(1) / x[0].numel())


def wrong_error(f): # f(x_hat - x) is the error of each pixel
    return lambda x, x_hat, mean, logvar, w: (
        f(x_hat - x).flatten(1).mean(1) + loss_of(x, x, mean, logvar, w))


vae_loss = Exercise(
    loss_of,
    lambda: [(*(randn(5, 3, 4, 6, seed=i + k) for k in (0, 1)),
              *(randn(5, 2, 2, 2, seed=i + k) for k in (2, 3)), w)
             for i, w in ((0, 0.3), (10, 1.7))],
    {"every image pays for the KL of the whole batch; sum over the latent numbers of one image":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats.sum() / D),
     "every image pays for the mean KL of the batch; each has its own":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats.mean() / D),
     "every image has the mean error of the batch; each has its own":
         wrong_loss(lambda error, nats, D, d, w: error.mean() + w * nats / D),
     "the KL is divided by the number of latent numbers; divide it by the number of pixel values, "
     "as the error is": wrong_loss(lambda error, nats, D, d, w: error + w * nats / d),
     "the KL is divided by both numbers, of latent numbers and of pixel values; sum it, and "
     "divide by the second": wrong_loss(lambda error, nats, D, d, w: error + w * nats / d / D),
     "D is the number of pixel values of one image; this is that of the batch":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats / (D * len(nats))),
     "D is the number of pixel values of one image; this is the number of images":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats / len(nats)),
     "D counts the values of all channels; this is that of one":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats / (D / 3)),
     "the KL is to be divided by D": wrong_loss(lambda error, nats, D, d, w: error + w * nats),
     "the error is summed over the pixels here; take the mean":
         wrong_loss(lambda error, nats, D, d, w: error * D + w * nats / D),
     "the error is summed over the pixels and the KL is whole; divide both by the number of pixel "
     "values": wrong_loss(lambda error, nats, D, d, w: error * D + w * nats),
     "this is the root of the mean squared error; it stays squared":
         wrong_loss(lambda error, nats, D, d, w: error.sqrt() + w * nats / D),
     "these are absolute errors; take their squares": wrong_error(torch.abs),
     "the error is to be squared; so those of two pixels may cancel":
         wrong_error(torch.neg),
     "the KL has the wrong sign: it is a price, not a prize":
         wrong_loss(lambda error, nats, D, d, w: error - w * nats / D),
     "this is one number for the batch; keep one an image":
         wrong_loss(lambda error, nats, D, d, w: (error + w * nats / D).mean()),
     "the KL is twice too large; there is a factor 1/2 in it":
         wrong_loss(lambda error, nats, D, d, w: error + 2 * w * nats / D),
     "the error is halved, too; the 1/2 stands in the KL alone":
         wrong_loss(lambda error, nats, D, d, w: error / 2 + w * nats / D),
     "this has no weight on the KL": wrong_loss(lambda error, nats, D, d, w: error + nats / D),
     "the weight is on the error; it belongs to the KL":
         wrong_loss(lambda error, nats, D, d, w: w * error + nats / D),
     "the weight is on both; it belongs to the KL alone":
         wrong_loss(lambda error, nats, D, d, w: w * (error + nats / D)),
     "this is a mixture of the two; the error keeps its weight of 1":
         wrong_loss(lambda error, nats, D, d, w: (1 - w) * error + w * nats / D),
     "logvar is taken for the variance; take its exponential":
         wrong_nats(lambda m, l: m.square() + l - 1 - l.log()),
     "exp(logvar) is the variance already; this squares it or takes its root":
         lambda x, x_hat, m, l, w: loss_of(x, x_hat, m, 2 * l, w),
     "the exponential of logvar is missing in the KL": wrong_nats(lambda m, l: m.square() - 1),
     "the mean is to be squared in the KL": wrong_nats(lambda m, l: m + l.exp() - 1 - l),
     "logvar is to be subtracted in the KL": wrong_nats(lambda m, l: m.square() + l.exp() - 1 + l),
     "the -1 is missing in the KL": wrong_nats(lambda m, l: m.square() + l.exp() - l),
     "the 1 is to be subtracted in the KL": wrong_nats(lambda m, l: m.square() + l.exp() + 1 - l),
     "the error is divided by D twice; its mean is divided already":
         wrong_loss(lambda error, nats, D, d, w: (error + w * nats) / D),
     "D is the number of pixel values of one image; this is the number of channels":
         wrong_loss(lambda error, nats, D, d, w: error + w * nats / 3),
     "this multiplies the KL by D; divide it": wrong_loss(
         lambda error, nats, D, d, w: error + w * nats * D),
     "the KL has the variance, exp(logvar); this takes its root":
         wrong_nats(lambda m, l: m.square() + (l / 2).exp() - 1 - l),
     "exp(logvar) is the variance already; this squares it":
         wrong_nats(lambda m, l: m.square() + (2 * l).exp() - 1 - l),
     "the -logvar is missing in the KL": wrong_nats(lambda m, l: m.square() + l.exp() - 1),
     "the squared mean is to be added in the KL":
         wrong_nats(lambda m, l: l.exp() - 1 - l - m.square()),
     "the squared mean is missing in the KL": wrong_nats(lambda m, l: l.exp() - 1 - l),
     "the KL is missing": wrong_loss(lambda error, nats, D, d, w: error)},
    "One number an image: the training loop takes the mean.", keeps_inputs=True)


# ---- nats of the best linear autoencoder ----

def spectra():
    V = [4.0, 1.0, 0.5, 0.2, 0.05, 0.001], [2.0, 0.7, 0.6, 0.01], [3.0, 0.9, 0.4]
    return [(torch.tensor(v, dtype=torch.float64), w) for v, w in zip(V, (0.3, 1.0, 0.02))]


def logs(V, w): return 0.5 * (2 * V / w).log() # nats of each direction above the water line


def used(V, w): return logs(V, w).clamp(min=0)


def with_means(squared):
    "The whole formula of the KL, with `squared` of V and w for the squares of the means."
    def f(V, w):
        noise = (w / (2 * V)).clamp(max=1)
        return 0.5 * (squared(V, w) + noise - 1 - noise.log()).sum()
    return f


nats = Exercise(
    lambda variances, w: used(variances, w).sum(), spectra,
    {"directions below w/2 count as negative nats here; they collapse, and cost none":
         lambda V, w: logs(V, w).sum(),
     "directions below w/2 count as if they were above; they collapse, and cost none":
         lambda V, w: logs(V, w).abs().sum(),
     "these are the directions below w/2, which collapse; the others cost nats":
         lambda V, w: logs(V, w).clamp(max=0).sum(),
     "this clamps the sum; every direction below w/2 costs none":
         lambda V, w: logs(V, w).sum().clamp(0),
     "this takes the logarithm of the sum; each has its own": lambda V, w: logs(V.sum(), w),
     "the sign is wrong; a KL is never negative": lambda V, w: -used(V, w).sum(),
     "twice too much; there is a factor 1/2": lambda V, w: 2 * used(V, w).sum(),
     "half too little: 1/2 log sigma^2 is log sigma already": lambda V, w: 0.5 * used(V, w).sum(),
     "this compares V with w; sigma^2 is w / (2 V), so the water line is w / 2":
         lambda V, w: used(V, 2 * w).sum(),
     "the water line is w / 2; this leaves out directions up to w":
         lambda V, w: logs(V, w)[V > w].sum(),
     "this takes sigma^2 = 2 w / V; it is w / (2 V)": lambda V, w: used(V, 4 * w).sum(),
     "this takes sigma^2 = w / (2 V + w); with the best J, 2 J^2 + w is 2 V":
         lambda V, w: logs(V + w / 2, w).sum(),
     "these are variances already; this squares them": lambda V, w: used(V**2, w).sum(),
     "this takes the root of the variances; sigma^2 is w / (2 V)":
         lambda V, w: used(V.sqrt(), w).sum(),
     "the variance of the means is 1 - sigma^2; this takes 1, and counts sigma^2 twice":
         with_means(lambda V, w: 1),
     "this is 1/2 (1 - sigma^2), half the variance of the means; the nats are -1/2 log sigma^2":
         lambda V, w: 0.5 * (1 - (w / (2 * V)).clamp(max=1)).sum(),
     "this cuts V off at w; the water line is w / 2":
         lambda V, w: logs(V.clamp(min=w), w).sum(),
     "above the water line it is 1/2 log(2 V / w); the 2 is missing in the logarithm":
         lambda V, w: logs(V / 2, w)[V > w / 2].sum(),
     "this squares w; sigma^2 is w / (2 V)": lambda V, w: used(V, w**2).sum(),
     "this adds up what stands above the water line; the nats are its logarithms, 1/2 log(2 V / w)":
         lambda V, w: (V - w / 2).clamp(min=0).sum(),
     "this is the largest direction alone; their nats add up": lambda V, w: used(V, w).max(),
     "this is 1/2 log(1 + V / w); with sigma^2 = w / (2 V) it is 1/2 log(2 V / w), above w/2":
         lambda V, w: logs(V + w, 2 * w).sum(),
     "this is the mean over the directions; their nats add up": lambda V, w: used(V, w).mean(),
     "this is the mean over the directions above w/2; their nats add up":
         lambda V, w: logs(V, w)[V > w / 2].mean(),
     "this is one number a direction; an image costs their sum": used,
     "these are bits; take the natural logarithm": lambda V, w: used(V, w).sum() / math.log(2),
     "this multiplies the nats by w, as the loss does; asked for are the nats":
         lambda V, w: w * used(V, w).sum(),
     "this counts the directions that are worth their nats; each costs its logarithm":
         lambda V, w: (V > w / 2).sum(),
     "the variance of the means is 1 - sigma^2, and not J^2":
         with_means(lambda V, w: (V - w / 2).clamp(min=0)),
     "the variance of the means is 1 - sigma^2, and not V": with_means(lambda V, w: V),
     "this leaves out the variance of the means, which adds to the KL: with that of the noise it "
     "adds up to 1": with_means(lambda V, w: 0)},
    "Each halving of w costs another 0.35 nats for every direction above the water line.")
