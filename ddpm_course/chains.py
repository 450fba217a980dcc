"Drawings of what a picture goes through: the chain, a training step, latents, guidance."

import torch

from .ddim import ddim_sample
from .diagrams import BLUE, GREY, arrow, box, times
from .images import image_grid
from .models import condition
from .noising import q_sample

LEARNED = "#bd6a35" # arrows of what is learned: as legible on light and dark ground as GREY
SIDE = 0.9 # inches of a picture


def _sheet(width, height):
    "Axes on transparent ground whose unit is about an inch."
    import matplotlib.pyplot as plt
    size = (width, height)
    fig, ax = plt.subplots(figsize=size, dpi=110, facecolor="none")
    fig.set_layout_engine("tight", pad=0)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal", autoscale_on=False)
    return ax.set_axis_off() or ax


def _note(ax, place, text, color=GREY, **style):
    "Text beside boxes and pictures; 14 points can still be read on a phone."
    ax.text(*place, text, color=color, **dict(ha="center", va="center", fontsize=14) | style)


def _picture(ax, x, place, name="", below="", side=SIDE):
    "A picture (1, C, H, W) in a thin frame, what it is above it, and a line below it."
    left, right, bottom, top = (p + d for p in place for d in (-side / 2, side / 2))
    ax.imshow(image_grid(x, 1).numpy(), extent=(left, right, bottom, top), interpolation="nearest")
    ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], color=GREY, lw=1)
    _note(ax, (place[0], top + 0.06), name, va="bottom")
    _note(ax, (place[0], bottom - 0.07), below, va="top")


# ---- the chain ----

def walk(x0, levels):
    "x_0 and the states of one walk that reaches each alpha_bar in `levels`, always the same."
    rng = torch.Generator().manual_seed(0)
    states = [x0]
    for before, level in zip((1, *levels), levels):
        kept = level / before # the alpha of this step
        noise = torch.randn(x0.shape, generator=rng)
        states.append(kept**0.5 * states[-1] + (1 - kept)**0.5 * noise)
    return states


def _step(ax, start, end, y, **style):
    arrow(ax, (start, y), (end, y), **style)


def _dots(ax, start, end, y, **style):
    "An arrow with dots in its middle, for steps that are not drawn."
    middle = (start + end) / 2
    half = 0.14 if end > start else -0.14 # of the width of the dots
    _step(ax, start, middle - half, y, **style)
    _note(ax, (middle, y), "$\\cdots$", color=style.get("color", GREY))
    _step(ax, middle + half, end, y, **style)


def draw_chain(x0, # a clean image (1, C, H, W)
               backward: bool=False, # the steps back, too?
               levels=(0.7, 0.4, 1e-4)): # alpha_bar at t - 1, t and T
    "Draw the chain from x_0 to x_T with four of its states, one walk; returns the axes."
    ax = _sheet(6.6, 1.4)
    places = (0.5, 2.1, 4.5, 6.1)
    names = ("$x_0$", "$x_{t-1}$", "$x_t$", "$x_T$")
    for place, name, x in zip(places, names, walk(x0, levels)): _picture(ax, x, (place, 0.6), name)
    gaps = [(a + 0.5, b - 0.5) for a, b in zip(places, places[1:])]
    y = 0.76 if backward else 0.6
    for draw, (a, b) in zip((_dots, _step, _dots), gaps):
        draw(ax, a, b, y)
        if backward: draw(ax, b, a, 0.44, color=LEARNED)
    _note(ax, (3.3, y + 0.08), r"$q(x_t \mid x_{t-1})$", va="bottom")
    if not backward: return ax
    _note(ax, (3.3, 0.35), r"$p_\theta(x_{t-1} \mid x_t)$", color=LEARNED, va="top")
    return ax


# ---- a training step ----

def draw_training_step(model, # one that predicts eps
                       schedule, # NoiseSchedule
                       x0, # a clean image (1, C, H, W)
                       t: int, # the timestep that was drawn for it
                       eps, # the noise that was drawn for it
                       y=None): # its label (1,), for a model with classes
    "Draw one step of training with the pictures that it makes; returns the axes."
    x_t = q_sample(schedule, x0, t, eps)
    with torch.no_grad(): answer = model(x_t, torch.tensor([t]), *[] if y is None else [y])
    error = (answer - eps).square().mean()
    ax = _sheet(6.6, 3)
    _picture(ax, x0, (0.5, 2.15), "$x_0$")
    _picture(ax, eps, (0.5, 0.5), r"$\epsilon$")
    _picture(ax, x_t, (2.2, 2.15), "$x_t$")
    _picture(ax, answer, (6, 2.15), r"$\hat\epsilon$")
    _note(ax, (3.2, 2.86), f"$t$ = {t}")
    box(ax, (4.2, 2.15), "network", LEARNED, 1.15, 0.6, 13)
    box(ax, (6, 0.5), f"squared\nerror\n{error:.3f}", BLUE, 1.1, 0.9, 13)
    for a, b in (((1, 2.15), (1.7, 2.15)), ((1, 0.8), (1.7, 1.65)), # x_0, eps to x_t
                 ((2.95, 2.72), (2.72, 2.55)), ((3.45, 2.72), (3.75, 2.5)), # t
                 ((2.7, 2.15), (3.57, 2.15)), ((4.82, 2.15), (5.5, 2.15)), # the network
                 ((1, 0.5), (5.4, 0.5)), ((6, 1.65), (6, 1))): # eps and eps_hat
        arrow(ax, a, b)
    return ax


