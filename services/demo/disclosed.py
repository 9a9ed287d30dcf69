"""The disclosure check: what feeds show now, against the naive reading of the consent table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from domain import events as ev
from domain.case import Case
from domain.errors import Corrupt
from domain.messages import FeedItem
from domain.ports import Language
from domain.rules.world import World
from domain.vocabulary import Category, Seat
from services.demo.naive import allowed


@dataclass(slots=True, kw_only=True)
class Disclosed:
    """What the feeds served hold, counted."""

    feed_entries: int = 0
    fields_shown: int = 0
    """Sealed fields that a seat gets as sealed bytes."""
    fields_withheld: int = 0
    """Sealed fields that it gets as their digest alone."""
    overdisclosed: int = 0
    """Shown fields that the table, read afresh, does not allow."""


def count_disclosed(
    served: Iterable[tuple[Seat, FeedItem]],
    *,
    language: Language,
    case_of: Callable[[str], Case],
    world: World,
    at: int,
) -> Disclosed:
    """Judge each entry by the bytes that it carries, not by the categories that it claims.

    `case_of` gives the case as folded from the log at `at`, the hub's time of serving in ms.
    `Malformed` when an entry's record cannot be read.
    """
    found = Disclosed()
    for seat, item in served:
        record, event = language.read(item.event.type, item.event.record)
        if isinstance(event, ev.RegistryEvent):
            raise Corrupt("REGISTRY_EVENT_IN_FEED", "a feed carries events of cases alone")
        sealed = [f for f in record.fields if f.category is not Category.ROUTING]
        shown = [f.category for f in sealed if not f.withheld]
        found.feed_entries += 1
        found.fields_shown += len(shown)
        found.fields_withheld += len(sealed) - len(shown)
        if shown:
            state = case_of(event.head.case_id).consent_state()
            standing = world.standing(seat.agency, at)
            found.overdisclosed += sum(
                not allowed(
                    seat,
                    category,
                    event.head.agency,
                    item.event.recorded_ms,
                    state,
                    standing,
                    world.policy.ceilings,
                    world.policy.legal_bases,
                    world.home,
                    at,
                )
                for category in shown
            )
    return found
