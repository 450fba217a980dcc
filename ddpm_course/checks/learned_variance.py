"Checkers for the exercises of 41 Learned variance."

import torch
from torch.special import ndtr

from ddpm_course.checks import Exercise, randn
from ddpm_course.checks.shares import even


# ---- 1. both ends of the range ----
def alpha_bars():
    return [((1 - even(1e-4, 0.02, 100)).cumprod(0),), ((1 - even(0.02, 0.4, 7)).cumprod(0),),
            (torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64),)]


def ends(ab):
    "(small, large) without any repair."
    prev = torch.cat([torch.ones(1, dtype=ab.dtype), ab[:-1]])
    large = 1 - ab / prev
    return large * (1 - prev) / (1 - ab), large


def repaired(small): return torch.cat([small[1:2], small[1:]])


def logs(small, large): return small.log(), large.log()


def clamped(least):
    "The range whose first small variance is a tiny number."
    return lambda ab: logs(ends(ab)[0].clamp(min=least), ends(ab)[1])


def log_range_right(ab):
    small, large = ends(ab)
    return logs(repaired(small), large)


def upside_down(ab):
    small, large = ends(ab)
    return logs(repaired(torch.cat([small[:1], (large**2 / small)[1:]])), large)


def product_of_betas(ab):
    small, large = ends(ab)
    return logs(repaired(small), 1 - ab)


log_range = Exercise(
    right=log_range_right,
    cases=alpha_bars,
    wrong={
        "the first small variance is 0, and its logarithm -inf; take that of the second step":
            lambda ab: logs(*ends(ab)),
        "the first small variance became 1e-20, whose logarithm is far below all others; take that "
        "of the second step": clamped(1e-20),
        "the first small variance became 1e-12, whose logarithm is far below all others; take that "
        "of the second step": clamped(1e-12),
        "the first small variance became 1e-8, whose logarithm is below all others; take that of "
        "the second step": clamped(1e-8),
        "the first small variance is beta here; take the small one of the second step":
            lambda ab: logs(torch.cat([ends(ab)[1][:1], ends(ab)[0][1:]]), ends(ab)[1]),
        "these are the variances; their logarithms were asked for":
            lambda ab: (repaired(ends(ab)[0]), ends(ab)[1]),
        "the two ends are exchanged: the small one comes first":
            lambda ab: log_range_right(ab)[::-1],
        "the ratio of the small variance is upside down: it is (1 - alpha_bar_prev) / (1 - "
        "alpha_bar)": upside_down,
        "1 - alpha_bar is the variance of the noise so far; beta is that of one step, 1 - "
        "alpha_bar / alpha_bar_prev": product_of_betas,
        "the first steps of both are gone; all T are wanted":
            lambda ab: logs(ends(ab)[0][1:], ends(ab)[1][1:]),
        "these are logarithms of standard deviations, half of what was asked for":
            lambda ab: tuple(v / 2 for v in log_range_right(ab)),
        "the large variance of the first step was replaced, too; it is fine as it is":
            lambda ab: logs(*map(repaired, ends(ab))),
        "both ends are beta; the small one has the factor (1 - alpha_bar_prev) / (1 - alpha_bar)":
            lambda ab: logs(ends(ab)[1], ends(ab)[1]),
    },
    praise="The interpolation between them is finite at every step, the first one too.",
    keeps_inputs=True,
)


# ---- 2. the mass of a bin ----
def pixels():
    "(x0 on levels + 1 values, mean, std, levels)"
    coarse = even(-1, 1, 17).view(1, 1, 1, 17)
    fine = (randn(2, 1, 4, 4).clamp(-1, 1) * 127.5).round() / 127.5
    fine = ((fine + 1) * 127.5).round() / 127.5 - 1
    near = fine + 0.02 * randn(2, 1, 4, 4, seed=1)
    return [(coarse, 0.2 + 0 * coarse, 0.5, 16), (fine, near, 0.03, 255),
            (even(-1, 1, 3).view(1, 1, 1, 3), 0.7 + torch.zeros(1, 1, 1, 3).double(), 0.8, 2)]


def between(x0, mean, std, low, high, half):
    "Mass between two edges, the bins at the ends open."
    top = torch.where(x0 > 1 - half, 1.0, ndtr((high - mean) / std))
    return top - torch.where(x0 < half - 1, 0.0, ndtr((low - mean) / std))


def mass(x0, mean, std, levels, half=None):
    half = 1 / levels if half is None else half
    return between(x0, mean, std, x0 - half, x0 + half, 1 / levels)


def density(x0, mean, std):
    return torch.exp(-0.5 * ((x0 - mean) / std)**2) / (std * (2 * torch.pi)**0.5)


