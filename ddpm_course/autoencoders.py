"Autoencoders for images: trained here, or pretrained ones of diffusers."

import hashlib, inspect, json
from pathlib import Path

import torch
from torch import nn

from .data import image_folder
from .interop import from_extra
from .kinds import described, reals, whole
from .models import register
from .saving import load_model
from .training import fit
from .unet_inputs import A_WIDTH, SOME_WIDTHS
from .vae import VAE, VAELoss, check_latents, check_sides, reparameterize


def fingerprint(vae) -> str:
    "16 hex digits of SHA-256 over an autoencoder's config and weights, on any device."
    about = [type(vae).__name__, getattr(vae, "chosen", vae.config)]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, value in sorted(vae.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def map_batches(f, # rows -> rows
                x, # (N, ...)
                batch: int): # rows at a time
    "f over slices of x, put together again; in smaller ones where a GPU is too small."
    try: return torch.cat([f(part) for part in x.split(batch)])
    except torch.OutOfMemoryError:
        if batch == 1: raise
    torch.cuda.empty_cache() # out here: within "except" the traceback still holds on to it
    return map_batches(f, x, batch // 2)


def an_autoencoder(value, name):
    "The kind of autoencoders: networks with encode, decode, latent_channels and factor."
    if all(hasattr(value, key) for key in ("encode", "decode", "latent_channels", "factor")):
        return value
    raise TypeError(f"{name}={described(value)}; expected a VAE or an Autoencoder, such as "
                    "digits_vae().model or load_autoencoder()")


def check_channels(name, value, vae):
    "One number for each latent channel, float64 (C,), or a ValueError."
    value = reals(value, name).flatten()
    if len(value) != vae.latent_channels or not (value.abs() <= 1e9).all():
        raise ValueError(f"{name}: got {value.tolist()}; expected one finite number for each of "
                         f"the {vae.latent_channels} latent channels")
    return value


def check_size(x, shape, name, what):
    "ValueError unless images or latents (B, *shape) are as large as a space expects."
    if x.shape[1:] != shape:
        raise ValueError(f"{name}: got {tuple(x.shape[1:])}; this space {what} {shape}")


BACKBONES = {"vgg": "VGG16_Weights", "alex": "AlexNet_Weights", "squeeze": "SqueezeNet1_1_Weights"}


class Perceptual:
    "LPIPS per image: how far apart two images are for a recognition network (Zhang et al. 2018)."
    def __init__(self, backbone: str="vgg"): # "vgg" (528 MB), "alex" (233) or "squeeze" (5)
        import torchvision
        LPIPS = from_extra("torchmetrics.image.lpip").LearnedPerceptualImagePatchSimilarity
        if backbone not in BACKBONES:
            raise ValueError(f"backbone={backbone!r}; expected one of {', '.join(BACKBONES)}")
        self.__name__ = f"Perceptual({backbone!r})" # by which `fit` tells one loss from another
        url = getattr(torchvision.models, BACKBONES[backbone]).DEFAULT.url
        place = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        try: self.net = LPIPS(backbone).net.requires_grad_(False)
        except Exception as e:
            raise OSError(f"the weights of LPIPS ({backbone}) could not be had "
                          f"({type(e).__name__}: {e}); fetch {url} yourself and put it at {place}, "
                          "or train without a perceptual loss") from e

    def __call__(self, x, x_hat): # (B, 1 or 3, H, W) in [-1, 1]
        "Distances (B,), with gradients to x_hat."
        if min(x.shape[-2:]) < 32:
            raise ValueError(f"images: got {tuple(x.shape[-2:])}; LPIPS expects sides of 32 "
                             "or more")
        self.net.to(x.device)
        in_color = (images.float().expand(-1, 3, -1, -1) for images in (x, x_hat))
        return self.net(*in_color).flatten(1).mean(1)


def train_vae(data, # `Images`, or a folder with one folder of images a class
              out, # run folder; the trained VAE is left in out/model
              *, size: int=None, # for a folder: centered square cut and resized to size x size
              latent_channels: int=4, # of the `VAE`
              channels=(32, 64, 128, 128), # four widths shrink each side 8 times
              layers: int=1, # of the `VAE`
              groups: int=8, # of the `VAE`
              kl_weight: float=0.01, # of the `VAELoss`
              perceptual=None, # of the `VAELoss`
              perceptual_weight: float=0.1, # of the `VAELoss`
              steps: int=20_000, # optimizer steps
              **kwargs): # for `fit`
    "A `VAE` of images; stops and resumes as `fit` does. None if `stop_at` left it unfinished."
    data = data if hasattr(data, "batch") else image_folder(data, size, flip=True)
    torch.manual_seed(kwargs.get("seed", 0))
    vae = VAE(data.shape[0], latent_channels, channels, layers, groups)
    check_sides(torch.empty(1, *data.shape), vae) # now, rather than after the first checkpoint
    loss = VAELoss(kl_weight, perceptual, perceptual_weight)
    options = {"batch_size": 32, "lr": 1e-3, "ema_halflife": 20_000, "clip": None} | kwargs
    run = fit(vae, data, loss, out=out, steps=steps, **options)
    return load_model(Path(out) / "model").model if run.step == steps else None


def check_kl(config): # {name: value}
    "Arguments of an AutoencoderKL, or an error where one would be too large or too deep to build."
    widths = SOME_WIDTHS(config.get("block_out_channels", (64,)), "block_out_channels")
    layers = whole(1, 64)(config.get("layers_per_block", 1), "layers_per_block")
    for name in ("in_channels", "out_channels", "latent_channels", "norm_num_groups"):
        A_WIDTH(config.get(name, 1), name)
    if len(widths) > 10 or len(widths) * layers > 256:
        raise ValueError(f"block_out_channels: got {len(widths)} levels of {layers} layers; "
                         "expected at most 10 levels, and 256 layers in all of them")
    return config


@register
class Autoencoder(nn.Module):
    "diffusers' `AutoencoderKL` with the contract of `VAE`."
    predicts = num_classes = None

    def __init__(self, net=None, # an AutoencoderKL; made anew from the config if None
                 **config): # of AutoencoderKL
        super().__init__()
        AutoencoderKL = from_extra("diffusers").AutoencoderKL
        self.net = AutoencoderKL(**check_kl(config)) if net is None else net
        kept = {k: v for k, v in self.net.config.items() if not k.startswith("_")}
        self.config = json.loads(json.dumps(kept))
        parameters = inspect.signature(AutoencoderKL.__init__).parameters.values()
        default = {p.name: json.dumps(p.default) for p in parameters if p.default is not p.empty}
        # a newer diffusers has more options, all at their defaults
        self.chosen = {k: v for k, v in self.config.items() if json.dumps(v) != default.get(k)}
        self.latent_channels = self.config["latent_channels"]
        self.factor = 2 ** (len(self.config["block_out_channels"]) - 1)
        self.scaling_factor = self.config["scaling_factor"]
        self.shift_factor = self.config.get("shift_factor")

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


HUB = ("subfolder", "revision", "cache_dir", "token", "proxies", "force_download",
       "local_files_only") # where to look, not what to make of it
HINT = ("pass the folder of an AutoencoderKL (config.json, diffusion_pytorch_model.safetensors), "
        "connect once to the hub, which keeps a copy; of a whole pipeline, pass subfolder='vae'")


def check_is_autoencoder(cls, source, where, options):
    "OSError where there is no config to be had, ValueError where it describes something else."
    try: config = cls.load_config(source, **{k: v for k, v in options.items() if k in HUB})
    except OSError as e:
        raise OSError(f"no autoencoder {where}: not a folder with a config.json, and not to be had "
                      f"from the hub ({str(e.__context__ or e)[:250]}); {HINT}") from e
    found = config.get("_class_name", "model of unknown class")
    if found != "AutoencoderKL":
        raise ValueError(f"{where} holds a {found}, not an AutoencoderKL; {HINT}; load_model reads "
                         "the folders of this course")


def load_autoencoder(source="stabilityai/sd-vae-ft-mse", # repository on the hub, or a folder
                     **kwargs): # for from_pretrained: subfolder, revision, torch_dtype, ...
    "A pretrained autoencoder of diffusers, in evaluation mode and without gradients."
    AutoencoderKL = from_extra("diffusers").AutoencoderKL
    source = str(source)
    where = "/".join([source, *filter(None, [kwargs.get("subfolder")])])
    check_is_autoencoder(AutoencoderKL, source, where, kwargs)
    try: net, info = AutoencoderKL.from_pretrained(source, output_loading_info=True, **kwargs)
    except Exception as e:
        raise OSError(f"the weights of {where} cannot be read ({type(e).__name__}: "
                      f"{str(e)[:300]}); {HINT}") from e
    if lacks := sorted(info["missing_keys"]):
        raise ValueError(f"the weights of {where} lack {len(lacks)} of the layers that its "
                         f"config.json describes, such as {lacks[0]}")
    return Autoencoder(net).eval().requires_grad_(False)
