"Cost of sampling, measured on the device at hand: each network with each sampler."

import torch

from ..disk import as_size
from ..flops import forward_flops
from ..latent_digits import latent_digits_model
from ..training import digits_model
from .costs import synchronized_time
from .generation import generate
from .measuring import bytes_in_use
from .sample_runs import binder, wanted_labels
from .samplers import Sampler

COST_SAMPLERS = (Sampler("DDPM", 1000), Sampler("DDIM", 50), Sampler("DDIM", 50, guidance=3.0),
                 Sampler("DDIM", 10))
BATCHES = (1, 16, 64)


def networks_at_hand(device):
    "{name: `Trained`} of the networks that ship with the package."
    found = {"digits": digits_model(), "digits, latents": latent_digits_model()}
    for trained in found.values(): trained.model.to(device)
    return found


def counted_gflop(trained):
    "10^9 operations of one image through a network, a multiplication and an addition being two."
    return forward_flops(trained.model, trained.shape) / 1e9


def images_a_second(trained, sampler, batch, device, few=10):
    "Rate of a sampler at a batch, from its first `few` steps: all take equally long."
    steps = min(few, sampler.steps)
    short = Sampler(sampler.name, steps, sampler.options, sampler.guidance)
    def run():
        drawn = generate(short, trained, wanted_labels(trained, batch), 0, batch=batch,
                         progress=False, bind=binder(trained))
        return drawn.nfe
    run() # the first call warms up
    began = synchronized_time(device)
    nfe = run()
    seconds = synchronized_time(device) - began
    return batch / (seconds * sampler.steps / steps), nfe * sampler.steps // steps


def cost_of_sampling(name, trained, sampler, device):
    "One row: evaluations, parameters, operations, seconds an image, images a second, memory."
    if str(device).startswith("cuda"): torch.cuda.reset_peak_memory_stats()
    rates = {}
    for batch in BATCHES: rates[batch], nfe = images_a_second(trained, sampler, batch, device)
    told = f"{sampler.name}, {sampler.steps}"
    scale = sampler.guidance["scale"]
    if scale != 1: told += f", s = {scale:g}"
    return {"network": name, "sampler": told, "evaluations": nfe,
            "parameters": f"{sum(p.numel() for p in trained.model.parameters()):,}",
            "GFLOP an image": f"{nfe * counted_gflop(trained):.3g}",
            "s an image": f"{1 / max(rates.values()):.3g}",
            **{f"images/s at {b}": f"{rate:.3g}" for b, rate in rates.items()},
            "memory": as_size(bytes_in_use(device) or 0)}


def cost_rows(device="cpu", more=None, samplers=COST_SAMPLERS): # more: {name: `Trained`}
    "Rows for every network with every sampler."
    found = networks_at_hand(device) | (more or {})
    return [cost_of_sampling(name, one, sampler, device) for name, one in found.items()
            for sampler in samplers]
