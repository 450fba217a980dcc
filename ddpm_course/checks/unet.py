"Checkers of chapter 12."

import torch
import torch.nn.functional as F

from ddpm_course.checks import Exercise
from ddpm_course.checks.heads import MISHEADS, gather, pixels
from ddpm_course.unet import timestep_embedding


def count(c_in, c_out, c_emb, bias=1, norms=None, middle=None, skip=None, kernel=9):
    "The parameters of a ResBlock, with one thing or another done wrong."
    norms = 2 * (c_in + c_out) if norms is None else norms
    middle = c_out if middle is None else middle # channels into the second convolution
    skip = c_in != c_out if skip is None else skip
    convolutions = kernel * c_in * c_out + kernel * middle * c_out + 2 * bias * c_out
    embedding = c_emb * c_out + bias * c_out
    return norms + convolutions + embedding + skip * (c_in * c_out + bias * c_out)


def off(**wrong): return lambda *args: count(*args, **wrong)


parameters = Exercise(
    count,
    lambda: [(8, 8, 32), (8, 16, 32), (96, 64, 128)],
    {"convolutions and linear layers have a bias: one number an output channel": off(bias=0),
     "the group norms are missing: a scale and a shift for every channel": off(norms=0),
     "c_in is counted where c_out belongs: in the second norm, or in two biases":
         lambda a, b, e: count(a, b, e, norms=4 * a),
     "c_in is counted where c_out belongs, in a bias": lambda a, b, e: count(a, b, e) + a - b,
     "2 c_out numbers are missing: the biases of the convolutions, or the second norm's scales "
     "and shifts": lambda a, b, e: count(a, b, e) - 2 * b,
     "the first norm is missing: a scale and a shift for each of c_in channels":
         lambda a, b, e: count(a, b, e) - 2 * a,
     "the skip's bias and those of the convolutions are missing":
         lambda a, b, e: count(a, b, e) - 2 * b - (a != b) * b,
     "the skip is a convolution where c_in differs from c_out, not where they are equal":
         lambda a, b, e: count(a, b, e, skip=a == b),
     "the linear layer's bias has c_out numbers, one an output":
         lambda a, b, e: count(a, b, e) + e - b,
     "this counts a scale and a shift made of the embedding; it is only added here":
         lambda a, b, e: count(a, b, e) + e * b + b,
     "biases and norms are missing": off(bias=0, norms=0),
     "norms and the skip are missing": off(norms=0, skip=False),
     "a bias is one number an output channel, whatever the size of the kernel":
         lambda a, b, e: count(a, b, e) + 16 * b,
     "a norm has a scale and a shift for every channel, not for every group": off(norms=4 * 32),
     "one bias of c_out numbers is missing; the embedding's linear layer has one, as both "
     "convolutions have": lambda a, b, e: count(a, b, e) - b,
     "the first norm works on c_in channels": lambda a, b, e: count(a, b, e, norms=4 * b),
     "a group norm has two numbers a channel, a scale and a shift":
         lambda a, b, e: count(a, b, e, norms=a + b),
     "the second convolution is from c_out to c_out": lambda a, b, e: count(a, b, e, middle=a),
     "where c_in differs from c_out, the skip is a 1x1 convolution": off(skip=False),
     "where c_in equals c_out, the skip is the identity and has no parameters": off(skip=True),
     "the skip's convolution has a bias, too": lambda a, b, e: count(a, b, e) - (a != b) * b,
     "the skip's convolution is 1x1, not 3x3":
         lambda a, b, e: count(a, b, e) + (a != b) * 8 * a * b,
     "the linear layer of the embedding is missing": lambda a, b, e: count(a, b, e) - e * b - b,
     "the embedding is added to c_out channels": lambda a, b, e: count(a, b, e) + (e + 1) * (a - b),
     "a 3x3 kernel has nine numbers for each pair of channels": off(kernel=3),
     "a kernel has nine numbers for each pair of channels, in and out": off(kernel=1),
     "there are two 3x3 convolutions": lambda a, b, e: count(a, b, e) - 9 * b * b - b},
    "Most sit in the two 3x3 convolutions, and grow with the square of the width.")


