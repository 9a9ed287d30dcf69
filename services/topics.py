"""The coordinator's commands on Kafka: whom a feed topic is for, and what a plan looks like."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from domain.agency import Registry
from domain.errors import Unavailable
from domain.secret import Secret
from domain.vocabulary import Seat
from services.members import Member


class Plan(Protocol):
    """What differs between the declaration and a cluster; each difference is a line as text."""

    @property
    def changes(self) -> Sequence[object]:
        """Return what `apply` does."""
        ...

    @property
    def blocked(self) -> Sequence[Any]:
        """Return what it refuses to do, each with `code` and `message`."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Return what is worth knowing and no difference."""
        ...

    @property
    def agrees(self) -> bool:
        """Return whether nothing differs."""
        ...


def seats_of(registry: Registry, at_ms: int) -> tuple[Seat, ...]:
    """Return every seat of the agencies that are active at that instant, in order."""
    seats = {
        Seat(agency, purpose)
        for agency, standing in registry.standings(at_ms).items()
        for purposes in standing.roles.values()
        for purpose in purposes
    }
    return tuple(sorted(seats))


def seats_of_members(members: Sequence[Member]) -> tuple[Seat, ...]:
    """Return every seat of `members`, in order."""
    return tuple(sorted(Seat(m.id, purpose) for m in members for purpose in m.purposes))


def shown(plan: Plan, *, done: bool = False) -> str:
    """Return a plan for people: a line for each difference, then what it comes to."""
    lines = [*map(str, plan.changes), *map(str, plan.blocked), *(f"# {n}" for n in plan.notes)]
    if plan.agrees:
        lines.append("The cluster is as declared.")
    elif done:
        lines.append(f"{len(plan.changes)} done and read back.")
    else:
        lines.append(f"{len(plan.changes)} to do, {len(plan.blocked)} not to be done by itself.")
    return "\n".join(lines)


def as_json(plan: Plan) -> str:
    """Return a plan as one line of JSON."""
    document: Mapping[str, object] = {
        "agrees": plan.agrees,
        "changes": [str(c) for c in plan.changes],
        "blocked": [{"code": b.code, "message": b.message} for b in plan.blocked],
        "notes": list(plan.notes),
    }
    return json.dumps(document, ensure_ascii=False)


def into_files(folder: Path) -> Callable[[str, Secret], None]:
    """Return what writes each principal's new password to a file of its own in `folder`.

    <principal>.env, readable by its owner alone, is what systemd and containers read: durable
    when the call returns, in place of an older one. `Unavailable` PASSWORD_FILE when it cannot be.
    """

    def hand_out(principal: str, password: Secret) -> None:
        try:
            write(principal, password)
        except OSError as e:
            message = f"{folder}/{principal}.env cannot be written ({e.strerror}); apply again then"
            raise Unavailable("PASSWORD_FILE", message) from e

    def write(principal: str, password: Secret) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = f"NRM_KAFKA_USER={principal}\nNRM_KAFKA_PASSWORD=".encode()
        part = folder / f"{principal}.env.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(lines + password.reveal() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / f"{principal}.env")
        _sync(folder)

    return hand_out


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
