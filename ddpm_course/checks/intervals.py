"Intervals of resampled values, wrong: what exercise 2 of chapter 31 compares."


def reflected(values, center):
    "The recentered interval."
    return 2 * center - values.quantile(0.975), 2 * center - values.quantile(0.025)


def points(low, high):
    "The two points below which these shares of the values lie."
    return lambda values: (values.quantile(low), values.quantile(high))


def of_range(values, share):
    low, high = values.aminmax()
    return low + share * (high - low)


def ranked(values):
    "The k-th smallest and the k-th largest, where k is 2.5 %."
    k = int(0.025 * len(values))
    return values.kthvalue(k).values, values.kthvalue(len(values) - k).values


MISPLACED = {
    "these are the smallest and the largest value": lambda values: (values.min(), values.max()),
    "this leaves 5 % out on each side; 2.5 % each make 95 %":
        lambda values: (values.quantile(0.05), values.quantile(0.95)),
    "this is the interval of 99 %; that of 95 % leaves out 2.5 % on each side":
        lambda values: (values.quantile(0.005), values.quantile(0.995)),
    "this leaves out a quarter on each side; 2.5 % are 0.025":
        lambda values: (values.quantile(0.25), values.quantile(0.75)),
    "these are 0.25 % and 99.75 %; 2.5 % are 0.025":
        lambda values: (values.quantile(0.0025), values.quantile(0.9975)),
    "this leaves out 2.5 % below and 5 % above; 2.5 % each make 95 %":
        lambda values: (values.quantile(0.025), values.quantile(0.95)),
    "this takes the values at these places of the sorted list; quantile also goes between two":
        lambda values: tuple(values.sort().values[int(q * len(values))] for q in (0.025, 0.975)),
    "this is mean plus and minus one standard deviation; ask for the points themselves":
        lambda values: (values.mean() - values.std(), values.mean() + values.std()),
    "this is mean plus and minus two standard deviations; ask for the points themselves":
        lambda values: (values.mean() - 1.96 * values.std(), values.mean() + 1.96 * values.std()),
    "this is the spread of the mean; the resampled values are not averaged again": lambda values: (
        values.mean() - 1.96 * values.std() / len(values)**0.5,
        values.mean() + 1.96 * values.std() / len(values)**0.5),
    "these are deviations from the mean; the plain interval is not recentered": lambda values: (
        values.quantile(0.025) - values.mean(), values.quantile(0.975) - values.mean()),
    "this is recentered: twice the mean less the points; the plain interval is the points":
        lambda values: reflected(values, values.mean()),
    "this is recentered: twice the median less the points; the plain interval is the points":
        lambda values: reflected(values, values.median()),
    "this puts half of the width on either side of the mean; take the points themselves":
        lambda values: tuple(values.mean() + s * (
            values.quantile(0.975) - values.quantile(0.025)) / 2 for s in (-1, 1)),
    "this takes the values at these places of the list as it is; sort it first, or use quantile":
        lambda values: tuple(values[int(q * len(values))] for q in (0.025, 0.975)),
    "this is the width of the interval; return its two ends":
        lambda values: values.quantile(0.975) - values.quantile(0.025),
    "low comes first": lambda values: (values.quantile(0.975), values.quantile(0.025)),
    "this leaves out 5 % above and nothing below; 2.5 % each make 95 %": points(0, 0.95),
    "this leaves out 5 % below and nothing above; 2.5 % each make 95 %": points(0.05, 1),
    "this leaves out 5 % below and 2.5 % above; 2.5 % each make 95 %": points(0.05, 0.975),
    "this leaves out a quarter below; 2.5 % are 0.025": points(0.25, 0.975),
    "97.5 % are 0.975; this takes 0.0975": points(0.025, 0.0975),
    "this is the interval of 68 %; that of 95 % leaves out 2.5 % on each side": points(0.16, 0.84),
    "this takes the values with these ranks; quantile also goes between two": ranked,
    "this is median plus and minus two standard deviations; ask for the points themselves":
        lambda values: tuple(values.median() + s * 1.96 * values.std() for s in (-1, 1)),
    "these are 2.5 % and 97.5 % of the way from the smallest to the largest; count values instead":
        lambda values: (of_range(values, 0.025), of_range(values, 0.975)),
}
