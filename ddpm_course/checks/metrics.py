"Checkers of chapter 32."

import torch

from ddpm_course.checks import Exercise


def rows(n, D, seed, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, D, generator=rng, dtype=torch.float64)


# ---- above the floor ----

FLOORS = {100: 12.0, 200: 5.0, 797: 1.5}

over_floor = Exercise(
    lambda distance, n, floor_at: distance - floor_at[n],
    lambda: [(7.0, 200, FLOORS), (1.6, 797, FLOORS), (30.0, 100, FLOORS), (4.0, 200, FLOORS)],
    {"this is a ratio, which grows with n for one and the same sampler; the bias adds, so it is "
     "to be subtracted": lambda distance, n, floor_at: distance / floor_at[n],
     "this is the excess as a share of the floor; the bias adds, so a difference is enough":
         lambda distance, n, floor_at: distance / floor_at[n] - 1,
     "the difference is upside down: the distance comes first":
         lambda distance, n, floor_at: floor_at[n] - distance,
     "this adds the floor; what the distance has more is a difference":
         lambda distance, n, floor_at: distance + floor_at[n],
     "this cuts the answer off at 0; a distance below its floor says so by its sign":
         lambda distance, n, floor_at: max(0.0, distance - floor_at[n]),
     "the sign is lost: a distance below its floor is below 0":
         lambda distance, n, floor_at: abs(distance - floor_at[n]),
     "every n has its own floor; this takes that of the largest":
         lambda distance, n, floor_at: distance - floor_at[max(floor_at)],
     "this subtracts a part of the floor; the whole floor is what real images have":
         lambda distance, n, floor_at: distance - floor_at[n] / n,
     "this subtracts 1/n; the bias is only proportional to it, so the floor is measured":
         lambda distance, n, floor_at: distance - 1 / n,
     "this subtracts squares; the distance is a squared one already":
         lambda distance, n, floor_at: distance**2 - floor_at[n]**2,
     "this divides by n; the bias is not exactly 1/n, which is why the floor is measured":
         lambda distance, n, floor_at: distance / n,
     "this multiplies by n; the bias is not exactly 1/n, which is why the floor is measured":
         lambda distance, n, floor_at: distance * n},
    "0 would be as good as real digits.")


# ---- pairs of different images ----

def cubic(a, b): return (a @ b.T / a.shape[1] + 1)**3


def mmd(a, b, k=cubic, cross=2.0):
    def others(x): return (k(x, x).sum() - k(x, x).trace()) / (len(x) * (len(x) - 1))
    return others(a) + others(b) - cross * k(a, b).mean()


def all_counted(a, b):
    def others(x): return (cubic(x, x).sum() - cubic(x, x).trace()) / len(x)**2
    return others(a) + others(b) - 2 * cubic(a, b).mean()


def crossed_without_diagonal(a, b):
    k = cubic(a, b)
    cross = (k.sum() - k.diagonal().sum()) / (k.numel() - min(len(a), len(b)))
    return mmd(a, b, cross=0.0) - 2 * cross


unbiased = Exercise(
    mmd,
    lambda: [(rows(6, 4, 1), rows(9, 4, 2) + 0.5), (rows(5, 2, 3), rows(5, 2, 4)),
             (rows(6, 3, 5), rows(7, 3, 6) + 2)],
    {"the pairs of an image with itself are still in: leave the diagonals of the first two terms "
     "out": lambda a, b: cubic(a, a).mean() + cubic(b, b).mean() - 2 * cubic(a, b).mean(),
     "the diagonals are left out of the sums, but not of the count: N (N - 1) pairs remain":
         all_counted,
     "the mixed term leaves out pairs, too; an image of a and one of b are never the same image":
         crossed_without_diagonal,
     "the mixed term counts twice": lambda a, b: mmd(a, b, cross=1.0),
     "the mixed term is subtracted": lambda a, b: mmd(a, b, cross=-2.0),
     "the mixed term is missing": lambda a, b: mmd(a, b, cross=0.0),
     "the pairs within b are missing": lambda a, b: mmd(a, b) - mmd(b, b, cross=0.0) / 2,
     "the kernel divides the product by the number of features":
         lambda a, b: mmd(a, b, lambda x, y: (x @ y.T + 1)**3),
     "the kernel is cubic; this one has no power":
         lambda a, b: mmd(a, b, lambda x, y: x @ y.T / x.shape[1] + 1),
     "the kernel is cubic; this one is squared":
         lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1] + 1)**2),
     "the kernel adds 1 before it takes the power":
         lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1])**3),
     "the sign is upside down: pairs within a set come first": lambda a, b: -mmd(a, b),
     "this is cut off at 0; an unbiased value may fall below":
         lambda a, b: mmd(a, b).clamp(min=0),
     "this is the root of the distance; by the field's convention it stays squared":
         lambda a, b: mmd(a, b).clamp(min=0).sqrt()},
    "Different images only: then equals are at distance 0 on average, for any n.")


