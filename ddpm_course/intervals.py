"Random indices with repeats, and Student's interval: what intervals of scores are made from."

import torch


def resample(n: int, # how many images
             groups, # int64 (n,): the group of each image, or None
             rng): # torch.Generator
    "n of n indices with repeats, int64 (n,); within each group, if there are groups."
    if groups is None: return torch.randint(n, (n,), generator=rng)
    index = torch.empty(n, dtype=torch.int64)
    groups = groups.cpu()
    for group in groups.unique():
        members = (groups == group).nonzero()[:, 0]
        drawn = torch.randint(len(members), (len(members),), generator=rng)
        index[members] = members[drawn]
    return index


def student_interval(values, # float64 (n,), at least 2 of them
                     level: float=0.95) -> tuple: # share of such intervals that hold the mean
    "(low, high): Student's interval for the mean of few numbers (Student 1908)."
    from scipy.stats import t as student
    n = len(values)
    half = student.ppf((1 + level) / 2, n - 1) * values.std().item() / n**0.5
    return values.mean().item() - half, values.mean().item() + half
