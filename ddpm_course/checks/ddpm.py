"Checkers for the exercises of chapter 13."

import torch

from ddpm_course.checks import Exercise, randn
from ddpm_course.noising import linear_schedule, q_sample


# ---- 1: the lazy network ----
def noise_rate(alpha_bar): return (1 - alpha_bar).sqrt()


def lazy(alpha_bar, m2): return alpha_bar * m2 + (1 - noise_rate(alpha_bar))**2


lazy_loss = Exercise(
    right=lazy,
    cases=lambda: [(linear_schedule(250).alpha_bars[::30], 0.5),
                   (torch.linspace(0.05, 0.95, 5).double(), 1.2)],
    wrong={
        "this adds the variance of x_t and that of eps as if they were independent; "
        "eps stands in x_t too, so their noises partly cancel: eps is multiplied by 1 - noise rate":
            lambda ab, m2: ab * m2 + (1 - ab) + 1,
        "sign: eps is subtracted from x_t, so what is left of it is (1 - noise rate) eps":
            lambda ab, m2: ab * m2 + (1 + noise_rate(ab))**2,
        "this forgets the image: x_t - eps also holds sqrt(alpha_bar) x_0":
            lambda ab, m2: (1 - noise_rate(ab))**2 + 0 * m2,
        "this is the image's share alone; some of eps is left as well: (1 - noise rate) eps":
            lambda ab, m2: ab * m2,
        "the noise rate is sqrt(1 - alpha_bar); here the root is missing":
            lambda ab, m2: ab * m2 + ab**2,
        "the error is squared, so x_0 comes with alpha_bar, the square of its rate":
            lambda ab, m2: ab.sqrt() * m2 + (1 - noise_rate(ab))**2,
        "the error is squared, so eps comes with the square of 1 - noise rate":
            lambda ab, m2: ab * m2 + 1 - noise_rate(ab),
        "(1 - noise rate)^2 is not 1 - noise rate^2": lambda ab, m2: ab * m2 + ab,
        "m2 is a mean square already": lambda ab, m2: ab * m2**2 + (1 - noise_rate(ab))**2,
        "this is the error of answering x_t where x_0 was asked for; here eps is asked for":
            lambda ab, m2: (1 - ab.sqrt())**2 * m2 + 1 - ab,
        "this is the mean square of x_t itself; subtract eps first":
            lambda ab, m2: ab * m2 + 1 - ab,
        "this is the root of the mean squared error; leave it squared":
            lambda ab, m2: lazy(ab, m2).sqrt(),
        "the noise rate belongs to x_t; eps was subtracted whole, so its factor is 1 - noise rate":
            lambda ab, m2: ab * m2 + (1 - ab) * noise_rate(ab)**2,
    },
    praise="At the noisy end this is nearly nothing: there the lazy network is nearly right.")


