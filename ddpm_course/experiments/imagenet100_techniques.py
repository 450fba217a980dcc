"ImageNet-100: the second report's advanced techniques in pixels, its attention in latents."

from dataclasses import replace

from ..learned_variance import HybridLoss
from ..noising import cosine_schedule, linear_schedule
from .cifar10 import conditional
from .imagenet100 import LATENT_PLAN, PIXELS, REPORT_PROTOCOLS, published
from .plans import Experiment, Part, Scale, samplers
from .small import DIGITS_LATENTS, small_scales


def changed(plan, **options): # of the network
    "The plan with some options of its network changed."
    return replace(plan, network=Part(plan.network.make, plan.network.options | options))


def techniques(plan, levels): # the largest gray level of the data
    """Plain, with the improved schedule, with a learned variance, and with both: in pixels, since
    latents have no gray levels, whose likelihood trains the variance."""
    improved = replace(plan, schedule=Part(cosine_schedule))
    hybrid = Part(HybridLoss, {"drop": 0.1, "levels": levels})
    learned = lambda p: replace(changed(p, learn_variance=True), loss=hybrid)
    return {"plain": plan, "improved schedule": improved, "learned variance": learned(plan),
            "combined": learned(improved)}


def techniques_on_digits(plan):
    "The same from DDPM's schedule on; digits have gray levels 0 to 16."
    return techniques(replace(plan, schedule=Part(linear_schedule)), 16)


def by_technique(steps, guidance):
    "{variant: samplers}: the variance that the network learned, or the posterior's."
    kinds = {"plain": "small", "improved schedule": "small", "learned variance": "learned",
             "combined": "learned"}
    return {name: samplers("DDPM", steps, guidance, variance=variance)
            for name, variance in kinds.items()}


IMAGENET100_ADVANCED = Experiment(
    "imagenet100-advanced", "The report's advanced techniques: schedule, learned variance, both.",
    small_scales(techniques_on_digits, by_technique([10, 50], [1.0]),
                 by_technique([5], [1.0]))
    | {"full": Scale(techniques(conditional(PIXELS, 100), 255),
                     by_technique([25, 50, 1000], [1.0, 3.0]), REPORT_PROTOCOLS)},
    tuple(published({"variant": name}, *values) for name, values in {
        "improved schedule": (23.87, 11.23), "learned variance": (22.41, 11.68),
        "combined": (21.12, 12.24)}.items()),
    table="advanced")


def by_attention(plan):
    "Attention where the network has it, at every level, and across levels."
    everywhere = tuple(True for _ in plan.network.options["channels"])
    return {"plain": plan, "global context": changed(plan, attention=everywhere),
            "cross-resolution": changed(plan, cross_resolution=True)}


IMAGENET100_ATTENTION = Experiment(
    "imagenet100-attention", "The report's enhancements: global context, cross-resolution.",
    small_scales(by_attention, samplers("DDIM", [50]), samplers("DDIM", [5]), DIGITS_LATENTS)
    | {"full": Scale(by_attention(LATENT_PLAN), samplers("DDIM", [50], (1.0, 3.0)),
                     REPORT_PROTOCOLS)},
    table="attention")