attention = Exercise(gather, pixels, MISHEADS,
                     "PyTorch's function does this without ever storing the N x N matrices.")


def walk(channels, layers, first=True, halvings=True, newest=-1, extra=1, after_last=0, up=-1):
    "The input widths on the way up, with one thing or another done wrong."
    skips = [channels[0]] * first
    for level, width in enumerate(channels):
        halved = level < len(channels) - 1 + after_last
        skips += [width] * (layers + (halvings and halved))
    below = channels[-1]
    widths = []
    for width in channels[::up]:
        for _ in range(layers + extra):
            widths.append(below + (skips.pop(newest) if skips else 0))
            below = width
    return widths


def bare(channels, layers):
    "Without skips."
    up = list(channels)[::-1]
    return [c for i, width in enumerate(up) for c in [up[max(0, i - 1)], *[width] * layers]]


def piled(**wrong): return lambda *args: walk(*args, **wrong)


def ups(channels, layers): return zip(walk(channels, layers), bare(channels, layers))


def late(channels, layers):
    "The width from below changes after a level only."
    up = list(channels)[::-1]
    below = [up[max(0, i - 1)] for i in range(len(up)) for _ in range(layers + 1)]
    return [a - b + c for (a, b), c in zip(ups(channels, layers), below)]


def early(channels, layers):
    "The width from below changes before a level."
    below = [c for c in list(channels)[::-1] for _ in range(layers + 1)]
    return [a - b + c for (a, b), c in zip(ups(channels, layers), below)]


widths_up = Exercise(
    walk,
    lambda: [((32, 64), 1), ((8, 16, 32), 2), ((128, 256, 256, 256), 2)],
    {"the oldest skip is taken first; a pile gives back the newest": piled(newest=0),
     "the skip of conv_in, the very first, is missing": piled(first=False),
     "the halvings leave a skip each, too": piled(halvings=False),
     "a halving's skip has the width of the level above, where it stands; none follows the last":
         piled(after_last=1),
     "the way up begins at the coarsest level: go through the channels in reverse": piled(up=1),
     "this is the pile itself; add what comes from below, from its end to its beginning":
         lambda c, n: [a - b for a, b in ups(c, n)][::-1],
     "the two blocks in the middle take no skip; the way up begins after them":
         lambda c, n: [c[-1]] * 2 + walk(c, n),
     "add the two numbers of each pair": lambda c, n: [(b, a - b) for a, b in ups(c, n)],
     "a level has layers + 1 blocks on the way up, and not every skip is as wide as its input":
         lambda c, n: [2 * x for x in c[::-1] for _ in range(n)],
     "each width comes once here; there are layers + 1 blocks a level":
         lambda c, n: walk(c, n)[::n + 1],
     "on the way up each level has one block more than on the way down": piled(extra=0),
     "the list is upside down: the way up begins at the coarsest level":
         lambda c, n: walk(c, n)[::-1],
     "what comes from below is not always as wide as the skip: add the two":
         lambda c, n: [2 * x for x in list(c)[::-1] for _ in range(n + 1)],
     "these are the skips alone; add what comes from below":
         lambda c, n: [a - b for a, b in ups(c, n)],
     "after a level's first block, its own width comes from below": late,
     "a level's first block gets the width of the level below, not its own": early,
     "the skips are missing: each block takes what comes from below beside the newest skip": bare,
     "these are the widths out; the task asks for the channels into each block":
         lambda c, n: [x for x in list(c)[::-1] for _ in range(n + 1)]},
    "As many blocks on the way up as skips: the pile ends empty.")


def cosine(t, s, a, b): return F.cosine_similarity(*both(t, s, a, b))


