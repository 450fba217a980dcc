"Checkers for the exercises of chapter 13."

import torch

from ddpm_course.checks import Exercise, randn
from ddpm_course.checks.labelings import MISLABELINGS, found, questions
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
        "alpha_bar is the square of the signal rate already":
            lambda ab, m2: ab**2 * m2 + (1 - noise_rate(ab))**2,
        "m2 is missing: the image's share is alpha_bar times its mean square":
            lambda ab, m2: ab + (1 - noise_rate(ab))**2,
        "the image is dimmed in x_t: its mean square comes with alpha_bar":
            lambda ab, m2: m2 + (1 - noise_rate(ab))**2,
        "sign: mean squares of independent parts add up":
            lambda ab, m2: ab * m2 - (1 - noise_rate(ab))**2,
        "the parts are added before they are squared; as independent parts of mean 0, they have no "
        "product on average": lambda ab, m2: ((ab * m2).sqrt() + 1 - noise_rate(ab))**2,
        "the parts are subtracted before they are squared; as independent parts of mean 0, they "
        "have no product on average": lambda ab, m2: ((ab * m2).sqrt() - 1 + noise_rate(ab))**2,
        "the rates are exchanged: the image's is sqrt(alpha_bar), the noise's sqrt(1 - alpha_bar)":
            lambda ab, m2: (1 - ab) * m2 + (1 - ab.sqrt())**2,
        "1 - alpha_bar is the noise's share; the image has alpha_bar":
            lambda ab, m2: (1 - ab) * m2 + (1 - noise_rate(ab))**2,
        "eps has the noise rate, sqrt(1 - alpha_bar), not the signal's":
            lambda ab, m2: ab * m2 + (1 - ab.sqrt())**2,
        "variances do not subtract: x_t holds a share of eps, so (1 - noise rate) eps is left":
            lambda ab, m2: ab * m2 + (1 - ab) - 1,
        "nothing is squared here: both parts of the error are":
            lambda ab, m2: ab.sqrt() * m2 + 1 - noise_rate(ab),
        "m2 stands as it is; it needs no root":
            lambda ab, m2: ab * m2**0.5 + (1 - noise_rate(ab))**2,
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
        "at timestep -1 nothing is put back; the known pixels belong there, too, clean":
            lambda x, x0, known, schedule, t, eps:
                keep(x, x0, known & (t >= 0), schedule, t, eps),
        "all pixels are replaced; only the known ones are to be":
            lambda x, x0, known, schedule, t, eps: q_sample(schedule, x0, t, eps),
        "nothing is replaced: this returns x": lambda x, x0, known, schedule, t, eps: x,
        "the rest is noised as well; x stands at level t already":
            lambda x, x0, known, schedule, t, eps: keep(keep(x, x, ~known, schedule, t, eps), x0,
                                                        known, schedule, t, eps),
        "x is noised here, and again; put x_0 there": lambda x, x0, *where: keep(x, x, *where),
        "the mask is upside down, and the known pixels get no noise":
            lambda x, x0, known, schedule, t, eps: torch.where(known, x, x0),
        "eps is added whole, and x_0 is not dimmed: both have their rates":
            placed(lambda x0, eps, signal, noise: x0 + eps),
        "x_0 is missing: this is the noise of level t alone":
            placed(lambda x0, eps, signal, noise: noise * eps),
        "sign: the noise is added":
            placed(lambda x0, eps, signal, noise: signal * x0 - noise * eps),
        "timestep 0 has a little noise; clean data is timestep -1":
            at(lambda schedule, t: t if t > 0 else -1),
        "this uses beta_t, the noise of one step, where alpha_bar_t belongs":
            lambda x, x0, known, schedule, t, eps: torch.where(
                known, (1 - schedule.betas[t])**0.5 * x0 + schedule.betas[t]**0.5 * eps, x),
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
        "both square roots are missing: those of 1 - alpha_bar_t and 1 - beta_t":
            changed(share=lambda b, ab, k: b / (1 - ab), undo=lambda b, ab, k: 1 - b),
        "eps is multiplied by beta_t alone: divide by sqrt(1 - alpha_bar_t)":
            changed(share=lambda b, ab, k: b),
        "the root belongs to 1 - alpha_bar_t alone, not to beta_t":
            changed(share=lambda b, ab, k: (b / (1 - ab))**0.5),
        "eps is multiplied by sqrt(1 - alpha_bar_t); divide by it":
            changed(share=lambda b, ab, k: b * (1 - ab)**0.5),
        "eps is multiplied by 1 - beta_t; the last step's share of the noise has beta_t":
            changed(share=lambda b, ab, k: (1 - b) / (1 - ab)**0.5),
        "without brackets only eps is divided by sqrt(1 - beta_t), and x_t is not":
            changed(share=lambda b, ab, k: b / (1 - ab)**0.5 / (1 - b)**0.5,
                    undo=lambda b, ab, k: 1.0),
        "sign: fresh noise is added": changed(fresh=lambda b, ab, k: -k * b**0.5),
        "the fresh noise has the variance of all noise; its variance is beta_t":
            changed(fresh=lambda b, ab, k: k * (1 - ab)**0.5),
        "the fresh noise has the variance 1 - beta_t; it is beta_t":
            changed(fresh=lambda b, ab, k: k * (1 - b)**0.5),
        "k is squared here; it multiplies the noise once":
            changed(fresh=lambda b, ab, k: k**2 * b**0.5),
        "k multiplies the whole step; it belongs to the fresh noise alone":
            lambda x_t, eps, beta, alpha_bar, z, k: k * step(x_t, eps, beta, alpha_bar, z, 1),
        "k multiplies the mean, and not the fresh noise":
            lambda x_t, eps, beta, alpha_bar, z, k:
                step(k * x_t, k * eps, beta, alpha_bar, z, 1),
    },
    praise="A step back removes beta_t / sqrt(1 - alpha_bar_t) of eps and undoes the shrinking.")


# ---- 4: read with a network that draws ----
classify = Exercise(found(), lambda: [questions(10), questions(20)], MISLABELINGS,
                    "A network that was never asked for a label knows them all.",
                    dtype=torch.int64)
