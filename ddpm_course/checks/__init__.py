"Numeric checkers behind the exercises: `from ddpm_course.checks import noising as check`."

import inspect
import traceback
from functools import cached_property
from pathlib import Path

import torch

from .slips import SLIPS, advice, applied, odd, unchanged

LOOSER = (1e-6, 1e-5, 1e-4, 1e-3) # how far off a wrong answer may be and still get its name
FLOAT32 = 1e-5 # what is right to this much was computed in float32


def randn(*shape, seed=0):
    "The same standard normal numbers at every call, float64: what many cases are made of."
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Exercise:
    """One exercise: what the right function returns, and what the usual wrong ones return.

    Call it with your function. It prints that the answer is right, or raises AssertionError
    that names the mistake it recognizes, the error that your function raised, or the difference.
    """

    def __init__(self, right, # the right function
                 cases, # () -> list of argument tuples, the same at every call
                 wrong, # {what the learner did: a function that does it}
                 praise="", # what to take away, printed with a right answer
                 tol=1e-5, # largest difference that is equal, relative to the largest right value
                 dtype=None, # torch.dtype that the answer must have; None: any numbers will do
                 keeps_inputs=False, # True: complain if an argument was changed in place
                 view=None): # f -> the function whose values are compared; None: f itself
        self.right, self.cases, self.wrong = right, cases, wrong
        self.praise, self.tol, self.dtype = praise, tol, dtype
        self.keeps_inputs, self.view = keeps_inputs, view or (lambda f: f)

    def __call__(self, answer):
        passes, said = self.verdict(answer)
        if passes is False: raise AssertionError(said)
        print(said)

    def verdict(self, answer):
        "(does it pass? None: still a stub; what is to be said of it)"
        got = self.outcomes(answer)
        if all(is_stub(g) for g in got): # Run All goes on
            return None, "Your turn: this function still returns None."
        expected = self.expected
        right = all(same(g, e, self.tol) for g, e in zip(got, expected))
        what = None if right else self.mistake(got, expected) or self.chance(answer, got)
        what = what or self.kind(got, expected)
        if not (what or right): what = self.unnamed(answer, got, expected)
        if self.keeps_inputs: what = what or self.changed(answer)
        return not what, f"Not yet: {what}" if what else f"Right. {self.praise}".rstrip()

    def outcomes(self, function):
        "What a function returns for each case; the error where it raises one."
        return [outcome(self.view(function), args) for args in self.cases()]

    @cached_property
    def expected(self): return self.outcomes(self.right) # once, as `known`: cases stay the same

    @cached_property
    def known(self):
        "{what is wrong: what the function that does it returns}."
        return {what: self.outcomes(function) for what, function in self.wrong.items()}

    def mistake(self, got, expected):
        "The name of the only wrong answer that comes as close to this one, or None."
        for tol in [self.tol, *(tol for tol in LOOSER if tol > self.tol)]:
            if tol > self.tol and matches(got, expected, tol): return None # right, but for digits
            names = [what for what, values in self.known.items()
                     if matches(got, values, tol) and telling(got, values, expected, tol)]
            if len(names) == 1 or (names and tol == self.tol): return names[0]
            if names: return None # too far off to say which
        return self.slip(got, expected)

    def slip(self, got, expected):
        "What all answers are of the right ones, if it is the same slip, or None."
        for what, change in SLIPS.items():
            changed = [applied(change, e) for e in expected]
            if matches(got, changed, tol := max(FLOAT32, self.tol)):
                return None if matches(got, expected, tol) else what
        return None

    def chance(self, answer, got):
        "That a second call answers otherwise, or None."
        pairs = zip(self.outcomes(answer), got)
        if all(same(again, g, 0) or not same(g, g, 0) for again, g in pairs): return None
        return "two calls with the same arguments differ; draw nothing here, use what is given"

    def kind(self, got, expected):
        "What to do where an answer is no tensor of the dtype that was asked for, or None."
        if self.dtype is None: return None
        for g, e in zip(got, expected):
            if is_error(g) or getattr(g, "dtype", None) == self.dtype: continue
            if isinstance(g, torch.Tensor) and g.shape != e.shape: continue # told as a difference
            wanted = f"expected a {name_of(self.dtype)} tensor, got {describe(g)}"
            if isinstance(g, torch.Tensor): return f"{wanted}; convert it with .to({self.dtype})"
            return f"{wanted}; the answer has to be a torch tensor"
        return None

    def unnamed(self, answer, got, expected):
        "What can be said of a wrong answer without a name; at least how it differs."
        what = odd(got) or self.relation(got, expected)
        if what: return what
        what = self.difference(got, expected)
        changed = self.changed(answer)
        return f"{what}; besides, {changed}" if changed else what

    def relation(self, got, expected):
        "That only the shape is wrong, or all numbers are so many times the right ones; or None."
        if matches(got, expected, LOOSER[-1]): return None
        tol = max(FLOAT32, self.tol)
        try: g, e = flat(got), flat(expected)
        except TypeError: return None # an error, or no numbers
        if g.shape != e.shape: return None
        single = not any(isinstance(e, (tuple, list)) for e in expected)
        if single and all(same(flat(g), flat(e), tol) for g, e in zip(got, expected)):
            return f"the numbers are right; {self.difference(got, expected)}"
        factor = (g / e)[e.abs().argmax()].item()
        known = 1e-4 < abs(factor) < 1e4 and len(e.abs().unique()) > 2
        times = [applied(lambda x: factor * x, value) for value in expected]
        if not (known and matches(got, times, tol)): return None
        return f"every number is {factor:.4g} times what it should be"

    def difference(self, got, expected):
        "How an answer without a name differs from the right one, at the first case that does."
        pairs = list(zip(self.cases(), got, expected))
        if matches(got, expected, max(FLOAT32, self.tol)):
            is_ = value_of(*next((g, e) for _, g, e in pairs if not same(g, e, self.tol)))[0]
            return (f"{is_} is right to about six digits; "
                    "compute in float64 throughout, and add nothing small")
        for tol, digits in ((1e-4, "four"), (1e-3, "three")):
            if self.tol < tol and matches(got, expected, tol):
                return (f"this is right to about {digits} digits; "
                        "something small is added or rounded on the way")
        tol = max(FLOAT32, self.tol)
        wrong = [pair for pair in pairs if not same(*pair[1:], tol)]
        args, g, e = next((pair for pair in wrong if is_error(pair[1])), wrong[0])
        if is_error(g) or is_error(e) or g is None:
            hint = advice(str(g)) if is_error(g) else ""
            return f"your function {did(g)} for {arguments(self.right, args)}; {expects(e)}{hint}"
        return differs(g, e, tol)

    def changed(self, answer):
        "The argument that a function changes in place, or None."
        for args, fresh in zip(self.cases(), self.cases()):
            outcome(self.view(answer), args)
            for i, (a, b) in enumerate(zip(args, fresh)):
                if isinstance(a, (torch.Tensor, list)) and not unchanged(a, b):
                    return f"this changes {names_of(self.right, args)[i]} itself; work on a copy"
        return None


