"Copies of the package with one bug in them: what the tests of tests run on."

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import ddpm_course

MODULES = (
    "__init__",
    "images",
    "noising",
    "models",
    "randomness",
    "stepping",
    "exact",
    "ancestral",
    "ddim",
    "guards",
    "kinds",
    "arguments",
    "guidance",
    "ddpm",
    "estimates",
    "ranks",
    "importance",
    "bounds",
    "respacing",
    "learned_variance",
    "denoisers",
    "solvers",
)
PREVIOUS = "[*times[1:], -1]"
STREAMS = "torch.stack([torch.randn(k, *self.shape[1:], generator=g) for g in self.streams], 1)"

BUGS = {  # what is wrong: (module, right, wrong)
    "previous is off by one": ("stepping", PREVIOUS, "[*(t - 1 for t in times[1:]), -1]"),
    "previous is t - T//n, right only where neighbors are that far apart (diffusers#12633)": (
        "stepping",
        PREVIOUS,
        "[max(t - 1000 // len(times), -1) for t in times]",
    ),
    "the last step lands on alpha_bar of t = 0": ("stepping", PREVIOUS, "[*times[1:], 0]"),
    "sigma without eta": ("ddim", "sigma = eta * (", "sigma = ("),
    "eta squared": ("ddim", "sigma = eta * (", "sigma = eta**2 * ("),
    "the direction ignores sigma": ("ddim", "1 - ab_prev - sigma**2", "1 - ab_prev"),
    "no noise at all": ("ddim", "if sigma > 0:", "if sigma > 9:"),
    "stale eps after clipping": (
        "ddim",
        "add_scaled(on_x0 * x0_hat, on_x, x)",
        "add_scaled(ab_prev**0.5 * x0_hat - on_x * ab_t**0.5 * "
        "predict_x0(model, schedule, x, t, None)[0], on_x, x)",
    ),
    "no clipping": ("models", "x0_hat.clamp(-clip, clip)), var_out", "x0_hat), var_out"),
    "betas not respaced": (
        "ancestral",
        "var = 1 - schedule.alpha_bar(t) / schedule.alpha_bar(prev)",
        "var = schedule.betas[t].item()",
    ),
    "variance for a standard deviation": (
        "ancestral",
        "var**0.5 * next(noise)",
        "var * next(noise)",
    ),
    "noise in the last step": ("ancestral", "if prev >= 0: x_prev", "if True: x_prev"),
    "a rounding error below zero": (
        "ddim",
        "max(0.0, 1 - ab_prev - sigma**2)",
        "(1 - ab_prev - sigma**2)",
    ),
    "one stream for the whole batch": (
        "randomness",
        STREAMS,
        "torch.randn(k, *self.shape, generator=self.streams[0])",
    ),
    "the seed is not read": (
        "randomness",
        "torch.Generator().manual_seed(s) for s in seeds",
        "torch.Generator() for s in seeds",
    ),
    "the conditional prediction is the base (s read as w)": (
        "guidance",
        "base + scale * (pred - base)",
        "pred + scale * (pred - base)",
    ),
    "the two halves of the batch are swapped": (
        "guidance",
        "torch.cat([y, other[rows]])",
        "torch.cat([other[rows], y])",
    ),
    "the variance is extrapolated, too": (
        "guidance",
        "torch.cat([pred, var[:B]], 1)",
        "torch.cat([pred, extrapolate(var[B:], var[:B], self.scale)], 1)",
    ),
    "one timestep for the whole batch": (
        "guidance",
        "inside(self.interval, t)\n    y, other",
        "inside(self.interval, t[:1]).expand(B)\n    y, other",
    ),
    "one spread for the whole batch": (
        "guidance",
        "x.flatten(1).std(1, correction=0).view(-1, 1, 1, 1)",
        "x.std(correction=0)",
    ),
    "after churn the old level is asked at": (
        "denoisers",
        "next(noise).to(x), sigma_hat",
        "next(noise).to(x), sigma",
    ),
    "Heun goes along the second slope alone": (
        "solvers",
        "/ 2 * (slope + there)",
        "* there",
    ),
    "small powers are lost beside large ones": (
        "solvers",
        "((1 - u) * high + u * low)",
        "(high + u * (low - high))",
    ),
    "DPM-Solver++ extrapolates by a whole step": ("solvers", "(2 * h_before)", "h_before"),
    "Euler steps along a slope of the wrong level": (
        "denoisers",
        "torch.full((len(x),), sigma, dtype",
        "torch.full((len(x),), 0.9 * sigma, dtype",
    ),
    "the variance for the standard deviation, on the way up": (
        "solvers",
        "(1 - (lower / sigma)**2)**0.5",
        "(1 - (lower / sigma)**2)",
    ),
    "noise from the global generator": ("randomness", STREAMS, "torch.randn(k, *self.shape)"),
    "variances are interpolated, and not their logarithms (diffusers#3006)": (
        "learned_variance",
        "return (share * large + (1 - share) * small).exp()",
        "return share * large.exp() + (1 - share) * small.exp()",
    ),
    "the ends of the range are exchanged": (
        "learned_variance",
        "share = (var_out + 1) / 2",
        "share = (1 - var_out) / 2",
    ),
    "channels taken for 0 to 1": (
        "learned_variance",
        "share = (var_out + 1) / 2",
        "share = var_out",
    ),
    "the learned range of the long chain": (
        "learned_variance",
        "large = 1 - ab / ab_prev",
        "large = schedule.betas[t]",
    ),
    "the log of no variance at the first step": (
        "learned_variance",
        "torch.where(prev < 0, second, small)",
        "small",
    ),
    "a range where there is no second step": (
        "learned_variance",
        "torch.where(after > t, second, large)",
        "second",
    ),
    "the bound trains the mean": (
        "learned_variance",
        "if not learn_mean: x0_hat",
        "if False: x0_hat",
    ),
    "a thousandth of the bound": (
        "learned_variance",
        "bound * len(schedule) * term",
        "bound * len(schedule) / 1000 * term",
    ),
    "one term for the whole bound": (
        "learned_variance",
        "bound * len(schedule) * term",
        "bound * term",
    ),
    "bins closed at the ends": (
        "learned_variance",
        "torch.where(x0 > 1 - half, math.inf, (d + half) / std)",
        "(d + half) / std",
    ),
    "bins of half the width": ("learned_variance", "half = 1 / levels", "half = 0.5 / levels"),
    "the KL of the other direction": (
        "learned_variance",
        "ratio = var1 / var2",
        "ratio = var2 / var1",
    ),
    "the error of x0 without its factor squared": (
        "learned_variance",
        "on_x0**2 * error",
        "on_x0 * error",
    ),
}

