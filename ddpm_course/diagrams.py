"Drawings of networks, read off the networks themselves; boxes and arrows for other drawings."

from contextlib import ExitStack

import torch

KINDS = {"Attention": "residual + attention", "ResBlock": "residual", "Downsample": "halve",
         "Upsample": "double"}
COLORS = {"residual + attention": "#7a4d9f", "halve": "#a3572b", "double": "#a3572b"}
BLUE = "#2f6694" # other boxes; white text is legible on all of them
GREY = "#7f7f7f" # arrows, and text beside boxes: legible on light and on dark ground


def block_sizes(model, # a network with conv_in, down, mid, up and conv_out, such as `UNet`
                shape): # of one image, (C, H, W)
    "{name of a block: (what it does, (C, H, W) of its output)}, from one run on a blank image."
    blocks = {"conv_in": model.conv_in}
    blocks |= {f"down.{i}": block for i, block in enumerate(model.down)}
    blocks |= {"mid": model.mid} | {f"up.{i}": block for i, block in enumerate(model.up)}
    blocks |= {"conv_out": model.conv_out}
    found = {}

    def watch(name, block):
        inside = {type(module).__name__ for module in block.modules()}
        kind = next((KINDS[what] for what in KINDS if what in inside), "convolution")
        note = lambda block, args, out: found.update({name: (kind, tuple(out.shape[1:]))})
        return block.register_forward_hook(note)

    with ExitStack() as hooks, torch.no_grad():
        for name, block in blocks.items(): hooks.enter_context(watch(name, block))
        y = None if model.num_classes is None else torch.tensor([model.num_classes])
        model(torch.zeros(1, *shape), torch.tensor([0]), y)
    return found


def _places(sizes):
    "({block: (x, y) of its box}, [(block that leaves a skip, block that takes it)])."
    left = [name for name in sizes if name == "conv_in" or name.startswith("down")]
    right = [name for name in sizes if name.startswith("up")]
    heights = sorted({size[1] for _, size in sizes.values()}, reverse=True)
    indent = min(0.4, 0.8 / max(1, len(heights) - 1)) # a level
    edge = lambda name: 2.3 - indent * heights.index(sizes[name][1][1])
    places = {"conv_out": (2.3, 0.85), "mid": (0, -0.8 * len(right) - 0.2)}
    skips = []
    for row, name in enumerate(reversed(right)):
        places[name] = (edge(name), -0.8 * row)
        if sizes[name][0] == "double": continue # takes no skip: nothing stands opposite
        skips.append((left[len(skips)], name))
        places[skips[-1][0]] = (-edge(skips[-1][0]), -0.8 * row)
    return places, skips


def times(size):
    "A size as it is written in drawings: 1 × 8 × 8."
    return " × ".join(map(str, size))


def box(ax, place, text, color=BLUE, width=1.9, height=0.5, fontsize=11):
    "White text in a colored box with its center at `place`."
    from matplotlib.patches import FancyBboxPatch
    x, y = place
    style = dict(boxstyle="round,pad=0.02,rounding_size=0.06", color=color)
    ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **style))
    style = dict(color="white", ha="center", va="center", fontsize=fontsize, linespacing=1.25)
    ax.text(x, y, text, **style)


def arrow(ax, start, end, **style):
    "An arrow from start to end, gray unless told otherwise."
    line = dict(arrowstyle="-|>", color=GREY, lw=1.6, shrinkA=0, shrinkB=0, mutation_scale=13)
    ax.annotate("", end, start, arrowprops=line | style)


def _route(ax, places, names):
    "Arrows from block to block in the order of computation: down, across through mid, and up."
    for a, b in zip(names, names[1:]):
        xa, ya = places[a]
        xb, yb = places[b]
        half = 0.27 if yb > ya else -0.27 # of a box's height, in the direction of the arrow
        start = (xa + 0.97, ya) if a == "mid" else (xa, ya + half)
        end = (xb - 0.97, yb) if b == "mid" else (xb, yb - half)
        arrow(ax, start, end)


def _skip(ax, start, end, label):
    "A dashed arrow from one block to the one that takes its output, and the channels there."
    arrow(ax, (start[0] + 0.97, start[1]), (end[0] - 0.97, end[1]), linestyle="--")
    ax.text(0, end[1] + 0.05, label, color=GREY, ha="center", va="bottom", fontsize=11)


def draw_unet(model, # a network with conv_in, down, mid, up and conv_out, such as `UNet`
              shape): # of one image, (C, H, W)
    "Draw a U-Net as a U, with the size of every block's output; returns the axes."
    import matplotlib.pyplot as plt
    sizes = block_sizes(model, shape)
    places, skips = _places(sizes)
    names = list(sizes)
    inches = (6.6, 0.8 * len(model.up) + 2.2)
    ax = plt.subplots(figsize=inches, facecolor="none", layout="tight")[1]
    _route(ax, places, names)
    for name, (kind, size) in sizes.items():
        box(ax, places[name], f"{kind}\n{times(size)}", COLORS.get(kind, BLUE))
    for a, b in skips:
        below = names[names.index(b) - 1]
        label = f"{sizes[below][1][0]} + {sizes[a][1][0]}"
        _skip(ax, places[a], places[b], label)
    arrow(ax, (-2.3, 0.66), (-2.3, 0.27))
    arrow(ax, (2.3, 1.12), (2.3, 1.5))
    text = dict(color=GREY, ha="center", va="bottom", fontsize=12)
    ax.text(-2.3, 0.7, f"$x_t$: {times(shape)}", **text)
    ax.text(2.3, 1.54, "prediction", **text)
    ax.set(xlim=(-3.3, 3.3), ylim=(places["mid"][1] - 0.3, 1.85), aspect="equal")
    return ax.set_axis_off() or ax
