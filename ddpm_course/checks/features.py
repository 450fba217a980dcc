"Checkers of chapter 30."

import torch
from torch import nn

from ddpm_course.checks import Exercise, randn
from ddpm_course.checks.impostors import MISDRAWN, draw
from ddpm_course.features import psd_sqrt


# ---- what a space knows ----

def clusters(seed, n=60, D=3):
    labels = torch.arange(n) % 4
    return randn(n, D, seed=seed) + 1.2 * randn(4, D, seed=seed + 1)[labels], labels


def nearest_other(features, p=2.0):
    return torch.cdist(features, features, p=p).fill_diagonal_(torch.inf).argmin(1)


def share(i, labels): return (labels[i] == labels).double().mean()


def cut_out(x, labels):
    "Each image is cut out of the list, and the numbers in what is left are taken for the old ones."
    left = [torch.cat([x[:i], x[i + 1:]]) for i in range(len(x))]
    return share(torch.stack([(o - a).norm(dim=1).argmin() for o, a in zip(left, x)]), labels)


def alike(features, labels): return labels[nearest_other(features)] == labels


def by_product(x, labels):
    return share((x @ x.T).fill_diagonal_(-torch.inf).argmax(1), labels)


def pairs(x, labels):
    "The share of all pairs of different images that share their label."
    same = (labels[:, None] == labels).double()
    return (same.sum() - len(labels)) / (len(labels) * (len(labels) - 1))


agreement = Exercise(
    lambda x, labels: alike(x, labels).double().mean(),
    lambda: [clusters(0), clusters(5, n=41)],
    {"every image is its own neighbor here; leave the diagonal out, and take the smallest "
     "distance":
         lambda x, labels: torch.ones((), dtype=torch.float64),
     "this is the farthest image":
         lambda x, labels: share(torch.cdist(x, x).argmax(1), labels),
     "this is one image too far: sorted by distance, number 0 is the image itself, and number 1 "
     "the nearest other": lambda x, labels: share(torch.cdist(x, x).argsort(1)[:, 2], labels),
     "1 more on the diagonal is not enough: an image whose nearest other is farther than 1 is "
     "still nearest to itself; put infinity there":
         lambda x, labels: share((torch.cdist(x, x) + torch.eye(len(x))).argmin(1), labels),
     "with the image itself cut out of the list, all after it move up by one; look up the label "
     "in the same shortened list": cut_out,
     "the largest product is not the smallest distance": by_product,
     "this is the smallest product, which says how little two images have in common":
         lambda x, labels: share((x @ x.T).fill_diagonal_(torch.inf).argmin(1), labels),
     "topk gives the largest distances; ask for the smallest with largest=False":
         lambda x, labels: share(torch.cdist(x, x).topk(2).indices[:, 1], labels),
     "this is the largest cosine, which forgets how long the features are; take the distance":
         lambda x, labels: by_product(x / x.norm(dim=1, keepdim=True), labels),
     "this adds up absolute differences (p=1); the distance is the root of the summed squares":
         lambda x, labels: share(nearest_other(x, 1.0), labels),
     "this says yes or no for each image; the share is the mean of these": alike,
     "this counts; a share is the count over the number of images":
         lambda x, labels: alike(x, labels).double().sum(),
     "this divides by one less than there are images":
         lambda x, labels: alike(x, labels).sum() / (len(x) - 1.0),
     "this averages over two neighbors; only the nearest other image counts": lambda x, labels: (
         labels[torch.cdist(x, x).fill_diagonal_(torch.inf).topk(2, largest=False).indices]
         == labels[:, None]).double().mean(),
     "this averages over the image itself and its nearest other; take the second alone":
         lambda x, labels: (labels[torch.cdist(x, x).topk(2, largest=False).indices]
                            == labels[:, None]).double().mean(),
     "this is in percent; a share lies between 0 and 1":
         lambda x, labels: 100 * alike(x, labels).double().mean(),
     "this is the share of neighbors of another class":
         lambda x, labels: (~alike(x, labels)).double().mean(),
     "this compares the labels with the numbers of the neighbors; look up the neighbors' labels":
         lambda x, labels: (nearest_other(x) == labels).double().mean(),
     "this is the share of all pairs; only the nearest other image counts": pairs},
    "A space in which neighbors share their class is a good place to measure.",
    keeps_inputs=True)


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