BLOCK_BUGS = {  # of unet_blocks, noticed in test_unet_options: (right, wrong)
    "the scale alone, not 1 + scale": ("* (1 + scale) + shift", "* scale + shift"),
    "scale and shift change places": ("scale, shift = told", "shift, scale = told"),
    "resampled after the convolution": (
        "self.conv1(self.resample(F.silu(self.norm1(x))))",
        "self.resample(self.conv1(F.silu(self.norm1(x))))",
    ),
    "the sum is not scaled": ("return h if scale == 1 else h.mul_(scale)", "return h"),
    "the embedding is forgotten": ("            h += told\n", ""),
    "padding is looked at": ("attn_mask=mask)", "attn_mask=None)"),
    "the mask is upside down": ("else mask[:, None, None]", "else ~mask[:, None, None]"),
    "keys and values change places": ("k, v = self.kv", "v, k = self.kv"),
    "a label without its root": ("rows.to(emb.dtype) * K**0.5", "rows.to(emb.dtype)"),
    "the augmentation is forgotten": (
        "if augment is not None: emb = emb + self.augment(augment.to(emb.dtype))",
        "",
    ),
}


DIT_BUGS = {  # noticed in test_transformer: (module, right, wrong)
    "the scale alone, not 1 + scale": ("transformer", "h, 1 + scale)", "h, scale)"),
    "shift and scale change places": (
        "transformer",
        "shift1, scale1, gate1, shift2",
        "scale1, shift1, gate1, shift2",
    ),
    "the gates come first": (
        "transformer",
        "shift1, scale1, gate1, shift2, scale2, gate2 =",
        "gate1, shift1, scale1, gate2, shift2, scale2 =",
    ),
    "a branch without its gate": (
        "transformer",
        "torch.addcmul(x, gate2, self.lin2(h))",
        "x + self.lin2(h)",
    ),
    "one eps for both norms": (
        "transformer",
        "nn.LayerNorm(width, mlp_norm_eps,",
        "nn.LayerNorm(width, norm_eps,",
    ),
    "an exact GELU": ("transformer", "h = gelu(", "h = F.gelu("),
    "one head": ("transformer", "self.heads = heads", "self.heads = 1"),
    "adaLN-Zero initialized away (smalldiffusion)": (
        "transformer",
        "silent = [block.ada for block in self.blocks]",
        "silent = []",
    ),
    "rows before columns": ("transformer", "[across, down]", "[down, across]"),
    "waves of time in the positions": (
        "transformer",
        "freq_shift=0)\n    across",
        "freq_shift=1)\n    across",
    ),
    "channels last in a token": (
        "transformer",
        "x.permute(0, 2, 4, 1, 3, 5)",
        "x.permute(0, 2, 4, 3, 5, 1)",
    ),
    "squares column by column": (
        "transformer",
        "x.permute(0, 2, 4, 1, 3, 5)",
        "x.permute(0, 4, 2, 1, 3, 5)",
    ),
    "sines of time first": (
        "transformer",
        "timestep_embedding(t, 256, True,",
        "timestep_embedding(t, 256, False,",
    ),
    "no activation after the embedding": (
        "transformer",
        "return F.silu(emb + self.label(",
        "return (emb + self.label(",
    ),
    "the output's shift for its scale": (
        "transformer",
        "shift, scale = self.ada_out",
        "scale, shift = self.ada_out",
    ),
    "channels of the output as in diffusers": (
        "dit_interop",
        "((patch, patch, -1), (2, 0))",
        "((patch, patch, -1), (0, 0))",
    ),
    "the shift of the frequencies is forgotten": (
        "dit_interop",
        '"freq_shift": 1,',
        '"freq_shift": 0,',
    ),
    "the MLP's eps for all norms": (
        "dit_interop",
        '"norm_eps": 1e-6}',
        '"norm_eps": 0.1}',
    ),
}

