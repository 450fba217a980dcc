"Checkers of chapter 30."

import torch
from torch import nn

from ddpm_course.checks import Exercise, randn
from ddpm_course.features import psd_sqrt


# ---- what a space knows ----

def clusters(seed, n=60, D=3):
    labels = torch.arange(n) % 4
    return randn(n, D, seed=seed) + 1.2 * randn(4, D, seed=seed + 1)[labels], labels


def nearest_other(features, p=2.0):
    return torch.cdist(features, features, p=p).fill_diagonal_(torch.inf).argmin(1)


def alike(features, labels): return labels[nearest_other(features)] == labels


def by_product(x, labels):
    return (labels[(x @ x.T).fill_diagonal_(-torch.inf).argmax(1)] == labels).double().mean()


def farthest(x, labels):
    return (labels[torch.cdist(x, x).argmax(1)] == labels).double().mean()


def pairs(x, labels):
    "The share of all pairs of different images that share their label."
    same = (labels[:, None] == labels).double()
    return (same.sum() - len(labels)) / (len(labels) * (len(labels) - 1))


agreement = Exercise(
    lambda x, labels: alike(x, labels).double().mean(),
    lambda: [clusters(0), clusters(5, n=41)],
    {"every image is nearest to itself here; leave the diagonal out":
         lambda x, labels: torch.ones((), dtype=torch.float64),
     "this is the farthest image": farthest,
     "the largest product is not the smallest distance": by_product,
     "this is the largest cosine, which forgets how long the features are; take the distance":
         lambda x, labels: by_product(x / x.norm(dim=1, keepdim=True), labels),
     "this adds up absolute differences (p=1); the distance is the root of the summed squares":
         lambda x, labels: (labels[nearest_other(x, 1.0)] == labels).double().mean(),
     "this says yes or no for each image; the share is the mean of these": alike,
     "this counts; a share is the count over the number of images":
         lambda x, labels: alike(x, labels).double().sum(),
     "this is in percent; a share lies between 0 and 1":
         lambda x, labels: 100 * alike(x, labels).double().mean(),
     "this is the share of neighbors of another class":
         lambda x, labels: (~alike(x, labels)).double().mean(),
     "this compares the labels with the numbers of the neighbors; look up the neighbors' labels":
         lambda x, labels: (nearest_other(x) == labels).double().mean(),
     "this is the share of all pairs; only the nearest other image counts": pairs},
    "A space in which neighbors share their class is a good place to measure.")


# ---- evaluation mode ----

class Toy(nn.Module):
    "A network with the two layers that behave differently in training."
    def __init__(self, training):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers = [nn.BatchNorm1d(4), nn.Linear(4, 6), nn.Dropout(0.5)]
            self.body = nn.Sequential(*layers).double()
        self.train(training)

    def features(self, x): return self.body(x)

    def forward(self, x): return self.body(x).softmax(1)


def evaluated(net, x, after=None, grad=False, first=True, read=Toy.features):
    "The features in evaluation mode; afterwards the network is in mode `after`, or as it was."
    mode = net.training
    if first: net.eval()
    with torch.set_grad_enabled(grad): features = read(net, x)
    net.eval()
    net.train(mode if after is None else after)
    return features


def flagged(net, x):
    "The mode of the outer module is put back, and that of its layers is not."
    mode = net.training
    features = evaluated(net, x, after=False)
    net.training = mode
    return features


def seen(function):
    "What a function of a network returns, and the state in which it leaves the network."
    def see(net, x):
        before = [b.clone() for b in net.buffers()]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0) # dropout that is still on drops the same numbers in every answer
            out = function(net, x)
        if out is None: return None
        kept = all(torch.equal(a, b) for a, b in zip(before, net.buffers()))
        out = torch.as_tensor(out)
        modes = sum(m.training for m in net.modules())
        return out.detach(), float(modes), float(out.requires_grad), float(kept)
    return see


steady = Exercise(
    evaluated, lambda: [(Toy(True), randn(7, 4, seed=1)), (Toy(False), randn(5, 4, seed=2))],
    {"the network is left in evaluation mode; put its mode back as it was":
         lambda net, x: evaluated(net, x, after=False),
     "the network is left in training mode even if it was not; put its mode back as it was":
         lambda net, x: evaluated(net, x, after=True),
     "the network is not put in evaluation mode: dropout and batch normalization are still "
     "those of training": lambda net, x: net.features(x),
     "the network is not put in evaluation mode; torch.no_grad() alone does not do that":
         lambda net, x: net.features(x).detach(),
     "this puts the network in evaluation mode after the features were taken; do it before":
         lambda net, x: evaluated(net, x, after=False, first=False),
     "net.training = mode sets the flag of the outer module alone; net.train(mode) reaches the "
     "layers": flagged,
     "this is the network's output; net.features(x) was asked for":
         lambda net, x: evaluated(net, x, read=Toy.forward),
     "the features still carry gradients": lambda net, x: evaluated(net, x, grad=True),
     "the features still carry gradients, and the network is left in evaluation mode":
         lambda net, x: evaluated(net, x, after=False, grad=True)},
    "Same images, same features: in any company, and on any day.", view=seen)