# ---- latents ----

def _latent(ax, z, place, name, below):
    "The channels of a latent (1, C, h, w) side by side, -2 to 2 as black to white."
    channels = z.shape[1]
    side = 1.1 / channels
    for c in range(channels):
        x = place[0] + (c - (channels - 1) / 2) * side
        _picture(ax, z[:, c:c + 1] / 2, (x, place[1]), side=side - 0.04)
    _note(ax, (place[0], place[1] + side / 2 + 0.04), name, va="bottom")
    _note(ax, (place[0], place[1] - side / 2 - 0.05), below, va="top")


def _latent_row(ax, y, image, coder, latent, noisy):
    "A picture, half of the autoencoder, and two latents, each with its name and size."
    x, name = image
    _picture(ax, x, (0.55, y), name, times(x.shape[1:]))
    box(ax, (2.1, y), coder, BLUE, 1.2, 0.5, 13)
    for place, (z, name) in ((3.75, latent), (6.0, noisy)):
        _latent(ax, z, (place, y), name, times(z.shape[1:]))


def draw_latent_steps(space, # LatentSpace
                      trained, # network and schedule on its latents
                      x0, # a clean image (1, C, H, W)
                      y=None, # its label (1,), for a model with classes
                      t: int=400, # the noise level shown
                      steps: int=50): # of DDIM
    "Draw how an image is noised, and a new one drawn, in latent space; returns the axes."
    z0 = space.encode(x0)
    noise = torch.randn(z0.shape, generator=torch.Generator().manual_seed(0))
    z_t = q_sample(trained.schedule, z0, t, noise)
    model = trained.model if y is None else condition(trained.model, y)
    z = ddim_sample(model, trained.schedule, tuple(z0.shape), steps, x_T=noise, clip=None)
    ax = _sheet(6.6, 3.35)
    there = (z0, "$z_0$"), (z_t, "$z_t$")
    back = (z, r"$\hat z_0$"), (noise, "$z_T$")
    _latent_row(ax, 2.5, (x0, "$x_0$"), r"encoder $\mathcal{E}$", *there)
    _latent_row(ax, 0.8, (space.decode(z), r"$\hat x_0$"), r"decoder $\mathcal{D}$", *back)
    for a, b in ((1.05, 1.45), (2.75, 3.15)):
        arrow(ax, (a, 2.5), (b, 2.5))
        arrow(ax, (b, 0.8), (a, 0.8))
    arrow(ax, (4.35, 2.5), (5.4, 2.5))
    arrow(ax, (5.4, 0.8), (4.35, 0.8), color=LEARNED)
    _note(ax, (4.88, 2.57), "noise", va="bottom")
    _note(ax, (4.88, 0.87), f"denoise,\n{steps} steps", LEARNED, va="bottom")
    return ax


# ---- guidance ----

def _two_answers(model, x_t, t, y):
    "What a network predicts without a label and with it, flat in float64."
    none = torch.full_like(y, model.num_classes)
    ts = torch.full_like(y, t)
    with torch.no_grad(): answers = [model(x_t, ts, label) for label in (none, y)]
    return [answer.flatten().double() for answer in answers]


def _differences(ax, height, scale):
    "Beside the line: from s = 0 to s = 1, and from s = 0 to `scale`."
    gap = r"$\epsilon_c - \epsilon_u$"
    for x, s, text in ((3.65, 1, gap), (5.2, scale, f"{scale:g} ({gap})")):
        arrow(ax, (x, height(0)), (x, height(s)), color=LEARNED, lw=2.4)
        middle = (x + 0.15, (height(0) + height(s)) / 2)
        _note(ax, middle, text, LEARNED, ha="left")


def draw_guidance(model, # a network with classes
                  x_t, # a noisy image (1, C, H, W)
                  t: int,
                  y, # its label (1,)
                  scales=(0, 1, 3)): # s, to be marked
    "Draw guidance in the plane of two predictions, lengths and angles as they are; the axes."
    eps_u, eps_c = _two_answers(model, x_t, t, y)
    gap = (eps_c - eps_u).norm()
    along = eps_u @ (eps_c - eps_u) / gap # upwards in the drawing
    inch = 3.4 / (eps_u.square().sum() - along**2)**0.5 # for a length of 1
    height = lambda s: ((along + s * gap) * inch).item()
    low = min(0, height(min(scales))) - 0.2
    high = max(0, height(max(scales))) + 0.2
    ax = _sheet(6.6, high - low)
    ax.set_ylim(low, high)
    ax.plot([3.65, 3.65], [low, high], color=GREY, lw=1, ls=":")
    names = {0: r"$\epsilon_u$", 1: r"$\epsilon_c$"}
    for s in scales:
        arrow(ax, (0.25, 0), (3.65, height(s)), color=GREY if s in names else LEARNED)
        name = names.get(s, r"$\tilde\epsilon$")
        _note(ax, (3.8, height(s)), f"{name},  $s$ = {s:g}", ha="left")
    _differences(ax, height, max(scales))
    return ax
