"Readers of noisy digits, right and wrong: what exercise 4 of chapter 11 compares."

import torch

from ddpm_course.noising import cosine_schedule, linear_schedule


def reading_cases():
    rng = torch.Generator().manual_seed(0)
    known = torch.randn(15, 1, 2, 3, generator=rng)
    x_t = torch.randn(6, 1, 2, 3, generator=rng)
    y = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 3, 3, 7])
    return [(cosine_schedule(), x_t, 500, known, y), (linear_schedule(), x_t, 450, known, y)]


def exponents(d, a, n): return -d**2 / (2 * n**2)


def by_label(chances, y): return chances @ torch.eye(10, dtype=chances.dtype)[y]


def softmax(logits): return logits.softmax(1)


def reader(logits=exponents, shrink=lambda a, n: a, chances=softmax, sum_up=by_label):
    "A reader whose logits are made of distances and the rates; the mean of x_t is shrink(a, n) x."
    def answer(schedule, x_t, t, x, y):
        a, n = schedule.rates(t)
        known = shrink(a, n) * x.flatten(1).double()
        return sum_up(chances(logits(torch.cdist(x_t.flatten(1).double(), known), a, n)), y)
    return answer


def divided(schedule, x_t, t, x, y):
    "Compares x_t / a with x, as if that did not enlarge the noise."
    a, n = schedule.rates(t)
    d = torch.cdist(x_t.flatten(1).double() / a, x.flatten(1).double())
    return by_label(softmax(exponents(d, a, n)), y)


def of_means(schedule, x_t, t, x, y):
    "Compares x_t with the mean digit of each label."
    means = torch.stack([x[y == label].mean(0) for label in range(10)])
    return reader()(schedule, x_t, t, means, torch.arange(10))


def per_label(reduce):
    "The chances of each label's digits, reduced in one way or another."
    return lambda chances, y: torch.stack([reduce(chances[:, y == n]) for n in range(10)], 1)


def shares(sums): return lambda chances, y: (s := sums(chances, y)) / s.sum(1, keepdim=True)


MISREADERS = {
    "the known digits are not shrunk: the mean of q(x_t | x_i) is sqrt(alpha_bar_t) x_i":
        reader(shrink=lambda a, n: 1),
    "the known digits are multiplied by alpha_bar; the signal rate is its root":
        reader(shrink=lambda a, n: a**2),
    "the known digits are multiplied by the noise rate; schedule.rates returns the signal's first":
        reader(shrink=lambda a, n: n),
    "the rates are exchanged: schedule.rates returns the signal's first":
        reader(lambda d, a, n: -d**2 / (2 * a**2), lambda a, n: n),
    "x_t divided by the signal rate has its noise divided, too: multiply x by the rate instead":
        divided,
    "the distance is not squared": reader(lambda d, a, n: -d / (2 * n**2)),
    "the distance is not squared, nor is the noise rate: -distance^2 / (2 variance)":
        reader(lambda d, a, n: -d / n),
    "this is a softmax of distances; a Gaussian's exponent is -distance^2 / (2 variance)":
        reader(lambda d, a, n: -d),
    "the 2 is missing: a Gaussian's exponent is -distance^2 / (2 variance)":
        reader(lambda d, a, n: -d**2 / n**2),
    "this divides by twice the noise rate; the variance is its square":
        reader(lambda d, a, n: -d**2 / (2 * n)),
    "this divides by the noise rate; a Gaussian's exponent is -distance^2 / (2 variance)":
        reader(lambda d, a, n: -d**2 / n),
    "this divides by the square of 1 - alpha_bar, which is the variance already":
        reader(lambda d, a, n: -d**2 / (2 * n**4)),
    "this divides by the variance of the signal; the noise's is 1 - alpha_bar":
        reader(lambda d, a, n: -d**2 / (2 * a**2)),
    "without brackets / 2 * variance multiplies by the variance":
        reader(lambda d, a, n: -d**2 / 2 * n**2),
    "the factor 1 / (2 variance) is missing: the same distance means less where noise is strong":
        reader(lambda d, a, n: -d**2),
    "here the 2 is squared, too: a Gaussian's exponent is -distance^2 / (2 variance)":
        reader(lambda d, a, n: -d**2 / (4 * n**2)),
    "exponents are added up here; chances add up, so softmax comes first":
        reader(chances=lambda logits: logits, sum_up=lambda l, y: softmax(by_label(l, y))),
    "these are logarithms of chances; chances themselves add up":
        reader(chances=lambda logits: logits.log_softmax(1)),
    "this is the likeliest label; all ten chances are asked for":
        reader(sum_up=lambda chances, y: by_label(chances, y).argmax(1)),
    "the variance is missing: the same distance means less where there is more noise":
        reader(lambda d, a, n: -d**2 / 2),
    "the minus sign is missing: this prefers the digits that are farthest away":
        reader(lambda d, a, n: -exponents(d, a, n)),
    "this averages the squares over pixels; the exponents of independent pixels add up":
        reader(lambda d, a, n: exponents(d, a, n) / 6),
    "softmax runs over the images of the batch; the chances of one image's candidates sum to 1":
        reader(chances=lambda logits: logits.softmax(0)),
    "the chances don't sum to 1: divide by their sum": reader(chances=torch.exp),
    "this takes the nearest digit alone; every known digit has its chance":
        reader(chances=lambda logits: torch.eye(15, dtype=logits.dtype)[logits.argmax(1)]),
    "this averages over the digits of a label; their chances add up":
        reader(sum_up=per_label(lambda c: c.mean(1))),
    "this averages over the digits of a label, and divides by the sum; chances add up":
        reader(sum_up=shares(per_label(lambda c: c.mean(1)))),
    "this takes the likeliest digit of a label; the chances of all its digits add up":
        reader(sum_up=per_label(lambda c: c.amax(1))),
    "only one digit of each label is counted: out[:, y] += chances adds but the last":
        reader(sum_up=per_label(lambda c: c[:, -1])),
    "this compares with the mean digit of each label; every known digit has its chance": of_means,
    "softmax was taken again of chances that sum to 1":
        reader(sum_up=lambda chances, y: softmax(by_label(chances, y))),
    "these are the chances of the known digits; add those of the same label":
        reader(sum_up=lambda chances, y: chances),
}