def closed_bins(x0, mean, std, levels):
    return ndtr((x0 + 1 / levels - mean) / std) - ndtr((x0 - 1 / levels - mean) / std)


def one_open(white):
    "The mass with one of the two bins open."
    def answer(x0, mean, std, levels):
        half = 1 / levels
        top = ndtr((x0 + half - mean) / std)
        low = ndtr((x0 - half - mean) / std)
        if white: return torch.where(x0 > 1 - half, 1.0, top) - low
        return top - torch.where(x0 < half - 1, 0.0, low)
    return answer


bin_mass = Exercise(
    right=mass,
    cases=pixels,
    wrong={
        "the bins at black and white are closed; they hold all that lies beyond, so that the "
        "masses add up to 1": closed_bins,
        "only the bin at white is open; the one at black is, too": one_open(True),
        "only the bin at black is open; the one at white is, too": one_open(False),
        "levels steps lead from -1 to 1, so half a step is 1 / levels; here it is twice as much":
            lambda x0, mean, std, levels: mass(x0, mean, std, levels, 2 / levels),
        "levels steps lead from -1 to 1, so half a step is 1 / levels; here it is half of that":
            lambda x0, mean, std, levels: mass(x0, mean, std, levels, 0.5 / levels),
        "there are levels + 1 values and levels steps between them; half a step is 1 / levels":
            lambda x0, mean, std, levels: mass(x0, mean, std, levels, 1 / (levels + 1)),
        "this is the density; its integral over the bin was asked for":
            lambda x0, mean, std, levels: density(x0, mean, std),
        "this is the density times the width of the bin, which is right for narrow bins alone":
            lambda x0, mean, std, levels: density(x0, mean, std) * 2 / levels,
        "ndtr takes (x - mean) / std; this divides by the variance":
            lambda x0, mean, std, levels: mass(x0, mean, std**2, levels),
        "ndtr takes (x - mean) / std; this divides by the root of std":
            lambda x0, mean, std, levels: mass(x0, mean, std**0.5, levels),
        "this is the mass below the pixel's upper edge; subtract the mass below its lower one":
            lambda x0, mean, std, levels: torch.where(
                x0 > 1 - 1 / levels, 1.0, ndtr((x0 + 1 / levels - mean) / std)),
        "the bin reaches from the pixel to the next level; it lies half a step to each side":
            lambda x0, mean, std, levels: between(
                x0, mean, std, x0, x0 + 2 / levels, 1 / levels),
        "the bin reaches from the level below to the pixel; it lies half a step to each side":
            lambda x0, mean, std, levels: between(
                x0, mean, std, x0 - 2 / levels, x0, 1 / levels),
        "this is the logarithm of the mass": lambda *args: mass(*args).log(),
        "this is minus the logarithm of the mass": lambda *args: -mass(*args).log(),
    },
    praise="The masses of all levels add up to 1.",
    tol=1e-6,
    keeps_inputs=True,
)


# ---- 3. break it: the mean learns from the bound ----
def steps():
    "(simple (B,), x0_hat, term_of, T, bound)"
    def term_of(weight):
        return lambda x0_hat: weight * (x0_hat - 0.3).square().flatten(1).mean(1)
    return [(randn(3).square(), randn(3, 1, 2, 2, seed=1), term_of(0.7), 1000, 0.001),
            (randn(2, seed=2).square(), randn(2, 1, 4, 4, seed=3), term_of(2.0), 50, 0.02)]


def gradient_too(f):
    "f as (its loss, its gradients with respect to L_simple and to the estimate)."
    def all_three(simple, x0_hat, term_of, T, bound):
        given = [x.clone().requires_grad_() for x in (simple, x0_hat)]
        loss = f(*given, term_of, T, bound)
        if not isinstance(loss, torch.Tensor): return loss
        if not loss.requires_grad: return loss, *map(torch.zeros_like, given)
        found = torch.autograd.grad(loss.sum(), given, materialize_grads=True)
        return loss.detach(), *found
    return all_three


