"Learning rates of a plateau and a landing, right and wrong: exercise 2 of chapter 21."

import math


def plan(step, steps, lr, warmup, cooldown, first=1, last=0, early=0):
    up = (step + first) / warmup
    down = (steps - last - step) / (cooldown + early)
    return lr * min(1.0, up, down)


MISPLANS = { # sentence: the function
    "the first step's rate is 0, so that step is lost: count from (step + 1)":
        lambda *a: plan(*a, first=0),
    "this reaches 0 at the last step, so that step is lost: it would be 0 at step `steps`":
        lambda *a: plan(*a, last=1),
    "the first step's rate is 0, and so is the last one's: both are lost":
        lambda *a: plan(*a, first=0, last=1),
    "the line up reaches lr one step early: warmup - 1 below, where warmup belongs":
        lambda step, steps, lr, warmup, cooldown:
            plan(step, steps, lr, warmup - 1, cooldown),
    "the first step's rate is 0, so that step is lost: this is step / (warmup - 1), where "
    "(step + 1) / warmup belongs": lambda step, steps, lr, warmup, cooldown:
            plan(step, steps, lr, warmup - 1, cooldown, first=0),
    "the line down begins one step late: it would be 0 at step `steps`, not after it":
        lambda *a: plan(*a, last=-1),
    "the line down is cooldown + 1 steps long here": lambda *a: plan(*a, early=1),
    "the rate rises above lr between the two lines: take the smallest of the two and 1":
        lambda step, steps, lr, warmup, cooldown:
            lr * min((step + 1) / warmup, (steps - step) / cooldown),
    "this takes the largest of the three; take the smallest":
        lambda step, steps, lr, warmup, cooldown:
            lr * max(1.0, (step + 1) / warmup, (steps - step) / cooldown),
    "the last steps go up along a line; they go down": lambda step, steps, lr, warmup, cooldown:
        lr * min(1.0, (step + 1) / warmup,
                 abs(step - steps + cooldown) / cooldown if step >= steps - cooldown else 1.0),
    "the last steps follow a cosine here; a line is asked for":
        lambda step, steps, lr, warmup, cooldown: lr * min(1.0, (step + 1) / warmup,
            0.5 + 0.5 * math.cos(math.pi * max(0, step - steps + cooldown) / cooldown)),
    "the line down is divided by `steps`; it falls over `cooldown` steps":
        lambda step, steps, lr, warmup, cooldown: lr * (
            (steps - step) / steps if step >= steps - cooldown else min(1, (step + 1) / warmup)),
    "lr is missing on the plateau, where this is 1": lambda step, steps, lr, warmup, cooldown:
        1.0 if warmup <= step < steps - cooldown
        else plan(step, steps, lr, warmup, cooldown),
    "whole numbers: // cuts the fraction off; divide with /":
        lambda step, steps, lr, warmup, cooldown:
            lr * min(1.0, (step + 1) // warmup, (steps - step) // cooldown),
    "the rate never falls": lambda step, steps, lr, warmup, cooldown:
        lr * min(1.0, (step + 1) / warmup),
    "the rate does not climb: the first `warmup` steps go up along a line":
        lambda step, steps, lr, warmup, cooldown: lr * min(1.0, (steps - step) / cooldown),
    "there is no plateau: the rate begins to fall only `cooldown` steps before the end":
        lambda step, steps, lr, warmup, cooldown:
            lr * min((step + 1) / warmup, (steps - step) / (steps - warmup)),
    "the line down begins `cooldown` steps after the start; it begins that long before the end":
        lambda step, steps, lr, warmup, cooldown:
            lr * min(1.0, (step + 1) / warmup, (steps - step) / (steps - cooldown)),
    "this multiplies by the highest rate only while it climbs": lambda *a:
        plan(*a) if a[0] < a[3] else plan(*a) / a[2],
    "these are shares of the highest rate; multiply by lr": lambda *a: plan(*a) / a[2],
    "warm-up and cool-down are the wrong way round":
        lambda step, steps, lr, warmup, cooldown: plan(step, steps, lr, cooldown, warmup),
    "the line up reaches lr one step late: warmup + 1 below, where warmup belongs":
        lambda step, steps, lr, warmup, cooldown: plan(step, steps, lr, warmup + 1, cooldown),
    "the line down has no beginning: it falls over all `steps`, where `cooldown` belongs":
        lambda step, steps, lr, warmup, cooldown: plan(step, steps, lr, warmup, steps),
    "the line down has the length of the warm-up; it falls over `cooldown` steps":
        lambda step, steps, lr, warmup, cooldown: plan(step, steps, lr, warmup, warmup),
    "the rate is 0 from the start of the cool-down on; it falls along a line":
        lambda step, steps, lr, warmup, cooldown:
            plan(step, steps, lr, warmup, cooldown) * (step < steps - cooldown),
    "lr is missing on the line up, which ends at 1": lambda step, steps, lr, warmup, cooldown:
        plan(step, steps, lr, warmup, cooldown) / (lr if step < warmup else 1),
    "lr is missing on the line down, which begins at 1":
        lambda step, steps, lr, warmup, cooldown:
            plan(step, steps, lr, warmup, cooldown) / (lr if step >= steps - cooldown else 1),
}
