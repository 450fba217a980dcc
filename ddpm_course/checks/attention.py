"Checkers for the exercises of 70 Attention and text."

import torch

from ddpm_course.checks import Exercise, randn


# ---- 1: how large is the matrix ----

def matrix(B, heads, H, W, size=4): return B * heads * (H * W)**2 * size


matrix_bytes = Exercise(
    lambda B, heads, H, W: matrix(B, heads, H, W),
    lambda: [(1, 1, 8, 16), (4, 8, 32, 32), (2, 4, 64, 32)],
    {"this counts numbers; a float32 has four bytes": lambda B, h, H, W: matrix(B, h, H, W, 1),
     "a float32 has four bytes, not eight or two": lambda B, h, H, W: matrix(B, h, H, W, 8),
     "each pixel asks every pixel: H W is squared": lambda B, h, H, W: B * h * H * W * 4,
     "tokens are H W, not H + W": lambda B, h, H, W: B * h * (H + W)**2 * 4,
     "a pixel asks pixels of all rows and columns, not of its own alone":
         lambda B, h, H, W: B * h * H * W * (H + W) * 4,
     "this is for square maps: a map is H by W": lambda B, h, H, W: B * h * H**4 * 4,
     "every head has a matrix of its own": lambda B, h, H, W: matrix(B, 1, H, W),
     "every image has a matrix of its own": lambda B, h, H, W: matrix(1, h, H, W)},
    "At 64x64 pixels with 8 heads it is half a gigabyte an image, for one layer.")


# ---- 2: two parts become one ----

def part(s, v):
    "(largest score, sum of exponentials, weighted values) of some keys."
    top = s.amax(-1, keepdim=True)
    e = (s - top).exp()
    return top, e.sum(-1, keepdim=True), e @ v


def parts():
    s = 4 * randn(5, 12)
    v = randn(12, 3, seed=1)
    return [(part(s[:, :4], v[:4]), part(s[:, 4:], v[4:])),
            (part(s[:, :9] - 900, v[:9]), part(s[:, 9:], v[9:])),
            (part(s[:, :6] + 800, v[:6]), part(s[:, 6:] + 801, v[6:]))]


def joined(a, b, shift=torch.maximum, shrink_total=True, shrink_out=True, divide=True):
    top = shift(a[0], b[0])
    shrink = lambda part, wanted: (part[0] - top).exp() if wanted else torch.ones_like(top)
    total = sum(shrink(part, shrink_total) * part[1] for part in (a, b))
    out = sum(shrink(part, shrink_out) * part[2] for part in (a, b))
    return out / total if divide else out


def miss(**wrong): return lambda a, b: joined(a, b, **wrong)


merge = Exercise(
    joined, parts,
    {"both parts were taken with their own largest score; bring them to the same one first: "
     "multiply totals and values by exp(top - larger top)":
         miss(shrink_total=False, shrink_out=False),
     "the values were brought to the same largest score, the totals were not":
         miss(shrink_total=False),
     "the totals were brought to the same largest score, the values were not":
         miss(shrink_out=False),
     "divide by the total of both parts at the end": miss(divide=False),
     "this is the mean of two averages; a part counts by its total":
         lambda a, b: (a[2] / a[1] + b[2] / b[1]) / 2,
     "this is the sum of two averages; a part counts by its total":
         lambda a, b: a[2] / a[1] + b[2] / b[1],
     "exponentials of the scores themselves overflow; subtract the larger top first":
         miss(shift=lambda x, y: 0 * x),
     "the smaller of the two largest scores was subtracted; exponentials overflow":
         miss(shift=torch.minimum),
     "only the part with the larger score was kept":
         lambda a, b: torch.where(a[0] > b[0], a[2] / a[1], b[2] / b[1])},
    "So the matrix need never be whole: this is what flash attention does, in the GPU's fast "
    "memory.", tol=1e-9)


# ---- 3: break it: padding that is looked at ----

