"How generated CIFAR-10 images are scored without Inception: through a network of `train_features`."

from functools import cache

from ..autoencoders import fingerprint
from ..cards import environment, save_scores
from ..cifar import NAME
from ..images import from_uint8, to_uint8
from ..scores import Score
from ..slopes import share_influence
from .edm_samplers import steps_of
from .families import Family
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


def score_samplers(trained, # `Trained`, class-conditional
                   protocol, # of `color_protocol`
                   file, # JSON file for the rows
                   samplers, # of `Sampler`
                   n: int=1000, # images a sampler, the same noise and labels for each
                   seed: int=0,
                   about=None, # for the cards: more of the model, such as {"train_steps": 400}
                   progress: bool=True):
    "A row of cards for each sampler, kept in a file; the images of each, in the same order."
    found = [measure(sampler, trained, n, seed, model=NAME, protocol=protocol, about=about,
                     progress=progress) for sampler in samplers]
    save_scores(file, [cards for cards, _, _ in found], environment())
    return [images for _, images, _ in found]


# ---- the modular claim of chapter 80 on this network: set before any of it was run ----

COLOR_MARGIN = 1.0 # of the distance: what a sampler may lose against its own long run
COLOR_BUDGETS = (10, 20, 40) # evaluations
LONG_RUN = 1000 # evaluations of the long run; that of DDIM is one for all that follow the same path


def samplers_at(budget):
    "{name: `Sampler`} with at most as many evaluations."
    names = "DDPM", "DDIM", "Heun", "DPM-Solver++(2M)"
    return {name: Sampler(name, steps_of(name, budget)) for name in names}


def samplers_and_long_runs(budgets=COLOR_BUDGETS, long=LONG_RUN):
    "All of them, the long runs last."
    short = [sampler for budget in budgets for sampler in samplers_at(budget).values()]
    return [*short, Sampler("DDPM", long), Sampler("DDIM", long)]


def against_long_runs(budgets=COLOR_BUDGETS, long=LONG_RUN):
    "Each sampler at each budget against its own long run: a `Family` of distances."
    pairs = {f"{name}, {budget}": (dict(sampler=name, steps=sampler.steps),
                                   dict(sampler="DDPM" if name == "DDPM" else "DDIM", steps=long))
             for budget in budgets for name, sampler in samplers_at(budget).items()}
    options = {name for sampler in samplers_and_long_runs() for name in sampler.options}
    vary = ("sampler", "steps", "nfe", *sorted(options))
    return Family({"distance": pairs}, vary, {"distance": COLOR_MARGIN})