def both(t, s, a, b): return timestep_embedding(t * a, 32), timestep_embedding(s * b, 32)


def dot(t, s, scale):
    a, b = both(t, s, scale, scale)
    return (a * b).sum(1)


likeness = Exercise(
    lambda t, s, scale: cosine(t, s, scale, scale),
    lambda: [(torch.tensor([0., 10, 500, 999]), torch.tensor([1., 500, 500, 0]), scale)
             for scale in (1, 0.001)],
    {"only t was multiplied by scale; s needs it too": lambda t, s, k: cosine(t, s, k, 1),
     "only s was multiplied by scale; t needs it too": lambda t, s, k: cosine(t, s, 1, k),
     "scale was not used before the embedding (a factor after it changes no cosine)":
         lambda t, s, k: cosine(t, s, 1, 1),
     "times are divided by scale; multiply": lambda t, s, k: cosine(t / k, s / k, 1, 1),
     "scale belongs to the times, before they are embedded": lambda t, s, k: cosine(t, s, 1, 1) * k,
     "this compares each with every other; pair them up":
         lambda t, s, k: (lambda a, b: a @ b.T)(*both(t, s, k, k)),
     "this compares each with every other: pairs are on the diagonal alone": lambda t, s, k:
         (lambda a, b: F.normalize(a) @ F.normalize(b).T)(*both(t, s, k, k)),
     "this divides by the length of all embeddings together; take norm(dim=1)": lambda t, s, k:
         dot(t, s, k) / (lambda a, b: a.norm() * b.norm())(*both(t, s, k, k)),
     "the lengths are squared; divide by each once": lambda t, s, k: dot(t, s, k) / 16**2,
     "a length is the root of the sum of squares, 4 here; this divides by the width's root":
         lambda t, s, k: dot(t, s, k) / 32**0.5,
     "this is the mean of the products; a cosine divides their sum by both lengths":
         lambda t, s, k: dot(t, s, k) / 32,
     "this is the angle; its cosine is asked": lambda t, s, k:
         cosine(t, s, k, k).clamp(-1, 1).acos(),
     "times are cut to whole numbers; any real number can be embedded": lambda t, s, k:
         cosine((t * k).long(), (s * k).long(), 1, 1),
     "this is a mean over the pairs; answer for each": lambda t, s, k: cosine(t, s, k, k).mean(),
     "a cosine divides by both lengths; one of them is missing": lambda t, s, k:
         dot(t, s, k) / both(t, s, k, k)[0].norm(dim=1),
     "this is the inner product; a cosine divides by both lengths": dot,
     "this is the distance of a cosine: 1 minus it": lambda t, s, k: 1 - cosine(t, s, k, k),
     "this is a distance; of two equal times the cosine is 1":
         lambda t, s, k: F.pairwise_distance(*both(t, s, k, k)),
     "the cosine runs over the times; take it along dim=1":
         lambda t, s, k: F.cosine_similarity(*both(t, s, k, k), dim=0),
     "this compares times; compare their embeddings": lambda t, s, k: (t * k - s * k).cos()},
    "In units of 1/1000 any two times look almost alike.", tol=1e-4) # float32


def toy(x):
    "A small network without symmetries, of two channels in and three out."
    rng = torch.Generator().manual_seed(0)
    kernels = [torch.randn(3, c, 3, 3, generator=rng, dtype=torch.float64) for c in (2, 3)]
    h = F.conv2d(x.double(), kernels[0], padding=1)
    return F.conv2d(h.sin(), kernels[1], padding=1)


def gradients(f, x, row, column, part=lambda out, row, column: out[:, :, row, column]):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(part(f(x), row, column).sum(), x)[0]


