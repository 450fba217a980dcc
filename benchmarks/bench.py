"""Speed against diffusers, side by side in one run: `python benchmarks/bench.py --out bench.json`.

Same network (the 35.7-million-parameter U-Net of CIFAR-10), same weights, same inputs; times are
medians of rounds in which every competitor has its turn (samplers: at every step), ratios are
medians of the ratios within a round. Two columns of diffusers: "shipped" is its model, EMAModel and
torch's AdamW as they come, in float32; "switched" has our switches too (images laid out as ours,
fused AdamW, foreach EMA, bf16 where we use it)."""

import argparse, datetime, inspect, json, math, os, platform, random, statistics, subprocess, sys
import tempfile, time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

CIFAR10 = dict(
    sample_size=32,
    in_channels=3,
    out_channels=3,
    freq_shift=1,
    flip_sin_to_cos=False,
    downsample_padding=0,  # google/ddpm-cifar10-32
    down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    block_out_channels=(128, 256, 256, 256),
    layers_per_block=2,
    attention_head_dim=None,
    norm_num_groups=32,
    norm_eps=1e-6,
)
SMALL = dict(
    in_channels=1, channels=(32, 64), layers=1, attention=(False, True), groups=8
)  # 0.7 million parameters
DIT_S2 = dict(
    sample_size=32,
    in_channels=4,
    out_channels=8,
    patch_size=2,
    num_attention_heads=6,
    attention_head_dim=64,
    num_layers=12,
    num_embeds_ada_norm=1000,
)
WHO = ("ours", "shipped", "switched")
DECIDE = WHO[:2]  # what `speed` is a ratio of; a quick run has no third column


def sync(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleaved(
    calls,  # {name: function without arguments}
    rounds,  # how many turns each one has, after one to warm up
    device,
):
    "Seconds of every turn, {name: [rounds]}; the order turns around every round."
    seconds, names = {name: [] for name in calls}, list(calls)
    for i in range(rounds + 1):
        for name in names if i % 2 else reversed(names):
            sync(device)
            began = time.perf_counter()
            calls[name]()
            sync(device)
            if i > 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(above, below):
    "Median over the rounds of above/below."
    return statistics.median(a / b for a, b in zip(above, below))


class Setup:
    "One competitor's network with its switches, and its training step."

    channels = 3

    def __init__(
        self, who, bf16, compile, device, weights=None
    ):  # weights: the diffusers model to start from; new ones if None
        self.who, self.device, self.fast = who, device, who != "shipped"
        self.model = self.build(weights).to(device)
        self.compute_in(bf16)
        net = torch.compile(self.model) if compile and self.fast else self.model
        self.net = self.call(net)

    def compute_in(self, bf16):
        "Float32 or bfloat16, with images and weights laid out as `fit` does it there."
        from ddpm_course.devices import image_layout

        self.bf16 = bf16 and self.fast
        layout = image_layout(self.device, "bf16" if bf16 else "no")
        self.layout = layout if self.fast else torch.contiguous_format
        self.model.to(memory_format=self.layout)

    def call(self, net):
        return net if self.who == "ours" else lambda x, t: net(x, t).sample

    def build(self, weights):
        if self.who == "ours":
            from ddpm_course.unet import UNet

            return UNet() if weights is None else UNet.from_diffusers(weights)
        from diffusers import UNet2DModel

        model = UNet2DModel(**CIFAR10)
        if weights is not None:
            model.load_state_dict(weights.state_dict())
        return model

    def forward(self, x, t):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.net(x.to(memory_format=self.layout), t).float()

    @torch.no_grad()
    def infer(self, x, t):
        return self.forward(x, t)

    def start_training(self):
        fast = self.fast
        self.model.train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=2e-4, **{"fused": True} if fast else {}
        )
        if self.who == "ours":
            from ddpm_course.training import EMA

            ema = EMA(self.model, halflife=500_000)
            self.update_ema = lambda: ema.update(self.model, 1_000_000, 8)
        else:
            from diffusers.training_utils import EMAModel

            ema = EMAModel(self.model.parameters(), decay=0.9999, foreach=fast)
            ema.to(self.device)
            self.update_ema = lambda: ema.step(self.model.parameters())

    def train(self, x, t, eps):
        "Forward, backward, clip, AdamW, EMA."
        F.mse_loss(self.forward(x, t), eps).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.update_ema()


