"Autoencoders for images: trained here, or pretrained ones of diffusers."

import hashlib
import inspect
import json
from pathlib import Path

import torch
from torch import nn

from .data import image_folder
from .models import register
from .saving import load_model
from .training import fit
from .vae import VAE, VAELoss, check_latents, check_sides, reparameterize


def fingerprint(vae):
    "16 hex digits of SHA-256 that say which autoencoder this is: its config and its weights, on whatever device they are."
    digest = hashlib.sha256(json.dumps([type(vae).__name__, getattr(vae, "chosen", vae.config)], sort_keys=True).encode())
    for name, value in sorted(vae.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


class Perceptual:
    "LPIPS per image: how far apart two images are for a network that was trained to recognize things (Zhang et al. 2018)."
    def __init__(self, backbone="vgg"): # "vgg" (528 MB), "alex" (233 MB) or "squeeze" (5 MB); the weights are downloaded once
        import torchvision
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
        names = {"vgg": "VGG16_Weights", "alex": "AlexNet_Weights", "squeeze": "SqueezeNet1_1_Weights"}
        if backbone not in names: raise ValueError(f"backbone={backbone!r}; expected one of {', '.join(names)}")
        url = getattr(torchvision.models, names[backbone]).DEFAULT.url
        self.__name__ = f"Perceptual({backbone!r})" # by which `fit` tells one loss from another
        place = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        try: self.net = LearnedPerceptualImagePatchSimilarity(backbone).net.requires_grad_(False)
        except Exception as e: raise OSError(f"the weights of LPIPS ({backbone}) could not be had ({type(e).__name__}: {e}); fetch {url} yourself and put it at {place}, or train without a perceptual loss") from e

    def __call__(self, x, x_hat): # (B, 1 or 3, H, W) in [-1, 1]
        "Distances (B,), with gradients to x_hat."
        if min(x.shape[-2:]) < 32: raise ValueError(f"images: got {tuple(x.shape[-2:])}; LPIPS expects sides of 32 or more")
        self.net.to(x.device)
        return self.net(x.expand(-1, 3, -1, -1), x_hat.expand(-1, 3, -1, -1)).flatten(1).mean(1)


def train_vae(data, # `Images`, or a folder with one folder of images a class
              out, # run folder; the trained VAE is left in out/model
              *, size=None, # of the images, for a folder: centered square cut and resized to size x size
              latent_channels=4, channels=(32, 64, 128, 128), layers=1, groups=8, # of the `VAE`; four widths shrink each side 8 times
              kl_weight=0.01, perceptual=None, perceptual_weight=0.1, # of the `VAELoss`
              steps=20_000, batch_size=32, lr=1e-3, ema_halflife=20_000, **kwargs): # for `fit`
    "A `VAE` of images, trained with reconstruction and KL; stops and resumes as `fit` does. None if `stop_at` left it unfinished."
    data = data if hasattr(data, "batch") else image_folder(data, size, flip=True)
    torch.manual_seed(kwargs.get("seed", 0))
    vae = VAE(data.shape[0], latent_channels, channels, layers, groups)
    check_sides(torch.empty(1, *data.shape), vae) # now, rather than after the first checkpoint
    run = fit(vae, data, VAELoss(kl_weight, perceptual, perceptual_weight), out=out, steps=steps, batch_size=batch_size, lr=lr, ema_halflife=ema_halflife, clip=None, **kwargs)
    return load_model(Path(out) / "model").model if run.step == steps else None


@register
class Autoencoder(nn.Module):
    "diffusers' `AutoencoderKL` with the contract of `VAE`."
    predicts, num_classes = None, None

    def __init__(self, net=None, # an AutoencoderKL; made anew from the config if None
                 **config): # of AutoencoderKL
        super().__init__()
        from diffusers import AutoencoderKL
        self.net = AutoencoderKL(**config) if net is None else net
        self.config = json.loads(json.dumps({k: v for k, v in self.net.config.items() if not k.startswith("_")}))
        default = {k: json.dumps(p.default) for k, p in inspect.signature(AutoencoderKL.__init__).parameters.items() if p.default is not p.empty}
        self.chosen = {k: v for k, v in self.config.items() if json.dumps(v) != default.get(k)} # a newer diffusers has more options, all at their defaults
        self.latent_channels, self.factor = self.config["latent_channels"], 2 ** (len(self.config["block_out_channels"]) - 1)
        self.scaling_factor, self.shift_factor = self.config["scaling_factor"], self.config.get("shift_factor")

    def encode(self, x): # (B, C, H, W) in [-1, 1]
        "(mean, logvar) of the latents, float32, as the network makes them: not scaled."
        posterior = self.net.encode(check_sides(x, self).to(self.net.dtype)).latent_dist
        return posterior.mean.float(), posterior.logvar.float()

    def decode(self, z): # (B, latent_channels, h, w), not scaled
        "Images (B, C, h*factor, w*factor), nominally in [-1, 1]."
        return self.net.decode(check_latents(z, self).to(self.net.dtype)).sample.float()

    def forward(self, x, rng):
        "(x_hat, mean, logvar), as training needs them."
        mean, logvar = self.encode(x)
        return self.decode(reparameterize(mean, logvar, rng)), mean, logvar


HUB = ("subfolder", "revision", "cache_dir", "token", "proxies", "force_download", "local_files_only") # where to look, not what to make of it


def load_autoencoder(source="stabilityai/sd-vae-ft-mse", # repository on the Hugging Face hub, or a folder
                     **kwargs): # for diffusers' from_pretrained: subfolder, revision, torch_dtype, local_files_only, ...
    "A pretrained autoencoder of diffusers as an `Autoencoder`, in evaluation mode and without gradients."
    from diffusers import AutoencoderKL
    where = f"{source}{'/' + kwargs['subfolder'] if 'subfolder' in kwargs else ''}"
    hint = "pass the folder of an AutoencoderKL (config.json, diffusion_pytorch_model.safetensors), connect once to the hub, which keeps a copy; of a whole pipeline, pass subfolder='vae'"
    try: config = AutoencoderKL.load_config(str(source), **{k: v for k, v in kwargs.items() if k in HUB})
    except OSError as e: raise OSError(f"no autoencoder {where}: not a folder with a config.json, and not to be had from the hub ({str(e.__context__ or e)[:250]}); {hint}") from e
    if config.get("_class_name") != "AutoencoderKL":
        raise ValueError(f"{where} holds a {config.get('_class_name', 'model of unknown class')}, not an AutoencoderKL; {hint}; load_model reads the folders of this course")
    try: net, info = AutoencoderKL.from_pretrained(str(source), output_loading_info=True, **kwargs)
    except Exception as e: raise OSError(f"the weights of {where} cannot be read ({type(e).__name__}: {str(e)[:300]}); {hint}") from e
    if lacks := sorted(info["missing_keys"]): raise ValueError(f"the weights of {where} lack {len(lacks)} of the layers that its config.json describes, such as {lacks[0]}")
    return Autoencoder(net).eval().requires_grad_(False)