def padded():
    q, k, v = (randn(2, n, 4, seed=i) for i, n in enumerate((3, 6, 6)))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0]], dtype=torch.bool)
    return [(q, k, v, mask[:, None])]


def weights(q, k): return (q @ k.transpose(-1, -2) / q.shape[-1]**0.5).softmax(-1)


def scores(q, k): return q @ k.transpose(-1, -2) / q.shape[-1]**0.5


leaky = Exercise(
    lambda q, k, v, mask: (weights(q, k) * mask) @ v,
    padded,
    {"this is right, and the task asks for the bug: the mask comes after the softmax":
         lambda q, k, v, mask: scores(q, k).masked_fill(~mask, -torch.inf).softmax(-1) @ v,
     "this has no mask at all; set the weights of padding to zero after the softmax":
         lambda q, k, v, mask: weights(q, k) @ v,
     "this sets scores of padding to zero; set weights to zero, after the softmax":
         lambda q, k, v, mask: (scores(q, k) * mask).softmax(-1) @ v,
     "the mask is upside down: it is True where there is a word":
         lambda q, k, v, mask: (weights(q, k) * ~mask) @ v,
     "the scores are not divided by the root of d":
         lambda q, k, v, mask: ((q @ k.transpose(-1, -2)).softmax(-1) * mask) @ v},
    "No error, and every output too small by the weight that padding took.", tol=1e-9)


# ---- 4: is the picture what was asked for ----

def digits():
    rng = torch.Generator().manual_seed(0)
    left, right = torch.randint(4, (2, 40), generator=rng)
    return [(left, right, 1, 2), (left, right, 3, 3), (left, right, 0, 2)]


beside = Exercise(
    lambda l, r, a, b: ((l == a) & (r == b)) | ((l == b) & (r == a)),
    digits,
    {"\"beside\" does not say which is left: the other order is right, too":
         lambda l, r, a, b: (l == a) & (r == b),
     "this is the other order alone": lambda l, r, a, b: (l == b) & (r == a),
     "one right digit is not enough; both have to be there":
         lambda l, r, a, b: (l == a) | (r == b),
     "this asks whether each digit is one of the two; a picture of two alike would pass":
         lambda l, r, a, b: ((l == a) | (l == b)) & ((r == a) | (r == b)),
     "a sum says too little: 0 and 3 are no 1 and 2": lambda l, r, a, b: l + r == a + b,
     "this is the share; answer for each picture": lambda l, r, a, b:
         (((l == a) & (r == b)) | ((l == b) & (r == a))).double().mean()},
    "A caption that leaves something open is judged by what it says.")


# ---- 5: maps of words ----

def maps_of(w, H, W): return w.mean(1).transpose(1, 2).unflatten(2, (H, W))


word_maps = Exercise(
    maps_of,
    lambda: [(randn(2, 3, 32, 5, seed=s).softmax(-1), 4, 8) for s in (0, 1)],
    {"height and width have changed places":
         lambda w, H, W: w.mean(1).transpose(1, 2).unflatten(2, (W, H)),
     "this is the first head; take the mean over heads":
         lambda w, H, W: w[:, 0].transpose(1, 2).unflatten(2, (H, W)),
     "heads are summed; take their mean":
         lambda w, H, W: w.sum(1).transpose(1, 2).unflatten(2, (H, W)),
     "pixels and words are mixed: bring words before pixels with transpose, not reshape":
         lambda w, H, W: w.mean(1).reshape(len(w), w.shape[-1], H, W),
     "the largest head was taken; take the mean":
         lambda w, H, W: w.amax(1).transpose(1, 2).unflatten(2, (H, W)),
     "the mean over heads is missing":
         lambda w, H, W: w.transpose(-1, -2).unflatten(-1, (H, W)),
     "the pixels are still in one row; give them back their H and W":
         lambda w, H, W: w.mean(1).transpose(1, 2)},
    "At each pixel the maps of all words add up to 1.", tol=1e-9)