EDM_BUGS = {  # of edm, flow and augmentation, noticed in test_edm: (module, right, wrong)
    "the input is divided by its variance": ("edm", "c_in = total**-0.5", "c_in = total**-1"),
    "the share of the noise is passed on": ("edm", "data**2 / total,", "sigma**2 / total,"),
    "the level itself, not its logarithm": ("edm", "sigma.log() / 4", "sigma / 4"),
    "the raw network sees the unscaled input": ("edm", "self.net(c_in * x,", "self.net(x,"),
    "the weight of an error of x0": (
        "edm",
        "return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data)**2",
        "return 0 * sigma + 1",
    ),
    "normal levels, not log-normal ones": (
        "edm",
        "rng.randn_like(x.flatten(1)[:, 0])).exp()",
        "rng.randn_like(x.flatten(1)[:, 0])).abs()",
    ),
    "the network is not told": ("edm", "(x.dtype), *labels, **told)", "(x.dtype), *labels)"),
    "the scale of VP": (
        "flow",
        "super().__call__(x_t / expand_like(1 - t, x_t)",
        "super().__call__(x_t * (1 + expand_like(t / (1 - t), x_t)**2)**0.5",
    ),
    "the velocity points to the data": ("flow", "(eps - x)).square()", "(x - eps)).square()"),
    "back from x, where x_t is meant": (
        "flow",
        "return x_t - expand_like(t, x)",
        "return x - expand_like(t, x)",
    ),
    "turned the other way": (
        "augmentation",
        "torch.atan2(sin, cos_1 + 1)",
        "torch.atan2(-sin, cos_1 + 1)",
    ),
    "shifted the other way": ("augmentation", "shift = -2 *", "shift = 2 *"),
    "a sine of the cosine's place": (
        "augmentation",
        "angle.cos() - 1, angle.sin()",
        "angle.cos(), angle.sin()",
    ),
}

