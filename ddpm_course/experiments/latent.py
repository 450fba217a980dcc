"Pixels or latents?"

from ..autoencoders import fingerprint
from ..latent_digits import digits_latents, digits_space
from ..latents import train_latents
from .families import Family
from .generation import measure, trained_of
from .schedules import VARIANTS, plot_schedules, schedules_row
from .tables import Table, distance_of, product

LATENT_ROWS = ("linear", "scaled-linear", "cosine", "cosine, v")


def in_latents(name, seed, steps, network):
    "The latent network of the digits trained under a variant, and what cards say of it."
    variant = VARIANTS[name]
    run = train_latents(digits_latents(), variant.schedule(network), variant.predicts, steps, seed,
                        device="cpu", progress=False)
    about = {"variant": name, "train_steps": steps, "train_seed": seed,
             "autoencoder": fingerprint(digits_space().vae)}
    return trained_of(run), about


def latent_row(space, name, seed, steps, n, network, sampler_steps):
    "Train in pixels (a row of the table of schedules) or in latents, and score the samples."
    if space == "pixels": return schedules_row(name, seed, steps, n, network, sampler_steps)
    trained, about = in_latents(name, seed, steps, network)
    return measure("DDIM", trained, n, seed, sampler_steps, progress=False, model="digits, latents",
                   about=about, decode=digits_space().decode)[0]


def plot_latent(rows): # of `LATENT`
    "Every run, mean and interval of each variant in each space: a figure."
    def label(s): return f"latents: {s.variant}" if "latents" in s.model else s.variant
    return plot_schedules(rows, "Pixels or latents?", label)


SPACES = ["pixels", "latents"]
TO_PIXELS = {name: ({"variant": name, "model": "digits, latents"},
                    {"variant": name, "model": "digits"}) for name in LATENT_ROWS}
LATENT = Table(
    "latent", "Pixel against latent diffusion, trained equally long, under four variants.",
    latent_row, plot=plot_latent, order=distance_of, prepare=digits_latents,
    family=Family({"distance": TO_PIXELS}, vary=("model", "autoencoder", "clip"),
                  margins={"distance": 0.5}),
    grid={"digits": product(seed=range(3), space=SPACES, name=LATENT_ROWS, steps=400, n=797,
                            network="digits", sampler_steps=50),
          "smoke": product(seed=range(2), space=SPACES, name=["cosine, v"], steps=2, n=40,
                           network="smoke", sampler_steps=5)},
    columns=("model", "variant", "accuracy", "distance", "nearest"))
