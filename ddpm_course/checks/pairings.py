"Pairs of images, right and wrong: what exercise 2 of chapter 32 compares."


def cubic(a, b): return (a @ b.T / a.shape[1] + 1)**3


def mmd(a, b, k=cubic, cross=2.0):
    def others(x): return (k(x, x).sum() - k(x, x).trace()) / (len(x) * (len(x) - 1))
    return others(a) + others(b) - cross * k(a, b).mean()


def within(count, total=lambda k: k.sum() - k.trace()):
    "A distance whose first two terms are `total` of the kernels over another `count`."
    def others(x): return total(cubic(x, x)) / count(len(x))
    return lambda a, b: others(a) + others(b) - 2 * cubic(a, b).mean()


def mixed(count):
    "A distance whose mixed term is a sum over another `count`."
    return lambda a, b: mmd(a, b, cross=0.0) - 2 * cubic(a, b).sum() / count(a, b)


def by(divisor): return lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / divisor(x) + 1)**3)


def of_a(a, b):
    k = cubic(b, b)
    return mmd(a, a, cross=0.0) / 2 + (k.sum() - k.trace()) / (len(a) * (len(a) - 1)) \
        - 2 * cubic(a, b).mean()


def crossed_without_diagonal(a, b):
    k = cubic(a, b)
    cross = (k.sum() - k.diagonal().sum()) / (k.numel() - min(len(a), len(b)))
    return mmd(a, b, cross=0.0) - 2 * cross


MISPAIRED = {
    "the pairs of an image with itself are still in: leave the diagonals of the first two terms "
    "out": lambda a, b: cubic(a, a).mean() + cubic(b, b).mean() - 2 * cubic(a, b).mean(),
    "the diagonals are left out of the sums, but not of the count: N (N - 1) pairs remain":
        within(lambda n: n**2),
    "the diagonals are left out of the count, but not of the sums":
        within(lambda n: n * (n - 1), lambda k: k.sum()),
    "this subtracts the mean of the diagonal; leave its terms out of the sum, and out of the "
    "count": within(lambda n: 1, lambda k: k.mean() - k.diagonal().mean()),
    "there are N (N - 1) entries off the diagonal; this counts each pair once and adds it twice":
        within(lambda n: n * (n - 1) / 2),
    "the first two terms are half of what they should be: each counts whole, and a triangle holds "
    "N (N - 1) / 2 pairs, not N (N - 1)":
        within(lambda n: n * (n - 1), lambda k: k.triu(1).sum()),
    "each image has N - 1 others, and there are N images: N (N - 1) pairs, and not N - 1":
        within(lambda n: n - 1),
    "N - 1 of N images are different ones: N (N - 1) pairs, and not (N - 1)^2":
        within(lambda n: (n - 1)**2),
    "the diagonal of the pairs within b is still in": lambda a, b:
        mmd(a, b) - mmd(b, b, cross=0.0) / 2 + cubic(b, b).mean(),
    "a and b may differ in number; this divides the pairs within b by those within a": of_a,
    "the mixed term is a sum; divide it by its N M pairs": mixed(lambda a, b: 1),
    "the mixed term has N M pairs; this divides it by N (N - 1)":
        mixed(lambda a, b: len(a) * (len(a) - 1)),
    "the mixed term has N M pairs; this divides it by N^2": mixed(lambda a, b: len(a)**2),
    "the mixed term leaves out pairs, too; an image of a and one of b are never the same image":
        crossed_without_diagonal,
    "the mixed term counts twice": lambda a, b: mmd(a, b, cross=1.0),
    "the mixed term is subtracted": lambda a, b: mmd(a, b, cross=-2.0),
    "the mixed term is missing": lambda a, b: mmd(a, b, cross=0.0),
    "the pairs within b are missing": lambda a, b: mmd(a, b) - mmd(b, b, cross=0.0) / 2,
    "the kernel divides the product by the number of features":
        by(lambda x: 1),
    "the kernel divides by the number of features, not by that of images": by(len),
    "the kernel divides by the number of features, not by its root":
        by(lambda x: x.shape[1]**0.5),
    "the kernel is cubic; this one has no power":
        lambda a, b: mmd(a, b, lambda x, y: x @ y.T / x.shape[1] + 1),
    "the kernel is cubic; this one is squared":
        lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1] + 1)**2),
    "the kernel adds 1 before it takes the power":
        lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1])**3),
    "the kernel adds 1 after the division; this divides the 1, too":
        lambda a, b: mmd(a, b, lambda x, y: ((x @ y.T + 1) / x.shape[1])**3),
    "the sign is upside down: pairs within a set come first": lambda a, b: -mmd(a, b),
    "this is cut off at 0; an unbiased value may fall below":
        lambda a, b: mmd(a, b).clamp(min=0),
    "this is the root of the distance, and NaN where that is below 0; by the field's convention "
    "it stays squared": lambda a, b: mmd(a, b).sqrt(),
    "this is the root of the distance; by the field's convention it stays squared":
        lambda a, b: mmd(a, b).clamp(min=0).sqrt(),
    "this is the mean over the whole square, of which a triangle is less than half":
        within(lambda n: n**2, lambda k: k.triu(1).sum()),
    "the diagonal is part of triu() and tril(); triu(1) and tril(-1) leave it out":
        within(lambda n: n * (n - 1) / 2, lambda k: k.triu().sum()),
    "the diagonal is subtracted after the division; subtract it from the sum":
        within(lambda n: 1, lambda k: k.sum() / (len(k) * (len(k) - 1)) - k.trace()),
    "there are N (N - 1) pairs; this divides by N N - 1": within(lambda n: n * n - 1),
    "the kernel is cubic; this one has the fourth power":
        lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1] + 1)**4),
    "the kernel adds 1; this subtracts it":
        lambda a, b: mmd(a, b, lambda x, y: (x @ y.T / x.shape[1] - 1)**3),
}