GRADING_BUGS = {  # noticed in test_grading: (right, wrong)
    "solutions are asked": (
        'if kind != "code" or SOLVED in source: continue',
        'if kind != "code": continue',
    ),
    "solutions are run": ('kind == "code" and SOLVED not in source', 'kind == "code"'),
    "the first definition counts": ("reversed(range(at))", "range(at)"),
    "what a definition needs is left out": ("todo += {*homes}", "found |= {*homes}"),
    "the learner's own checker is asked": ("names | {alias: asked}", "names"),
    "an error afterwards takes the grade away": ("if name not in asked.verdicts: ", ""),
    "an exit ends the grading": ("(Exception, SystemExit)", "Exception"),
    "what is not asked is left out": (" and n not in asked]", " and n in ()]"),
    "magics are no Python": ("[%!?]", "[!?]"),
    "imports that nothing uses are made": ("if not _imported(s) or", "if True or"),
    "no import is made": (' & {*wanted, "*"}', " & {None}"),
    "help is no Python": ("[%!?]", "[%!]"),
    "display is not known": (', "display": print', ""),
    "everything is run": ("if name in cells[j].binds", "if True"),
    "the first question counts": ("found[name] = i, title", "found.setdefault(name, (i, title))"),
}
PEER_BUGS = {  # of what a scheduler is told, noticed in test_pipelines: (module, right, wrong)
    "v is told as eps": ("peers", '"v": "v_prediction"', '"v": "epsilon"'),
    "what it predicts is not read": ("peers", '.get(c["prediction_type"])', '.get("epsilon")'),
    "clip is lost": ("peers", '"clip_sample": clip is not None', '"clip_sample": False'),
    "clip is not read": ("peers", ' if c["clip_sample"] else None', ""),
    "the size of clip is lost": ("peers", "1.0 if clip is None else clip", "1.0"),
    "alpha is not set to one": ("peers", '"set_alpha_to_one": True', '"set_alpha_to_one": False'),
    "the spacing is lost": ("peers", '"timestep_spacing": walk.spacing', '"steps_offset": 0'),
    "the variance is lost": ("peers", "VARIANCE[walk.variance]", '"fixed_small"'),
    "betas of float32": ("peers", "else scheduler.betas #", "else scheduler.alphas #"),
    "betas before they were rescaled": ("peers", 'and not c.get("rescale_betas_zero_snr")', ""),
    "steps that do not divide": ("peers", "if T % walk.steps:", "if False:"),
    "noise in the last step": ("peers", 'walk.sampler == "DDPM" and', "False and"),
}
RANK_BUGS = {  # of runs and ranks, noticed in test_ranks: (module, right, wrong)
    "the mean over ranks of means over unequal parts": (
        "runs",
        "return len(index) * parts / recipe.batch_size",
        "return 1.0",
    ),
    "images that do not divide are left out": (
        "runs",
        "i * recipe.batch_size // (world * k)",
        "i * (recipe.batch_size // (world * k))",
    ),
    "a rank reads the next pass of another": (
        "runs",
        "cuts[i % k * world + accelerator.process_index:]",
        "cuts[accelerator.process_index * k + i % k:]",
    ),
    "the last chunks are left out": (
        "ranks",
        "for i in range(0, len(parts), world):",
        "for i in range(0, len(parts) - world + 1, world):",
    ),
    "results come back rank by rank": (
        "ranks",
        "return [found[i % len(found)][i // len(found)] for i in range(len(parts))]",
        "return [result for each in found for result in each]",
    ),
    "nobody waits for the end of a round": ("ranks", "        meet()\n", "        pass\n"),
}


def broken_module(name, right, wrong):
    "A module of the package, in which `right` reads `wrong`."
    text = (Path(ddpm_course.__file__).parent / f"{name}.py").read_text()
    assert text.count(right) == 1, f"{name}.py holds {text.count(right)} times {right!r}"
    module = ModuleType(f"ddpm_course.broken_{name}")
    module.__package__ = "ddpm_course"
    exec(compile(text.replace(right, wrong), f"broken_{name}", "exec"), module.__dict__)
    return module


def broken_blocks(right, wrong):
    "The module `unet_blocks`, in which `right` reads `wrong`."
    return broken_module("unet_blocks", right, wrong)


def broken_copy(folder, module, right, wrong):
    "The samplers of a copy of the package, under another name, in which `right` reads `wrong`."
    source, package = (
        Path(ddpm_course.__file__).parent,
        f"broken_{abs(hash((module, right, wrong)))}",
    )
    (folder / package).mkdir()
    for name in MODULES:
        text = (source / f"{name}.py").read_text()
        if name == module:
            assert text.count(right) == 1, (
                f"{module}.py holds {text.count(right)} times {right!r}: say here how it reads now"
            )
            text = text.replace(right, wrong)
        (folder / package / f"{name}.py").write_text(text)
    return SimpleNamespace(
        **{
            name: importlib.import_module(f"{package}.{name}")
            for name in ("ddim", "ancestral", "guidance", "learned_variance", "solvers")
        }
    )