def inputs(batch, device, channels=3):
    rng = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, batch, channels, 32, 32, generator=rng).to(device)
    return x, torch.randint(1000, (batch,), generator=rng).to(device), eps


class DiTSetup(Setup):
    "The same for DiT-S/2, on latents and labels; the variance is no part of the loss."

    channels, layers = 4, 12

    def call(self, net):
        y = lambda x: torch.full((len(x),), 7, device=x.device)
        if self.who == "ours":
            return lambda x, t: net(x, t, y(x))
        return lambda x, t: net(x, timestep=t, class_labels=y(x)).sample

    def build(self, weights):
        from ddpm_course.transformer import DiT, dit_config

        if self.who != "ours":
            from diffusers import DiTTransformer2DModel

            model = DiTTransformer2DModel(**DIT_S2 | {"num_layers": self.layers})
            if weights is not None:
                model.load_state_dict(weights.state_dict())
            return model
        if weights is not None:
            return DiT.from_diffusers(weights)
        size = dit_config("S/2") | {"depth": self.layers}
        return DiT(**size, num_classes=1000, learn_variance=True)

    def forward(self, x, t):
        return super().forward(x, t)[:, : self.channels]


class ShortDiTSetup(DiTSetup):
    "A third of its blocks, for a quick run."

    layers = 4


SETUPS = {"unet": Setup, "dit": DiTSetup, "short-dit": ShortDiTSetup}


def row(what, goal, value, unit, met, **more):
    """One line of the table; `speed` in it, where there is one, is how many times faster than the
    yardstick we are."""
    return dict(what=what, goal=goal, value=value, unit=unit, met=met, **more)


def against(what, least, seconds, batch):
    "A row of times: ours against both columns of diffusers."
    value = ratio(seconds["shipped"], seconds["ours"])
    return row(
        what,
        f"at least {least}x",
        value,
        "x as shipped",
        value >= least,
        speed=value,
        **{k: ratio(seconds[k], seconds["ours"]) for k in seconds if k == "switched"},
        seconds={k: statistics.median(v) for k, v in seconds.items()},
        images_per_s={k: batch / statistics.median(v) for k, v in seconds.items()},
    )


def network_rows(people, rounds, batch, device, compile, bf16):
    "Forward and training step, in float32 on a CPU, and with automatic precision."
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    weights, (x, t, eps) = UNet2DModel(**CIFAR10).eval(), inputs(batch, device)
    how, cuda = ("bf16" if bf16 else "float32") + ", compiled" * compile, device.type == "cuda"
    first = bf16 and cuda  # on a CPU the rows of the table are in float32, then comes one in bf16
    setups = {who: Setup(who, first, compile, device, weights) for who in people}
    if not first:
        a, b = setups["ours"].infer(x, t), setups["shipped"].infer(x, t)
        assert (a - b).abs().max() <= 1e-5 * max(1, b.abs().max()), (
            f"the networks disagree by {(a - b).abs().max():.1e}: nothing to compare"
        )
    yield against(
        f"forward, {how if first else 'float32'}",
        1.25,
        interleaved({k: partial(s.infer, x, t) for k, s in setups.items()}, rounds, device),
        batch,
    )
    for s in setups.values():
        s.start_training()
    steps = {k: partial(s.train, x, t, eps) for k, s in setups.items()}
    yield against(
        f"training step, {how if first else 'float32'}",
        1.15,
        interleaved(steps, rounds, device),
        batch,
    )
    if first:
        return
    if not bf16:
        yield row(
            "training step, automatic precision",
            "at least 1.4x",
            None,
            "",
            None,
            note="this machine has no fast bf16: automatic precision is float32, the row above",
        )
        return
    for s in setups.values():
        s.compute_in(bf16)
        s.start_training()  # moments are laid out as weights are
    least = 2.5 if torch.cpu._is_amx_tile_supported() else 1.4  # AVX512-BF16 has no matrix units
    yield against(
        "training step, automatic precision (bf16)",
        least,
        interleaved(steps, rounds, device),
        batch,
    )


def probe(code, *args):
    "The number that a fresh Python process prints."
    out = subprocess.run(
        [sys.executable, __file__, "--probe", code, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
    )
    if out.returncode:
        raise RuntimeError(f"probe {code} {args} failed:\n{out.stderr}")
    return float(out.stdout.split()[-1])


def resident(field):
    "VmRSS (now) or VmHWM (the highest since it was reset) of this process, in bytes; Linux only."
    return next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(field)
    )


