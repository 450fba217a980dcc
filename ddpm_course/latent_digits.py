"The digits in latent space: the space, the latents, the network that comes with the package."

import hashlib, json
from functools import lru_cache

from .cache import CachedLatents, cache_latents, manifest_of
from .images import load_digits
from .latents import LatentSpace, train_latents
from .noising import cosine_schedule
from .saving import Trained, cache_folder
from .shipped import load_shipped
from .vae import digits_vae


@lru_cache(maxsize=1)
def digits_space() -> LatentSpace:
    "The space of the digits: their VAE, measured on the 1,000 training digits."
    return LatentSpace.measure(digits_vae().model, load_digits("train"))


def digits_latents() -> CachedLatents:
    "The latents of the 1,000 training digits, in the user's cache folder."
    data = load_digits("train")
    space = digits_space()
    kind = json.dumps(manifest_of(data, space, flip=False, shard=1000), sort_keys=True)
    name = f"latents-{hashlib.sha256(kind.encode()).hexdigest()[:12]}" # one for each version
    return cache_latents(data, space, cache_folder() / name, shard=1000, progress=False)


def train_latent_digits(out, # run folder
                        seed: int=0,
                        **kwargs): # for `fit`
    "Train the latent network of the digits into the run folder `out`."
    return train_latents(digits_latents(), cosine_schedule(), seed=seed, out=out, **kwargs)


def latent_digits_model() -> Trained:
    "The trained latent network of the digits, as it ships with the package."
    return load_shipped("latent")
