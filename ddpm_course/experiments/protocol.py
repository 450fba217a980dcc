"One protocol for all scores on digits."

from functools import lru_cache
from typing import NamedTuple

import torch

from ..classifiers import digits_classifier
from ..features import extract
from ..images import check_images, from_uint8, load_digits, to_uint8
from ..metrics import feature_distance, frechet, memorization
from ..scores import Score, average, bootstrap, format_score


def stratified_order(labels, # int64 (N,)
                     seed=0):
    "A shuffle of 0..N-1, int64 (N,), of which every beginning holds the classes in their proportions."
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    place = torch.empty(len(labels))
    for label in labels.unique():
        members = order[labels[order] == label]
        place[members] = (torch.arange(len(members)) + 0.5) / len(members) # spread each class evenly over 0..1
    return place.argsort(stable=True)


def held_out_digits(n=797): # how many, 2..797
    "The first n held-out digits in a fixed, stratified order, float (n, 1, 8, 8), and their labels (n,): also what to ask a sampler for."
    data = load_digits("test")
    if not 2 <= n <= len(data): raise ValueError(f"got n={n}; expected 2..{len(data)}, the held-out digits there are to compare with")
    return data.batch(stratified_order(data.labels)[:n])


HELD_OUT = "digits, held out"


@lru_cache(maxsize=1)
def real_features():
    "The classifier's `Features` of the training digits (1000), their labels (1000,), and the `Features` of `held_out_digits()` (797)."
    net, train = digits_classifier(), load_digits("train")
    return extract(net, train.batch(range(len(train)))[0]), train.labels, extract(net, held_out_digits()[0])


def digits_floor(n, # how many images
                 subsets=5, # how many random subsets
                 labels=None): # int64 (n,): draw as many of each digit as there are here; None leaves the classes to chance
    "The distance of n real training digits to the n held-out ones, mean over random subsets, as a `Score`; None where there are not enough of a digit."
    features, digits, reference = real_features()
    wanted = None if labels is None else labels.bincount(minlength=10)
    if wanted is not None and (wanted > digits.bincount()).any(): return None
    scores = []
    for seed in range(subsets):
        order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
        if wanted is None: chosen = order[:n]
        else: chosen = torch.cat([order[digits[order] == digit][:count] for digit, count in enumerate(wanted.tolist())])
        value = feature_distance(features[chosen], reference[torch.arange(n)])
        scores.append(Score("floor" if labels is None else "matched floor", value, None, n, n, HELD_OUT, features.name, sampler="real", seed=seed))
    return average(scores)


class DigitsScore(NamedTuple):
    "What `score_digits` found: five cards."
    accuracy: Score # share of images that the classifier reads as the label asked for
    distance: Score # Fréchet distance to n held-out digits, in the classifier's features
    floor: Score # the same distance for n real training digits, mean over random subsets
    matched_floor: Score | None # the floor of subsets with as many of each digit as were asked for; None if there are not enough
    nearest: Score # mean distance to the nearest training digit, over that of the n held-out digits

    def __repr__(self): return "\n".join(f"{name:14} {format_score(card)}" for name, card in self._asdict().items() if card)


def round_gray(x): # float images (n, 1, 8, 8)
    "Images rounded to the 17 gray levels that real digits have, as floats in [-1, 1]."
    return from_uint8(to_uint8(x, 16), 16)


def check_fakes(fakes, labels):
    "n, the labels int64 (n,), or an error that says what cannot be scored."
    n = len(check_images(fakes, "fakes", finite=True))
    if fakes.shape[1:] != (1, 8, 8): raise ValueError(f"fakes: got shape {tuple(fakes.shape)}; expected (n, 1, 8, 8)")
    labels = torch.as_tensor(labels, device="cpu")
    if labels.shape != (n,) or labels.dtype != torch.int64 or not set(labels.tolist()) <= set(range(10)):
        raise ValueError(f"labels: got {labels.dtype} of shape {tuple(labels.shape)}; expected int64 digits 0..9 of shape ({n},)")
    return n, labels


def score_digits(fakes, # float images (n, 1, 8, 8) in [-1, 1], n of 2..797
                 labels, # the digits asked for, int64 (n,); best those of `held_out_digits(n)`
                 subsets=5, # random subsets of real digits that a floor is the mean of
                 resamples=200, # for the interval of the distance
                 **protocol): # sampler, steps, ... of the `Score`s
    "Accuracy, distance, floors and nearest-neighbor ratio of generated digits, by the protocol of this chapter."
    n, labels = check_fakes(fakes, labels)
    if subsets < 2: raise ValueError(f"subsets={subsets}; a floor is the mean of at least 2")
    held_out, train, fakes = held_out_digits(n)[0], load_digits("train").batch(range(1000))[0], round_gray(fakes.cpu())
    seen, reference = extract(digits_classifier(), fakes), real_features()[2][torch.arange(n)]
    right = (seen.probabilities.argmax(1) == labels).double()
    return DigitsScore(
        Score("accuracy", right.mean().item(), bootstrap(lambda i: right[i].mean(), n, groups=labels), n, features=seen.name, **protocol),
        frechet(seen, reference, HELD_OUT, resamples=resamples, groups=labels, **protocol),
        digits_floor(n, subsets), digits_floor(n, subsets, labels), memorization(fakes, held_out, train, HELD_OUT, groups=labels, **protocol))