def evaluated(net, x, after=None, grad=False, mode=False, read=Toy.features):
    "The features in evaluation mode; afterwards the network is in mode `after`, or as it was."
    was = net.training
    if mode is not None: net.train(mode)
    with torch.set_grad_enabled(grad): features = read(net, x)
    net.eval()
    net.train(was if after is None else after)
    return features


def left(net, x, frozen=False):
    "Without torch.no_grad(): gradients are off for the parameters, or for all that follows."
    if frozen: net.requires_grad_(False)
    else: torch.set_grad_enabled(False)
    return evaluated(net, x, grad=frozen)


def flagged(net, x):
    "The mode of the outer module is put back, and that of its layers is not."
    mode = net.training
    features = evaluated(net, x, after=False)
    net.training = mode
    return features


def exchanged(net, x):
    net.train()
    with torch.no_grad(): features = net.features(x)
    net.eval()
    return features


def seen(function):
    "What a function of a network returns, and the state in which it leaves the network and torch."
    def see(net, x):
        before = [b.clone() for b in net.buffers()]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0) # dropout that is still on drops the same numbers in every answer
            out = function(net, x)
            on = torch.is_grad_enabled()
        if out is None: return None
        kept = all(torch.equal(a, b) for a, b in zip(before, net.buffers()))
        out = torch.as_tensor(out)
        modes = sum(m.training for m in net.modules())
        free = sum(p.requires_grad for p in net.parameters())
        return out.detach(), float(modes), float(out.requires_grad), float(kept), free, float(on)
    return see


steady = Exercise(
    evaluated, lambda: [(Toy(True), randn(7, 4, seed=1)), (Toy(False), randn(5, 4, seed=2))],
    {"the network is left in evaluation mode; put its mode back as it was":
         lambda net, x: evaluated(net, x, after=False),
     "the network is left in training mode even if it was not; put its mode back as it was":
         lambda net, x: evaluated(net, x, after=True),
     "the network is not put in evaluation mode: dropout and batch normalization are still "
     "those of training": lambda net, x: net.features(x),
     "the network is not in evaluation mode when it looks; torch.no_grad() alone does not put it "
     "there":
         lambda net, x: net.features(x).detach(),
     "net.train() is training mode, and net.eval() evaluation mode; here they are exchanged":
         exchanged,
     "net.train() puts the network in training mode; net.eval() is evaluation mode":
         lambda net, x: evaluated(net, x, mode=True),
     "the mode is turned around; put it back as it was":
         lambda net, x: evaluated(net, x, after=not net.training),
     "the network's parameters take no gradients any more, and it could not be trained on; "
     "torch.no_grad() is enough": lambda net, x: left(net, x, frozen=True),
     "gradients stay switched off for all that follows; write `with torch.no_grad():`": left,
     "this puts the network in evaluation mode after the features were taken; do it before":
         lambda net, x: evaluated(net, x, after=False, mode=None),
     "net.training = mode sets the flag of the outer module alone; net.train(mode) reaches the "
     "layers": flagged,
     "this is the network's output; net.features(x) was asked for":
         lambda net, x: evaluated(net, x, read=Toy.forward),
     "the features still carry gradients": lambda net, x: evaluated(net, x, grad=True),
     "the features still carry gradients, and the network is left in evaluation mode":
         lambda net, x: evaluated(net, x, after=False, grad=True),
     "the features still carry gradients, and the network is left in training mode":
         lambda net, x: evaluated(net, x, after=True, grad=True)},
    "Same images, same features: in any company, and on any day.", view=seen)


# ---- the trace of a root ----

def covariances():
    def pair(D): return randn(20, D, seed=D), randn(20, D, seed=D + 1) * torch.arange(1, D + 1)
    few = randn(4, 8, seed=3), randn(5, 8, seed=4) # fewer images than features
    return [tuple(x.T.cov() for x in some) for some in (pair(2), pair(5), few)]


def real(function):
    "The real part of what a function returns; where there is another, that it is complex."
    def see(cov1, cov2):
        out = function(cov1, cov2)
        return (out.real, 1.0) if isinstance(out, torch.Tensor) and out.is_complex() else out
    return see


