"What a step back is made of, and what goes wrong in it: for the exercises of chapter 14."

from types import SimpleNamespace

import torch


# ---- a list of timesteps ----
def levels(schedule, timesteps, last=-1):
    "alpha_bar at each timestep, and at the one below it; after the last timestep comes `last`."
    ab = torch.tensor([schedule.alpha_bar(t) for t in [*timesteps, last]], dtype=torch.float64)
    return ab[:-1], ab[1:]


def of_levels(f):
    "f(alpha_bar, alpha_bar_prev) of the levels."
    return lambda schedule, timesteps: f(*levels(schedule, timesteps))


def chained(schedule, timesteps, missing=0, more=0):
    "The long chain's betas in each step, without the last `missing`, with `more` in front."
    pairs = zip(timesteps, [*timesteps[1:], -1])
    return [schedule.betas[max(prev + 1 - more, 0):t + 1 - missing] for t, prev in pairs]


def from_above(ab, ab_prev):
    "The entry before taken for prev, and 1 put in front."
    return 1 - ab / torch.cat([torch.ones(1, dtype=ab.dtype), ab[:-1]])


def evenly(schedule, timesteps):
    "prev = t - T // n."
    k = len(schedule) // len(timesteps)
    return torch.tensor([1 - schedule.alpha_bar(t) / schedule.alpha_bar(max(t - k, -1))
                         for t in timesteps], dtype=torch.float64)


# ---- one step ----

def terms(schedule, t, prev, s, beta=None):
    "Every term of the formula, by its name; beta of one step from prev to t if not given."
    q = SimpleNamespace(s2=s**2, ab=schedule.alpha_bar(t), ab_prev=schedule.alpha_bar(prev))
    q.large = 1 - q.ab / q.ab_prev if beta is None else beta
    q.small = q.large * (1 - q.ab_prev) / (1 - q.ab)
    q.a = q.ab_prev**0.5 * q.large / (1 - q.ab) # on x_0
    q.b = (1 - q.large)**0.5 * (1 - q.ab_prev) / (1 - q.ab) # on x_t
    q.snr = q.ab / (1 - q.ab)
    q.var = q.s2 / (q.s2 * q.snr + 1) # of x_0, given x_t
    return q


def composed(f):
    "f of the terms."
    return lambda *args: f(terms(*args))


# ---- without fresh noise ----
def roots(ab): return ab**0.5, (1 - ab)**0.5


def swapped(ab): return roots(1 - ab)


def fresh(x_t, x0, ab, ab_prev):
    "The noise that explains x_t, given the estimate of the image."
    signal, noise = roots(ab)
    return (x_t - signal * x0) / noise


def believed(x_t, eps, signal, noise): return (x_t - noise * eps) / signal


def noise_free(x_t, eps, ab, ab_prev, derive=fresh, clip=(-1, 1), there=roots, image=believed,
               back=lambda ab, ab_prev: roots(ab_prev)):
    "x_prev; eps derived anew from the clipped estimate, or kept if derive is None."
    x0 = image(x_t, eps, *there(ab)).clamp(*clip)
    if derive: eps = derive(x_t, x0, ab, ab_prev)
    signal, noise = back(ab, ab_prev)
    return signal * x0 + noise * eps


MISTAKES = { # sentence: arguments of noise_free
    "this puts back the noise of alpha_bar, the level that it left; the state belongs at "
    "alpha_bar_prev": dict(back=lambda ab, prev: (prev**0.5, (1 - ab)**0.5)),
    "this puts the image back with the rate of the level that it left; sqrt(alpha_bar_prev) "
    "belongs there": dict(back=lambda ab, prev: (ab**0.5, (1 - prev)**0.5)),
    "this mixes again with the rates of the level that it left; the state belongs at "
    "alpha_bar_prev": dict(back=lambda ab, prev: roots(ab)),
    "x0_hat comes back with the root of alpha_bar_prev; here the root is missing":
        dict(back=lambda ab, prev: (prev, (1 - prev)**0.5)),
    "the noise is put back with the root of 1 - alpha_bar_prev; here the root is missing":
        dict(back=lambda ab, prev: (prev**0.5, 1 - prev)),
    "both rates are roots, of alpha_bar_prev and of 1 - alpha_bar_prev; here they are missing":
        dict(back=lambda ab, prev: (prev, 1 - prev)),
    "the two rates are swapped: sqrt(alpha_bar_prev) belongs to x0_hat, "
    "sqrt(1 - alpha_bar_prev) to eps": dict(back=lambda ab, prev: swapped(prev)),
    "the noise is added to the image; this subtracts it":
        dict(back=lambda ab, prev: (prev**0.5, -(1 - prev)**0.5)),
    "no noise is put back": dict(back=lambda ab, prev: (prev**0.5, 0)),
    "this returns the clipped x0_hat; mix it with eps at the level of alpha_bar_prev":
        dict(back=lambda ab, prev: (1, 0)),
    "x0_hat is (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar); here its roots are missing":
        dict(there=lambda ab: (ab, 1 - ab)),
    "x0_hat is (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar); here the root below is missing":
        dict(there=lambda ab: (ab, (1 - ab)**0.5)),
    "x0_hat is (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar); here the root above is missing":
        dict(there=lambda ab: (ab**0.5, 1 - ab)),
    "all rates are square roots, of alpha_bar and of 1 - alpha_bar; here the roots are missing":
        dict(there=lambda ab: (ab, 1 - ab), back=lambda ab, prev: (prev, 1 - prev),
             derive=lambda x_t, x0, ab, prev: (x_t - ab * x0) / (1 - ab)),
    "x0_hat is (x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar); here its rates are swapped":
        dict(there=swapped),
    "x0_hat is divided by sqrt(alpha_bar), after the noise was taken off; that is missing here":
        dict(image=lambda x_t, eps, signal, noise: x_t - noise * eps),
    "eps is multiplied by sqrt(1 - alpha_bar) before it is taken off x_t; that is missing here":
        dict(image=lambda x_t, eps, signal, noise: (x_t - eps) / signal),
    "the noise is taken off x_t to find x0_hat; this adds it":
        dict(image=lambda x_t, eps, signal, noise: (x_t + noise * eps) / signal),
}
