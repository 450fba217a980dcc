"Numeric checkers behind the exercises, one module a chapter: `from ddpm_course.checks import noising as check`."

import torch


class Exercise:
    """One exercise: what the right function returns, and what the usual wrong ones return, on the same inputs.

    Call it with your function. It prints that the answer is right, or raises AssertionError that names the mistake it recognizes.
    """

    def __init__(self, right, # the right function
                 cases, # () -> list of argument tuples, the same at every call
                 wrong, # {what the learner did: a function that does it}
                 praise="", # what to take away, printed with a right answer
                 tol=1e-5): # largest difference that counts as equal, relative to the size of the right values
        self.right, self.cases, self.wrong, self.praise, self.tol = right, cases, wrong, praise, tol

    def __call__(self, answer):
        cases = self.cases()
        got = [answer(*args) for args in self.cases()]
        if any(g is None for g in got): return print("Your turn: this function still returns None.") # so that Run All passes over stubs
        expected = [self.right(*args) for args in cases]
        if all(self.same(g, e) for g, e in zip(got, expected)):
            print("Right." + f" {self.praise}" * bool(self.praise))
            return
        for what, function in self.wrong.items():
            assert not all(self.same(g, function(*args)) for g, args in zip(got, self.cases())), f"Not yet: {what}"
        raise AssertionError(next(self.difference(g, e) for g, e in zip(got, expected) if not self.same(g, e)))

    def same(self, a, b):
        "Equal in shape and, within `tol`, in value; tuples and lists part by part."
        if isinstance(b, (tuple, list)):
            a = parts(a)
            return isinstance(a, (tuple, list)) and len(a) == len(b) and all(self.same(x, y) for x, y in zip(a, b))
        try: a, b = numbers(a), numbers(b)
        except (TypeError, ValueError, RuntimeError): return False
        return a.shape == b.shape and bool(torch.isclose(a, b, rtol=0, atol=self.tol * max(1e-12, b.abs().max() if b.numel() else 0), equal_nan=True).all())

    def difference(self, got, expected):
        "How an unrecognized answer differs from the right one; in a list, the first part that does."
        if isinstance(expected, (tuple, list)):
            n, whole, got = len(expected), all(isinstance(part, (int, float)) for part in expected), parts(got)
            if whole or not isinstance(got, (tuple, list)) or len(got) != n: return f"Not yet: expected {describe(expected)}, got {describe(got)}"
            i = next(i for i, pair in enumerate(zip(got, expected)) if not self.same(*pair))
            return f"{self.difference(got[i], expected[i])} (part {i + 1} of {n})"
        try: g, e = numbers(got), numbers(expected)
        except (TypeError, ValueError, RuntimeError): return f"Not yet: expected numbers, got {type(got).__name__}"
        if g.shape != e.shape: return f"Not yet: expected shape {tuple(e.shape)}, got {tuple(g.shape)}"
        worst = (g - e).abs().nan_to_num(float("inf")).flatten().argmax()
        should, is_ = (f"{x.flatten()[worst]:.6g}" for x in (e, g))
        if should == is_: return f"Not yet: right to about six digits ({is_}), and no further; is everything computed in float64?"
        return f"Not yet: the first value that is furthest off should be {should}, and is {is_}"


def numbers(value):
    "A tensor, a number, or a list of numbers as float64, without a detour through float32."
    return torch.as_tensor(value, dtype=torch.float64)


def parts(value):
    "A tensor as the tuple of its rows, so that `values.quantile(both)` is as good as two numbers; anything else as it is."
    return value.unbind() if isinstance(value, torch.Tensor) and value.ndim else value


def describe(value):
    "A value as a learner would name it."
    if not isinstance(value, (tuple, list)): return str(value)[:80] if isinstance(value, (int, float, str)) else type(value).__name__
    if all(isinstance(part, (int, float)) for part in value): return str(value)[:80]
    return f"a {type(value).__name__} of {len(value)}"