def memory_probe(kind, who, batch, device, bf16, compile, threads):
    "Bytes that training takes above the loaded model, at its highest."
    torch.set_num_threads(int(threads))
    torch.optim.AdamW(
        [torch.zeros(1, requires_grad=True)]
    )  # loads modules that count as the library's own memory
    device = torch.device(device)
    setup, (x, t, eps) = (
        SETUPS[kind](who, bf16 == "True", compile == "True", device),
        inputs(int(batch), device, SETUPS[kind].channels),
    )
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        before = resident("VmRSS")
    setup.start_training()
    for _ in range(2):  # the second has the optimizer's state, too
        setup.train(x, t, eps)
    return (
        torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident("VmHWM")
    ) - before


def import_probe(statement):
    "Seconds that an import takes once torch is there."
    began = time.perf_counter()
    exec(statement)
    return time.perf_counter() - began


def memory_used(kind, people, batch, device, bf16, compile, threads):
    "{who: bytes that training takes above the loaded model}, or None where it is not measured."
    if device.type == "cpu" and not Path("/proc/self/clear_refs").exists():
        return None
    half = bf16 and device.type == "cuda"
    args = batch, device, half, compile, threads
    return {who: probe("memory", kind, who, *args) for who in people}


def memory_row(people, batch, device, bf16, compile, threads):
    used = memory_used("unet", people, batch, device, bf16, compile, threads)
    if used is None:
        return row(
            "peak memory of a training step",
            "at most 0.80x",
            None,
            "",
            None,
            note="measured on Linux only",
        )
    value = used["ours"] / used["shipped"]
    return row(
        "peak memory of a training step, over the model's own",
        "at most 0.80x",
        value,
        "x as shipped",
        value <= 0.8,
        speed=1 / value,
        **{k: used["ours"] / used[k] for k in used if k == "switched"},
        megabytes={k: v / 1e6 for k, v in used.items()},
    )


def dit_rows(rounds, quick, batch, device, compile, bf16, threads):
    """DiT-S/2 on latents against diffusers' with the same switches: forward, training step, memory;
    quick: with a third of its blocks."""
    kind, name = ("short-dit", "DiT-S/2, 4 blocks,") if quick else ("dit", "DiT-S/2")
    torch.manual_seed(0)
    weights = SETUPS[kind]("switched", False, False, torch.device("cpu")).model.eval()
    x, t, eps = inputs(batch, device, 4)
    first, *others = (block.norm1.emb for block in weights.transformer_blocks)
    for emb in others:
        emb.load_state_dict(first.state_dict())
    for p in weights.parameters():  # else both answer zero
        if not p.any():
            torch.nn.init.normal_(p, std=0.02)
    people, half = ("ours", "switched"), bf16 and device.type == "cuda"
    setups = {who: SETUPS[kind](who, half, compile, device, weights) for who in people}
    for s in setups.values():
        s.model.eval()
    if not half:
        a, b = setups["ours"].infer(x, t), setups["switched"].infer(x, t)
        assert (a - b).abs().max() <= 1e-4 * b.abs().max(), "the networks disagree"
    how = ("bf16" if half else "float32") + ", compiled" * compile

    def against_switched(what, least, calls):
        seconds = interleaved(calls, rounds, device)
        value = ratio(seconds["switched"], seconds["ours"])
        unit, medians = "x, same switches", {k: statistics.median(v) for k, v in seconds.items()}
        goal = f"at least {least}x"
        return row(what, goal, value, unit, value >= least, speed=value, seconds=medians)

    calls = {k: partial(s.infer, x, t) for k, s in setups.items()}
    yield against_switched(f"{name} forward, {how}", 1.1, calls)
    for s in setups.values():
        s.start_training()
    calls = {k: partial(s.train, x, t, eps) for k, s in setups.items()}
    yield against_switched(f"{name} training step, {how}", 1.05, calls)
    used = memory_used(kind, people, batch, device, bf16, compile, threads)
    what, goal = f"peak memory, {name} training step", "at most 0.85x"
    if used is None:
        yield row(what, goal, None, "", None, note="measured on Linux only")
        return
    value, megabytes = used["ours"] / used["switched"], {k: v / 1e6 for k, v in used.items()}
    yield row(
        what, goal, value, "x, same switches", value <= 0.85, speed=1 / value, megabytes=megabytes
    )


