"Checkers of chapter 21."

import math

import torch

from ddpm_course.checks import Exercise
from ddpm_course.training import lr_at

ema_decay = Exercise(
    lambda batch, halflife, images: 0.5 ** (batch / min(halflife, 0.05 * images)),
    lambda: [(128, 500_000, 10**8), (128, 500_000, 10**6), (1024, 20_000, 4096)],
    {
        "this forgets the warm-up: the half-life is at most 5 % of the images seen": lambda batch, halflife, images: (
            0.5 ** (batch / halflife)
        ),
        "this decays to 1/e in a half-life, not to 1/2": lambda batch, halflife, images: math.exp(
            -batch / min(halflife, 0.05 * images)
        ),
        "this is the share of the new weights; the decay is what the old average keeps": lambda batch, halflife, images: (
            1 - 0.5 ** (batch / min(halflife, 0.05 * images))
        ),
        "the half-life counts images, and a step brings `batch` of them; this counts steps": lambda batch, halflife, images: (
            0.5 ** (1 / min(halflife, 0.05 * images))
        ),
        "the half-life is the smaller of the two numbers; this takes the larger": lambda batch, halflife, images: (
            0.5 ** (batch / max(halflife, 0.05 * images))
        ),
        "batch and half-life are the wrong way round": lambda batch, halflife, images: (
            0.5 ** (min(halflife, 0.05 * images) / batch)
        ),
    },
    "With the half-life in images, another batch size is still the same average.",
    tol=1e-6,
)


def cosine(step, steps, lr, warmup, length, first=1):
    if step < warmup:
        return lr * (step + first) / warmup
    return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / length))


warm_cosine = Exercise(
    lr_at,
    lambda: [(s, 100, 2.0, 20) for s in (0, 7, 19, 20, 60, 99)],
    {
        "the first step's rate is 0, so that step is lost: count from (step + 1)": lambda step, steps, lr, warmup: (
            cosine(step, steps, lr, warmup, steps - warmup, 0)
        ),
        "the cosine has steps - warmup steps for its half turn; over `steps` it never reaches 0": lambda step, steps, lr, warmup: (
            cosine(step, steps, lr, warmup, steps)
        ),
        "this reaches 0 at the last step, so that step is lost: it would be 0 at step `steps`": lambda step, steps, lr, warmup: (
            cosine(step, steps, lr, warmup, steps - warmup - 1)
        ),
        "this is a quarter of a cosine; half of one, (1 + cos) / 2, lands softly": lambda step, steps, lr, warmup: (
            lr_at(step, steps, lr, warmup)
            if step < warmup
            else lr * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))
        ),
        "the line ends one step too late: it is over at step `warmup`, where the cosine begins at lr": lambda step, steps, lr, warmup: (
            lr * (step + 1) / warmup if step <= warmup else lr_at(step, steps, lr, warmup)
        ),
        "the cosine counts from the end of the warm-up; yours jumps down there": lambda step, steps, lr, warmup: (
            lr_at(step, steps, lr, warmup)
            if step < warmup
            else lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        ),
        "1 + cos goes from 2 to 0: halve it": lambda step, steps, lr, warmup: (
            lr_at(step, steps, lr, warmup) * (1 if step < warmup else 2)
        ),
        "this falls along a straight line": lambda step, steps, lr, warmup: (
            lr_at(step, steps, lr, warmup)
            if step < warmup
            else lr * (steps - step) / (steps - warmup)
        ),
    },
    "Up along a line, down along half a cosine, and no step is lost at either end.",
)


def gradients():
    g = torch.linspace(-1, 1, 12, dtype=torch.float64)
    return [
        ([g.view(3, 4).clone(), 2 * g[:5]], 1.0),
        ([0.1 * g[:6].view(2, 3), 0.05 * g[:3]], 1.0),
        ([0 * g[:6], 0 * g[:2]], 1.0),
    ]


def norm(grads):
    return torch.cat([g.flatten() for g in grads]).norm()


clip_by_norm = Exercise(
    lambda grads, max_norm: [
        g * min(1.0, (max_norm / norm(grads)).item()) for g in grads
    ], # norm 0 divides to infinity, and leaves the factor 1
    gradients,
    {
        "this clips each tensor by its own norm, and so turns the gradient; there is one norm over all of them": lambda grads, max_norm: [
            g * min(1.0, (max_norm / g.norm()).item()) for g in grads
        ],
        "this clamps single values, and so turns the gradient; scale all of it by one number": lambda grads, max_norm: [
            g.clamp(-max_norm, max_norm) for g in grads
        ],
        "norms do not add up, their squares do: this takes the sum of the tensors' norms": lambda grads, max_norm: [
            g * min(1.0, (max_norm / sum(norm([one]) for one in grads)).item()) for g in grads
        ],
        "a gradient that is short enough stays as it is; this stretches it": lambda grads, max_norm: [
            g * max_norm / norm(grads) for g in grads
        ],
        "the norm is the square root of the sum of squares": lambda grads, max_norm: [
            g * min(1.0, (max_norm / norm(grads) ** 2).item()) for g in grads
        ],
    },
    "One number scales everything: the step gets shorter, and keeps its direction.",
)


share_of_start = Exercise(
    lambda steps, batch, halflife: 0.5 ** (steps * batch / halflife),
    lambda: [(100, 128, 500_000), (80, 64, 1500), (10_000, 128, 500_000)],
    {
        "the half-life counts images: steps times batch of them have been seen": lambda steps, batch, halflife: (
            0.5 ** (steps / halflife)
        ),
        "this is what one step keeps; raise it to the number of steps": lambda steps, batch, halflife: (
            0.5 ** (batch / halflife)
        ),
        "this is the share of what came after the start": lambda steps, batch, halflife: (
            1 - 0.5 ** (steps * batch / halflife)
        ),
        "half after each half-life, so powers of 1/2 and not of 1/e": lambda steps, batch, halflife: (
            math.exp(-steps * batch / halflife)
        ),
        "the share halves again and again; it does not fall along a line": lambda steps, batch, halflife: (
            max(0.0, 1 - 0.5 * steps * batch / halflife)
        ),
    },
    "At a half-life of 500,000 images, 2.9 % of a wrong start are still there after 20,000 steps of 128.",
    tol=1e-6,
)