def outcome(function, args):
    "What function(*args) returns, or the error that it raises."
    try: return function(*args)
    except Exception as error: return error # the learner's own: told in words, never a traceback


def is_error(value, kind=Exception): return isinstance(value, kind)


def is_stub(value):
    "None, or NotImplementedError by the learner's own `raise`: torch raises it for other reasons."
    if not is_error(value, NotImplementedError): return value is None
    last = traceback.extract_tb(value.__traceback__)[-1]
    return is_learners(last.filename) and last.line.startswith("raise")


def telling(got, values, expected, tol):
    "Is there more than an error of the same type to tell these values from the right ones?"
    return any(not is_error(v) or str(g) == str(v)
               for g, v, e in zip(got, values, expected) if not same(v, e, tol))


def matches(got, values, tol):
    "Equal in every case, of which one at least is no error."
    if all(is_error(value) for value in values): return False
    return all(same(g, value, tol) for g, value in zip(got, values))


def same(a, b, tol):
    "Equal in shape and, within `tol` of the largest of b, in value; part by part; errors by type."
    if is_error(a) or is_error(b): return type(a) is type(b)
    if isinstance(b, (tuple, list)):
        a = parts(a)
        if not isinstance(a, (tuple, list)) or len(a) != len(b): return False
        return all(same(x, y, tol) for x, y in zip(a, b))
    try: a, b = numbers(a), numbers(b)
    except (TypeError, ValueError, RuntimeError): return False
    if a.shape != b.shape: return False
    sizes = b[b.isfinite()].abs()
    atol = tol * max(1e-12, sizes.max() if len(sizes) else 0)
    return bool(torch.isclose(a, b, rtol=0, atol=atol, equal_nan=True).all())