# ---- the trace of a root ----

def covariances():
    def pair(D): return randn(20, D, seed=D), randn(20, D, seed=D + 1) * torch.arange(1, D + 1)
    return [tuple(x.T.cov() for x in pair(D)) for D in (2, 5)]


def singular(cov1, cov2): return torch.linalg.svdvals(psd_sqrt(cov1) @ psd_sqrt(cov2))


overlap = Exercise(
    lambda cov1, cov2: singular(cov1, cov2).sum(),
    covariances,
    {"eigvalsh reads one triangle of cov1 @ cov2 as if the product were symmetric, and it is not":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum(),
     "eigvalsh with UPLO='U' reads the other triangle of a product that is not symmetric":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2, "U").clamp(min=0).sqrt().sum(),
     "these are the singular values of cov1 @ cov2; it is not symmetric, so they are not its "
     "eigenvalues": lambda cov1, cov2: torch.linalg.svdvals(cov1 @ cov2).sqrt().sum(),
     "these are the singular values of cov1 @ cov2; take the two roots first":
         lambda cov1, cov2: torch.linalg.svdvals(cov1 @ cov2).sum(),
     "this is the trace of the product of the roots, the pairing without a turn; the best turn "
     "gives the sum of its singular values":
         lambda cov1, cov2: (psd_sqrt(cov1) @ psd_sqrt(cov2)).trace(),
     "this is the trace of cov1 @ cov2; take the roots of its eigenvalues first":
         lambda cov1, cov2: (cov1 @ cov2).trace(),
     "the root is outside the sum; every eigenvalue has its own":
         lambda cov1, cov2: (cov1 @ cov2).trace().sqrt(),
     "the singular values of the product of the roots are roots already; this takes them twice":
         lambda cov1, cov2: singular(cov1, cov2).sqrt().sum(),
     "this is the product of the two traces of roots; the roots are multiplied as matrices":
         lambda cov1, cov2: psd_sqrt(cov1).trace() * psd_sqrt(cov2).trace(),
     "this multiplies entry by entry; @ multiplies matrices":
         lambda cov1, cov2: (cov1 * cov2).diagonal().sqrt().sum(),
     "this is twice the overlap; the factor 2 stands in the distance":
         lambda cov1, cov2: 2 * singular(cov1, cov2).sum(),
     "these are the singular values one by one; the trace is their sum": singular,
     "this takes the root of each entry; the root of a matrix is another thing":
         lambda cov1, cov2: (cov1 @ cov2).diagonal().clamp(min=0).sqrt().sum()},
    "The same number as tr sqrt(cov1 cov2), from symmetric matrices alone.")


# ---- an impostor ----

def draw(images, z, root=psd_sqrt, mean=None, correction=1, shape=True):
    pixels = images.flatten(1)
    mean = pixels.mean(0) if mean is None else mean
    drawn = mean + z @ root(pixels.T.cov(correction=correction))
    return drawn.view(len(z), *images.shape[1:]) if shape else drawn


impostor_of = Exercise(
    draw,
    lambda: [(randn(30, 1, 2, 3, seed=1) + randn(1, 1, 2, 3, seed=2), randn(5, 6, seed=3)),
             (randn(40, 2, 2, 2, seed=4) @ randn(2, 2, seed=5) + 2, randn(3, 8, seed=6))],
    {"this multiplies by the covariance; its square root belongs there":
         lambda images, z: draw(images, z, root=lambda cov: cov),
     "the mean image is missing": lambda images, z: draw(images, z, mean=0.0),
     "this adds one mean of all pixels; every pixel has its own":
         lambda images, z: draw(images, z, mean=images.mean()),
     "every pixel has its own spread here; the covariance also says how pixels vary together":
         lambda images, z: draw(images, z, root=lambda cov: cov.diagonal().sqrt().diag()),
     "this takes the root of each entry; the root of a matrix is another thing":
         lambda images, z: draw(images, z, root=lambda cov: cov.sqrt()),
     "a Gaussian with the right covariance, by a Cholesky root; the task asks for the symmetric "
     "root, psd_sqrt": lambda images, z: draw(images, z, root=lambda c: torch.linalg.cholesky(c).T),
     "z @ L of a Cholesky root L has another covariance (it would be z @ L.T); take psd_sqrt":
         lambda images, z: draw(images, z, root=torch.linalg.cholesky),
     "the covariance divides by N - 1 images; this divides by N":
         lambda images, z: draw(images, z, correction=0),
     "these are rows of pixels; give them the shape (n, C, H, W) of images":
         lambda images, z: draw(images, z, shape=False)},
    "Mean and covariance are right, and nothing else is.")
