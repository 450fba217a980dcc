"Reading with a network that draws, right and wrong: what exercise 4 of chapter 13 compares."

import torch

from ddpm_course.checks import randn
from ddpm_course.noising import linear_schedule, q_sample


class Blots:
    "A model of three classes, each a single image; its null label knows them all."
    num_classes = 3
    predicts = "eps"
    schedule = linear_schedule(100, 1e-3, 0.2)

    def __init__(self):
        images = randn(3, 1, 3, 3, seed=5)
        self.images = torch.cat([images, images.mean(0, keepdim=True)])

    def __call__(self, x_t, t, y):
        signal, noise = self.schedule.rates(t, x_t)
        shown = self.images[y % 4] # who tries ten labels is stopped by no error
        return ((x_t - signal * shown) / noise).tanh()


def questions(seed, model=Blots()):
    y = torch.randint(3, (40,), generator=torch.Generator().manual_seed(seed))
    x0 = model.images[y] + 0.9 * randn(40, 1, 3, 3, seed=seed)
    t = torch.randint(100, (40,), generator=torch.Generator().manual_seed(seed + 1))
    return model, model.schedule, x0, t, randn(40, 1, 3, 3, seed=seed + 2)


def scores(model, schedule, x0, t, eps, classes=range(3), noises=None, noisy=q_sample,
           error=lambda out, eps, x0, x_t: (out - eps).square()):
    "The loss (classes, B) under every label."
    def score(c):
        noise = eps if noises is None else noises[c]
        x_t = noisy(schedule, x0, t, noise)
        out = model(x_t, t, torch.full((len(x0),), c))
        return error(out, noise, x0, x_t).flatten(1).mean(1)
    return torch.stack([score(c) for c in classes])


def found(**wrong): return lambda *args: scores(*args, **wrong).argmin(0)


def own_noises(model, schedule, x0, t, eps):
    noises = [randn(*eps.shape, seed=50 + c) for c in range(3)]
    return scores(model, schedule, x0, t, eps, noises=noises)


MISLABELINGS = {
    "this takes the largest loss; the label that fits has the smallest":
        lambda *args: scores(*args).argmax(0),
    "one label for the whole batch: reduce over pixels, and keep one loss an image":
        lambda *args: scores(*args).mean(1).argmin().expand(40),
    "one label for the whole batch, and only once: the answer is one label an image":
        lambda *args: scores(*args).mean(1).argmin(),
    "the null label takes part: num_classes means no label, so try 0 to num_classes - 1":
        found(classes=range(4)),
    "labels count from 0: this tries 1 to num_classes": found(classes=range(1, 4)),
    "labels count from 0, and label 0 is never tried: argmin counts from the first that is":
        found(classes=range(1, 3)),
    "labels count from 0, and so does argmin: add nothing": lambda *args: found()(*args) + 1,
    "the network is shown the clean image; noise it first":
        found(noisy=lambda schedule, x0, t, eps: x0),
    "the network is shown x_0 + eps; noise it by q_sample, at t":
        found(noisy=lambda schedule, x0, t, eps: x0 + eps),
    "the answer is compared with x_0; this network answers with the noise":
        found(error=lambda out, eps, x0, x_t: (out - x0).square()),
    "the error is not squared, so that signs cancel":
        found(error=lambda out, eps, x0, x_t: out - eps),
    "argmin without a dimension counts through all losses; the labels stand along dimension 0":
        lambda *args: scores(*args).argmin(),
    "sign: the error is the difference of answer and eps":
        found(error=lambda out, eps, x0, x_t: (out + eps).square()),
    "min returns values and positions; the labels are its .indices":
        lambda *args: tuple(scores(*args).min(0)),
    "the last label is never tried: there are num_classes of them":
        found(classes=range(2)),
    "every label got noise of its own, so chance decides; use the given eps for all":
        lambda *args: own_noises(*args).argmin(0),
    "these are the smallest losses; the answer is the label that has it":
        lambda *args: scores(*args).min(0).values,
    "these are all the losses; the answer is the label of the smallest":
        lambda *args: scores(*args),
    "this takes the minimum over the images; the labels stand along the other axis":
        lambda *args: scores(*args).argmin(1),
    "this compares the answer with x_t; it has to be compared with eps":
        found(error=lambda out, eps, x0, x_t: (out - x_t).square()),
    "this classifies by the absolute error; the network was trained on the squared one":
        found(error=lambda out, eps, x0, x_t: (out - eps).abs()),
}
