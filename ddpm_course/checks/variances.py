"The variance of a step back, right and wrong: what exercise 2 of chapter 14 compares."

from functools import partial

from ddpm_course.checks.steps import composed, terms


def with_a(a, schedule, t, prev, s):
    "The right variance with another a(terms)."
    q = terms(schedule, t, prev, s)
    return q.small + a(q)**2 * q.var


exact_variance = composed(lambda q: q.small + q.a**2 * q.var)


def long_chain(schedule, t, prev, s):
    q = terms(schedule, t, prev, s, schedule.betas[t].item())
    return q.small + q.a**2 * q.var


MISVARIANCES = { # sentence: the function
    "this is the small variance, which is right for a single point: s is not in it":
        composed(lambda q: q.small),
    "this is the large variance, which is right for a standard normal: s is not in it":
        composed(lambda q: q.large),
    "x_0 comes with the factor a, so its variance comes with a squared":
        composed(lambda q: q.small + q.a * q.var),
    "the factor a is missing: the posterior's mean holds a x_0, so a^2 Var[x_0 | x_t]":
        composed(lambda q: q.small + q.var),
    "this takes the large variance for the posterior's":
        composed(lambda q: q.large + q.a**2 * q.var),
    "this is the part that x_0 adds; the posterior's own variance is missing":
        composed(lambda q: q.a**2 * q.var),
    "this is the standard deviation": composed(lambda q: (q.small + q.a**2 * q.var)**0.5),
    "s^2 is what is unknown about x_0 before x_t is seen; given x_t it is less":
        composed(lambda q: q.small + q.a**2 * q.s2),
    "this is Var[eps | x_t]; the posterior asks for x_0":
        composed(lambda q: q.small + q.a**2 * q.snr * q.var),
    "this is the precision of x_0 given x_t; its variance is one over that":
        composed(lambda q: q.small + q.a**2 / q.var),
    "x_t holds sqrt(alpha_bar) x_0, so it adds alpha_bar / (1 - alpha_bar) to the precision "
    "1 / s^2 of x_0; here alpha_bar is missing":
        composed(lambda q: q.small + q.a**2 / (1 / q.s2 + 1 / (1 - q.ab))),
    "x_t adds alpha_bar / (1 - alpha_bar) to the precision of x_0, without a root":
        composed(lambda q: q.small + q.a**2 / (1 / q.s2 + q.ab**0.5 / (1 - q.ab))),
    "(1 - alpha_bar) / alpha_bar is what x_t alone leaves open about x_0; x_0 is also known "
    "to be N(m, s^2)": composed(lambda q: q.small + q.a**2 / q.snr),
    "this mixes small and large by s^2, which is right for s = 0 and s = 1 alone":
        composed(lambda q: (1 - q.s2) * q.small + q.s2 * q.large),
    "x_t is what is given, so Var[x_0 | x_t] holds alpha_bar_t; here it holds alpha_bar_prev":
        composed(lambda q: q.small + q.a**2 * q.s2 * (1 - q.ab_prev)
                 / (q.s2 * q.ab_prev + 1 - q.ab_prev)),
    "the factor a of x_0 is sqrt(alpha_bar_prev) beta / (1 - alpha_bar); here beta is missing":
        partial(with_a, lambda q: q.a / q.large),
    "s^2 is missing above the fraction bar of Var[x_0 | x_t]":
        composed(lambda q: q.small + q.a**2 * q.var / q.s2),
    "a is the factor of x_0; this is that of x_t": partial(with_a, lambda q: q.b),
    "a holds the root of alpha_bar_prev; this takes that of alpha_bar_t":
        partial(with_a, lambda q: q.a * (q.ab / q.ab_prev)**0.5),
    "a holds the root of alpha_bar_prev; here the root is missing":
        partial(with_a, lambda q: q.a * q.ab_prev**0.5),
    "this is the variance of x_prev when x_t is not known":
        composed(lambda q: q.ab_prev * q.s2 + 1 - q.ab_prev),
    "the step is longer than one: its beta is 1 - alpha_bar_t / alpha_bar_prev": long_chain,
    "s is a standard deviation; its square belongs here":
        lambda schedule, t, prev, s: exact_variance(schedule, t, prev, s**0.5),
    "prev is given; this goes to t - 1":
        lambda schedule, t, prev, s: exact_variance(schedule, t, t - 1, s),
    "x_t and N(m, s^2) both tell of x_0, so their precisions add up; this adds the "
    "variances":
        composed(lambda q: q.small + q.a**2 * (q.s2 + 1 / q.snr)),
    "x_t adds alpha_bar / (1 - alpha_bar) to the precision 1 / s^2 of x_0; here it is upside down":
        composed(lambda q: q.small + q.a**2 * q.s2 / (1 + q.s2 / q.snr)),
    "the posterior's own variance is beta (1 - alpha_bar_prev) / (1 - alpha_bar); here beta is "
    "missing": composed(lambda q: q.small / q.large + q.a**2 * q.var),
    "the posterior's own variance is beta (1 - alpha_bar_prev) / (1 - alpha_bar); here that ratio "
    "is upside down":
        composed(lambda q: q.large * (1 - q.ab) / (1 - q.ab_prev) + q.a**2 * q.var),
    "a is sqrt(alpha_bar_prev) beta / (1 - alpha_bar); here the denominator has a root":
        partial(with_a, lambda q: q.a * (1 - q.ab)**0.5),
    "a is sqrt(alpha_bar_prev) beta / (1 - alpha_bar); here the denominator is missing":
        partial(with_a, lambda q: q.a * (1 - q.ab)),
}
