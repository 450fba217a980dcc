"Protocols: how images are scored. That of the digits is one of them."

from dataclasses import dataclass, replace
from functools import cache
from typing import Callable, NamedTuple

import torch

from ..arguments import checked
from ..classifiers import digits_classifier
from ..features import Features, extract
from ..images import check_images, from_uint8, load_digits, to_uint8
from ..kinds import as_labels, some_labels, whole
from ..metrics import feature_distance, frechet, memorization, precision_recall
from ..scores import Score, format_score
from ..shipped import fingerprint_of
from ..slopes import share_influence


class Cards(dict):
    "A row of cards {name: Score or None}; `row.distance` is `row[\"distance\"]`."
    def __getattr__(self, name):
        if name in self: return self[name]
        raise AttributeError(f"no card {name!r}; there are {', '.join(self)}")

    def __repr__(self):
        return "\n".join(f"{name:14} {format_score(card)}" for name, card in self.items() if card)


class Reals(NamedTuple):
    "The real images of a protocol."
    train: torch.Tensor # (N, C, H, W)
    train_labels: torch.Tensor # int64 (N,)
    held_out: torch.Tensor # (M, C, H, W), in an order of which every beginning is a fair sample
    asked: torch.Tensor # int64 (M,): their labels, which are also what to ask a sampler for


class Judged(NamedTuple):
    "What a metric gets to see."
    protocol: "Protocol"
    images: torch.Tensor # generated, rounded, float (n, C, H, W)
    labels: torch.Tensor # asked for, int64 (n,)
    seen: Features # of the generated images
    subsets: int # of real images, for floors
    options: dict # what the cards say of sampler, model and instrument


@dataclass(frozen=True, eq=False)
class Protocol:
    "How images are scored: against which reals, through which network, rounded, by which metrics."
    name: str
    reference: str # the real images, as cards name them
    reals: Callable # () -> `Reals`
    network: Callable # () -> the network that features are extracted by
    instrument: Callable # () -> the fingerprint of its weights
    rounding: Callable # images -> images as a file would hold them
    rounded: str # the same in words, for cards
    metrics: dict # {name: metric(Judged) -> Score or None}, in the order of a row

    def with_metrics(self, **metrics):
        "The same protocol with more metrics."
        return replace(self, metrics=self.metrics | metrics)

    def held_out(self, n): # how many
        "The first n held-out images and their labels."
        reals = self.reals()
        if not 2 <= n <= len(reals.held_out):
            raise ValueError(f"got n={n}; expected 2..{len(reals.held_out)}, the held-out "
                             f"{self.name} there are to compare with")
        return reals.held_out[:n], reals.asked[:n]

    def score(self, fakes, # float images (n, C, H, W) in [-1, 1]
              labels, # what was asked for, int64 (n,); best those of `held_out(n)`
              subsets: int=5, # random subsets of real images that a floor is the mean of
              **options) -> Cards: # of the cards: sampler, steps, ...
        "The cards of generated images."
        if subsets < 2: raise ValueError(f"subsets={subsets}; a floor is the mean of at least 2")
        labels = self.check(fakes, labels)
        fakes = self.rounding(fakes.cpu())
        options = {"rounding": self.rounded, "instrument": self.instrument()} | options
        seen = extract(self.network(), fakes)
        judged = Judged(self, fakes, labels, seen, subsets, options)
        return Cards({name: metric(judged) for name, metric in self.metrics.items()})

    def check(self, fakes, labels):
        "The labels, int64 (n,), or an error that says what cannot be scored."
        n = len(check_images(fakes, "fakes", finite=True))
        shape = self.reals().held_out.shape[1:]
        if fakes.shape[1:] != shape:
            raise ValueError(f"fakes: got shape {tuple(fakes.shape)}; expected (n, "
                             f"{', '.join(map(str, shape))})")
        self.held_out(n) # n itself
        return check_asked(labels, n, int(self.reals().asked.max()), self.name)


def check_asked(labels, n, last, name):
    "Labels asked for as int64 (n,), each 0..last; else ValueError."
    labels = as_labels(labels, "labels").cpu()
    kind = labels.shape == (n,) and labels.dtype == torch.int64
    if not kind or not set(labels.tolist()) <= set(range(last + 1)):
        raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}; expected "
                         f"int64 {name} 0..{last} of shape ({n},)")
    return labels


@cache
def features_of_reals(protocol):
    "`Features` of a protocol's training and held-out images."
    reals = protocol.reals()
    net = protocol.network()
    return extract(net, reals.train), extract(net, reals.held_out)


# ---- metrics ----

def accuracy_card(j): # `Judged`
    "Share of images that the network reads as the label asked for."
    right = (j.seen.probabilities.argmax(1) == j.labels).double()
    return Score("accuracy", right.mean().item(), n_fake=len(right), features=j.seen.name,
                 influence=share_influence(right, j.labels), **j.options)


def distance_card(j): # `Judged`
    "Fréchet distance to as many held-out images."
    reference = features_of_reals(j.protocol)[1][torch.arange(len(j.labels))]
    return frechet(j.seen, reference, j.protocol.reference, strata=j.labels, **j.options)


def nearest_card(j): # `Judged`
    "Mean distance in pixels to the nearest training image, over that of as many held-out images."
    held_out = j.protocol.held_out(len(j.labels))[0]
    options = {key: v for key, v in j.options.items() if key != "instrument"} # it looks at pixels
    return memorization(j.images, held_out, j.protocol.reals().train, j.protocol.reference,
                        strata=j.labels, **options)


