"""Model folders with one thing wrong: what may a file say, and what does it do to a reader?

`python tests/hostile.py [variants] [seed]` prints how many were refused, how many loaded, and each
that did neither well."""

import copy
import json
import math
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from ddpm_course.autoencoders import Autoencoder
from ddpm_course.classifiers import ResNet
from ddpm_course.ddim import ddim_sample
from ddpm_course.latents import LatentSpace
from ddpm_course.models import condition
from ddpm_course.noising import cosine_schedule
from ddpm_course.saving import load_model, save_model
from ddpm_course.unet import UNet
from ddpm_course.vae import VAE

SECONDS = 2
MEGABYTES = 500
NUMBERS = [
    *(None, True, False, "x", "", "1", -1, 0, 1, 2, 3, 2.5, 1e-300, 1e300, math.inf, math.nan),
    *(10**9, 10**30, [], {}, [None], [1, 2], [[1]], {"a": 1}, "../../etc/passwd", "os.system"),
]
TEXTS = [
    *("", "{", "[" * 100_000, '{"a":' * 100_000, "null", "[]", "3", "NaN", "\ufeff{}", "\x00" * 50),
    *('{"format": 1}', '{"format": 1' + "0" * 5000 + "}", "x" * 1000, '"' + "a" * 11_000_000 + '"'),
]


def made(folder):
    "Folders as the course writes them: {name: path}."
    torch.manual_seed(0)
    unet = UNet(1, (8, 16), 1, (False, True), num_classes=3, groups=4)
    for p in unet.parameters():
        torch.nn.init.normal_(p, std=0.1)
    about = dict(shape=(1, 8, 8), classes=["a", "b", "c"], levels=16, label_drop=0.1)
    save_model(folder / "unet", unet, cosine_schedule(40), ema=unet, **about)
    v = UNet(2, (8,), 1, (False,), predicts="v", groups=4, learn_variance=True)
    save_model(folder / "v", v, cosine_schedule(40), ema=v, shape=(2, 4, 4), clip=None)
    vae = VAE(1, 2, (8, 16), groups=4)
    LatentSpace(vae, [0, 0.5], [1, 2], (1, 8, 8)).save(folder / "space")
    net = ResNet("small", 3, 4, width=4)
    save_model(folder / "resnet", net, ema=net, shape=(3, 8, 8))
    down, up = ["DownEncoderBlock2D"] * 2, ["UpDecoderBlock2D"] * 2
    blocks = dict(down_block_types=down, up_block_types=up)
    kl = Autoencoder(**blocks, block_out_channels=[8, 8], latent_channels=2, norm_num_groups=4)
    LatentSpace(kl, [0, 0.5], [1, 2], (3, 8, 8)).save(folder / "kl")
    return {name: folder / name for name in ("unet", "v", "space", "resnet", "kl")}


# ---- what is changed ----


def places(value, path=()):
    "The paths to all entries within a description; of long lists, to some."
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) // 2, len(value) - 1} if value else ()):
            yield from places(value[i], (*path, i))


def entry_changed(config, rng):
    config = copy.deepcopy(config)
    *path, last = rng.choice([p for p in places(config) if p[0] != "training"])
    inner = config
    for key in path:
        inner = inner[key]
    how = rng.random()
    if how < 0.1:
        del inner[last]
    elif how < 0.15 and isinstance(inner, dict):
        inner[f"{last}s"] = inner[last]
    elif how < 0.25 and isinstance(inner[last], list):
        inner[last] = rng.choice([inner[last] * 1000, inner[last][::-1], inner[last][:1]])
    else:
        inner[last] = copy.deepcopy(rng.choice(NUMBERS))
    return json.dumps(config)


def text_changed(text, rng):
    how = rng.random()
    if how < 0.5:
        return rng.choice(TEXTS)
    if how < 0.7:
        return text[: rng.randrange(len(text))]
    i = rng.randrange(len(text))
    return text[:i] + rng.choice('{}[]",:0-e\\\x00\u00e9') + text[i + 1 :]


def bombs(config, rng):
    "Descriptions of networks that no machine could build."
    arguments = dict(config["arguments"])
    key = rng.choice([k for k in arguments if k != "name"])
    big = [10**9, [4096, 16], [2**15] * 30, [4096] * 2, 2**15, [10**9], 64, [8] * 1000]
    return json.dumps(config | {"arguments": arguments | {key: rng.choice(big)}})


KINDS = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)
KINDS += (torch.complex64, torch.float8_e4m3fn)


