"Slips of every exercise: what a wrong answer has to do with the right one, or an error means."

from collections.abc import Iterator

import torch

SLIPS = { # what the answer is, made of the right one
    "the sign is wrong: this is minus the right answer": lambda x: -x,
    "this is the right answer upside down: one over it": lambda x: 1 / x,
    "this is twice the right answer": lambda x: 2 * x,
    "this is half the right answer": lambda x: x / 2,
    "this is the square of the right answer; take the root": lambda x: x * x,
    "this is the root of the right answer; leave it squared": lambda x: x**0.5,
    "this is 1 minus the right answer": lambda x: 1 - x,
    "this is the logarithm of the right answer": lambda x: x.log(),
    "this is the exponential of the right answer": lambda x: x.exp(),
    "these are the right numbers in the opposite order": lambda x: x.flip(0) if x.ndim else x,
    "this is one number, the mean of the right answer": lambda x: x.mean(),
    "this is one number, the sum of the right answer": lambda x: x.sum(),
    "the numbers are right, and the last two axes are exchanged": lambda x: x.transpose(-2, -1),
    "the numbers are right, and the first two axes are exchanged": lambda x: x.transpose(0, 1),
    "this is right for the first of the batch, and the others are missing": lambda x: x[0],
    "this is a right batch of one; the others are missing": lambda x: x[:1],
    "the parts are right, and still a list; torch.stack makes them one tensor":
        lambda x: list(x.unbind()),
}

ERRORS = { # what to do where a message holds these words
    "Boolean value of Tensor": "in place of min(x, 5) write x.clamp(max=5); join masks by | and &, "
                               "each condition in brackets",
    "slice indices must be integers": "cut the fraction off first, with int() or .long()",
    "does not require grad": "ask for gradients by .requires_grad_() before the function is called",
    "implicitly created only for scalar": "sum to one number before you ask for its gradient",
    "'NoneType' object": "something is None there; .grad is kept where requires_grad_() was called",
    "pop from empty list": "the list has fewer entries than are taken; is one put there for each?",
    "stack expects a non-empty": "nothing was collected; does a range end too early?",
    "stack expects each tensor to be equal": "a slice sticks out at the end, or has another length",
}


def applied(slip, right):
    "What the slip makes of the right answer; the error where it can make nothing of it."
    if isinstance(right, (tuple, list)): return type(right)(applied(slip, x) for x in right)
    if isinstance(right, Exception): return right
    try: return slip(torch.as_tensor(right, dtype=torch.float64))
    except (RuntimeError, IndexError) as error: return error


def advice(message):
    "What to do about an error with this message, as the end of a sentence, or nothing."
    return next((f"; {what}" for words, what in ERRORS.items() if words in message), "")


def odd(got):
    "What is no answer to any exercise, or None."
    if any(isinstance(g, complex) or getattr(g, "is_complex", bool)() for g in got):
        return "this takes the root of a negative number: a difference or a ratio is the wrong way"
    if any(isinstance(g, tuple) and hasattr(g, "indices") for g in got):
        return "torch returns the values and their indices here; take .values"
    if any(isinstance(g, Iterator) for g in got):
        return "this is an iterator, which can be walked through once; make a list of it"
    return None


def unchanged(a, b):
    "An argument that is a tensor or a list, and holds what it held."
    if isinstance(b, list): return len(a) == len(b) and all(map(unchanged, a, b))
    return torch.equal(a, b) if isinstance(b, torch.Tensor) else a == b
