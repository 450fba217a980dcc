"Checkers of chapter 32."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.metrics import psd_sqrt


def rows(n, D, seed, scale=1.0): return scale * torch.randn(n, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def diagonal_inputs(): return [(rows(1, D, D)[0], rows(1, D, 2)[0].exp(), rows(1, D, 3)[0], rows(1, D, 4)[0].exp()) for D in (1, 5)]


def diagonal(mu1, var1, mu2, var2): return (mu1 - mu2).square().sum() + (var1.sqrt() - var2.sqrt()).square().sum()


frechet_diagonal = Exercise(
    diagonal, diagonal_inputs,
    {"this subtracts variances; the distance subtracts standard deviations, their roots":
         lambda mu1, var1, mu2, var2: (mu1 - mu2).square().sum() + (var1 - var2).square().sum(),
     "the squared difference of the roots is missing its square":
         lambda mu1, var1, mu2, var2: (mu1 - mu2).square().sum() + (var1.sqrt() - var2.sqrt()).abs().sum(),
     "the means are left out": lambda mu1, var1, mu2, var2: (var1.sqrt() - var2.sqrt()).square().sum(),
     "the variances are left out": lambda mu1, var1, mu2, var2: (mu1 - mu2).square().sum(),
     "this adds the variances, the cost of a random pairing; the best one saves 2 sqrt(var1 var2) on each axis":
         lambda mu1, var1, mu2, var2: (mu1 - mu2).square().sum() + (var1 + var2).sum(),
     "this averages over the axes; costs add": lambda mu1, var1, mu2, var2: diagonal(mu1, var1, mu2, var2) / len(mu1),
     "this is the root of the distance; by the field's convention it stays squared": lambda *args: diagonal(*args).sqrt()},
    "Each axis is a problem on a line, and the costs add.")


def covariances(): return [(rows(20, D, D).T.cov(), (rows(20, D, D + 1) * torch.arange(1, D + 1)).T.cov()) for D in (2, 5)]


overlap = Exercise(
    lambda cov1, cov2: torch.linalg.svdvals(psd_sqrt(cov1) @ psd_sqrt(cov2)).sum(),
    covariances,
    {"eigvalsh reads one triangle of cov1 @ cov2 as if the product were symmetric, and it is not":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum(),
     "eigvalsh with UPLO='U' reads the other triangle of a product that is not symmetric":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2, UPLO="U").clamp(min=0).sqrt().sum(),
     "these are the singular values of cov1 @ cov2; it is not symmetric, so they are not its eigenvalues":
         lambda cov1, cov2: torch.linalg.svdvals(cov1 @ cov2).sqrt().sum(),
     "this is the trace of the product of the roots, the pairing without a turn; the best turn gives the sum of its singular values":
         lambda cov1, cov2: (psd_sqrt(cov1) @ psd_sqrt(cov2)).trace(),
     "this is the trace of cov1 @ cov2; take the roots of its eigenvalues first": lambda cov1, cov2: (cov1 @ cov2).trace(),
     "the root is outside the sum; every eigenvalue has its own": lambda cov1, cov2: (cov1 @ cov2).trace().sqrt(),
     "this takes the root of each entry; the root of a matrix is another thing":
         lambda cov1, cov2: (cov1 @ cov2).diagonal().clamp(min=0).sqrt().sum()},
    "The same number as tr sqrt(cov1 cov2), from symmetric matrices alone.")


def mean_gap(images, train, dim=1): return torch.cdist(images, train).min(dim).values.mean()


nearest_ratio = Exercise(
    lambda fakes, held_out, train: mean_gap(fakes, train) / mean_gap(held_out, train),
    lambda: [(rows(20, 6, 1, 0.8), rows(30, 6, 2), rows(40, 6, 3))],
    {"this is the minimum over the wrong axis: each training image's nearest fake, not each fake's nearest training image":
         lambda fakes, held_out, train: mean_gap(fakes, train, 0) / mean_gap(held_out, train, 0),
     "this averages the distances to all training images; only the nearest one counts":
         lambda fakes, held_out, train: torch.cdist(fakes, train).mean() / torch.cdist(held_out, train).mean(),
     "these distances are squared; take the root": lambda fakes, held_out, train:
         torch.cdist(fakes, train).square().min(1).values.mean() / torch.cdist(held_out, train).square().min(1).values.mean(),
     "this is the smallest distance of all; every fake has a nearest neighbor, and their mean counts":
         lambda fakes, held_out, train: torch.cdist(fakes, train).min() / torch.cdist(held_out, train).min(),
     "this compares fakes with held-out images; both are compared with the training images":
         lambda fakes, held_out, train: mean_gap(fakes, held_out) / mean_gap(held_out, train),
     "the ratio is upside down: the fakes are on top": lambda fakes, held_out, train: mean_gap(held_out, train) / mean_gap(fakes, train),
     "this is the mean distance of the fakes alone; divide by that of the held-out images":
         lambda fakes, held_out, train: mean_gap(fakes, train)},
    "The held-out images say what 1 is; well below it, look for copies.")


def cubic(a, b): return (a @ b.T / a.shape[1] + 1)**3


def others(x): return (cubic(x, x).sum() - cubic(x, x).trace()) / (len(x) * (len(x) - 1))


unbiased = Exercise(
    lambda a, b: others(a) + others(b) - 2 * cubic(a, b).mean(),
    lambda: [(rows(6, 4, 1), rows(9, 4, 2) + 0.5), (rows(5, 2, 3), rows(5, 2, 4))],
    {"the pairs of an image with itself are still in: leave the diagonals of the first two terms out":
         lambda a, b: cubic(a, a).mean() + cubic(b, b).mean() - 2 * cubic(a, b).mean(),
     "the diagonals are left out of the sums, but not of the count: N (N - 1) pairs remain":
         lambda a, b: (cubic(a, a).sum() - cubic(a, a).trace()) / len(a)**2 + (cubic(b, b).sum() - cubic(b, b).trace()) / len(b)**2 - 2 * cubic(a, b).mean(),
     "the mixed term leaves out pairs, too; an image of a and one of b are never the same image":
         lambda a, b: others(a) + others(b) - 2 * (cubic(a, b).sum() - cubic(a, b).diagonal().sum()) / (cubic(a, b).numel() - min(len(a), len(b))),
     "the mixed term counts twice": lambda a, b: others(a) + others(b) - cubic(a, b).mean(),
     "the mixed term is subtracted": lambda a, b: others(a) + others(b) + 2 * cubic(a, b).mean(),
     "the kernel divides the product by the number of features": lambda a, b: (lambda n: others(a * n) + others(b * n) - 2 * cubic(a * n, b * n).mean())(a.shape[1]**0.5),
     "this is the root of the distance; by the field's convention it stays squared":
         lambda a, b: (others(a) + others(b) - 2 * cubic(a, b).mean()).clamp(min=0).sqrt()},
    "Different images only: then equals are at distance 0 on average, for any n.")
