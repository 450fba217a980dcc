"The comparisons that a table is for: fixed in its definition, and judged together."

from dataclasses import dataclass, field

from ..estimates import verdicts
from ..scores import compare
from .tables import find_row


def of_card(card, pairs): # {label: (what picks one row, what picks the other)}
    "The same comparisons, of another card of the rows than the distance."
    return {label: tuple(pick | {"card": card} for pick in pair) for label, pair in pairs.items()}


@dataclass(frozen=True)
class Family:
    "Comparisons of cards of a table; to be written down before the table is run."
    panels: dict # {title: {label: (what picks one card, the other)}}: for `find_row`, and "card"
    vary: tuple # parts of the protocol that the comparisons are about
    margins: dict = field(default_factory=dict) # {card: largest difference that does not matter}

    def compare(self, rows) -> dict: # as `Table.summary` gives them
        "{(title, label): `Difference`}, each by itself; in pairs or seed by seed, where it can be."
        def one(a, b):
            names = [k for k in self.vary if k in a.settings or k in b.settings]
            return compare(a, b, names)
        return {(title, label): one(*(find_card(rows, **pick) for pick in pair))
                for title, pairs in self.panels.items() for label, pair in pairs.items()}

    def margin(self, title, label):
        "What does not matter in this comparison, or None."
        return self.margins.get(self.panels[title][label][0].get("card", "distance"))

    def judge(self, rows) -> dict: # as for `compare`
        "{title: {label: `Verdict`}}: all comparisons of the table are one family of Holm's."
        found = {key: d.estimate for key, d in self.compare(rows).items()}
        said = verdicts(found, {key: self.margin(*key) for key in found})
        return {title: {label: said[title, label] for label in pairs}
                for title, pairs in self.panels.items()}


def find_card(rows, card="distance", **protocol):
    "A card of the one row of whose distance this is said."
    return find_row(rows, **protocol)[card]
