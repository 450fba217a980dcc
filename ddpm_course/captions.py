"Pictures of two digits side by side, and what one can say of them: a grammar of 28 words."

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from .classifiers import digits_classifier
from .images import Images, load_digits
from .models import inference_mode

NUMERALS = "zero one two three four five six seven eight nine".split()
HELD_OUT_OFFSETS = (3, 7) # pairs with (right - left) % 10 among these are not trained on


def is_held_out(left: int, right: int) -> bool: # digits 0..9
    "Whether training leaves out this pair: one in five, and with a pair its mirror image."
    return (right - left) % 10 in HELD_OUT_OFFSETS


def captions_of(left: int, right: int) -> list[str]: # digits 0..9
    "The seven captions that are true of a picture: where each digit is, or that it is there."
    l, r = (f"{'an' if d == 8 else 'a'} {NUMERALS[d]}" for d in (left, right))
    both = [f"{l} left of {r}", f"{r} right of {l}", f"{l} and {r}", f"{l} beside {r}"]
    twins = f"two {NUMERALS[left]}{'es' if left == 6 else 's'}"
    other = twins if left == right else f"{r} beside {l}"
    return [*both, other, f"{l} and anything", f"anything and {r}"]


@lru_cache(maxsize=1)
def training_captions() -> list[str]:
    "All captions of the pairs that training shows, in alphabetical order: where y points to."
    return sorted({text for left in range(10) for right in range(10)
                   if not is_held_out(left, right) for text in captions_of(left, right)})


def held_out_captions() -> list[tuple[str, int, int]]:
    "(caption, left, right) that name two digits in an order, of pairs that training left out."
    return [(text, left, right) for left in range(10) for right in range(10)
            if is_held_out(left, right) for text in captions_of(left, right)[:3]]


@dataclass
class TwoDigits:
    """Pictures (1, 8, 16) of two digits, put together anew in each batch, each with one caption.

    Labels are numbers of `training_captions`. Picture i has digit i at its left.
    """
    digits: Images
    device: str = "cpu"
    shape: tuple = (1, 8, 16)

    def __post_init__(self):
        y = self.digits.labels
        number = {text: i for i, text in enumerate(training_captions())}
        self.of_class = [(y == d).nonzero()[:, 0] for d in range(10)]
        self.offsets = torch.tensor([o for o in range(10) if o not in HELD_OUT_OFFSETS])
        self.true = torch.tensor([[[number.get(text, -1) for text in captions_of(left, right)]
                                   for right in range(10)] for left in range(10)]) # (10, 10, 7)

    def __len__(self): return len(self.digits)

    def to(self, device): return replace(self, device=device)

    def batch(self, index, rng):
        "Pictures (B, 1, 8, 16) and captions (B,); rng draws the right digits and the captions."
        left, l = self.digits.batch(index)
        draw = lambda n: rng.randint(n).cpu()
        r = (l + self.offsets[draw(len(self.offsets))]) % 10
        nth = draw(1000)
        other = torch.stack([self.of_class[c][n % len(self.of_class[c])]
                             for c, n in zip(r.tolist(), nth.tolist())])
        x = torch.cat([left, self.digits.batch(other)[0]], -1)
        return x.to(self.device), self.true[l, r, draw(7)].to(self.device)


def two_digits(split: str="train") -> TwoDigits: # of `load_digits`
    "Pictures of two digits of a split."
    return TwoDigits(load_digits(split))


def read_halves(x): # pictures (B, 1, 8, 16)
    "What the digits classifier reads at the left and at the right: int64 (B,) each."
    classifier = digits_classifier()
    with inference_mode(classifier):
        return tuple(classifier(half.contiguous()).argmax(1) for half in (x[..., :8], x[..., 8:]))
