"""Invented people, and the markers planted in everything that is said about them.

A marker holds one of three fixed tokens, twice: a page border of a database can then split
one of them, never both. `leaks` searches for the tokens alone.
"""

from dataclasses import dataclass
from random import Random

from services.demo.facts import UNKNOWN, Facts

TOKENS = ("Quorvexalimbrintz", "ظغقثشزخذضطفصح", "Щжхъфцзюгэлмбый")
"""Letters in an order of no language: Latin, Arabic, Cyrillic."""

_GIVEN = (
    ("Amara", "Ioana", "Linh", "Rosalie", "Danilo", "Kofi", "Marisol", "Teodor"),
    ("ليلى", "سلمى", "نور", "هدى", "يوسف", "كريم", "مريم", "سامر"),
    ("Оксана", "Марина", "Айгуль", "Надія", "Богдан", "Тимур", "Злата", "Мирон"),
)
_FAMILY = (
    ("Fernhollow", "Brambleby", "Quillmere", "Ashdown-Vale", "Thistlewood"),
    ("الوادي", "السهلي", "البحري", "النخيلي", "الربيعي"),
    ("Вербовий", "Калинник", "Степняк", "Озерська", "Полинова"),
)
_LANGUAGES = ("en", "ar", "uk")
_CHILDREN = {"0--8": (1, 8), "9--17": (9, 17)}
_ADULTS = {
    "18--20": (18, 20),
    "21--23": (21, 23),
    "24--26": (24, 26),
    "27--29": (27, 29),
    "30--38": (30, 38),
    "39--47": (39, 47),
    "48+": (48, 65),
}
_DOUBTFUL = 0.2
"""Share of those of unknown age that may be children: CTDC leaves an age out for other reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who does not exist."""

    number: int
    """Of the case, which is the only one she has."""
    given: str
    family: str
    birth_year: int
    age_group: str
    language: str
    token: str

    def marker(self, label: str) -> str:
        """Return the planted text for a field, with the case number in it."""
        return f"{self.token}-{self.number:07d}-{label}-{self.token}"

    @property
    def is_child(self) -> bool:
        """Whether she is, or may be, a child."""
        return self.age_group != "adult"


def invented(number: int, facts: Facts, rng: Random, year: int) -> Person:
    """Return a person for case `number` whom `facts` could be about, in the given year."""
    script = rng.randrange(len(TOKENS))
    low, high = (_CHILDREN | _ADULTS).get(facts.age_band, (16, 40))
    return Person(
        number=number,
        given=rng.choice(_GIVEN[script]),
        family=rng.choice(_FAMILY[script]),
        birth_year=year - rng.randint(low, high),
        age_group=_age_group(facts.age_band, rng),
        language=_LANGUAGES[script],
        token=TOKENS[script],
    )


def _age_group(band: str, rng: Random) -> str:
    if band in _CHILDREN:
        return "child"
    doubtful = band == UNKNOWN and rng.random() < _DOUBTFUL
    return "unsure" if doubtful else "adult"