unstopped = Exercise(
    right=lambda simple, x0_hat, term_of, T, bound=0.001: simple + bound * T * term_of(x0_hat),
    cases=steps,
    view=gradient_too,
    wrong={
        "this stops the gradient before the estimate, as the right loss does; let it run here":
            lambda simple, x0_hat, term_of, T, bound=0.001:
            simple + bound * T * term_of(x0_hat.detach()),
        "this stops the gradient of L_simple, of which the mean learns most; stop nothing here":
            lambda simple, x0_hat, term_of, T, bound=0.001:
            simple.detach() + bound * T * term_of(x0_hat),
        "one term was drawn of T; without T the bound weighs a thousandth of what it should":
            lambda simple, x0_hat, term_of, T, bound=0.001: simple + bound * term_of(x0_hat),
        "this divides by 1000 beside lambda; lambda T is all there is":
            lambda simple, x0_hat, term_of, T, bound=0.001:
            simple + bound * T / 1000 * term_of(x0_hat),
        "lambda is missing": lambda simple, x0_hat, term_of, T, bound=0.001:
            simple + T * term_of(x0_hat),
        "this divides by T; the bound is the sum of T terms, of which one is drawn":
            lambda simple, x0_hat, term_of, T, bound=0.001: simple + bound / T * term_of(x0_hat),
        "lambda weighs the bound, and here L_simple, too":
            lambda simple, x0_hat, term_of, T, bound=0.001:
            bound * (simple + T * term_of(x0_hat)),
        "L_simple is missing": lambda simple, x0_hat, term_of, T, bound=0.001:
            bound * T * term_of(x0_hat),
        "lambda is 0.001 here, whatever is given":
            lambda simple, x0_hat, term_of, T, bound=0.001: simple + 0.001 * T * term_of(x0_hat),
        "T is 1000 here, whatever is given":
            lambda simple, x0_hat, term_of, T, bound=0.001: simple + bound * 1000 * term_of(x0_hat),
        "one loss an image is wanted; this takes the mean over the batch":
            lambda simple, x0_hat, term_of, T, bound=0.001:
            (simple + bound * T * term_of(x0_hat)).mean(),
    },
    praise="The number is the same as with the stop: no look at the loss tells the two apart.",
    tol=1e-9,
)


# ---- 4. a variance for each pixel ----
def errors():
    "(alpha_bar, alpha_bar_prev, squared errors (B, C, H, W))"
    return [(0.5, 0.6, randn(5, 1, 3, 3).square()), (0.1, 0.9, randn(4, 2, 2, 3, seed=1).square()),
            (0.98, 0.99, randn(3, 1, 2, 2, seed=2).square())]


def with_parts(f):
    "f(beta, factor of x0, small variance, mean error, errors) of an answer's arguments."
    def answer(ab, ab_prev, errors):
        beta = 1 - ab / ab_prev
        a = ab_prev**0.5 * beta / (1 - ab)
        return f(beta, a, beta * (1 - ab_prev) / (1 - ab), errors.mean(0, keepdim=True), errors)
    return answer


per_pixel = Exercise(
    right=with_parts(lambda beta, a, small, mean, errors: small + a**2 * mean),
    cases=errors,
    wrong={
        "x0_hat stands in the mean with a factor a, so its squared error counts a squared times":
            with_parts(lambda beta, a, small, mean, errors: small + a * mean),
        "the factor of x0_hat in the mean is missing; its square belongs to the error":
            with_parts(lambda beta, a, small, mean, errors: small + mean),
        "this is the error's part; the posterior's own variance is missing":
            with_parts(lambda beta, a, small, mean, errors: a**2 * mean + 0 * small),
        "the posterior's variance belongs here, and this is beta":
            with_parts(lambda beta, a, small, mean, errors: beta + a**2 * mean),
        "this is one number for all pixels; take the mean over the images alone":
            with_parts(lambda beta, a, small, mean, errors:
                       (small + a**2 * mean).mean().expand_as(mean)),
        "this is a variance for each image; take the mean over the batch":
            with_parts(lambda beta, a, small, mean, errors: small + a**2 * errors),
        "the errors are added up over the batch; take their mean":
            with_parts(lambda beta, a, small, mean, errors: small + a**2 * errors.sum(0, True)),
        "the errors are squared already; this squares them again":
            with_parts(lambda beta, a, small, mean, errors:
                       small + a**2 * errors.square().mean(0, True)),
        "these are standard deviations": with_parts(
            lambda beta, a, small, mean, errors: (small + a**2 * mean).sqrt()),
        "the batch axis is gone; keep it, with one entry":
            with_parts(lambda beta, a, small, mean, errors: (small + a**2 * mean)[0]),
        "this takes the largest of the errors; take their mean":
            with_parts(lambda beta, a, small, mean, errors: small + a**2 * errors.amax(0, True)),
        "the factor of x0 is sqrt(alpha_bar_prev) beta / (1 - alpha_bar); here beta is missing":
            with_parts(lambda beta, a, small, mean, errors: small + (a / beta)**2 * mean),
        "the factor of x0 holds the root of alpha_bar_prev; this takes that of alpha_bar":
            with_parts(lambda beta, a, small, mean, errors: small + (1 - beta) * a**2 * mean),
    },
    praise="It is a map of where images like these are hard to guess.",
    keeps_inputs=True,
)
