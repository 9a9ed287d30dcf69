"""Rules of data keys that a hub can check without holding one: epochs and sealed headers.

After a withdrawal the lowest epoch rises, so that new data cannot, even by mistake,
be sealed under a key that the withdrawn agency holds (docs/formats.md).
"""

from domain import events as ev
from domain.case import Case
from domain.errors import Refused
from domain.record import Record
from domain.sealing import SLOTS, parse_header
from domain.vocabulary import SEALED, Category


def next_epoch(case: Case, writer: str, category: int) -> int:
    """Return the epoch under which `writer` opens its next key of `category`."""
    scope = writer, category
    return max(case.epochs.get(scope, 0) + 1, case.min_epochs.get(scope, 1))


def check_opened(event: ev.KeyEpochOpened, case: Case) -> None:
    """Refuse keys that do not follow the writer's newest epoch of their category."""
    if not 1 <= len(event.keys) <= SLOTS:
        raise Refused("KEY_COUNT", f"open 1 to {SLOTS} keys at a time")
    if len({k.category for k in event.keys}) != len(event.keys):
        raise Refused("KEY_TWICE", "one key a category")
    for key in event.keys:
        if key.category not in SEALED:
            raise Refused("CATEGORY_UNKNOWN", "keys are for the sealed categories")
        least = next_epoch(case, event.head.agency, key.category)
        if key.epoch != least:
            raise Refused("EPOCH_NOT_NEXT", f"the next epoch of category {key.category} is {least}")


def check_sealed(record: Record, writer: str, case: Case) -> None:
    """Refuse fields in clear, of another category, or under a key that is stale or unknown."""
    for field in record.fields:
        if field.category is Category.ROUTING:
            continue
        if field.withheld:
            raise Refused("FIELD_WITHHELD", "an action carries every field sealed")
        sealed = parse_header(field.value)
        if sealed.category != field.category:
            raise Refused(
                "CATEGORY_MISMATCH", "the field is sealed as another category than its schema's"
            )
        if sealed.epoch < case.min_epochs.get((writer, sealed.category), 1):
            raise Refused("STALE_EPOCH", "open a new key epoch and seal the record again")
        if (writer, sealed.category, sealed.epoch) not in case.keys:
            raise Refused("EPOCH_UNKNOWN", "open the key epoch before the action that uses it")