def differs(got, expected, tol):
    "How one answer differs from the right one; in a list, the first part that does."
    if isinstance(expected, (tuple, list)):
        n = len(expected)
        whole, got = got, parts(got)
        plain = all(isinstance(part, (int, float)) for part in expected)
        if plain or not isinstance(got, (tuple, list)) or len(got) != n:
            return f"expected {describe(expected)}, got {describe(whole)}"
        i = next(i for i, pair in enumerate(zip(got, expected)) if not same(*pair, tol))
        return f"{differs(got[i], expected[i], tol)} (part {i + 1} of {n})"
    try: g, e = numbers(got), numbers(expected)
    except (TypeError, ValueError, RuntimeError):
        return f"expected {describe(expected)}, got {describe(got)}"
    if g.shape != e.shape: return f"expected shape {tuple(e.shape)}, got {tuple(g.shape)}"
    is_, should = value_of(got, expected)
    return f"the first value that is furthest off should be {should}, and is {is_}"


def value_of(got, expected):
    "The two numbers that are furthest apart, as text."
    if isinstance(expected, (tuple, list)):
        pairs = list(zip(parts(got), expected))
        return value_of(*max(pairs, key=lambda pair: not same(*pair, 0)))
    g, e = numbers(got), numbers(expected)
    worst = (g - e).abs().nan_to_num(float("inf")).flatten().argmax()
    return tuple(f"{x.flatten()[worst]:.6g}" for x in (g, e))


def numbers(value):
    "A tensor, a number, or a list of numbers as float64, without a detour through float32."
    if getattr(value, "is_complex", bool)(): raise TypeError("a complex number is none here")
    return torch.as_tensor(value, dtype=torch.float64).detach()


def flat(value):
    "All numbers of an answer in a row; TypeError if there is something else."
    try: return numbers(value).flatten()
    except (TypeError, ValueError, RuntimeError):
        if not isinstance(value, (tuple, list)): raise TypeError from None
        return torch.cat([flat(part) for part in value])


def is_array(value): return type(value).__module__ == "numpy"


def parts(value):
    "A tensor or array as the tuple of its rows, so that two rows are as good as two values."
    if is_array(value): value = torch.as_tensor(value)
    return value.unbind() if isinstance(value, torch.Tensor) and value.ndim else value


def name_of(dtype): return str(dtype).removeprefix("torch.")


def describe(value):
    "A value as a learner would name it."
    if isinstance(value, torch.Tensor):
        if value.ndim == 0: return f"a {name_of(value.dtype)} tensor of one number"
        return f"a {name_of(value.dtype)} tensor of shape {tuple(value.shape)}"
    if is_array(value) and getattr(value, "ndim", 0):
        return f"a NumPy array ({value.dtype}) of shape {value.shape}"
    if isinstance(value, (int, float, str)): return str(value)[:80]
    if not isinstance(value, (tuple, list)): return f"a value of type {type(value).__name__}"
    plain = (int, float, type(None))
    if value and all(isinstance(part, plain) for part in value): return str(value)[:80]
    return f"a {type(value).__name__} of {len(value)}"


def names_of(function, args):
    "The names of a function's arguments, or their numbers where it has none."
    names = [name for name in inspect.signature(function).parameters]
    return [*names[:len(args)], *(f"argument {i + 1}" for i in range(len(names), len(args)))]


def arguments(function, args):
    "The arguments of a case, with their names, in words."
    pairs = zip(names_of(function, args), args)
    return ", ".join(f"{name} = {describe(value)}" for name, value in pairs) or "no arguments"


def did(value):
    "What a learner's function did, in words: the error it raised, and where, or what it returned."
    if not is_error(value): return f"returns {'None' if value is None else describe(value)}"
    frames = traceback.extract_tb(value.__traceback__)
    own = [f for f in frames if is_learners(f.filename) and f.line]
    where = f" in `{own[-1].line}`" if own else ""
    said = str(value).strip().split("\n")[0]
    return f"raises {type(value).__name__}{f' ({said})' * bool(said)}{where}"


def is_learners(file):
    "A file that is neither of this package nor of Python or what is installed in it."
    return "/lib/python" not in file and Path(__file__).parents[1] not in Path(file).parents


def expects(value):
    "What the right function does, in words."
    if is_error(value): return f"expected is a {type(value).__name__} there"
    return f"expected is {describe(value)}"
