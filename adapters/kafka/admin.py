"""Compares a cluster with the declaration, makes it so, and believes nothing it has not read back.

Kafka answers before a change holds everywhere, and the client takes some refusals for success.
A user is never deleted: Kafka 4.2 can lose every SCRAM user with it when it starts again. Its
password is overwritten instead with one that nobody knows.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep
from typing import Any

from adapters.kafka import cluster
from adapters.kafka import differences as diff
from adapters.kafka.client import Broker, ours
from adapters.kafka.declaration import Declaration
from adapters.kafka.declared import Found, Wanted
from adapters.kafka.names import Names
from adapters.kafka.preflight import connected
from domain.errors import Refused, Unavailable
from domain.secret import Secret
from domain.vocabulary import Seat

READ_BACK_S = 30
"""How long a change may take to show."""
ITERATIONS = range(4_096, 8_192)
"""Of passwords that work; each new one has other iterations, so that it can be read back."""
HandOut = Callable[[str, Secret], None]
"""Takes a principal and its new password, the only time that anybody sees it."""


class Admin:
    """One hub's part of a cluster, as the cluster's administrator."""

    def __init__(self, broker: Broker, names: Names, declaration: Declaration) -> None:
        """Reach nothing yet."""
        self._broker = broker
        self._names = names
        self._declaration = declaration

    def plan(self, seats: Sequence[Seat]) -> diff.Plan:
        """Return what differs; `Unavailable` or `Refused` when the cluster cannot be read."""
        with connected(self._broker) as client:
            return self._plan(client, seats)

    def apply(self, seats: Sequence[Seat], hand_out: HandOut) -> diff.Plan:
        """Do what can be done, read it back, and return what was done.

        Each new password goes to `hand_out` before Kafka takes it: if that fails, apply again.
        `Refused` when something differs that is not changed by itself; the rest is done then.
        `Unavailable` KAFKA_NOT_APPLIED when a change does not show: apply again.
        """
        with connected(self._broker) as client:
            plan = self._plan(client, seats)
            with ours("change topics, users and rights"):
                _carry_out(client, plan.changes, hand_out)
            self._read_back(client, seats)
        if plan.blocked:
            first = plan.blocked[0]
            more = f" (and {len(plan.blocked) - 1} more)" if len(plan.blocked) > 1 else ""
            raise Refused(first.code, first.message + more)
        return plan

    def rotate(self, user: str, seats: Sequence[Seat], hand_out: HandOut) -> None:
        """Give a declared principal a new password; the old one ends with re-authentication.

        `Refused` PRINCIPAL_UNKNOWN when it is not declared or has no password yet.
        """
        with connected(self._broker) as client, ours(f"change the password of {user}"):
            wanted, found = self._read(client, seats)
            old = found.users.get(user, diff.REVOKED)
            if user not in wanted.users or old == diff.REVOKED:
                message = f"{user} has no password to change; run nrm-hub topics plan"
                raise Refused("PRINCIPAL_UNKNOWN", message)
            _give_passwords(client, {user: _after(old)}, hand_out)
            _until(
                lambda: cluster.users(client).get(user) == _after(old), f"the password of {user}"
            )

    def _plan(self, client: Any, seats: Sequence[Seat]) -> diff.Plan:
        with ours("see topics, users and rights"):
            return diff.compare(*self._read(client, seats))

    def _read(self, client: Any, seats: Sequence[Seat]) -> tuple[Wanted, Found]:
        found = cluster.found(client, f"{self._names.prefix}.")
        brokers = len(client.describe_cluster()["brokers"])
        # A broker that is down is counted too, and one that left does not make us ask for less.
        copies = max((t.replication for t in found.topics.values()), default=1)
        return self._declaration.expand(self._names, max(brokers, copies), seats), found

    def _read_back(self, client: Any, seats: Sequence[Seat]) -> None:
        _until(lambda: not self._plan(client, seats).changes, "every change; run plan to see which")


def _carry_out(client: Any, changes: Sequence[diff.Change], hand_out: HandOut) -> None:
    """Do all of `changes`; what cuts somebody off comes first."""
    cluster.remove_acls(client, [c.acl for c in changes if isinstance(c, diff.OldAcl)])
    _revoke(client, [c.user for c in changes if isinstance(c, diff.Revocation)])
    cluster.create_topics(client, [c.topic for c in changes if isinstance(c, diff.NewTopic)])
    cluster.set_configs(client, [c for c in changes if isinstance(c, diff.Setting)])
    new = {c.user: ITERATIONS.start for c in changes if isinstance(c, diff.NewUser)}
    _give_passwords(client, new, hand_out)
    cluster.create_acls(client, [c.acl for c in changes if isinstance(c, diff.NewAcl)])


def _give_passwords(client: Any, users: Mapping[str, int], hand_out: HandOut) -> None:
    """Make, hand out and set a password of 256 random bits for each user, with its iterations."""
    passwords = {user: secrets.token_urlsafe(32) for user in users}
    for user, password in passwords.items():
        hand_out(user, Secret(password.encode()))
    cluster.set_passwords(client, [(user, passwords[user], n) for user, n in users.items()])


def _revoke(client: Any, users: Sequence[str]) -> None:
    unknown = [(user, secrets.token_urlsafe(32), diff.REVOKED) for user in users]
    cluster.set_passwords(client, unknown)


def _after(iterations: int) -> int:
    later = iterations + 1
    return later if later in ITERATIONS else ITERATIONS.start


def _until(holds: Callable[[], bool], what: str) -> None:
    """Return as soon as `holds`; `Unavailable` when it does not in time."""
    end = monotonic() + READ_BACK_S
    while not holds():
        if monotonic() > end:
            raise Unavailable("KAFKA_NOT_APPLIED", f"Kafka does not show {what}; apply again")
        sleep(0.1)
