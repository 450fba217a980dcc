"Checkers of chapter 32."

import torch

from ddpm_course.checks import Exercise
from ddpm_course.checks.pairings import MISPAIRED, mmd


def rows(n, D, seed, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, D, generator=rng, dtype=torch.float64)


# ---- above the floor ----

FLOORS = {100: 12.07, 200: 5.04, 797: 1.52}

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
     "every n has its own floor; this takes that of the largest n":
         lambda distance, n, floor_at: distance - floor_at[max(floor_at)],
     "every n has its own floor; this takes that of the smallest n":
         lambda distance, n, floor_at: distance - floor_at[min(floor_at)],
     "every n has its own floor; this takes the mean of all":
         lambda distance, n, floor_at: distance - sum(floor_at.values()) / len(floor_at),
     "this is the floor itself; subtract it from the distance":
         lambda distance, n, floor_at: floor_at[n],
     "this says whether the distance exceeds the floor; asked for is by how much":
         lambda distance, n, floor_at: distance > floor_at[n],
     "nothing is subtracted here; the floor that belongs to n is floor_at[n]":
         lambda distance, n, floor_at: distance,
     "this is the right difference, rounded; return it as it is":
         lambda distance, n, floor_at: round(distance - floor_at[n], 1),
     "this is the difference, times n; the difference alone is the excess":
         lambda distance, n, floor_at: (distance - floor_at[n]) * n,
     "this subtracts the floors of all n; the one that belongs to n is floor_at[n]":
         lambda distance, n, floor_at: distance - sum(floor_at.values()),
     "this cuts the fraction off": lambda distance, n, floor_at: int(distance - floor_at[n]),
     "this subtracts half the floor; the whole floor is what real images have":
         lambda distance, n, floor_at: distance - floor_at[n] / 2,
     "this subtracts the number of images; the floor that belongs to it is floor_at[n]":
         lambda distance, n, floor_at: distance - n,
     "this is the excess as a share of the distance; the bias adds, so a difference is enough":
         lambda distance, n, floor_at: 1 - floor_at[n] / distance,
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

unbiased = Exercise(
    mmd,
    lambda: [(rows(6, 4, 1), rows(9, 4, 2) + 0.5), (rows(5, 2, 3), rows(5, 2, 4)),
             (rows(6, 3, 5), rows(7, 3, 6) + 2)],
    MISPAIRED,
    "Different images only: then equals are at distance 0 on average, for any n.")


# ---- gray levels ----

def levels(x, half=8, whole=torch.round): return whole((x.clamp(-1, 1) + 1) * half).long()


def stretched(x):
    low = x.amin((1, 2, 3), True)
    return ((x - low) / (x.amax((1, 2, 3), True) - low) * 16).round().long()