# ---- gray levels ----

def levels(x, half=8): return ((x.clamp(-1, 1) + 1) * half).round().long()


def stretched(x):
    low = x.amin((1, 2, 3), True)
    return ((x - low) / (x.amax((1, 2, 3), True) - low) * 16).round().long()


gray_levels = Exercise(
    levels,
    lambda: [(torch.linspace(-1.1, 1.1, 128).view(2, 1, 8, 8),),
             (torch.linspace(-0.6, 0.5, 64).view(1, 1, 8, 8),)],
    {"this cuts the fraction off, so that every level comes out half a level too dark; round":
         lambda x: ((x.clamp(-1, 1) + 1) * 8).long(),
     "this rounds up, so that every level comes out half a level too bright; round to the nearest":
         lambda x: ((x.clamp(-1, 1) + 1) * 8).ceil().long(),
     "this stretches each image to its own minimum and maximum; -1 is black and 1 is white in "
     "every image": stretched,
     "values outside [-1, 1] leave the levels 0..16; clamp first":
         lambda x: ((x + 1) * 8).round().long(),
     "values below -1 wrap round to bright in uint8; clamp first":
         lambda x: ((x + 1) * 8).round().long() % 256,
     "0..16 are 17 levels, so the range from -1 to 1 is 16 steps wide": lambda x: levels(x, 7.5),
     "the top level is 16; this has 17 steps from -1 to 1": lambda x: levels(x, 8.5),
     "these are the 256 levels of photographs; digits have 17": lambda x: levels(x, 127.5),
     "images lie in [-1, 1]; this takes them for [0, 1], and all below 0 becomes black":
         lambda x: (x.clamp(0, 1) * 16).round().long(),
     "the shift by 1 is missing: -1 is black, level 0":
         lambda x: (x.clamp(-1, 1) * 8).round().long()},
    "Clamp, then round: the only way from a float image to gray levels.", dtype=torch.int64)


# ---- copies ----

def gap(images, train, dim=1): return torch.cdist(images, train).min(dim).values


def planted(seed):
    "Fakes of which some are copies, exact and nearly so; held-out images; training images."
    train, held_out, fakes = (rows(n, 6, seed + i) for i, n in enumerate((40, 30, 21)))
    fakes[:3] = train[:3]
    fakes[3:6] = train[3:6] + rows(3, 6, seed + 3, 0.1)
    return fakes, held_out, train


suspects = Exercise(
    lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).min(),
    lambda: [planted(1), planted(11)],
    {"this is upside down: copies lie near, so their distance is small":
         lambda fakes, held_out, train: gap(fakes, train) > gap(held_out, train).min(),
     "this is nearer than the average held-out image; many originals are":
         lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).mean(),
     "this is nearer than the median held-out image; half of all originals are":
         lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).median(),
     "this is nearer than the farthest held-out image; nearly every image is":
         lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).max(),
     "this finds exact copies alone; a copy with a little noise is one, too":
         lambda fakes, held_out, train: gap(fakes, train) == 0,
     "this looks for fakes near held-out images; copies lie near training images":
         lambda fakes, held_out, train: gap(fakes, held_out) < gap(train, held_out).min(),
     "this asks whether a training image is nearer than every held-out image; compare with how "
     "near held-out images come to the training images":
         lambda fakes, held_out, train: gap(fakes, train) < gap(fakes, held_out),
     "the minimum is over the wrong axis: one value for each training image; each fake has its "
     "nearest": lambda fakes, held_out, train: gap(fakes, train, 0) < gap(held_out, train, 0).min(),
     "this asks for the nearest of all fakes together; each fake has its own answer":
         lambda fakes, held_out, train: gap(fakes, train).min() < gap(held_out, train).min(),
     "this averages over all training images; only the nearest one counts":
         lambda fakes, held_out, train:
             torch.cdist(fakes, train).mean(1) < torch.cdist(held_out, train).mean(1).min(),
     "these are the numbers of the suspects; give true or false for each fake":
         lambda fakes, held_out, train:
             (gap(fakes, train) < gap(held_out, train).min()).nonzero()[:, 0],
     "this counts the suspects; give true or false for each fake":
         lambda fakes, held_out, train: (gap(fakes, train) < gap(held_out, train).min()).sum(),
     "these are the distances; give true where one is smaller than every held-out image's":
         lambda fakes, held_out, train: gap(fakes, train)},
    "A copy is nearer than any original comes by chance.", dtype=torch.bool)