def places():
    x = torch.randn(4, 2, 7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [(toy, x.clone(), 2, 4), (toy, x.clone(), 5, 1)] # x.grad is each one's own


def mean_size(g): return g.abs().mean((0, 1))


def pixel(part): return lambda *args: mean_size(gradients(*args, part=part))


def each_channel(f, x, *place):
    "The mean size of each output channel's gradient, summed."
    part = lambda i: lambda out, r, c: out[:, i, r, c]
    return sum(mean_size(gradients(f, x, *place, part=part(i))) for i in range(3))


def reduced(by): return lambda *args: by(gradients(*args))


influence = Exercise(
    reduced(mean_size),
    places,
    {"row and column have changed places": pixel(lambda out, r, c: out[:, :, c, r]),
     "this is the gradient of the whole output, not of one pixel": pixel(lambda out, r, c: out),
     "only the first output channel was asked; sum over them":
         pixel(lambda out, r, c: out[:, 0, r, c]),
     "only the first image was asked; ask all of them": pixel(lambda out, r, c: out[0, :, r, c]),
     "only one image and channel were asked; sum over them":
         pixel(lambda out, r, c: out[0, 0, r, c]),
     "the output pixel is squared; sum it as it is":
         pixel(lambda out, r, c: out[:, :, r, c].square()),
     "the absolute value belongs to the gradient, not to the output pixel":
         pixel(lambda out, r, c: out[:, :, r, c].abs()),
     "this is the output; its gradient is asked": lambda f, x, *place: f(x).abs().mean((0, 1)),
     "this is divided by its largest value; don't":
         reduced(lambda g: mean_size(g) / mean_size(g).max()),
     "this is the first image's; take the mean over images": reduced(lambda g: g[0].abs().mean(0)),
     "the mean runs over pixels; take it over images and channels":
         reduced(lambda g: g.abs().mean((2, 3))),
     "the output pixel is averaged; sum it": pixel(lambda out, r, c: out[:, :, r, c].mean()),
     "the output is averaged over images; sum it": pixel(lambda out, r, c: out[:, :, r, c].mean(0)),
     "the output is averaged over channels; sum it":
         pixel(lambda out, r, c: out[:, :, r, c].mean(1)),
     "signs cancel: take the absolute value first": reduced(lambda g: g.mean((0, 1)).abs()),
     "signs cancel between images: take the absolute value first":
         reduced(lambda g: g.mean(0).abs().mean(0)),
     "signs cancel between channels: take the absolute value first":
         reduced(lambda g: g.mean(1).abs().mean(0)),
     "every output channel has its own gradient here; sum the channels first": each_channel,
     "this is the root of the mean square; take the mean size":
         reduced(lambda g: g.square().mean((0, 1)).sqrt()),
     "this is summed over channels; take the mean": reduced(lambda g: g.abs().sum(1).mean(0)),
     "this is summed over images; take the mean": reduced(lambda g: g.abs().mean(1).sum(0)),
     "this takes the largest channel; take the mean": reduced(lambda g: g.abs().amax(1).mean(0)),
     "this is the length over channels; take the mean size":
         reduced(lambda g: g.norm(dim=1).mean(0)),
     "this is the first channel's; take the mean over channels":
         reduced(lambda g: g[:, 0].abs().mean(0)),
     "this is the gradient itself, for every image and channel; take the mean size":
         reduced(lambda g: g),
     "this is multiplied by the input; the gradient alone is asked":
         lambda f, x, *place: mean_size(x * gradients(f, x, *place)),
     "this is divided by its sum; don't": reduced(lambda g: mean_size(g) / mean_size(g).sum()),
     "the gradient has signs; take its absolute value": reduced(lambda g: g.mean((0, 1))),
     "this is summed over images and channels; take the mean":
         reduced(lambda g: g.abs().sum((0, 1))),
     "the mean over images and channels is missing": reduced(lambda g: g.abs()),
     "this is still of every channel; take the mean": reduced(lambda g: g.abs().mean(0)),
     "this is still of every image; take the mean": reduced(lambda g: g.abs().mean(1)),
     "this is the mean square; take the mean size": reduced(lambda g: g.square().mean((0, 1)))},
    "Now draw it for a U-Net, with and without its parts.")