def precision_card(j): # `Judged`
    "Share of generated images among the real ones."
    return both_cards(j)[0]


def recall_card(j): # `Judged`
    "Share of real images among the generated ones; without an interval."
    return both_cards(j)[1]


def both_cards(j): # `Judged`
    "(precision, recall)."
    reference = features_of_reals(j.protocol)[1][torch.arange(len(j.labels))]
    return precision_recall(j.seen, reference, j.protocol.reference, strata=j.labels, **j.options)


# ---- floors: what real images score ----

def distance_of_reals(some, held_out):
    "The Fréchet distance of real images."
    return feature_distance(some, held_out)


def precision_of_reals(some, held_out):
    "The precision of real images."
    return precision_recall(some, held_out)[0].value


def recall_of_reals(some, held_out):
    "The recall of real images."
    return precision_recall(some, held_out)[1].value


def floor_card(j): # `Judged`
    "The distance of as many real training images, their classes left to chance."
    return floor_of(j.protocol, len(j.labels), j.subsets)


def matched_floor_card(j): # `Judged`
    "The same with as many of each class as were asked for; None if there are not enough."
    return floor_of(j.protocol, len(j.labels), j.subsets, j.labels)


def precision_floor_card(j): # `Judged`
    "The precision of as many real training images of each class."
    return floor_of(j.protocol, len(j.labels), j.subsets, j.labels, precision_of_reals)


def recall_floor_card(j): # `Judged`
    "The recall by as many real training images of each class."
    return floor_of(j.protocol, len(j.labels), j.subsets, j.labels, recall_of_reals)


def draw_reals(classes, # int64 (N,): of the real images
               wanted, # how many of each class; None leaves it to chance
               n, seed):
    "Indices of n random real images."
    order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
    if wanted is None: return order[:n]
    counts = enumerate(wanted.tolist())
    return torch.cat([order[classes[order] == label][:count] for label, count in counts])


def floor_of(protocol, n, subsets=5, labels=None, # as for `digits_floor`
             score=distance_of_reals): # score(features of some reals, of the held-out) -> number
    """What n real training images score against the n first held-out ones: a `Score` or None.

    The mean over random subsets. They share images, the more the larger n is, so that their
    scatter makes no interval; the notes hold their values, and how much of all images one takes."""
    train, held_out = features_of_reals(protocol)
    classes = protocol.reals().train_labels
    known = int(classes.max()) + 1
    wanted = None if labels is None else labels.bincount(minlength=known)
    if wanted is not None and (wanted > classes.bincount(minlength=known)).any(): return None
    reference = held_out[torch.arange(n)]
    values = [score(train[draw_reals(classes, wanted, n, seed)], reference)
              for seed in range(subsets)]
    quantity = score.__name__.partition("_")[0]
    return Score(f"{'' if labels is None else 'matched '}floor of the {quantity}",
                 sum(values) / subsets, None, n, n, protocol.reference, train.name,
                 sampler="real", instrument=protocol.instrument(), subsets=subsets,
                 classes="by chance" if labels is None else "as asked for",
                 notes={"values": values, "taken": n / len(classes)})


# ---- the digits ----

def stratified_order(labels, # int64 (N,)
                     seed: int=0):
    "A shuffle of 0..N-1, int64 (N,): every beginning holds the classes in their proportions."
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.empty(len(labels))
    for label in labels.unique():
        members = order[labels[order] == label]
        steps = torch.arange(len(members)) + 0.5
        place[members] = steps / len(members) # spread each class evenly over 0..1
    return place.argsort(stable=True)


@cache
def digits_reals():
    "The 1,000 training digits and the 797 held-out ones, these in a stratified order."
    train = load_digits("train")
    test = load_digits("test")
    return Reals(*train.batch(range(len(train))), *test.batch(stratified_order(test.labels)))


def round_gray(x): # float images (n, 1, 8, 8)
    "Images rounded to the 17 gray levels that real digits have, as floats in [-1, 1]."
    return from_uint8(to_uint8(x, 16), 16)


HELD_OUT = "digits, held out"
DIGITS = Protocol("digits", HELD_OUT, digits_reals, cache(digits_classifier),
                  lambda: fingerprint_of("classifier"), round_gray, "17 gray levels",
                  {"accuracy": accuracy_card, "distance": distance_card, "floor": floor_card,
                   "matched_floor": matched_floor_card, "nearest": nearest_card})
GUIDED_DIGITS = DIGITS.with_metrics(
    precision=precision_card, precision_floor=precision_floor_card,
    recall=recall_card, recall_floor=recall_floor_card)


@checked
def held_out_digits(n: int=797): # how many, 2..797
    "The first n held-out digits in a stratified order, float (n, 1, 8, 8), and their labels (n,)."
    return DIGITS.held_out(n)


@checked(labels=some_labels, subsets=whole(2))
def digits_floor(n: int, # how many images
                 subsets: int=5, # how many random subsets
                 labels=None): # int64 (n,): draw as many of each digit; None leaves it to chance
    "The distance of n training digits to n held-out ones, mean over random subsets: a `Score`."
    if labels is not None: labels = check_asked(labels, n, 9, DIGITS.name)
    return floor_of(DIGITS, n, subsets, labels)


def score_digits(fakes, # float images (n, 1, 8, 8) in [-1, 1], n of 2..797
                 labels, # the digits asked for, int64 (n,); best those of `held_out_digits(n)`
                 **options) -> Cards: # subsets; sampler, steps, ... of the cards
    "Accuracy, distance, floors and nearest-neighbor ratio of generated digits."
    return DIGITS.score(fakes, labels, **options)
