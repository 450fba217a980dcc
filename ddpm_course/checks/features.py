"Checkers of the interlude on features."

import torch
from torch import nn

from ddpm_course.checks import Exercise


def randn(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(seed, n=60, D=3):
    labels = torch.arange(n) % 4
    return randn(n, D, seed=seed) + 1.2 * randn(4, D, seed=seed + 1)[labels], labels


def nearest_other(features, labels):
    gaps = torch.cdist(features, features)
    return gaps.fill_diagonal_(torch.inf).argmin(1)


agreement = Exercise(
    lambda features, labels: (labels[nearest_other(features, labels)] == labels).double().mean(),
    lambda: [clusters(0), clusters(5, n=41)],
    {"every image is nearest to itself here; leave the diagonal out": lambda features, labels: torch.ones((), dtype=torch.float64),
     "this is the farthest image": lambda features, labels: (labels[torch.cdist(features, features).argmax(1)] == labels).double().mean(),
     "the largest product is not the smallest distance": lambda features, labels: (labels[(features @ features.T).fill_diagonal_(-torch.inf).argmax(1)] == labels).double().mean(),
     "this counts; a share is the count over the number of images": lambda features, labels: (labels[nearest_other(features, labels)] == labels).double().sum(),
     "this is the share of neighbors of another class": lambda features, labels: (labels[nearest_other(features, labels)] != labels).double().mean()},
    "A space in which neighbors share their class is a good place to measure.")


class Toy(nn.Module):
    "A network with the two layers that behave differently in training."
    def __init__(self, training):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 6), nn.Dropout(0.5)).double()
        self.train(training)

    def features(self, x): return self.body(x)


def evaluated(net, x, after=None, grad=False):
    "The features in evaluation mode; afterwards the network is in mode `after`, or as it was."
    mode = net.training
    net.eval()
    with torch.set_grad_enabled(grad): features = net.features(x)
    net.train(mode if after is None else after)
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
        return torch.as_tensor(out).detach(), float(net.training), float(torch.as_tensor(out).requires_grad), float(kept)
    return see


class Modes(Exercise):
    "An exercise that looks at the network afterwards, too."
    def __call__(self, answer):
        Exercise(seen(self.right), self.cases, {what: seen(f) for what, f in self.wrong.items()}, self.praise)(seen(answer))


steady = Modes(
    evaluated, lambda: [(Toy(True), randn(7, 4, seed=1)), (Toy(False), randn(5, 4, seed=2))],
    {"the network is left in evaluation mode; put its mode back as it was": lambda net, x: evaluated(net, x, after=False),
     "the network is left in training mode even if it was not; put its mode back as it was": lambda net, x: evaluated(net, x, after=True),
     "the network is not put in evaluation mode: dropout and batch normalization are still those of training": lambda net, x: net.features(x),
     "the network is not put in evaluation mode; torch.no_grad() alone does not do that": lambda net, x: net.features(x).detach(),
     "the features still carry gradients": lambda net, x: evaluated(net, x, grad=True)},
    "Same images, same features: in any company, and on any day.")


def softmax(logits): return logits.softmax(-1)


probabilities = Exercise(
    softmax, lambda: [(randn(4, 5, seed=1),), (randn(3, 6, seed=2) * 1000,), (randn(2, 3, seed=3) + torch.tensor([[0.0], [2000.0]]),)],
    {"exp overflows for large logits, and infinity over infinity is NaN; subtract the largest logit first": lambda logits: logits.exp() / logits.exp().sum(-1, keepdim=True),
     "this sums over the images; every image has its own sum": lambda logits: (logits - logits.max()).exp() / (logits - logits.max()).exp().sum(0, keepdim=True),
     "these powers do not sum to 1 yet": lambda logits: (logits - logits.amax(-1, keepdim=True)).exp(),
     "this divides the logits by their sum; take powers first": lambda logits: logits / logits.sum(-1, keepdim=True),
     "these are the logarithms of the probabilities": lambda logits: logits.log_softmax(-1),
     "one largest logit for all images: the others' powers may all vanish; subtract each row's own":
         lambda logits: (logits - logits.max()).exp() / (logits - logits.max()).exp().sum(-1, keepdim=True)},
    "The largest power is 1, and nothing overflows.")
