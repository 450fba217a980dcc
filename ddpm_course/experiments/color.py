"How generated CIFAR-10 images are scored without Inception: through a network of `train_features`."

from functools import cache

from ..autoencoders import fingerprint
from ..cards import environment, save_scores
from ..cifar import NAME
from ..images import from_uint8, to_uint8
from ..scores import Score
from ..slopes import share_influence
from .generation import measure
from .protocol import (
    Protocol, Reals, accuracy_card, distance_card, features_of_reals, floor_card,
    matched_floor_card, stratified_order)
from .samplers import Sampler

def real_accuracy_card(j): # `Judged`
    "Share of as many held-out images that the network reads as what they are: a ceiling."
    n = len(j.labels)
    seen = features_of_reals(j.protocol)[1].probabilities[:n]
    right = (seen.argmax(1) == j.protocol.held_out(n)[1]).double()
    return Score("accuracy", right.mean().item(), n_fake=n, features=j.seen.name, sampler="real",
                 influence=share_influence(right, j.labels), instrument=j.protocol.instrument())


def color_protocol(train, # labeled `Images`, for floors
                   test, # labeled `Images`, held out
                   judge, # a network of `train_features`
                   reference: str="CIFAR-10 (JPEG)"): # what cards call these images
    "Accuracy and distance, rounded as PNG rounds, with what real images score beside them."
    def reals():
        return Reals(*train.batch(range(len(train))), *test.batch(stratified_order(test.labels)))
    return Protocol(
        "images", f"{reference}, test", cache(reals), lambda: judge,
        cache(lambda: fingerprint(judge)), lambda x: from_uint8(to_uint8(x)),
        "256 gray levels",
        {"accuracy": accuracy_card, "real_accuracy": real_accuracy_card, "distance": distance_card,
         "floor": floor_card, "matched_floor": matched_floor_card})


def score_guidance(trained, # `Trained`, class-conditional
                   protocol, # of `color_protocol`
                   file, # JSON file for the rows
                   scales=(1.0, 2.0, 3.0), # of guidance
                   n: int=1000, # images a scale, the same noise for each
                   steps: int=50, # of DDIM
                   seed: int=0,
                   about=None, # for the cards: more of the model, such as {"train_steps": 400}
                   progress: bool=True):
    "A row of cards for each scale of guidance, kept in a file; {scale: the images}."
    found = {scale: measure(Sampler("DDIM", steps, guidance=scale), trained, n, seed, model=NAME,
                            protocol=protocol, about=about, progress=progress) for scale in scales}
    save_scores(file, [cards for cards, _, _ in found.values()], environment())
    return {scale: images for scale, (_, images, _) in found.items()}
