"The comparisons that a table is for: fixed in its definition, and judged together."

from dataclasses import dataclass, field

from ..estimates import over_seeds, verdicts
from ..protocols import check_alike
from .tables import find_row


@dataclass(frozen=True)
class Family:
    "Comparisons of rows of a table; to be written down before the table is run."
    pairs: dict # {label: (what picks one row, what picks the other)}, as for `find_row`
    vary: tuple # parts of the protocol that the comparisons are about
    margins: dict = field(default_factory=dict) # {card: largest difference that does not matter}

    def judge(self, rows, # `average`s over seeds, as `Table.summary` gives them
              card: str="distance") -> dict: # which card of the rows
        "{label: `Verdict`}: about the method, from the differences seed by seed."
        found = {label: (find_row(rows, **one)[card], find_row(rows, **other)[card])
                 for label, (one, other) in self.pairs.items()}
        estimates = {label: seed_by_seed(*pair, self.vary) for label, pair in found.items()}
        return verdicts(estimates, self.margins.get(card))


def seed_by_seed(a, b, # `average`s over the same seeds
                 vary=()): # parts of the protocol that may differ, where the cards have them
    "The `Estimate` of a - b over training runs."
    check_alike(a, b, [name for name in vary if name in a.settings or name in b.settings])
    if a.seed != b.seed or not ("values" in a.notes and "values" in b.notes):
        raise ValueError(f"got seeds {a.seed} and {b.seed}; a claim about a method needs two "
                         "`average`s over the same seeds")
    return over_seeds([x - y for x, y in zip(a.notes["values"], b.notes["values"])])