def diffusers_steps(scheduler, model, shape, steps):
    "diffusers' own sampling loop around our network."
    scheduler.set_timesteps(steps)
    x = torch.randn(shape, generator=(rng := torch.Generator().manual_seed(0))).to(
        model.conv_in.weight.device
    )
    random = "generator" in inspect.signature(scheduler.step).parameters
    more = {"generator": rng} if random else {}
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        yield (x := scheduler.step(model(seen, t.expand(len(x)).to(x.device)), t, x, **more)[0])


def in_turns(
    makers,  # {name: function that returns a generator}, all with the same number of steps
    rounds,
    device,
):
    """Seconds of every round, {name: [rounds]}. One step each in turn, so that whatever else the
    machine does meets all of them alike."""
    seconds, names = {name: [] for name in makers}, list(makers)

    def timed(call):
        sync(device)
        began = time.perf_counter()
        result = call()
        sync(device)
        return result, time.perf_counter() - began

    for i in range(rounds + 1):
        running, total = {}, {}
        for name, make in makers.items():
            running[name], total[name] = timed(make)
        while running:
            for name in random.sample(names, len(names)):
                if name in running:  # the turn that ends a generator counts too
                    result, took = timed(lambda: next(running[name], None))
                    total[name] += took
                    if result is None:
                        del running[name]
        if i > 0:
            for name in names:
                seconds[name].append(total[name])
    return seconds


