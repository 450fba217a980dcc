"Checkers of the interlude on the protocol."

import torch

from ddpm_course.checks import Exercise


def levels(x): return ((x.clamp(-1, 1) + 1) * 8).round().long()


gray_levels = Exercise(
    levels,
    lambda: [(torch.linspace(-1.1, 1.1, 128).view(2, 1, 8, 8),), (torch.linspace(-0.6, 0.5, 64).view(1, 1, 8, 8),)],
    {"this cuts the fraction off, so that every level comes out half a level too dark; round":
         lambda x: ((x.clamp(-1, 1) + 1) * 8).long(),
     "this stretches each image to its own minimum and maximum; -1 is black and 1 is white in every image":
         lambda x: ((x - x.amin((1, 2, 3), True)) / (x.amax((1, 2, 3), True) - x.amin((1, 2, 3), True)) * 16).round().long(),
     "values outside [-1, 1] leave the levels 0..16; clamp first": lambda x: ((x + 1) * 8).round().long(),
     "values below -1 wrap round to bright in uint8; clamp first": lambda x: ((x + 1) * 8).round().long() % 256,
     "0..16 are 17 levels, so the range from -1 to 1 is 16 steps wide": lambda x: ((x.clamp(-1, 1) + 1) * 7.5).round().long(),
     "these are the 256 levels of photographs; digits have 17": lambda x: ((x.clamp(-1, 1) + 1) * 127.5).round().long()},
    "Clamp, then round: the only way from a float image to gray levels.")


def some_labels(n, seed): return torch.randint(10, (n,), generator=torch.Generator().manual_seed(seed))


class_counts = Exercise(
    lambda labels, n: labels.bincount(minlength=10) * n / len(labels),
    lambda: [(some_labels(80, 1), 20), (some_labels(797, 2), 100), (torch.zeros(7, dtype=torch.int64), 3)],
    {"this is the share of each class; times n gives a number of images": lambda labels, n: labels.bincount(minlength=10) / len(labels),
     "these are the counts of the whole set; scale them to n images": lambda labels, n: labels.bincount(minlength=10).double(),
     "every class gets the same number; their shares differ": lambda labels, n: torch.full((10,), n / 10),
     "classes that are missing from the labels are missing from the answer; bincount needs minlength=10":
         lambda labels, n: labels.bincount() * n / len(labels),
     "these are the counts of the first n labels, which is what chance made of them": lambda labels, n: labels[:n].bincount(minlength=10).double(),
     "the shares are rounded to whole images; leave them as they are": lambda labels, n: (labels.bincount(minlength=10) * n / len(labels)).round()},
    "A fair beginning of any length is within one image of this.")


FLOORS = {100: 12.0, 200: 5.0, 797: 1.5}
over_floor = Exercise(
    lambda distance, n, floor_at: distance - floor_at[n],
    lambda: [(7.0, 200, FLOORS), (1.6, 797, FLOORS), (30.0, 100, FLOORS)],
    {"this is a ratio, which grows with n for one and the same sampler; the bias adds, so it is to be subtracted": lambda distance, n, floor_at: distance / floor_at[n],
     "the difference is upside down: the distance comes first": lambda distance, n, floor_at: floor_at[n] - distance,
     "every n has its own floor; this takes that of the largest": lambda distance, n, floor_at: distance - floor_at[max(floor_at)],
     "this divides by n; the bias is not exactly 1/n, which is why the floor is measured": lambda distance, n, floor_at: distance / n},
    "0 would be as good as real digits.")
