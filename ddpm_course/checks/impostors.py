"Draws of an impostor, right and wrong: what exercise 4 of chapter 30 compares."

import torch

from ddpm_course.features import psd_sqrt


def draw(images, z, root=psd_sqrt, mean=None, correction=1, shape=True):
    pixels = images.flatten(1)
    mean = pixels.mean(0) if mean is None else mean
    drawn = mean + z @ root(pixels.T.cov(correction=correction))
    return drawn.view(len(z), *images.shape[1:]) if shape else drawn


def turned(cov, back=True):
    values, vectors = torch.linalg.eigh(cov)
    root = values.clamp(min=0).sqrt()
    return root[:, None] * vectors.T if back else vectors * root


def channels(images): return images.mean((0, 2, 3), True).expand(1, *images.shape[1:]).flatten(1)


def with_cov(images, z, cov):
    "The draws from another covariance of the pixels (N, D)."
    return draw(images, z, root=lambda _: psd_sqrt(cov(images.flatten(1))))


MISDRAWN = {
    "this multiplies by the covariance; its square root belongs there":
        lambda images, z: draw(images, z, root=lambda cov: cov),
    "the mean image is missing": lambda images, z: draw(images, z, mean=0.0),
    "this adds one mean of all pixels; every pixel has its own":
        lambda images, z: draw(images, z, mean=images.mean()),
    "this adds the mean of each channel; every pixel has its own":
        lambda images, z: draw(images, z, mean=channels(images)),
    "the covariance is right, but its root is not the symmetric one: the eigenvectors stand on "
    "both sides of that": lambda images, z: draw(images, z, root=turned),
    "this does not turn back from the axes of the eigenvectors: they stand on both sides":
        lambda images, z: draw(images, z, root=lambda cov: turned(cov, back=False)),
    "this covariance is taken around 0; it belongs to deviations from the mean":
        lambda images, z: with_cov(images, z, lambda x: x.T @ x / len(x)),
    "this adds up products of deviations; the covariance divides them by N - 1":
        lambda images, z: with_cov(images, z, lambda x: x.T.cov() * (len(x) - 1)),
    "this is the correlation, in which every pixel has spread 1; take the covariance":
        lambda images, z: with_cov(images, z, lambda x: x.T.corrcoef()),
    "this clamps the draws; a Gaussian knows of no black and white":
        lambda images, z: draw(images, z).clamp(-1, 1),
    "every pixel has its own spread here; the covariance also says how pixels vary together":
        lambda images, z: draw(images, z, root=lambda cov: cov.diagonal().sqrt().diag()),
    "every pixel has its own variance here; the spread is its root, and the covariance also says "
    "how pixels vary together": lambda images, z: draw(images, z, root=lambda c: c.diag().diag()),
    "this takes the diagonal of the root alone; @ multiplies by all of it":
        lambda images, z: draw(images, z, root=lambda cov: psd_sqrt(cov).diag().diag()),
    "this subtracts the mean image; it is to be added":
        lambda images, z: draw(images, z, mean=-images.flatten(1).mean(0)),
    "this adds the mean image before it multiplies; the mean is added last": lambda images, z:
        draw(images, z + images.flatten(1).mean(0), mean=0.0),
    "this adds the first image; the mean image belongs there":
        lambda images, z: draw(images, z, mean=images.flatten(1)[0]),
    "this takes the root of each entry; the root of a matrix is another thing":
        lambda images, z: draw(images, z, root=lambda cov: cov.sqrt()),
    "a Gaussian with the right covariance, by a Cholesky root; the task asks for the symmetric "
    "root, psd_sqrt": lambda images, z: draw(images, z, root=lambda c: torch.linalg.cholesky(c).T),
    "z @ L of a Cholesky root L has another covariance (it would be z @ L.T); take psd_sqrt":
        lambda images, z: draw(images, z, root=torch.linalg.cholesky),
    "the covariance divides by N - 1 images; this divides by N":
        lambda images, z: draw(images, z, correction=0),
    "these are rows of pixels; give them the shape (n, C, H, W) of images":
        lambda images, z: draw(images, z, shape=False),
}
