"Checkers for the exercises of chapter 15."

import torch

from ddpm_course.checks import Exercise, randn


# ---- 1: how many images ----
def weights(B, N, zeros, seed):
    r = (3 * randn(B, N, seed=seed)).softmax(1)
    r[:, :zeros] = 0
    return r / r.sum(1, keepdim=True)


def even(N, K): return (torch.arange(N) < K).double()[None] / K


def entropy(r): return torch.special.entr(r).sum(1)


def shrunk(r):
    "The entropy with a small number inside the logarithm."
    return (-(r * (r + 1e-3).log()).sum(1)).exp()


images_in = Exercise(
    right=lambda r: entropy(r).exp(),
    cases=lambda: [(weights(4, 30, 5, 0),), (even(10, 4),), (weights(3, 7, 0, 1),), (even(5, 1),)],
    wrong={
        "0 log 0 is taken for NaN, where its limit is 0; a weight of 0 takes no part":
            lambda r: (-(r * r.log()).sum(1)).exp(),
        "this is the entropy; its exponential counts images": entropy,
        "the sign: -sum r log r is positive": lambda r: (-entropy(r)).exp(),
        "logarithms to the base 2 go with powers of 2, and natural ones with exp":
            lambda r: (entropy(r) / torch.tensor(2.0).log()).exp(),
        "logarithms to the base 2 go with powers of 2; these are natural, so exp takes them back":
            lambda r: 2**entropy(r),
        "NaN becomes 0 after the sum here, so that a row with a weight of 0 loses all its terms; "
        "0 log 0 is the only term that is 0": lambda r:
            (-(r * r.log()).sum(1)).nan_to_num(0).exp(),
        "the exponential of a sum is asked for; this adds exponentials":
            lambda r: torch.special.entr(r).exp().sum(1),
        "r are weights already; this puts them through a softmax again":
            lambda r: entropy(r.softmax(1)).exp(),
        "each logarithm comes with its weight r; here the weights are missing":
            lambda r: (-r.clamp_min(1e-12).log().sum(1)).exp(),
        "this counts the weights that are not 0, however small they are":
            lambda r: (r > 0).sum(1).double(),
        "this is one over the largest weight": lambda r: 1 / r.amax(1),
        "this is one over the sum of squares, another measure of the same thing; "
        "the entropy is asked for": lambda r: 1 / r.square().sum(1),
        "one number for the whole batch; every row has its own":
            lambda r: torch.special.entr(r).sum().exp(),
        "this sums over the batch; the images stand along axis 1":
            lambda r: torch.special.entr(r).sum(0).exp(),
        "this is the mean over images; the entropy is a sum":
            lambda r: torch.special.entr(r).mean(1).exp(),
        "a number that is added inside the logarithm against log 0 changes the result": shrunk,
    },
    praise="Now draw it: from all images to one within a few hundred timesteps.", tol=1e-6,
    dtype=torch.float64)


# ---- 2: Tweedie ----
def tweedie(x_t, x0, ab): return (ab**0.5 * x0 - x_t) / (1 - ab)


