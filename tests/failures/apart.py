"""A hub in processes of its own over real servers, and what its processes say of themselves."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from adapters.kafka.admin import Admin
from adapters.kafka.declaration import parse_declaration
from adapters.kafka.names import Names
from domain.secret import Secret
from domain.vocabulary import Seat
from services.bootstrap import COORDINATOR, Parts, Settings
from services.bootstrap.parts import TRUST
from services.local.access import GivenBrokers
from services.local.brokers import Brokers
from services.local.processes import Process, free_ports, until
from tests.adapters.kafka_log import broker_of
from tests.bench.town import COORDINATOR_ROLES, OPENER_ROLES, PROVIDER_ROLES, Roles, Town
from tests.failures.wrong_clock import WrongClock

ROOT = Path(__file__).parents[2]
TOPICS = ROOT / "deploy/kafka/topics.toml"
LIMIT = 120.0
"""Seconds after which a condition counts as never met; far above what any machine needs."""
ANSWER = 12.0
"""Seconds within which every answer must come, whatever is away."""
WORKERS = ("relay", "feed-relay", "projector")


class Part:
    """One process of nrm-hub, started by its own command."""

    def __init__(self, folder: Path, words: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = words[0]
        self.place = f"127.0.0.1:{free_ports(1)[0]}"
        self.address = f"http://{self.place}"
        self.clock: WrongClock | None = None
        """The clock that it is started with, if not the machine's."""
        self._words = words
        self._env = env
        stem = folder / f"{self.name}-{self.place.rpartition(':')[2]}"
        self._log = stem.with_suffix(".log")
        self.process = Process(pid_file=stem.with_suffix(".pid"), mark=self.place)

    def spawn(self) -> None:
        """Begin to start it."""
        program = ["services.cli"]
        if self.clock is not None:
            program = ["tests.failures.wrong_clock", str(self.clock.file)]
        command = [sys.executable, "-m", *program, *self._words, "--listen", self.place]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NRM_")}
        environment |= self._env
        pid = self.process.spawn(command, self._log, cwd=ROOT, env=environment)
        self.process.pid_file.write_text(str(pid))

    def start(self, clock: WrongClock | None = None) -> None:
        """Start it, by another clock if one is given, and wait until it answers."""
        self.clock = clock
        self.spawn()
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        assert until(lambda: self.answers() or not self.lives, seconds=LIMIT), self.said()
        assert self.lives, self.said()

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.process.pid() is not None

    def kill(self) -> None:
        self.process.end(signal.SIGKILL, seconds=LIMIT)

    def said(self) -> str:
        """Return its log, for who wonders why a test fails."""
        return self._log.read_text("utf-8", "replace")[-4_000:]

    def get(self, path: str) -> httpx.Response:
        """Return its answer, which comes within a bounded time."""
        return httpx.get(self.address + path, timeout=ANSWER)

    def answers(self) -> bool:
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def waits_for(self) -> dict[str, str]:
        """Return what it does not get, by reason code, as /ready says it; empty when ready."""
        answer = self.get("/ready")
        said: dict[str, str] = answer.json()["dependencies"]
        away = {name: code for name, code in said.items() if code != "UP"}
        assert (answer.status_code == 200) is (not away), answer.text
        return away


class Apart:
    """The processes of one hub, and agencies in pairs: one opens cases, one is referred to."""

    def __init__(
        self,
        folder: Path,
        hub_id: str,
        database: str,
        brokers: Brokers | GivenBrokers | None = None,
        pairs: int = 2,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.hub_id = hub_id
        self.names = Names(hub_id)
        self.brokers = brokers
        self.database = database
        self.parts = Parts(Settings(data=folder / "data", hub_id=hub_id))
        trust = self.parts.own_keys().dumps()
        (folder / "data" / TRUST).write_text(trust, "utf-8")
        self.town = Town(self.parts, pairs, pairs)
        for agency in (COORDINATOR, *self.town.openers, *self.town.providers):
            self.town.sealer(agency)
        self._folder = folder
        self._passwords: dict[str, str] = {}
        self._made: list[Part] = []

    @property
    def seats(self) -> list[Seat]:
        """Return the seats of all agencies."""
        roles: list[tuple[str, Roles]] = [(COORDINATOR, COORDINATOR_ROLES)]
        roles += [(agency, OPENER_ROLES) for agency in self.town.openers]
        roles += [(agency, PROVIDER_ROLES) for agency in self.town.providers]
        return sorted({Seat(a, p) for a, of in roles for p in chain.from_iterable(of.values())})

    def topics(self) -> None:
        """Make topics, users and rights as they are declared."""
        assert self.brokers is not None
        declaration = parse_declaration(TOPICS.read_text("utf-8"))
        admin = Admin(broker_of(self.brokers), self.names, declaration)
        admin.apply(self.seats, self._keep)

    def _keep(self, user: str, password: Secret) -> None:
        self._passwords[user] = password.reveal().decode()

    def part(self, *words: str) -> Part:
        """Return a process of this hub, not started yet."""
        env = {
            "NRM_DATA": str(self.parts.settings.data),
            "NRM_HUB_ID": self.hub_id,
            "NRM_DATABASE_URL": self.database,
            "NRM_TOPICS": str(TOPICS),
        }
        if words in {(name,) for name in WORKERS} and self.brokers is not None:
            user = f"{self.names.prefix}.{words[0]}"
            env |= {
                "NRM_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
                "NRM_KAFKA_USER": user,
                "NRM_KAFKA_PASSWORD": self._passwords[user],
                "NRM_KAFKA_CA": self.brokers.ca,
            }
        made = Part(self._folder, words, env)
        self._made.append(made)
        return made

    def started(self, *names: str) -> list[Part]:
        """Return processes that answer, started all at once."""
        made = [self.part(name) for name in names]
        for one in made:
            one.spawn()
        for one in made:
            one.wait()
        return made

    def end(self) -> None:
        for one in self._made:
            one.kill()


@contextmanager
def apart(*args: Any, **kwargs: Any) -> Iterator[Apart]:
    """Give a hub for the time of the block; see `Apart`."""
    made = Apart(*args, **kwargs)
    try:
        yield made
    finally:
        made.end()