gray_levels = Exercise(
    levels,
    lambda: [(torch.linspace(-1.1, 1.1, 128).view(2, 1, 8, 8),),
             (torch.linspace(-0.6, 0.5, 64).view(1, 1, 8, 8),)],
    {"this cuts the fraction off, so that every level comes out half a level too dark; round":
         lambda x: levels(x, whole=torch.floor),
     "this cuts the fraction off, and values outside [-1, 1] leave the levels 0..16":
         lambda x: ((x + 1) * 8).floor().long(),
     "this rounds up, so that every level comes out half a level too bright; round to the nearest":
         lambda x: levels(x, whole=torch.ceil),
     "this stretches each image to its own minimum and maximum; -1 is black and 1 is white in "
     "every image": stretched,
     "this stretches all images to their common minimum and maximum; -1 is black and 1 is white":
         lambda x: ((x - x.min()) / (x.max() - x.min()) * 16).round().long(),
     "the range from -1 to 1 is 2 wide; 16 levels over that make 8 a unit":
         lambda x: levels(x, 16),
     "this goes from 0 to 1; 16 levels over the range from -1 to 1 make 8 a unit":
         lambda x: levels(x, 0.5),
     "this clamps to [-1, 1] after it multiplied; clamp first":
         lambda x: ((x + 1) * 8).clamp(-1, 1).round().long(),
     "this clamps images to 0..16 before they are levels; they are in [-1, 1]":
         lambda x: ((x.clamp(0, 16) + 1) * 8).round().long(),
     "this adds 1 after it multiplied; shift first, so that 0 is level 8":
         lambda x: (x.clamp(-1, 1) * 8 + 1).round().long(),
     "this clamps from above alone; values below -1 are to become 0":
         lambda x: ((x.clamp(max=1) + 1) * 8).round().long(),
     "this clamps from below alone; values above 1 are to become 16":
         lambda x: ((x.clamp(min=-1) + 1) * 8).round().long(),
     "these are 17 equal bins; rounding to the nearest gives the two ends half a bin":
         lambda x: levels(x, 8.5, torch.floor).clamp(max=16),
     "these are 17 equal bins, and white comes out as 17; round, and the two ends get half a bin":
         lambda x: levels(x, 8.5, torch.floor),
     "this takes -16..16; shift by 1 first, so that -1 is level 0, and 8 a unit makes 1 level 16":
         lambda x: (x.clamp(-1, 1) * 16).round().long(),
     "this divides 0..255 by 16, and 255 / 16 is less than 16: multiply by 16 / 255":
         lambda x: levels(x, 127.5 / 16),
     "this becomes whole before it is multiplied, and only 0, 8 and 16 are left":
         lambda x: (x.clamp(-1, 1) + 1).long() * 8,
     "this rounds before it multiplies, and only 0, 8 and 16 are left":
         lambda x: levels(x.clamp(-1, 1).round()),
     "this shifts and rounds before it multiplies, and only 0, 8 and 16 are left":
         lambda x: (x.clamp(-1, 1) + 1).round().long() * 8,
     "this clamps to 0..15; the top level is 16": lambda x: levels(x).clamp(max=15),
     "this clamps to [0, 1] before it shifts, and all below 0 becomes middle gray":
         lambda x: levels(x.clamp(0, 1)),
     "this goes back to [-1, 1]; asked for are the levels themselves":
         lambda x: levels(x) / 8 - 1,
     "the levels are upside down: -1 is black, level 0": lambda x: 16 - levels(x),
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
    "Clamp, then round: the only way from a float image to gray levels.", dtype=torch.int64,
    keeps_inputs=True)


# ---- copies ----

def gap(images, train, dim=1, p=2.0): return torch.cdist(images, train, p).min(dim).values


def among(held_out): return torch.cdist(held_out, held_out).fill_diagonal_(torch.inf)


def planted(seed, tie=True):
    """Fakes of which some are copies, exact and nearly so; held-out images; training images.

    One fake is a held-out image, if wanted, and one is a little farther than the nearest of those.
    """
    # at most 25 rows, where torch.cdist is exact: a copy is at 0, and the tie below is one
    train, held_out, fakes = (rows(n, 6, seed + i) for i, n in enumerate((25, 24, 21)))
    fakes[:3] = train[:3]
    fakes[3:6] = train[3:6] + rows(3, 6, seed + 3, 0.1)
    nearest, second = gap(held_out, train).sort().values[:2]
    if tie: fakes[6] = held_out[gap(held_out, train).argmin()]
    fakes[7] = train[7] + (0.9 * nearest + 0.1 * second) * torch.eye(6)[0]
    return fakes, held_out, train


suspects = Exercise(
    lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).min(),
    lambda: [planted(1), planted(41, tie=False), planted(71)],
    {"this is upside down: copies lie near, so their distance is small":
         lambda fakes, held_out, train: gap(fakes, train) > gap(held_out, train).min(),
     "as near as the nearest held-out image is not nearer: < and not <=":
         lambda fakes, held_out, train: gap(fakes, train) <= gap(held_out, train).min(),
     "this asks how near held-out images lie to the fakes; ask how near they come to training "
     "images": lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, fakes).min(),
     "every held-out image is at distance 0 from itself, and nothing is nearer; ask how near they "
     "come to training images": lambda fakes, held_out, train: gap(fakes, train) < 0,
     "this leaves out some of the held-out images; nearer than every one means than the nearest":
         lambda fakes, held_out, train: gap(fakes, train) < gap(held_out, train).quantile(0.05),
     "this takes the farthest training image of each; a copy is near to one":
         lambda fakes, held_out, train: torch.cdist(fakes, train).amax(1)
             < torch.cdist(held_out, train).amax(1).min(),
     "this compares squared distances with distances": lambda fakes, held_out, train:
         gap(fakes, train)**2 < gap(held_out, train).min(),
     "this asks how near training images lie to each other; ask how near held-out images come to "
     "them": lambda fakes, held_out, train: gap(fakes, train) < among(train).min(),
     "this answers for each held-out image; each fake has its own answer":
         lambda fakes, held_out, train: (
             gap(fakes, train)[:, None] < gap(held_out, train)).all(0),
     "the fakes and the held-out images are exchanged": lambda fakes, held_out, train:
         gap(held_out, train) < gap(fakes, train).min(),
     "these are the suspects themselves; give true or false for each fake":
         lambda fakes, held_out, train: fakes[gap(fakes, train) < gap(held_out, train).min()],
     "this asks how near held-out images lie to each other; ask how near they come to training "
     "images": lambda fakes, held_out, train: gap(fakes, train) < among(held_out).min(),
     "the second of min's two answers is the number of an image; compare the distances":
         lambda fakes, held_out, train: torch.cdist(fakes, train).argmin(1)
             < torch.cdist(held_out, train).argmin(1).min(),
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
     "this adds up absolute differences (p=1); the distance is the root of the summed squares":
         lambda fakes, held_out, train:
             gap(fakes, train, p=1.0) < gap(held_out, train, p=1.0).min(),
     "these are the numbers of the suspects; give true or false for each fake":
         lambda fakes, held_out, train:
             (gap(fakes, train) < gap(held_out, train).min()).nonzero()[:, 0],
     "this counts the suspects; give true or false for each fake":
         lambda fakes, held_out, train: (gap(fakes, train) < gap(held_out, train).min()).sum(),
     "these are the distances; give true where one is smaller than every held-out image's":
         lambda fakes, held_out, train: gap(fakes, train)},
    "A copy is nearer than any original comes by chance.", dtype=torch.bool)
