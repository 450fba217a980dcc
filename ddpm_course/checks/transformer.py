"Checkers for the exercises of 71 Transformers."

import torch
from torch import nn

from ddpm_course.checks import Exercise, randn
from ddpm_course.transformer import DiT


# ---- 1: what do squares cost ----

def work(H, W, p, D, depth, per_token=12, per_pair=2, tokens=None):
    N = H * W // p**2 if tokens is None else tokens
    return depth * (per_token * D**2 * N + per_pair * N**2 * D)


def counted(**wrong): return lambda H, W, p, D, depth: work(H, W, p, D, depth, **wrong)


block_work = Exercise(
    lambda H, W, p, D, depth: work(H, W, p, D, depth),
    lambda: [(32, 32, 2, 384, 12), (8, 16, 2, 64, 6), (32, 64, 4, 48, 1)],
    {"this counts multiplications and additions apart; count a pair of them as one":
         counted(per_token=24, per_pair=4),
     "attention has two products of N by N: the scores, and the weighted values":
         counted(per_pair=1),
     "the products of attention are missing: N**2 D for the scores, and again for the values":
         counted(per_pair=0),
     "the MLP has two layers, to 4 D and back: 8 D**2 for each token": counted(per_token=8),
     "queries, keys and values are three layers, and one more brings the heads together: 4 D**2":
         counted(per_token=9),
     "the layer after attention is missing, which brings the heads together":
         counted(per_token=11),
     "the MLP is missing": counted(per_token=4),
     "a square has p**2 pixels, not p": lambda H, W, p, D, depth:
         work(H, W, p, D, depth, tokens=H * W // p),
     "pictures need not be square: N = H W / p**2": lambda H, W, p, D, depth:
         work(H, W, p, D, depth, tokens=(H // p)**2),
     "this is one block": lambda H, W, p, D, depth: work(H, W, p, D, 1)},
    "For S/2 on a latent it is 6.04 of the network's 6.06 Gflops; the rest is the layers that make "
    "shifts, scales and gates, and those at both ends.", tol=1e-9)


# ---- 2: squares with the channel last ----

def joined(tokens, p, height, order=(0, 5, 1, 3, 2, 4)):
    x = tokens.unflatten(1, (height // p, -1)).unflatten(3, (p, p, -1)) # (B, h, w, p, p, C)
    x = x.permute(order)
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3], -1)


def in_order(*order): return lambda tokens, p, height: joined(tokens, p, height, order)


channel_last = Exercise(
    lambda tokens, p, height: joined(tokens, p, height),
    lambda: [(randn(2, 24, 12), 2, 8), (randn(1, 6, 32, seed=1), 4, 8)],
    {"here the channel is the last of a square's three axes; this reads it as the first":
         lambda tokens, p, height: tokens.unflatten(1, (height // p, -1)).unflatten(
             3, (-1, p, p)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3),
     "rows and columns within a square have changed places": in_order(0, 5, 1, 4, 2, 3),
     "a row of the picture is a row of squares, then a row within them: bring the axes to "
     "(B, C, h, p, w, p) before joining them": in_order(0, 5, 1, 2, 3, 4),
     "squares lie row by row; this takes them column by column":
         lambda tokens, p, height: joined(
             tokens.unflatten(1, (-1, height // p)).transpose(1, 2).flatten(1, 2), p, height),
     "this only reshapes: numbers of one square are no row of the picture":
         lambda tokens, p, height: tokens.reshape(len(tokens), -1, height,
                                                  tokens.shape[1] * p**2 // height)},
    "diffusers' networks put the channel last, which is why from_diffusers reorders the rows of "
    "the last layer.", tol=1e-9)


# ---- 3: break it: initialized away ----

def waves(layer):
    "A fixed stand-in for random weights."
    with torch.no_grad():
        n = layer.weight.numel()
        layer.weight.copy_(0.2 * torch.arange(n).float().mul(1.7).sin().view_as(layer.weight))
        layer.bias.fill_(0.05)


def networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = [DiT(1, 2, 16, depth, 2).eval() for depth in (1, 3)]
    return [(net, waves, randn(2, 5, 16).float(), randn(2, 16, seed=1).float()) for net in nets]


def moved(net, init, h, c, layers=lambda name: True, size=lambda d: d.abs().max(), all_at=False):
    for name, m in net.named_modules():
        if isinstance(m, nn.Linear) and layers(name): init(m)
    with torch.no_grad(): return [size(block(h, c) - h).item() for block in net.blocks]


def chained(net, init, h, c):
    for m in net.modules():
        if isinstance(m, nn.Linear): init(m)
    found = []
    with torch.no_grad():
        for block in net.blocks:
            new = block(h, c)
            found.append((new - h).abs().max().item())
            h = new
    return found


def outputs(net, init, h, c):
    moved(net, init, h, c)
    with torch.no_grad(): return [block(h, c).abs().max().item() for block in net.blocks]


restarted = Exercise(
    lambda net, init, h, c: moved(net, init, h, c),
    networks,
    {"this is right, and the task asks for the bug: call init on the layers named ada, too":
         lambda net, init, h, c: moved(net, init, h, c, lambda name: "ada" not in name),
     "this initializes the ada layers alone; the loop that did the harm went over all nn.Linear":
         lambda net, init, h, c: moved(net, init, h, c, lambda name: name.endswith("ada")),
     "return the largest change, not the mean":
         lambda net, init, h, c: moved(net, init, h, c, size=lambda d: d.abs().mean()),
     "a change may be negative: take its size first":
         lambda net, init, h, c: moved(net, init, h, c, size=lambda d: d.max()),
     "this is the output of each block; return how far it is from what came in": outputs,
     "this hands the tokens on from block to block; ask every block with the same h": chained},
    "One loop after the constructor, and no block is the identity any more.", tol=1e-4)


# ---- 4: three of four ----

def guide(out, base, scale, guided, other=None):
    other = out if other is None else other
    return torch.cat([(base + scale * (out - base))[:, :guided], other[:, guided:]], 1)


first_channels = Exercise(
    lambda out, base, scale, guided: guide(out, base, scale, guided),
    lambda: [(randn(2, 8, 3, 3), randn(2, 8, 3, 3, seed=1), 4.0, 3),
             (randn(1, 4, 2, 2), randn(1, 4, 2, 2, seed=2), 1.5, 2)],
    {"this guides all channels": lambda out, base, scale, guided: base + scale * (out - base),
     "the other channels are to be those of the conditional answer, out":
         lambda out, base, scale, guided: guide(out, base, scale, guided, base),
     "the scale counts from base: base + scale (out - base); this starts from out":
         lambda out, base, scale, guided: guide(out, base, scale + 1, guided),
     "out and base have changed places":
         lambda out, base, scale, guided: guide(base, out, scale, guided),
     "this guides the last channels; guide the first":
         lambda out, base, scale, guided: torch.cat(
             [out[:, :guided], (base + scale * (out - base))[:, guided:]], 1),
     "this guides one channel": lambda out, base, scale, guided: guide(out, base, scale, 1),
     "the other channels are missing": lambda out, base, scale, guided:
         guide(out, base, scale, guided)[:, :guided]},
    "It looks like guidance, and one number of the latent does not take part.", tol=1e-9)


# ---- 5: how far a token looks ----

def apart(N, columns):
    i = torch.arange(N)
    return (i // columns)[:, None] - (i // columns), (i % columns)[:, None] - (i % columns)


def looks(w, columns, distance=lambda dy, dx: (dy**2 + dx**2).double()**0.5, over=(-2, -1)):
    N = w.shape[-1]
    return (w * distance(*apart(N, columns))).sum(over) / N


reach = Exercise(
    lambda weights, columns: looks(weights, columns),
    lambda: [(randn(3, 24, 24, seed=s).mul(2).softmax(-1), 6) for s in (0, 1)],
    {"neighbors in the row of tokens need not be neighbors in the picture: use rows and columns":
         lambda w, columns: looks(w, columns, lambda dy, dx: (dy * columns + dx).abs()),
     "this is the distance along rows and columns; take the straight line":
         lambda w, columns: looks(w, columns, lambda dy, dx: dy.abs() + dx.abs()),
     "this is the squared distance": lambda w, columns:
         looks(w, columns, lambda dy, dx: dy**2 + dx**2),
     "this counts columns alone": lambda w, columns: looks(w, columns, lambda dy, dx: dx.abs()),
     "this counts rows alone": lambda w, columns: looks(w, columns, lambda dy, dx: dy.abs()),
     "this is the sum over the tokens that ask; take the mean":
         lambda w, columns: looks(w, columns) * w.shape[-1],
     "each head has a reach of its own; this is their mean":
         lambda w, columns: looks(w, columns).mean(),
     "this is the distance to what is looked at most; weigh all tokens":
         lambda w, columns: looks(nn.functional.one_hot(w.argmax(-1), w.shape[-1]), columns),
     "the weights are missing: every token counts alike here":
         lambda w, columns: looks(torch.ones_like(w) / w.shape[-1], columns)},
    "A convolution of 3x3 reaches one pixel; a head reaches as far as it has learned to.",
    tol=1e-6)
