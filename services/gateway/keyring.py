"""The agency's data keys: its own and those released to it, boxed at rest, checked before use."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from domain import events as ev
from domain.errors import NotAuthentic, Unreadable
from domain.gateway import Kept, KeptKey
from domain.ports import Boxing, Language
from domain.record import Record
from domain.sealing import Context, DataKey, Scope, Sealing, check_keys, parse_header
from domain.vocabulary import Category

KeyName = tuple[str, int, int]
"""(writer, category number, epoch)."""


def place_of(case_id: str, name: KeyName) -> bytes:
    """Return the place in which a data key is boxed."""
    return f"{case_id} {name[0]} {name[1]} {name[2]}".encode()


class Opens(Protocol):
    """Whatever gives out data keys of one case."""

    def dek(self, name: KeyName) -> bytes:
        """Return a data key, or raise `Unreadable` NO_KEY."""
        ...


class OwnKeys:
    """The keys that the agency made itself: it needs no log to trust them."""

    def __init__(self, box: Boxing, agency: str, keys: Iterable[KeptKey]) -> None:
        """Take the boxed keys of a case."""
        self._deks = {
            (k.writer, k.category, k.epoch): box.open(
                k.boxed, place_of(k.case_id, (k.writer, k.category, k.epoch))
            )
            for k in keys
            if k.writer == agency
        }

    def dek(self, name: KeyName) -> bytes:
        """Return a data key, or raise `Unreadable` NO_KEY."""
        try:
            return self._deks[name]
        except KeyError:
            raise Unreadable("NO_KEY", "the agency does not hold this key of its own") from None

    def newest(self) -> dict[int, tuple[int, bytes]]:
        """Return category number -> (newest epoch, key)."""
        return {c: (e, dek) for (_, c, e), dek in sorted(self._deks.items())}


class Keyring:
    """The keys of one case, opened and held against the commitments in the log."""

    def __init__(
        self,
        *,
        hub: str,
        box: Boxing,
        language: Language,
        kept: Iterable[Kept],
        keys: Iterable[KeptKey],
        now: int,
    ) -> None:
        """Take the case's key events, for the commitments, and its boxed keys that hold `now`."""
        self._hub = hub
        self._box = box
        self._boxed = {(k.writer, k.category, k.epoch): k for k in keys if now < k.not_after_ms}
        self._logged = dict(_commitments(language, kept))
        self._open: dict[KeyName, bytes] = {}

    def dek(self, name: KeyName) -> bytes:
        """Return a data key, or raise `Unreadable` NO_KEY, or `NotAuthentic` KEY_SUBSTITUTED."""
        if name not in self._open:
            boxed = self._boxed.get(name)
            if boxed is None or name not in self._logged:
                raise Unreadable("NO_KEY", "the key was not released to this agency")
            dek = self._box.open(boxed.boxed, place_of(boxed.case_id, name))
            writer, category, epoch = name
            scope = Scope(hub=self._hub, writer=writer, case_id=boxed.case_id)
            key = DataKey(Category(category), epoch, dek)
            check_keys([key], scope, {(category, epoch): self._logged[name]})
            self._open[name] = dek
        return self._open[name]


def _commitments(language: Language, kept: Iterable[Kept]) -> Iterator[tuple[KeyName, bytes]]:
    for one in kept:
        _, event = language.read(one.type, one.record)
        if isinstance(event, ev.KeyEpochOpened):
            for key in event.keys:
                yield (one.writer, key.category, key.epoch), key.commitment


def context_of(hub: str, language: Language, type: str, head: ev.Head) -> Context:
    """Return what every field of an event is bound to."""
    shape = language.shape(type)
    return Context(
        hub=hub,
        writer=head.agency,
        type=shape.type,
        version=shape.version,
        seal_fp=shape.seal_fp,
        case_id=head.case_id,
        event_id=head.event_id,
    )


def open_record(
    hub: str, language: Language, sealing: Sealing, read: tuple[Record, ev.Event], keyring: Opens
) -> tuple[dict[str, bytes], Mapping[str, str]]:
    """Return the plain Avro bytes by path of what could be opened, and why the rest could not.

    `read` is what `language.read` returned. The reason is WITHHELD, or the code of the error;
    BAD_TAG, BAD_HEADER and KEY_SUBSTITUTED are alarms.
    """
    record, event = read
    head = event.head
    context = context_of(hub, language, record.type, head)
    clear: dict[str, bytes] = {}
    shut: dict[str, str] = {}
    for field in record.fields:
        if field.category is Category.ROUTING:
            clear[field.path] = field.value
        elif field.withheld:
            shut[field.path] = "WITHHELD"
        else:
            try:
                name = (head.agency, int(field.category), parse_header(field.value).epoch)
                dek = keyring.dek(name)
                clear[field.path] = sealing.open_field(
                    dek, context, field.path, field.category, field.value
                )
            except (Unreadable, NotAuthentic) as e:
                shut[field.path] = e.code
    return clear, shut