# ---- 2: half a digit ----
def half(*shape):
    known = torch.zeros(*shape, dtype=torch.bool)
    known[..., : shape[-2] // 2, :] = True
    return known


def keep(x, x0, known, schedule, t, eps):
    return torch.where(known, q_sample(schedule, x0, t, eps), x)


def drawn(t, seed):
    shape = (2, 1, 4, 6)
    x, x0, eps = (randn(*shape, seed=seed + i) for i in range(3))
    return x, x0, half(*shape), linear_schedule(100, 1e-3, 0.2), t, eps


def at(t_of):
    "The right answer at another timestep."
    return lambda x, x0, known, schedule, t, eps: keep(x, x0, known, schedule,
                                                       t_of(schedule, t), eps)


def placed(put):
    "put(x0, eps, signal, noise) where pixels are known, x elsewhere."
    def answer(x, x0, known, schedule, t, eps):
        return torch.where(known, put(x0, eps, *schedule.rates(t)), x)
    return answer


def mixed(x, x0, known, schedule, t, eps):
    return x + known * q_sample(schedule, x0, t, eps)


keep_known = Exercise(
    right=keep,
    cases=lambda: [drawn(40, 0), drawn(99, 3), drawn(0, 6), drawn(-1, 9)],
    wrong={
        "the mask is upside down: known is True where pixels are to be replaced":
            lambda x, x0, known, schedule, t, eps: keep(x, x0, ~known, schedule, t, eps),
        "the known pixels are put back clean; the network expects the noise of level t":
            placed(lambda x0, eps, signal, noise: x0),
        "the known pixels are dimmed and get no noise: noise rate times eps is missing":
            placed(lambda x0, eps, signal, noise: signal * x0),
        "the known pixels get noise and are not dimmed: x_0 is multiplied by the signal rate":
            placed(lambda x0, eps, signal, noise: x0 + noise * eps),
        "the square roots are missing: the rates are sqrt(alpha_bar) and sqrt(1 - alpha_bar)":
            placed(lambda x0, eps, signal, noise: signal**2 * x0 + noise**2 * eps),
        "the root of 1 - alpha_bar is missing":
            placed(lambda x0, eps, signal, noise: signal * x0 + noise**2 * eps),
        "the root of alpha_bar is missing":
            placed(lambda x0, eps, signal, noise: signal**2 * x0 + noise * eps),
        "the rates are exchanged: sqrt(alpha_bar) belongs to the image":
            placed(lambda x0, eps, signal, noise: noise * x0 + signal * eps),
        "eps alone stands where the image is known": placed(lambda x0, eps, signal, noise: eps),
        "one level too clean: t is where the state stands now, and not where it goes next":
            at(lambda schedule, t: max(t - 1, -1)),
        "one level too noisy: t is where the state stands now":
            at(lambda schedule, t: min(t + 1, 99)),
        "timestep -1 is clean data: alpha_bars[-1] is Python's last entry, pure noise; "
        "schedule.alpha_bar(-1) is 1": at(lambda schedule, t: t % len(schedule)),
        "timestep -1 is clean data: there the known pixels get no noise at all":
            at(lambda schedule, t: max(t, 0)),
        "this adds the known part to what stands there; it has to take its place": mixed,
        "the known part is right, and the rest is lost; keep x where known is False":
            lambda x, x0, known, schedule, t, eps: known * q_sample(schedule, x0, t, eps),
        "all pixels are replaced; only the known ones are to be":
            lambda x, x0, known, schedule, t, eps: q_sample(schedule, x0, t, eps),
        "nothing is replaced: this returns x": lambda x, x0, known, schedule, t, eps: x,
    },
    praise="Now the picture: whole, known, and what your network makes of it.", tol=1e-8,
    keeps_inputs=True)


# ---- 3: one step, with a knob ----
def step(x_t, eps, beta, alpha_bar, z, k, share=None, undo=None, fresh=None):
    share = beta / (1 - alpha_bar)**0.5 if share is None else share
    mean = (x_t - share * eps) / ((1 - beta)**0.5 if undo is None else undo)
    return mean + (k * beta**0.5 if fresh is None else fresh) * z


def changed(**parts):
    "The step with some of its factors replaced by functions of (beta, alpha_bar, k)."
    def answer(x_t, eps, beta, alpha_bar, z, k):
        factors = {name: f(beta, alpha_bar, k) for name, f in parts.items()}
        return step(x_t, eps, beta, alpha_bar, z, k, **factors)
    return answer


def stepped(beta, alpha_bar, k):
    x_t, eps, z = (randn(2, 1, 4, 4, seed=i) for i in range(3))
    return x_t, eps, beta, alpha_bar, z, k


reverse_step = Exercise(
    right=step,
    cases=lambda: [stepped(*args) for args in ((0.02, 0.5, 1.0), (0.3, 0.1, 0.5), (0.2, 0.6, 0.0),
                                               (0.1, 0.3, 1.5))],
    wrong={
        "this uses beta_t where alpha_bar_t belongs: eps is divided by sqrt(1 - alpha_bar_t)":
            changed(share=lambda b, ab, k: b / (1 - b)**0.5),
        "eps is divided by sqrt(beta_t); all the noise so far is sqrt(1 - alpha_bar_t)":
            changed(share=lambda b, ab, k: b**0.5),
        "this subtracts sqrt(1 - alpha_bar_t) eps, all of the noise: that leads to x_0 "
        "(scaled), not to x_{t-1}":
            changed(share=lambda b, ab, k: (1 - ab)**0.5),
        "this divides by sqrt(alpha_bar_t), which undoes all steps; one step shrinks by "
        "sqrt(1 - beta_t) only":
            changed(undo=lambda b, ab, k: ab**0.5),
        "the division by sqrt(1 - beta_t) is missing: the step back has to undo the shrinking":
            changed(undo=lambda b, ab, k: 1.0),
        "this multiplies by sqrt(1 - beta_t); the step back divides":
            changed(undo=lambda b, ab, k: 1 / (1 - b)**0.5),
        "this is the estimate of x_0; one step back removes a small share of the noise":
            changed(share=lambda b, ab, k: (1 - ab)**0.5, undo=lambda b, ab, k: ab**0.5),
        "the square root of 1 - alpha_bar_t is missing":
            changed(share=lambda b, ab, k: b / (1 - ab)),
        "eps is divided by sqrt(alpha_bar_t); the noise so far is sqrt(1 - alpha_bar_t)":
            changed(share=lambda b, ab, k: b / ab**0.5),
        "the square root of 1 - beta_t is missing: one step shrinks by it":
            changed(undo=lambda b, ab, k: 1 - b),
        "sign: the noise has to be subtracted": changed(share=lambda b, ab, k: -b / (1 - ab)**0.5),
        "beta_t is a variance: z is multiplied by its square root":
            changed(fresh=lambda b, ab, k: k * b),
        "k multiplies the noise; under the root it counts as sqrt(k)":
            changed(fresh=lambda b, ab, k: (k * b)**0.5),
        "the knob does nothing: the fresh noise is multiplied by k":
            changed(fresh=lambda b, ab, k: b**0.5),
        "the fresh noise is missing": changed(fresh=lambda b, ab, k: 0.0),
        "the fresh noise lacks its size, sqrt(beta_t)": changed(fresh=lambda b, ab, k: k),
        "the fresh noise is not divided by sqrt(1 - beta_t): add it after the division":
            changed(fresh=lambda b, ab, k: k * (b / (1 - b))**0.5),
        "the knob belongs to the fresh noise, not to the noise that is subtracted":
            changed(share=lambda b, ab, k: k * b / (1 - ab)**0.5, fresh=lambda b, ab, k: b**0.5),
    },
    praise="A step back removes beta_t / sqrt(1 - alpha_bar_t) of eps and undoes the shrinking.")


# ---- 4: read with a network that draws ----
class Blots:
    "A model of three classes, each a single image; its null label knows them all."
    num_classes = 3
    predicts = "eps"
    schedule = linear_schedule(100, 1e-3, 0.2)

    def __init__(self):
        images = randn(3, 1, 3, 3, seed=5)
        self.images = torch.cat([images, images.mean(0, keepdim=True)])

    def __call__(self, x_t, t, y):
        signal, noise = self.schedule.rates(t, x_t)
        return ((x_t - signal * self.images[y]) / noise).tanh()


def questions(seed, model=Blots()):
    y = torch.randint(3, (40,), generator=torch.Generator().manual_seed(seed))
    x0 = model.images[y] + 0.9 * randn(40, 1, 3, 3, seed=seed)
    t = torch.randint(100, (40,), generator=torch.Generator().manual_seed(seed + 1))
    return model, model.schedule, x0, t, randn(40, 1, 3, 3, seed=seed + 2)


def scores(model, schedule, x0, t, eps, classes=3, noises=None, power=2):
    "The loss (classes, B) under every label."
    def score(c):
        noise = eps if noises is None else noises[c]
        out = model(q_sample(schedule, x0, t, noise), t, torch.full((len(x0),), c))
        return (out - noise).abs().pow(power).flatten(1).mean(1)
    return torch.stack([score(c) for c in range(classes)])


def own_noises(model, schedule, x0, t, eps):
    noises = [randn(*eps.shape, seed=50 + c) for c in range(3)]
    return scores(model, schedule, x0, t, eps, noises=noises)


def to_noisy(model, schedule, x0, t, eps):
    "Compares the network's answer with x_t."
    x_t = q_sample(schedule, x0, t, eps)
    outs = [model(x_t, t, torch.full((len(x0),), c)) for c in range(3)]
    return torch.stack([(out - x_t).square().flatten(1).mean(1) for out in outs]).argmin(0)


classify = Exercise(
    right=lambda *args: scores(*args).argmin(0),
    cases=lambda: [questions(10), questions(20)],
    wrong={
        "this takes the largest loss; the label that fits has the smallest":
            lambda *args: scores(*args).argmax(0),
        "one label for the whole batch: reduce over pixels, and keep one loss an image":
            lambda *args: scores(*args).mean(1).argmin().expand(40),
        "one label for the whole batch, and only once: the answer is one label an image":
            lambda *args: scores(*args).mean(1).argmin(),
        "the null label takes part: num_classes means no label, so try 0 to num_classes - 1":
            lambda *args: scores(*args, classes=4).argmin(0),
        "the last label is never tried: there are num_classes of them":
            lambda *args: scores(*args, classes=2).argmin(0),
        "every label got noise of its own, so chance decides; use the given eps for all":
            lambda *args: own_noises(*args).argmin(0),
        "these are the smallest losses; the answer is the label that has it":
            lambda *args: scores(*args).min(0).values,
        "these are all the losses; the answer is the label of the smallest":
            lambda *args: scores(*args),
        "this takes the minimum over the images; the labels stand along the other axis":
            lambda *args: scores(*args).argmin(1),
        "this compares the answer with x_t; it has to be compared with eps": to_noisy,
        "this classifies by the absolute error; the network was trained on the squared one":
            lambda *args: scores(*args, power=1).argmin(0),
    },
    praise="A network that was never asked for a label knows them all.")
