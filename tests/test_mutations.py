"The checks of test_samplers can fail: each is run against a copy of the package with one authentic bug in it, and must notice."

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import ddpm_course
from ddpm_course.ddim import spaced_timesteps
from test_samplers import SCHEDULES, agrees_with_diffusers_ddim, agrees_with_diffusers_ddpm, follows_the_recursion, keeps_zero_terminal_snr_real

MODULES = ("__init__", "data", "noising", "unet", "ddpm", "ddim")
PREVIOUS = "[*timesteps[1:], -1]"


def ddim_parity(course, monkeypatch):
    for eta in (0, 0.5, 1):
        for clip in (None, 1.0): agrees_with_diffusers_ddim(course, SCHEDULES["linear"], "trailing", "eps", eta, clip, steps=20)


def ddpm_parity(course, monkeypatch):
    for variance in ("small", "large"):
        with monkeypatch.context() as m: agrees_with_diffusers_ddpm(course, SCHEDULES["linear"], "leading", "eps", variance, 1.0, 20, m)


def recursion(course, monkeypatch):
    for eta in (0, 1):
        for spacing in ("trailing", "linspace"): follows_the_recursion(course, SCHEDULES["linear"], spaced_timesteps(1000, 20, spacing), eta)


def zero_snr(course, monkeypatch): keeps_zero_terminal_snr_real(course)


BUGS = { # what is wrong: (module, right, wrong, checks that notice, checks that cannot)
    "previous is off by one": ("ddpm", PREVIOUS, "[*(t - 1 for t in timesteps[1:]), -1]", [ddim_parity, ddpm_parity, recursion], []),
    "previous is t - T//n, which is right for even spacings alone (diffusers#12633)":
        ("ddpm", PREVIOUS, "[max(t - 1000 // len(timesteps), -1) for t in timesteps]", [recursion], [ddim_parity, ddpm_parity]),
    "the last step lands on alpha_bar of t = 0": ("ddpm", PREVIOUS, "[*timesteps[1:], 0]", [ddim_parity, ddpm_parity, recursion], []),
    "sigma without eta": ("ddim", "sigma = eta * (", "sigma = (", [ddim_parity, recursion], [ddpm_parity]),
    "eta squared": ("ddim", "sigma = eta * (", "sigma = eta**2 * (", [ddim_parity], [ddpm_parity]),
    "the direction ignores sigma": ("ddim", "1 - ab_prev - sigma**2", "1 - ab_prev", [ddim_parity, recursion], [ddpm_parity]),
    "no noise at all": ("ddim", "if sigma > 0:", "if sigma > 9:", [ddim_parity, recursion], [ddpm_parity]),
    "stale eps after clipping": ("ddpm", "    if clip is not None: x0_hat = x0_hat.clamp(-clip, clip)\n    return x0_hat, eps_from_x0(schedule, x_t, t, x0_hat), var_out",
                                 "    eps = eps_from_x0(schedule, x_t, t, x0_hat)\n    return (x0_hat if clip is None else x0_hat.clamp(-clip, clip)), eps, var_out",
                                 [ddim_parity], [ddpm_parity, recursion]), # the posterior uses x_t, and an oracle is not clipped
    "no clipping": ("ddpm", "x0_hat = x0_hat.clamp(-clip, clip)", "pass", [ddim_parity, ddpm_parity], [recursion]),
    "betas not respaced": ("ddpm", "var = 1 - schedule.alpha_bar(t) / schedule.alpha_bar(prev)", "var = schedule.betas[t].item()", [ddpm_parity], [ddim_parity]),
    "variance for a standard deviation": ("ddpm", "var**0.5 * next(noise)", "var * next(noise)", [ddpm_parity], [ddim_parity]),
    "a rounding error below zero": ("ddim", "max(0, 1 - ab_prev - sigma**2)", "(1 - ab_prev - sigma**2)", [zero_snr], [ddim_parity]),
}


def broken_copy(folder, module, right, wrong):
    "The samplers of a copy of the package, under another name, in which `right` reads `wrong`."
    source, package = Path(ddpm_course.__file__).parent, f"broken_{abs(hash((module, right, wrong)))}"
    (folder / package).mkdir()
    for name in MODULES:
        text = (source / f"{name}.py").read_text()
        if name == module:
            assert text.count(right) == 1, f"{module}.py holds {text.count(right)} times {right!r}: say here how it reads now"
            text = text.replace(right, wrong)
        (folder / package / f"{name}.py").write_text(text)
    return SimpleNamespace(ddim=importlib.import_module(f"{package}.ddim"), ddpm=importlib.import_module(f"{package}.ddpm"))


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *args: broken_copy(tmp_path, *args)
    for name in [n for n in sys.modules if n.startswith("broken_")]: del sys.modules[name]


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("bug", BUGS)
def test_the_bug_is_noticed(bug, broken, monkeypatch):
    module, right, wrong, notice, cannot = BUGS[bug]
    course = broken(module, right, wrong)
    for check in notice:
        with pytest.raises(AssertionError): check(course, monkeypatch)
    for check in cannot: check(course, monkeypatch) # what each witness is blind to, so that we know why there are several


@pytest.mark.parametrize("check", [ddim_parity, ddpm_parity, recursion, zero_snr])
def test_an_unbroken_copy_passes(check, broken, monkeypatch): check(broken("ddim", "sigma**2", "sigma**2"), monkeypatch)