def sampler_row(name, our_steps, scheduler, steps, most, rounds, device, like=None):
    """What a sampler costs over the forwards that it cannot do without: the small network, batch 8,
    8x8; or the network, images and evaluations of `like`."""
    from ddpm_course.noising import linear_schedule
    from ddpm_course.unet import UNet

    like = like or {}
    torch.manual_seed(0)
    model, schedule = UNet(**like.get("network", SMALL)).eval().to(device), linear_schedule()
    shape, nfe = like.get("shape", (8, 1, 8, 8)), like.get("nfe", steps)
    x, ts = (
        torch.randn(shape, device=device),
        list(torch.arange(nfe, device=device)[:, None].expand(-1, shape[0])),
    )
    turns = [ts[i : i + -(-nfe // steps)] for i in range(0, nfe, -(-nfe // steps))]
    with torch.no_grad():  # as in every sampler's own loop
        seconds = in_turns(
            {
                "bare": lambda: ([model(x, t) for t in turn] for turn in turns),
                "ours": lambda: our_steps(model, schedule, shape, steps, seed=0),
                "diffusers": lambda: diffusers_steps(scheduler, model, shape, steps),
            },
            rounds,
            device,
        )
    value = 100 * (ratio(seconds["ours"], seconds["bare"]) - 1)
    return row(
        f"{name}, {steps} steps, over {'as many' if nfe == steps else nfe} bare forwards",
        f"at most +{most}%",
        value,
        "%",
        value <= most,
        speed=ratio(seconds["bare"], seconds["ours"]),
        diffusers=100 * (ratio(seconds["diffusers"], seconds["bare"]) - 1),
        seconds={k: statistics.median(v) for k, v in seconds.items()},
    )


def sampler_rows(rounds, quick, device):
    from diffusers import DDIMScheduler, DDPMScheduler
    from ddpm_course.sampling import ddim_steps, ddpm_steps

    yield sampler_row(
        "DDIM", ddim_steps, DDIMScheduler(timestep_spacing="trailing"), 50, 2, 3 * rounds, device
    )
    yield sampler_row(
        "DDPM",
        ddpm_steps,
        DDPMScheduler(timestep_spacing="trailing"),
        50 if quick else 1000,
        3,
        rounds,
        device,
    )


def solver_rows(rounds, quick, device):
    "The solvers of EDM on the network of CIFAR-10, batch 16; quick: on the small one, 8 of 16x16."
    from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler
    from ddpm_course.sampling import as_denoiser, dpmpp_2m_steps, heun_steps

    like = {"shape": (8, 1, 16, 16)} if quick else {"network": {}, "shape": (16, 3, 32, 32)}
    for name, walk, scheduler, steps, nfe in (
        ("Heun", heun_steps, HeunDiscreteScheduler, 18, 35),
        ("DPM-Solver++(2M)", dpmpp_2m_steps, DPMSolverMultistepScheduler, 20, 20),
    ):
        yield sampler_row(
            name,
            lambda model, schedule, *args, **kwargs: walk(
                as_denoiser(model, schedule), *args, **kwargs
            ),
            scheduler(use_karras_sigmas=True),
            steps,
            2,
            rounds if quick else max(3, rounds // 3),
            device,
            like | {"nfe": nfe},
        )


def import_row(rounds, warm_up=1):
    statements = {
        "ours": "from ddpm_course.sampling import ddim_sample",
        "diffusers": "from diffusers import DDIMScheduler",
    }
    seconds = {k: [] for k in statements}
    for i in range(warm_up + rounds):  # the first round fills the file cache
        for k, s in statements.items():
            seconds[k].append(probe("import", s))
    value = statistics.median(seconds["ours"][warm_up:])
    return row(
        "import of ddim_sample, over import torch",
        "at most +0.1 s",
        value,
        "s",
        value <= 0.1,
        diffusers=statistics.median(seconds["diffusers"][warm_up:]),
    )


def frechet_row(n, rounds, device):
    "The distance of n generated images to 50,000 real ones, from means and covariances."
    from ddpm_course.features import frechet_distance
    from torch_fidelity.metric_fid import fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(2048, 2048, generator=rng) * torch.logspace(0, -2, 2048) / 2048**0.5
    stats = []
    for m in (n, 50_000):
        mean, scatter = torch.zeros(2048).double(), torch.zeros(2048, 2048).double()
        for part in torch.arange(m).split(5000):
            x = (torch.randn(len(part), 2048, generator=rng) @ mix).double()
            mean, scatter = mean + x.sum(0) / m, scatter + x.T @ x
        stats += [mean, (scatter - m * torch.outer(mean, mean)) / (m - 1)]
    named = [dict(mu=stats[i].numpy(), sigma=stats[i + 1].numpy()) for i in (0, 2)]
    calls = {
        "ours": lambda: frechet_distance(*stats),
        "fidelity": lambda: fid_statistics_to_metric(*named, False),
        "torchmetrics": lambda: _compute_fid(*stats),
    }
    seconds = interleaved(calls, rounds, device)
    value = min(ratio(seconds[k], seconds["ours"]) for k in ("fidelity", "torchmetrics"))
    return row(
        f"Fréchet distance, 2,048 features, n = {n:,}",
        "at least 2.5x",
        value,
        "x the faster",
        value >= 2.5,
        speed=value,
        seconds={k: statistics.median(v) for k, v in seconds.items()},
    )


def fill(root, shape, count):
    "Two class folders of `count` JPEGs in all: two photographs of scikit-learn, again and again."
    from PIL import Image
    from sklearn.datasets import load_sample_images

    for i, photo in enumerate(load_sample_images().images):
        (folder := Path(root, str(i))).mkdir()
        Image.fromarray(photo).resize(shape).save(folder / "0.jpg", quality=90)
        for k in range(1, count // 2):
            (folder / f"{k}.jpg").write_bytes((folder / "0.jpg").read_bytes())


def folder_row(shape, count, least, rounds, device, reduced=False):
    "A folder of JPEGs into memory at 128 x 128, against torchvision's ImageFolder and 2 workers."
    from ddpm_course.data import image_folder
    from torchvision import datasets, transforms as T

    bicubic = T.InterpolationMode.BICUBIC
    cut = T.Compose([T.Resize(128, bicubic), T.CenterCrop(128), T.PILToTensor()])

    def theirs():
        loader = torch.utils.data.DataLoader(datasets.ImageFolder(root, cut), 64, num_workers=2)
        return torch.cat([x for x, _ in loader])

    with tempfile.TemporaryDirectory() as root:
        fill(root, shape, count)
        ours = partial(image_folder, root, size=128, reduced=reduced)
        seconds = interleaved({"ours": ours, "torchvision": theirs}, rounds, device)
    value = ratio(seconds["torchvision"], seconds["ours"])
    return row(
        f"{count} JPEGs of {shape[0]}x{shape[1]}" + ", reduced" * reduced,
        f"at least {least}x",
        value,
        "x torchvision",
        value >= least,
        speed=value,
        seconds={k: statistics.median(v) for k, v in seconds.items()},
    )


def photos_probe(count):
    "Bytes that reading so many photographs of 12 megapixels takes, at its highest; Linux only."
    from ddpm_course.data import image_folder

    with tempfile.TemporaryDirectory() as root:
        fill(root, (4000, 3000), int(count))
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        before = resident("VmRSS")
        image_folder(root, size=128)
    return resident("VmHWM") - before


def photos_memory_row():
    "Memory for twice as many photographs of 12 megapixels, cut to 128 x 128."
    what = "memory of 80 photographs of 12 MP over that of 40"
    if not Path("/proc/self/clear_refs").exists():
        return row(what, "at most 1.2x", None, "", None, note="measured on Linux only")
    used = {str(n): probe("photos", n) / 1e6 for n in (40, 80)}
    value = used["80"] / used["40"]
    return row(what, "at most 1.2x", value, "x", value <= 1.2, megabytes=used)


PROBES = {"memory": memory_probe, "import": import_probe, "photos": photos_probe}


def data_rows(rounds, quick, device):
    "What is beside the network: folders of photographs, and the Fréchet distance."
    if quick:
        yield folder_row((192, 144), 100, 1.2, rounds, device)
        return
    yield folder_row((192, 144), 4000, 1.2, rounds, device)
    yield folder_row((500, 375), 1000, 1.0, rounds, device)
    yield folder_row((4000, 3000), 40, 1.0, rounds, device)
    yield folder_row((4000, 3000), 40, 2.0, rounds, device, reduced=True)
    yield photos_memory_row()
    yield frechet_row(50_000, rounds, device)
    yield frechet_row(1000, rounds, device)


def attention_row():
    "How memory of the fused path grows with the length: the power of it, from 1,024 to 16,384."
    from ddpm_course.memory import peak_bytes

    lengths = (1024, 16384)
    used = []
    for n in lengths:
        qkv = torch.randn(3, 1, 1, n, 32)
        used.append(peak_bytes(lambda: F.scaled_dot_product_attention(*qkv)))
    value = math.log(used[1] / used[0]) / math.log(lengths[1] / lengths[0])
    return row(
        "memory of fused attention: power of the length",
        "at most 1.1",
        value,
        "",
        value <= 1.1,
        megabytes={str(n): u / 1e6 for n, u in zip(lengths, used)},
    )


def interval_row(quick):
    "Seconds for the interval of a Fréchet distance, from features and their statistics at hand."
    from ddpm_course.slopes import frechet_influence, stats_of

    n, features = (2_000, 128) if quick else (50_000, 2048)
    rng = torch.Generator().manual_seed(0)
    mix = torch.randn(features, features, generator=rng) / features**0.5
    x = torch.randn(n, features, generator=rng) @ mix
    real = stats_of(torch.randn(10_000, features, generator=rng) @ mix)
    fake = stats_of(x)
    began = time.perf_counter()
    frechet_influence(x, real, None, fake)
    value = time.perf_counter() - began
    what = f"interval of a Fréchet distance, {n:,} x {features:,}"
    return row(what, "at most 20 s", value, "s", value <= 20)


def rank_seconds(setups, rounds):
    "{name: seconds of each round} of launches (processes, threads, kind, batch, number), in turns."
    from ddpm_course.experiments.scale import cost_in, launched

    seconds = {name: [] for name in setups}
    for i in range(rounds):
        for name in list(setups)[:: 1 if i % 2 else -1]:
            seconds[name].append(cost_in(launched(*setups[name]))["seconds"])
    return seconds


def rank_rows(rounds):
    "Two processes on two cores, on a CPU: training at one batch, and chunks of samples."
    train, sample = (2, 1, "train", 16, 4), (2, 1, "sample", 16, 4)
    for what, other, ranks in (
        ("training step, two ranks against one process, two threads", (1, 2, *train[2:]), train),
        ("sampling, two ranks against half of it by one thread", (1, 1, "sample", 16, 2), sample),
        ("sampling, two ranks against two that never meet", (2, 1, "apart", 16, 4), sample),
    ):
        seconds = rank_seconds({"alone": other, "ranks": ranks}, rounds)
        value = ratio(seconds["alone"], seconds["ranks"])
        medians = {k: statistics.median(v) for k, v in seconds.items()}
        met = value >= 0.95
        yield row(what, "at least 0.95x", value, "x", met, seconds=medians, rounds=seconds)


def show(r):
    "A row as a line of text."
    if r["value"] is None:
        return f"{r['what']:<56} {'':>10}  {r['goal']:<16} {r['note']}"
    beside = {"switched": "x with the same switches", "diffusers": f"{r['unit']} by diffusers"}
    more = "; ".join(f"{r[k]:.3g}{text}" for k, text in beside.items() if k in r)
    medians = "; ".join(
        f"{unit} " + ", ".join(f"{k} {v:.4g}" for k, v in r[unit].items())
        for unit in ("seconds", "images_per_s", "megabytes")
        if unit in r
    )
    met = "met" if r["met"] else "MISSED"
    value = f"{r['what']:<56} {r['value']:>8.3f} {r['unit']:<13}"
    return f"{value} goal {r['goal']:<16} {met:<7} {more}\n{'':<56}   {medians}"


def about(device, threads):
    "Machine, versions and date, for the JSON."
    import diffusers, ddpm_course

    cpu = (
        [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ][:1]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return dict(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        threads=threads,
        device=str(device),
        machine=dict(
            system=platform.platform(),
            cpu=(cpu or [platform.processor()])[0],
            cores=os.cpu_count(),
            gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        ),
        versions=dict(
            python=platform.python_version(),
            torch=torch.__version__,
            diffusers=diffusers.__version__,
            ddpm_course=ddpm_course.__version__,
        ),
    )


def row_makers(rounds, quick, device, batch, compile, bf16, threads):
    "{what is measured: function that measures it, row by row}."
    people, how = DECIDE if quick else WHO, (batch, device, compile, bf16)
    makers = {
        "network": lambda: network_rows(people, rounds, *how),
        "memory": lambda: [memory_row(people, batch, device, bf16, compile, threads)],
        "dit": lambda: dit_rows(rounds, quick, *how, threads),
        "samplers": lambda: sampler_rows(rounds, quick, device),
        "solvers": lambda: solver_rows(rounds, quick, device),
        "interval": lambda: [interval_row(quick)],
        "import": lambda: [import_row(1, 0) if quick else import_row(5)],
        "data": lambda: data_rows(min(rounds, 3), quick, device),
        "attention": lambda: [attention_row()],
    }
    if device.type == "cpu" and not quick:
        makers["ranks"] = lambda: rank_rows(min(rounds, 3))
    return makers


def bench(rounds=9, quick=False, device=None, batch=None, compile=None, threads=2, only=None):
    "Measure, printing each row as it comes; returns what the JSON holds."
    from ddpm_course.devices import auto_precision

    torch.set_num_threads(threads)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cuda, rounds = device.type == "cuda", min(rounds, 2) if quick else rounds
    batch, compile, bf16 = (
        batch or (2 if quick else 128 if cuda else 8),
        cuda if compile is None else compile,
        auto_precision(device) == "bf16",
    )
    result = about(device, threads) | {"rounds": rounds, "batch": batch, "rows": []}

    makers = row_makers(rounds, quick, device, batch, compile, bf16, threads)
    if unknown := {*(only or ())} - makers.keys():
        raise SystemExit(f"--only {' '.join(unknown)}: expected some of {', '.join(makers)}")
    for part in only or makers:
        for r in makers[part]():
            result["rows"].append({"part": part} | r)
            print(show(r), flush=True)
    return result


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", help="write the results to this JSON file")
    p.add_argument("--rounds", type=int, default=9, help="turns of every competitor")
    p.add_argument("--quick", action="store_true", help="2 rounds of 2 images: minutes")
    p.add_argument("--device", help="cpu or cuda; cuda where there is one")
    p.add_argument("--batch", type=int, help="8 on a CPU, 128 on a GPU")
    p.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="torch.compile ours and the switched column; on a GPU by default",
    )
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only", nargs="+", help="parts to measure, such as network or data")
    p.add_argument("--probe", nargs="+", help=argparse.SUPPRESS)
    a = p.parse_args(argv)
    if a.probe:
        return print(PROBES[a.probe[0]](*a.probe[1:]))
    result = bench(a.rounds, a.quick, a.device, a.batch, a.compile, a.threads, a.only)
    if a.out:
        Path(a.out).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
