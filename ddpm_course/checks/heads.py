"Attention with several heads, right and wrong: what exercise 2 of chapter 12 compares."

import torch


def split(x, heads): return x.unflatten(-1, (heads, -1)).transpose(1, 2) # (B, heads, N, d)


def merge(x): return x.transpose(1, 2).flatten(2)


def scores(q, k, heads, power=0.5):
    q = split(q, heads)
    return q @ split(k, heads).transpose(-1, -2) / q.shape[-1]**power


def gather(q, k, v, heads, power=0.5, axis=-1):
    return merge(scores(q, k, heads, power).softmax(axis) @ split(v, heads))


def interleaved(q, k, v, heads):
    "Heads that take every n-th feature in place of neighbors, and put it back there."
    mixed = lambda x: x.unflatten(-1, (-1, heads)).transpose(-1, -2).flatten(-2)
    out = gather(mixed(q), mixed(k), mixed(v), heads)
    return out.unflatten(-1, (heads, -1)).transpose(-1, -2).flatten(-2)


def pieces(q, k, v, heads):
    "Pixels in groups in place of features."
    parts = zip(*(x.chunk(heads, 1) for x in (q, k, v)))
    return torch.cat([gather(*part, 1) for part in parts], 1)


def folded(q, k, v, heads):
    "view(B, heads, N, d) at once: pixels and features get mixed."
    cut = lambda x: x.reshape(len(x), heads, x.shape[1], -1)
    q, k, v = cut(q), cut(k), cut(v)
    weights = (q @ k.transpose(-1, -2) / q.shape[-1]**0.5).softmax(-1)
    return merge(weights @ v), (weights @ v).reshape(len(q), q.shape[2], -1)


def across(q, k, v, heads):
    "Heads attend to one another at each pixel: (B, N, heads, d) without the transpose."
    q, k, v = (x.unflatten(-1, (heads, -1)) for x in (q, k, v))
    return ((q @ k.transpose(-1, -2) / q.shape[-1]**0.5).softmax(-1) @ v).flatten(2)


def pixels():
    z = torch.randn(3, 2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [(z[0], z[1], z[2], 1), (3 * z[2], z[0], z[1], 2), (z[1], 2 * z[2], z[0], 4)]


def heads(**wrong): return lambda *args: gather(*args, **wrong)


def apart(q, k, v, heads): return scores(q, k, heads).softmax(-1) @ split(v, heads)


def grouped(q, k, v, heads):
    "C / heads groups of `heads` neighbors: what unflatten(-1, (-1, heads)) makes."
    return gather(q, k, v, q.shape[-1] // heads)


def scattered(q, k, v, heads):
    "Heads that take every n-th feature, laid side by side."
    return gather(*(x.unflatten(-1, (-1, heads)).mT.flatten(-2) for x in (q, k, v)), heads)


def weighted(weights):
    "Attention whose weights are made of the scores, which are not divided by anything."
    return lambda q, k, v, heads: merge(weights(scores(q, k, heads, 0), q.shape[-1] // heads)
                                        @ split(v, heads))


FOLDED = "pixels and features are mixed: cut the last axis into (heads, d) first, then move heads"

MISHEADS = {
    "the scores are not divided by sqrt(d), so wide layers look at one pixel": heads(power=0),
    "the scores are divided by d, not by its square root": heads(power=1),
    "the scores are divided by the root of C; a head has d = C/heads features":
        lambda q, k, v, h: gather(q / h**0.5, k, v, h),
    "the softmax runs over queries; it belongs on the last axis, the keys": heads(axis=-2),
    "the softmax runs over the heads; it belongs on the last axis, the keys": heads(axis=1),
    "the softmax runs over the images; it belongs on the last axis, the keys": heads(axis=0),
    "these are the weights; multiply them with the values":
        lambda q, k, v, h: scores(q, k, h).softmax(-1),
    "these are the weights of one head; split, and multiply with the values":
        lambda q, k, v, h: scores(q, k, 1).softmax(-1)[:, 0],
    "the weights are transposed: row i belongs to query i":
        lambda q, k, v, h: merge(scores(q, k, h).softmax(-1).mT @ split(v, h)),
    "this cuts the pixels into groups; cut the features, the last axis": pieces,
    "the heads are stacked on an axis of their own; use torch.cat":
        lambda *args: apart(*args).permute(0, 2, 3, 1),
    "queries and keys have changed places": lambda q, k, v, h: gather(k, q, v, h),
    "there is no softmax: weights are to be positive and to sum to 1":
        lambda q, k, v, h: merge(scores(q, k, h) @ split(v, h)),
    "heads is not used: the features attend as one group": lambda q, k, v, h: gather(q, k, v, 1),
    "a head takes every n-th feature here; it is to take neighbors": interleaved,
    "heads attend to one another here; move the axis of heads before that of pixels": across,
    FOLDED: lambda *args: folded(*args)[0],
    FOLDED + " back": lambda *args: folded(*args)[1],
    "bring heads back beside d before you join them: (B, N, heads, d)":
        lambda *args: apart(*args).reshape(args[2].shape),
    "the heads are averaged; lay them side by side": lambda *args: apart(*args).mean(1),
    "the heads are still apart: bring the result to (B, N, C)": apart,
    "the scores are multiplied by sqrt(d); divide them by it": heads(power=-0.5),
    "the scores are divided by C; divide a head's by the root of its d = C/heads features":
        lambda q, k, v, h: gather(q / h, k, v, h, power=1),
    "the scores are divided after the softmax; divide them first":
        weighted(lambda s, d: s.softmax(-1) / d**0.5),
    "the weights do not sum to 1: exp alone is no softmax":
        weighted(lambda s, d: (s / d**0.5).exp()),
    "heads is used for the scale alone: split the features, too":
        lambda q, k, v, h: gather(q * h**0.5, k, v, 1),
    "this makes groups of `heads` features; make `heads` groups: (heads, -1), not (-1, heads)":
        grouped,
    "a head takes every n-th feature here, and the results are laid side by side": scattered,
    "heads and d are still two axes at the end; flatten them":
        lambda *args: apart(*args).transpose(1, 2),
    "the keys stand where the values belong": lambda q, k, v, h: gather(q, k, k, h),
    "the queries stand where the keys belong": lambda q, k, v, h: gather(q, q, v, h),
    "the values stand where the keys belong, and the keys where the values do":
        lambda q, k, v, h: gather(q, v, k, h),
    "the queries are added to the result; the block does that, not attention":
        lambda q, k, v, h: gather(q, k, v, h) + q,
    "the heads are added up; lay them side by side": lambda *args: apart(*args).sum(1),
    "the heads are laid one under the other, along the pixels; join them along features":
        lambda *args: apart(*args).flatten(1, 2),
}