def weights_changed(state, rng):
    state = dict(state)
    name = rng.choice(sorted(state))
    value = state[name]
    how = rng.randrange(8)
    if how == 0:
        state = {n: v.to(kind) for kind in [rng.choice(KINDS)] for n, v in state.items()}
    elif how == 1:
        state[name] = value.to(rng.choice(KINDS))
    elif how == 2 and value.is_floating_point() and value.numel():
        value = value.clone()
        value.view(-1)[0] = rng.choice([math.nan, math.inf, -math.inf, 1e30, 1e8, -1e4])
        state[name] = value
    elif how == 3:
        flat = value.flatten()
        state[name] = rng.choice([value[None], flat[:-1], flat, flat[:0], flat.repeat(2)])
    elif how == 4:
        del state[name]
    elif how == 5:
        state[rng.choice(["more", "mid.0", "", f"{name}2"])] = state.pop(name)
    elif how == 6:
        state = {n: v * rng.choice([0, 1e3, 1e12]) for n, v in state.items()}
    else:
        state = {n: torch.zeros_like(v) for n, v in state.items()}
    return save({n: v.contiguous() for n, v in state.items()})


def bytes_changed(data, rng):
    how = rng.randrange(5)
    header = int.from_bytes(data[:8], "little")
    if how == 0:
        return data[: rng.randrange(len(data))]
    if how == 1:
        return rng.choice([2**63, 2**62, 10**9, 0, header - 1]).to_bytes(8, "little") + data[8:]
    if how == 2:
        return data + b"more"
    at = rng.randrange(8, 8 + header) if how == 3 else rng.randrange(8 + header, len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def replaced(file, rng):
    "Something in place of a file that is no file, or not there."
    file.unlink()
    how = rng.randrange(4)
    if how == 0:
        file.mkdir()
    elif how == 1:
        file.symlink_to(file.name)
    elif how == 2:
        file.symlink_to("/dev/zero")
    return how


def spoil(folder, rng):
    "Change one thing in a model folder; says what."
    inner = folder / "vae" if (folder / "vae").exists() else folder
    config, weights = inner / "config.json", next(iter(sorted(inner.glob("*.safetensors"))))
    text, data = config.read_text(), weights.read_bytes()
    how = rng.choices(range(6), [10, 2, 2, 4, 2, 1])[0]
    if how == 0:
        config.write_text(entry_changed(json.loads(text), rng))
    elif how == 1:
        config.write_text(text_changed(text, rng))
    elif how == 2:
        config.write_text(bombs(json.loads(text), rng))
    elif how == 3:
        weights.write_bytes(weights_changed(load_file(weights), rng))
    elif how == 4:
        weights.write_bytes(bytes_changed(data, rng))
    else:
        return f"replaced {replaced(rng.choice([config, weights]), rng)}"
    if 0 < how < 3 or config.read_text() != text:
        return f"config: {config.read_text()[:400]}"
    return f"weights, way {how}"


# ---- what a reader does with it ----


def use(folder):
    "Load a folder and draw from it: the tensor that comes out."
    if (folder / "vae").exists():
        space = LatentSpace.load(folder)
        return space.decode(space.encode(torch.zeros(2, *space.image_shape)))
    trained = load_model(folder)
    model = trained.model
    if trained.shape is None or trained.schedule is None:
        return torch.cat([p.flatten().float() for p in model.parameters()])
    bound = model if model.num_classes is None else condition(model.float(), 0)
    shape, T = (2, *trained.shape), len(trained.schedule)
    return ddim_sample(bound, trained.schedule, shape, min(3, T), seed=0, clip=trained.clip)


def told(e, folder):
    "Does an error name the folder, a file in it, and what was expected of an entry?"
    says = str(e)
    named = str(folder) in says and any(n in says for n in ("config.json", ".safetensors"))
    sampled = "alpha_bar" in says or "sampled images" in says
    return isinstance(e, (ValueError, OSError, FloatingPointError)) and (named or sampled)


def tried(base, rng, work):
    "(what was changed, how it ended, seconds) of one hostile folder."
    folder = work / "hostile"
    shutil.copytree(base, folder, symlinks=True)
    try:
        what = spoil(folder, rng)
        began = time.perf_counter()
        try:
            end = "loaded" if use(folder).isfinite().all() else "not finite"
        except Exception as e:
            end = "refused" if told(e, folder) else f"{type(e).__name__}: {str(e)[:300]}"
        return what, end, time.perf_counter() - began
    finally:
        shutil.rmtree(folder)


def attack(variants, seed=0):
    "(how many ended in which way, what is wrong) of that many hostile folders."
    ends, faults = Counter(), []
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        bases = list(made(work / "good").values())
        for base in bases:
            assert use(base).isfinite().all()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(variants):
            rng = random.Random(1_000_003 * seed + i)
            what, end, seconds = tried(rng.choice(bases), rng, work)
            ends[end if end in ("loaded", "refused") else "fault"] += 1
            used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) / 1000
            if end not in ("loaded", "refused"):
                faults.append(f"{i}: {what}: {end}")
            slow = seconds > (SECONDS if end == "refused" else 10 * SECONDS)
            if slow or used > MEGABYTES:
                faults.append(f"{i}: {what}: {seconds:.1f} s, {used:.0f} MB")
                most += 1000 * used
    return ends, faults


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    found, wrong = attack(*(given or [400]))
    print(dict(found), *wrong, sep="\n")
