"A walk down a list of timesteps, right and wrong: what exercise 3 of chapter 16 compares."


def walk(ts): return list(zip(ts, [*ts[1:], -1]))


MISWALKS = { # sentence: the function
    "the last step must land on clean data, t = -1; this lands on t = 0, which still holds a "
    "little noise": lambda ts: list(zip(ts, [*ts[1:], 0])),
    "previous is the next entry of the list; this subtracts 1000 // n, which is right only "
    "where neighbors are that far apart (diffusers#12633)":
        lambda ts: [(t, max(-1, t - 1000 // len(ts))) for t in ts],
    "previous is the next entry of the list; this subtracts 1000 // n, and goes below -1":
        lambda ts: [(t, t - 1000 // len(ts)) for t in ts],
    "previous is the next entry of the list; this subtracts 1000 // n, and stops at 0":
        lambda ts: [(t, max(0, t - 1000 // len(ts))) for t in ts],
    "previous is the next entry of the list; this subtracts the first distance everywhere":
        lambda ts: [(t, t - ts[0] + ts[1]) for t in ts],
    "after the last timestep comes clean data, -1; this goes to the timestep below it":
        lambda ts: list(zip(ts, [*ts[1:], ts[-1] - 1])),
    "after the last timestep comes clean data, -1; this stays where it is":
        lambda ts: list(zip(ts, [*ts[1:], ts[-1]])),
    "this pairs each timestep with the entry before, which is noisier; previous is the next "
    "entry": lambda ts: list(zip(ts, [ts[-1], *ts[:-1]])),
    "each timestep is paired with the entry before, which is noisier, and -1 comes first; it "
    "comes last": lambda ts: list(zip(ts, [-1, *ts[:-1]])),
    "this goes to t - 1, which is right for all 1000 steps alone: the list skips":
        lambda ts: [(t, t - 1) for t in ts],
    "this is one off: it goes below the next entry of the list":
        lambda ts: list(zip(ts, [*(t - 1 for t in ts[1:]), -1])),
    "the last step is missing: a list of n timesteps makes n steps, and the n-th one lands on "
    "t = -1": lambda ts: list(zip(ts, ts[1:])),
    "these are the pairs of the way up; a sampler walks down": lambda ts: walk(ts)[::-1],
    "the first pair begins above the list: t is its first entry, and no step comes before":
        lambda ts: list(zip([1000, *ts], ts)),
    "these are the second entries alone; return pairs (t, prev)": lambda ts: [*ts[1:], -1],
    "each pair is the wrong way round: (t, prev), and prev is the smaller one":
        lambda ts: [(prev, t) for t, prev in walk(ts)],
    "the last entry of the list is paired with the first one; after it comes clean data, -1":
        lambda ts: list(zip(ts, [*ts[1:], ts[0]])),
    "each timestep is paired with the entry before, which is noisier; the first one and clean data "
    "are missing": lambda ts: list(zip(ts[1:], ts)),
    "there is a step too many: after the last timestep comes clean data, and not 0 before it":
        lambda ts: [*zip(ts, [*ts[1:], 0]), (0, -1)],
    "there is a step too many: once the walk is at clean data, -1, it is over":
        lambda ts: [*walk(ts), (-1, -1)],
    "these are places in the list; return its entries": lambda ts:
        [(i, i + 1) for i in range(len(ts))],
}
