"""The generator: from coded facts and a seed to the stories that the demo plays.

The same seed, facts and instant give the same stories, whatever was made before them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from random import Random

from services.demo import adults, children
from services.demo.facts import Facts, drawn
from services.demo.people import invented
from services.demo.script import Script, Story

Plot = Callable[[Script], None]

ADULTS: Mapping[Plot, int] = {
    adults.identified: 14,
    adults.whole_way: 3,
    adults.supported: 16,
    adults.cared_for: 9,
    adults.several_receivers: 7,
    adults.narrowed: 6,
    adults.renewed: 5,
    adults.refused: 6,
    adults.withdrawn_before: 6,
    adults.withdrawn_after: 6,
    adults.cooperating: 6,
    adults.endangered: 2,
    adults.declined: 4,
    adults.cancelled: 3,
    adults.without_consent: 3,
    adults.not_yet: 2,
    adults.stranger: 3,
    adults.reconsidered: 4,
    adults.notified_only: 6,
    adults.closed: 2,
}
"""Plot -> weight."""

CHILDREN: Mapping[Plot, int] = {
    children.referred: 10,
    children.with_guardian: 6,
    children.guardian_in_conflict: 3,
    children.assenting: 3,
}
"""Plot -> weight, for who is or may be a child."""


def seeded(seed: int, cases: int, now_ms: int) -> Iterator[Story]:
    """Yield `cases` stories whose facts are drawn from the published frequencies."""
    facts = (drawn(Random(f"{seed}/facts/{n}")) for n in range(cases))  # noqa: S311 - invention
    return told(facts, seed, now_ms)


def told(facts: Iterable[Facts], seed: int, now_ms: int) -> Iterator[Story]:
    """Yield one story for each of `facts`, made when it is asked for."""
    for number, one in enumerate(facts):
        yield story(number, one, seed, now_ms)


def story(number: int, facts: Facts, seed: int, now_ms: int) -> Story:
    """Return the story of case `number`; its kind follows from the seed, number and facts."""
    rng = Random(f"{seed}/{number}/{facts}")  # noqa: S311 - invention, no key comes from it
    year = datetime.fromtimestamp(now_ms / 1000, UTC).year
    script = Script(invented(number, facts, rng, year), facts, rng, now_ms)
    plots = CHILDREN if script.person.is_child else ADULTS
    plot = rng.choices(tuple(plots), tuple(plots.values()))[0]
    case_id = script.id()
    plot(script)
    kind = f"{plot.__module__.rpartition('.')[2]}.{plot.__name__}"
    return Story(number=number, kind=kind, case_id=case_id, steps=tuple(script.steps))
