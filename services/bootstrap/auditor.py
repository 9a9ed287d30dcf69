"""The wiring of the auditor: no part of a mechanism runs here, and no store is opened."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from adapters.head_maps import HeadMaps
from adapters.notes import NoteVerifier
from adapters.signature_pool import SignaturePool
from adapters.signing import Ed25519Signing
from adapters.state_file import PathStateFile
from adapters.trail_source import AgencyTokens, FolderSource, HttpSource
from domain.errors import Malformed, Refused
from domain.secret import Secret
from domain.standing import Key, Period
from domain.trail import archive
from domain.trail.replay import Keys
from schemas.language import AvroLanguage
from services.auditor.bundling import Enclosed
from services.auditor.opening import Own, Tools
from services.bootstrap.parts import COORDINATOR, Parts
from services.directory import Directory
from services.hub.restoring import LogReader
from services.trail.keeping import StateFile
from services.trail.keys import TrailKeys
from services.trail.source import MAX_TEXT, Source
from services.trust import Trust

_TRAIL = "/trail"


def source_of(where: str, token: Callable[[], str]) -> Source:
    """Return the trail in a folder or at a web address; `Malformed` SOURCE if it is neither."""
    if "://" in where:
        return Source(HttpSource(where, token))
    return Source(FolderSource(Path(where)))


def agency_token(parts: Parts, agency: str, where: str) -> Callable[[], str]:
    """Return what gets access tokens from the hub that serves the trail at the address `where`.

    `Malformed` AGENCY_KEYS when the agency's keys do not lie here.
    """
    public, seed = agency_keys(parts, agency)
    hub = where.rstrip("/").removesuffix(_TRAIL)
    return lambda: asyncio.run(AgencyTokens(hub, agency, public, seed).fetch())


def agency_keys(parts: Parts, agency: str) -> tuple[bytes, Secret]:
    """Return an agency's public signing key and its seed; `Malformed` AGENCY_KEYS.

    None are made: keys that nobody registered would prove nothing.
    """
    try:
        if not parts.has_keys(agency):
            raise Malformed("AGENCY_KEYS", "say --as with an agency whose keys lie in --data")
        part = f"gateways/{agency}"
        return parts.public_key(part), parts.secret(part, "signing")
    except OSError as e:
        raise Malformed("AGENCY_KEYS", f"{e.filename} cannot be read: {e.strerror}") from e


@contextmanager
def auditor_tools(progress: Callable[[int, int], None]) -> Iterator[Tools]:
    """Give what an audit needs; its processes end with the block."""
    language, signing = AvroLanguage(), Ed25519Signing()

    names = {language.shape(name).number: name for name in language.types()}

    def keys(trust: Trust) -> Keys:
        directory = Directory(language, trust.registrars, signing.verify)
        return TrailKeys(language, directory, _operator(trust))

    with SignaturePool() as pool, HeadMaps() as maps:
        yield Tools(
            verifying=NoteVerifier(),
            pool=pool,
            maps=maps,
            keys=keys,
            type_name=lambda number: names.get(number, ""),
            progress=progress,
        )


def log_on_kafka(parts: Parts) -> LogReader:
    """Return the log on Kafka; `Malformed` KAFKA_BOOTSTRAP when no brokers are set."""
    from adapters.kafka.log import KafkaLogReader  # noqa: PLC0415 - loads Kafka's client

    return KafkaLogReader(parts.broker, parts.names, parts.language)


def own_copies(policy: Path | None, trust: Path | None) -> Own:
    """Return the auditor's own copies of whom to trust; `Malformed` UNREADABLE if one is not."""
    return Own(
        policy=None if policy is None else own_copy(policy),
        trust=None if trust is None else own_copy(trust),
    )


def state_file(path: Path | None) -> StateFile | None:
    """Return the file of what was verified before, if there is to be one."""
    return PathStateFile(path) if path else None


def enclosed() -> Enclosed:
    """Return what every bundle carries beside the evidence."""
    beside = files("adapters") / "evidence"
    return Enclosed((beside / "README.txt").read_bytes(), (beside / "verify.py").read_bytes())


def bundle_file(path: Path) -> bytes:
    """Return a bundle's bytes; `Malformed` ARCHIVE above its limit, UNREADABLE."""
    return _bounded(path, archive.MAX_SIZE, "ARCHIVE")


def _operator(trust: Trust) -> Key:
    return Key(
        agency=COORDINATOR,
        signing_key=trust.operator,
        opening_key=b"",
        period=Period(starts=0),
    )


def own_copy(path: Path) -> bytes:
    """Return a file of the auditor's own; `Malformed` FILE_SIZE above its limit, UNREADABLE."""
    return _bounded(path, MAX_TEXT, "FILE_SIZE")


def _bounded(path: Path, most: int, code: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as e:
        raise Malformed("UNREADABLE", f"{path} cannot be read: {e.strerror}") from e
    if len(data) > most:
        raise Malformed(code, f"{path} is larger than {most} bytes")
    return data


def write_new(path: Path, data: bytes) -> None:
    """Write a file that people take away; `Refused` OUTPUT when it cannot be written."""
    try:
        path.write_bytes(data)
    except OSError as e:
        raise Refused("OUTPUT", f"{path} cannot be written: {e.strerror}") from e
