"""What the hub's topics and principals are called."""

import re
from dataclasses import dataclass

from domain.errors import Malformed
from domain.vocabulary import Seat

_PRINCIPAL = re.compile(r"[a-z0-9][a-z0-9.-]{1,79}")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one hub: `hub` is its id (nrm:gb), and every topic begins with nrm.gb."""

    hub: str

    @property
    def prefix(self) -> str:
        """Return what every name of this hub begins with."""
        return self.hub.replace(":", ".")

    @property
    def log(self) -> str:
        """Return the topic of every event, one partition a lane; registry facts in each."""
        return f"{self.prefix}.log"

    @property
    def refusals(self) -> str:
        """Return the topic of the actions that were refused."""
        return f"{self.prefix}.refusals"

    @property
    def position(self) -> str:
        """Return the compacted topic of how far each relay has come."""
        return f"{self.prefix}.position"

    @property
    def feeds(self) -> str:
        """Return what the topic of every seat begins with."""
        return f"{self.prefix}.feed."

    def feed(self, seat: Seat) -> str:
        """Return the topic of a seat."""
        return f"{self.feeds}{seat.agency}.{seat.purpose}"

    def transactional(self, relay: str) -> str:
        """Return the transactional id under which `relay` is the only one."""
        return f"{self.prefix}.{relay}"

    def group(self, readers: str) -> str:
        """Return the consumer group of the hub's own `readers`."""
        return f"{self.prefix}.{readers}"


def principal_of(seat: Seat) -> str:
    """Return the Kafka user of a seat, such as gb-shelter.protection-support."""
    return checked_principal(f"{seat.agency}.{seat.purpose.replace('_', '-')}")


def checked_principal(name: str) -> str:
    """Return `name` if SCRAM and ACLs take it as it is; `Malformed` PRINCIPAL otherwise."""
    if not _PRINCIPAL.fullmatch(name):
        raise Malformed("PRINCIPAL", "name principals with a-z, 0-9, dot and hyphen, 2 to 80 long")
    return name
