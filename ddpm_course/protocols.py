"What a card may say, and when two of them may be compared."

import json
import math

FIELDS = ("name", "n_fake", "n_real", "reference", "features") # of every protocol
NOT_RECORDED = "not recorded" # what a card says of an option that nobody wrote down
ABSENT = "absent" # stands for an option that a card does not have


def freeze_protocol(options): # {name: value}
    "Options as a file gives them back, lists as tuples; TypeError if JSON cannot hold one."
    for key, value in options.items():
        try: json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as e:
            raise TypeError(f"{key}={value!r}: a protocol holds numbers, texts, True, False, None "
                            f"and lists of them ({e}); convert it") from e
    return {key: as_tuples(value) for key, value in options.items()}


def as_tuples(value):
    "Lists as tuples, within others too."
    if isinstance(value, dict): return {key: as_tuples(v) for key, v in value.items()}
    return tuple(map(as_tuples, value)) if isinstance(value, (list, tuple)) else value


def is_real(value):
    "Whether it is a finite number."
    if isinstance(value, bool) or not isinstance(value, (int, float)): return False
    return math.isfinite(value)


def check_numbers(s): # `Score`
    "Raise ValueError or TypeError where a card says something that cannot be."
    if not isinstance(s.name, str) or not s.name:
        raise TypeError(f"name={s.name!r}; expected what was measured, as text")
    if taken := vars(s).keys() & s.protocol.keys():
        raise ValueError(f"{s.name}: the options {sorted(taken)} have the names of a card's own "
                         "fields; choose others, such as guidance_interval")
    if not is_real(s.value):
        raise ValueError(f"{s.name}: value={s.value!r}; expected a finite number; look for NaN in "
                         "the features")
    if s.interval is not None and not holds(s.interval, s.value):
        raise ValueError(f"{s.name}: interval={s.interval}; expected (low, high) with the value "
                         f"{s.value} between them")
    for key in ("n_fake", "n_real", "steps", "nfe"):
        v = getattr(s, key)
        if v not in (None, NOT_RECORDED) and not (isinstance(v, int) and v > 0):
            raise ValueError(f"{s.name}: {key}={v!r}; expected a whole number of at least 1, or "
                             "None")


def holds(interval, value):
    "Whether it is two numbers in order with the value between them."
    if len(interval) != 2 or not all(map(is_real, interval)): return False
    return interval[0] <= value <= interval[1]


def not_recorded(*scores): # `Score`s
    "Names of the options that some of these cards say were not recorded."
    found = [key for s in scores for key, v in s.settings.items() if v == NOT_RECORDED]
    return tuple(dict.fromkeys(found))


def check_alike(a, b, # two `Score`s
                vary=()): # names that may differ, or one name
    "ValueError if the protocols differ, or were not recorded, in what `vary` does not name."
    vary = (vary,) if isinstance(vary, str) else tuple(vary)
    mine = a.settings
    theirs = b.settings
    names = mine | theirs
    if unknown := set(vary) - set(names):
        raise ValueError(f"vary={sorted(unknown)}; a protocol has {', '.join(names)}")
    pairs = {key: (mine.get(key, ABSENT), theirs.get(key, ABSENT)) for key in names}
    differ = [f"{key}: {x!r} and {y!r}" for key, (x, y) in pairs.items()
              if key not in vary and (x != y or x == NOT_RECORDED)]
    if differ:
        raise ValueError(f"these scores have different protocols ({'; '.join(differ)}); measure "
                         "them alike, or name in vary what you are asking about")


def check_runs(scores, # list of `Score`s
               unrecorded=()): # names of options that were not recorded, the same in all
    "ValueError unless the scores are alike but for their seeds, which differ."
    first = scores[0]
    names = {unrecorded} if isinstance(unrecorded, str) else {*unrecorded}
    seed = {"seed", "train_seed"} & first.settings.keys()
    for s in scores[1:]:
        same = {key for key in names if s.settings.get(key) == first.settings.get(key)}
        check_alike(first, s, same | seed)
    seeds = [s.seed for s in scores]
    if None not in seeds and len(set(seeds)) < len(seeds):
        raise ValueError(f"got seeds {tuple(seeds)}; expected different ones: a run that counts "
                         "twice makes the interval look narrower")


def format_score(score, # `Score`
                 digits: int=3) -> str: # after the decimal point
    "A score's value and interval as text: \"1.552 [1.410, 1.701]\"."
    value = f"{score.value:.{digits}f}"
    if score.interval is None: return value
    low, high = (f"{end:.{digits}f}" for end in score.interval)
    return f"{value} [{low}, {high}]"