score_from_x0 = Exercise(
    right=tweedie,
    cases=lambda: [(randn(2, 1, 4, 4), randn(2, 1, 4, 4, seed=1), ab) for ab in (0.3, 0.9)],
    wrong={
        "sign: the score points towards the image, against the noise":
            lambda x_t, x0, ab: -tweedie(x_t, x0, ab),
        "this is the noise; the score is minus the noise over sqrt(1 - alpha_bar)":
            lambda x_t, x0, ab: (x_t - ab**0.5 * x0) / (1 - ab)**0.5,
        "this is minus the noise; divide by sqrt(1 - alpha_bar) once more":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / (1 - ab)**0.5,
        "x0_hat comes with sqrt(alpha_bar), its signal rate":
            lambda x_t, x0, ab: (x0 - x_t) / (1 - ab),
        "the signal rate is the root of alpha_bar": lambda x_t, x0, ab: (ab * x0 - x_t) / (1 - ab),
        "x_t is not divided by the signal rate; multiply x0_hat by it":
            lambda x_t, x0, ab: (x0 - x_t / ab**0.5) / (1 - ab),
        "the variance of the noise is 1 - alpha_bar": lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / ab,
        "1 - alpha_bar is the variance already; no square":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / (1 - ab)**2,
        "the denominator is missing: a score grows as the noise shrinks":
            lambda x_t, x0, ab: ab**0.5 * x0 - x_t,
        "this divides by sqrt(1 - alpha_bar) three times; once makes it the noise, and once more "
        "the score": lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / (1 - ab)**1.5,
        "this divides by the signal rate; 1 - alpha_bar belongs below the fraction bar":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / ab**0.5,
        "the score is minus the noise over sqrt(1 - alpha_bar); this divides by sqrt(alpha_bar)":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / (1 - ab)**0.5 / ab**0.5,
        "x0_hat is multiplied by sqrt(alpha_bar), and x_t by nothing; here it is the other way":
            lambda x_t, x0, ab: (x0 - ab**0.5 * x_t) / (1 - ab),
        "x0_hat comes with its rate sqrt(alpha_bar); here it has that of the noise":
            lambda x_t, x0, ab: ((1 - ab)**0.5 * x0 - x_t) / (1 - ab),
        "the variance of the noise is 1 - alpha_bar; this divides by 1 - sqrt(alpha_bar)":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) / (1 - ab**0.5),
        "the score is minus the noise over sqrt(1 - alpha_bar); this multiplies by the root":
            lambda x_t, x0, ab: (ab**0.5 * x0 - x_t) * (1 - ab)**0.5,
        "x_t is taken away from sqrt(alpha_bar) x0_hat; this adds it":
            lambda x_t, x0, ab: (ab**0.5 * x0 + x_t) / (1 - ab),
        "this points from x_t to x0_hat; neither of the two rates is in it":
            lambda x_t, x0, ab: x0 - x_t,
        "sqrt(alpha_bar) belongs to x0_hat; here it multiplies x_t":
            lambda x_t, x0, ab: (ab**0.5 * x_t - x0) / (1 - ab),
        "alpha_bar belongs to the image and 1 - alpha_bar to the noise; here they are exchanged":
            lambda x_t, x0, ab: tweedie(x_t, x0, 1 - ab),
        "the image is taken away from x_t, and the noise remains; this adds them":
            lambda x_t, x0, ab: -(x_t + ab**0.5 * x0) / (1 - ab),
        "x0_hat is multiplied by its rate sqrt(alpha_bar); this divides by it":
            lambda x_t, x0, ab: (x0 / ab**0.5 - x_t) / (1 - ab),
        "sqrt(alpha_bar) belongs to x0_hat alone; here it multiplies x_t as well":
            lambda x_t, x0, ab: ab**0.5 * (x0 - x_t) / (1 - ab),
        "this takes x0_hat for the noise": lambda x_t, x0, ab: -x0 / (1 - ab)**0.5,
    },
    praise="Every denoiser knows the score; that is Tweedie's formula.", tol=1e-8)


# ---- 3: exponentials ----
def shifted(distance, noise): return (-distance / (2 * noise**2)).softmax(0)


def typed(distance, noise):
    r = torch.exp(-distance / (2 * noise**2))
    return r / r.sum()


def padded(distance, noise):
    r = torch.exp(-distance / (2 * noise**2))
    return r / (r.sum() + 1e-8)


def cut_off(distance, noise):
    r = torch.exp((-distance / (2 * noise**2)).clamp(min=-80))
    return r / r.sum()


def distances(scale, seed, base=20):
    return (scale * randn(6, seed=seed).square() + base).float()