def unclamped(cov1, cov2):
    whole = torch.linalg.matrix_rank(cov1) == len(cov1)
    return singular(cov1, cov2).sum() if whole else torch.tensor(torch.nan)


def singular(cov1, cov2): return torch.linalg.svdvals(psd_sqrt(cov1) @ psd_sqrt(cov2))


overlap = Exercise(
    lambda cov1, cov2: singular(cov1, cov2).sum(),
    covariances,
    {"eigvalsh reads one triangle of cov1 @ cov2 as if the product were symmetric, and it is not":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2).clamp(min=0).sqrt().sum(),
     "eigvalsh reads one triangle of cov1 @ cov2 as if the product were symmetric; what it makes "
     "up has negative eigenvalues, whose roots are NaN":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2).sqrt().sum(),
     "eigvalsh with UPLO='U' reads the other triangle of a product that is not symmetric":
         lambda cov1, cov2: torch.linalg.eigvalsh(cov1 @ cov2, "U").clamp(min=0).sqrt().sum(),
     "an eigenvalue that should be 0 may come out as -1e-17, and its root is NaN; clamp at 0 first":
         unclamped,
     "this is a complex number; the eigenvalues of cov1 @ cov2 are real, so take their .real":
         lambda cov1, cov2: torch.linalg.eigvals(cov1 @ cov2).sqrt().sum(),
     "this multiplies eigenvalues in the order of their size, as if both had the same eigenvectors":
         lambda cov1, cov2: (torch.linalg.eigvalsh(cov1) * torch.linalg.eigvalsh(cov2)
                             ).clamp(min=0).sqrt().sum(),
     "this multiplies eigenvalues in the order of their size, and one that should be 0 may come "
     "out below it, where its root is NaN": lambda cov1, cov2: (
         torch.linalg.eigvalsh(cov1) * torch.linalg.eigvalsh(cov2)).sqrt().sum(),
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
     "this is the trace of cov1; cov2 has no say": lambda cov1, cov2: cov1.trace(),
     "this multiplies the traces; the covariances are multiplied as matrices":
         lambda cov1, cov2: (cov1.trace() * cov2.trace()).sqrt(),
     "this adds up all entries of the product of the roots; sum its singular values":
         lambda cov1, cov2: (psd_sqrt(cov1) @ psd_sqrt(cov2)).sum(),
     "this takes the diagonals alone, the spreads; the covariances belong to it":
         lambda cov1, cov2: (cov1.diagonal() * cov2.diagonal()).sqrt().sum(),
     "cov1 stands on both sides of cov2 here; its root does": lambda cov1, cov2: psd_sqrt(
         (cov1 @ cov2 @ cov1 + cov1 @ cov2.T @ cov1) / 2).trace(),
     "this multiplies entry by entry; @ multiplies matrices":
         lambda cov1, cov2: psd_sqrt(cov1 * cov2).trace(),
     "this is twice the overlap; the factor 2 stands in the distance":
         lambda cov1, cov2: 2 * singular(cov1, cov2).sum(),
     "these are the singular values one by one; the trace is their sum": singular,
     "this is the mean of the singular values; the trace is their sum":
         lambda cov1, cov2: singular(cov1, cov2).mean(),
     "this takes the roots of the entries of both; the root of a matrix is another thing, psd_sqrt":
         lambda cov1, cov2: (cov1.sqrt() @ cov2.sqrt()).trace(),
     "this takes the root of each entry; the root of a matrix is another thing":
         lambda cov1, cov2: (cov1 @ cov2).sqrt().trace()},
    "The same number as tr sqrt(cov1 cov2), from symmetric matrices alone.", view=real)


# ---- an impostor ----

impostor_of = Exercise(
    draw,
    lambda: [(randn(30, 1, 2, 3, seed=1) + randn(1, 1, 2, 3, seed=2), randn(5, 6, seed=3)),
             (randn(40, 2, 2, 2, seed=4) @ randn(2, 2, seed=5) + 2, randn(3, 8, seed=6))],
    MISDRAWN,
    "Mean and covariance are right, and nothing else is.", keeps_inputs=True)