weights_of = Exercise(
    right=shifted,
    cases=lambda: [(distances(2, 0, 1), 0.9), (distances(9, 1), 0.05), (distances(0.5, 2), 0.1),
                   (1e4 + distances(50, 3), 1.0)],
    wrong={
        "at small noise every exponential is 0, in float64 too, and 0/0 is not a number; "
        "subtract the smallest distance first": typed,
        "a small number in the denominator, or nan_to_num, hides the 0/0: the weights become 0 "
        "instead of summing to 1": padded,
        "every image weighs the same where the exponentials are cut off at a smallest number; "
        "subtract the smallest distance": cut_off,
        "subtract the smallest distance; the largest makes the exponentials overflow":
            lambda distance, noise: typed(distance - distance.max(), noise),
        "subtract the smallest distance; the mean does not keep the exponentials in range":
            lambda distance, noise: typed(distance - distance.mean(), noise),
        "dividing by the smallest distance changes the weights; subtract it":
            lambda distance, noise: typed(distance / distance.min(), noise),
        "the factor 2 is missing: the exponent is -distance / (2 noise^2)":
            lambda distance, noise: (-distance / noise**2).softmax(0),
        "2 noise^2 is 2 times the square; here the 2 is squared, too":
            lambda distance, noise: (-distance / (2 * noise)**2).softmax(0),
        "this multiplies by noise^2; it stands below the fraction bar, so write / (2 * noise**2)":
            lambda distance, noise: (-distance / 2 * noise**2).softmax(0),
        "the noise rate is not in it": lambda distance, noise: (-distance).softmax(0),
        "these are the logarithms of the weights; take their exponential":
            lambda distance, noise: (-distance / (2 * noise**2)).log_softmax(0),
        "the noise rate is squared in the exponent":
            lambda distance, noise: (-distance / (2 * noise)).softmax(0),
        "sign: a far image weighs less": lambda distance, noise: shifted(-distance, noise),
        "the distances are squared already":
            lambda distance, noise: shifted(distance**2, noise),
        "the exponent holds squared distances, as they come; this takes their root":
            lambda distance, noise: shifted(distance**0.5, noise),
        "the weights are not divided by their sum":
            lambda distance, noise: torch.exp(-(distance - distance.min()) / (2 * noise**2)),
        "this gives all the weight to the nearest; at high noise several share it":
            lambda distance, noise: (distance == distance.min()).float(),
    },
    praise="A softmax does not change if all its arguments move together.", tol=1e-4,
    keeps_inputs=True)


# ---- 4: novelty ----
INF = float("inf")


def apart(samples, images): return torch.cdist(samples.flatten(1), images.flatten(1))


novelty = Exercise(
    right=lambda samples, images: apart(samples, images).min(1).values,
    cases=lambda: [(randn(4, 1, 3, 3), randn(9, 1, 3, 3, seed=1)),
                   (randn(5, 2, 4, 4, seed=2), randn(3, 2, 4, 4, seed=3))],
    wrong={
        "this is the squared distance; take the root":
            lambda samples, images: apart(samples, images).min(1).values.square(),
        "this is the distance to the farthest":
            lambda samples, images: apart(samples, images).amax(1),
        "this is one number, the smallest of all; every sample has its own":
            lambda samples, images: apart(samples, images).min(),
        "this is the distance to the mean of the set; compare with one image at a time":
            lambda samples, images: (samples - images.mean(0)).flatten(1).norm(dim=1),
        "this is the distance to the first image of the set; compare with all of them":
            lambda samples, images: apart(samples, images)[:, 0],
        "this is the largest difference of a pixel; the distance is the root of the sum of squares":
            lambda samples, images: torch.cdist(samples.flatten(1), images.flatten(1), INF).amin(1),
        "each pixel is compared with the nearest pixel of any image here; compare with one image "
        "at a time, then take the nearest": lambda samples, images:
            (samples[:, None] - images).abs().amin(1).flatten(1).norm(dim=1),
        "this is the mean distance to the set; the nearest counts":
            lambda samples, images: apart(samples, images).mean(1),
        "this is the number of the nearest image; its distance is asked for":
            lambda samples, images: apart(samples, images).argmin(1),
        "this asks for each image of the set which sample is nearest":
            lambda samples, images: apart(samples, images).min(0).values,
        "this is the mean over the samples; keep one distance a sample":
            lambda samples, images: apart(samples, images).min(1).values.mean(),
        "this is the mean over the pixels; the distance is a sum of squares, and its root":
            lambda samples, images: apart(samples, images).square().amin(1) / samples[0].numel(),
        "this is the root of the mean over the pixels; the distance is the root of the sum":
            lambda samples, images: apart(samples, images).min(1).values / samples[0].numel()**0.5,
        "this sums the sizes of the differences; the distance is the root of their squares' sum":
            lambda samples, images: torch.cdist(samples.flatten(1), images.flatten(1), 1).amin(1),
        "this is the mean size of the differences; the distance is the root of the sum of their "
        "squares": lambda samples, images:
            torch.cdist(samples.flatten(1), images.flatten(1), 1).amin(1) / samples[0].numel(),
        "these are all the distances; take the smallest of each row": apart,
    },
    praise="0 is a copy. Compare with what held-out images have.")
