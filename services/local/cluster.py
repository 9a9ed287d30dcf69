"""A whole mechanism of separate processes on this machine, as a ministry would run it.

PostgreSQL, three brokers, two hubs, relays, two projectors, clocks, the notary and two
witnesses, the custodian and a gateway an agency. What speaks to Kafka has its own user there.
A process that ends is started again.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from domain.errors import Unavailable
from services.bootstrap import COORDINATOR, Parts, Settings, gateway_link, now_ms
from services.bootstrap.parts import TRUST
from services.bootstrap.trail_policy import ensure_policy
from services.bootstrap.witness import witness_signers
from services.demo.cast import CAST
from services.demo.drive import Played, drive
from services.demo.stories import seeded
from services.local.brokers import Brokers
from services.local.postgres import Postgres
from services.local.processes import Process, write_private
from services.local.roster import TRAIL, WORKERS, Service, services_from
from services.operating import add, registry
from services.own_trail import WITNESSES
from services.runtime import OPERATOR

PORT = 8800
DATABASE = "nrm"
_SECONDS, _END_SECONDS = 60, 15


class Cluster:
    """The processes over one folder."""

    def __init__(self, folder: Path, nodes: int = 3, port: int = PORT) -> None:
        """Use ports from `port` on; nothing is started yet."""
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.postgres = Postgres(self.folder / "postgres")
        self.brokers = Brokers(self.folder / "kafka", nodes, env=os.environ)
        self.services = {s.name: s for s in services_from(port)}
        logs = self.folder / "logs"
        self._processes = {
            name: Process(pid_file=logs / f"{name}.pid", mark=service.place)
            for name, service in self.services.items()
        }
        self.new = not (self.data / TRUST).exists()
        """Whether nothing was ever started in this folder."""

    @property
    def addresses(self) -> Mapping[str, object]:
        """Return where the parts are reached, as the commands read it."""
        of = self.services
        return {
            "hub": of["hub-1"].address,
            "custodian": of["custodian"].address,
            "coordinator": of[COORDINATOR].address,
            "gateways": {m.id: of[m.id].address for m in CAST},
        }

    def start(self) -> None:
        """Start servers and processes, and register the agencies that are not there yet."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._end()  # what an earlier run that was killed has left
        self.postgres.start()
        self.brokers.start()
        self._prepare()
        self.topics()
        for name in ("hub-1", "hub-2", "custodian", COORDINATOR, *(m.id for m in CAST)):
            self.spawn(name)
        asyncio.run(self._register())
        self.topics()
        for name in (*WORKERS, "clocks", *TRAIL):
            self.spawn(name)

    def stop(self) -> None:
        """End the processes, then the servers."""
        self._end()
        self.brokers.stop()
        self.postgres.stop()

    def _end(self) -> None:
        living = [p for p in self._processes.values() if p.pid() is not None]
        for process in living:
            process.send(signal.SIGTERM)
        for process in living:
            process.end(signal.SIGTERM, signal.SIGKILL, seconds=_END_SECONDS)

    def _prepare(self) -> None:
        """Make what people decide on beforehand: the keys, and the trust in them."""
        parts = Parts(Settings(data=self.data))
        for member in (OPERATOR, *CAST):
            parts.public_keys(member.id)
        if not self.postgres.has_database(DATABASE):
            self.postgres.create_database(DATABASE)
        (self.data / TRUST).write_text(parts.own_keys().dumps(), "utf-8")
        ensure_policy(parts, {body: self._witness(parts, body) for body in WITNESSES})
        write_private(self.data / "database-url", self.postgres.dsn(DATABASE))
        (self.data / "addresses.json").write_text(json.dumps(self.addresses, indent=1), "utf-8")

    def _witness(self, parts: Parts, body: str) -> str:
        key = witness_signers(parts, body, ml_dsa=False)[0].key
        return f"{key.text} {self.services[f'witness-{body}'].address}"

    def topics(self) -> None:
        """Bring topics, users and rights to what is declared and registered."""
        administrator = {
            "NRM_DATA": str(self.data),
            "NRM_DATABASE_URL_FILE": str(self.data / "database-url"),
            "NRM_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
            "NRM_KAFKA_USER": self.brokers.admin_user,
            "NRM_KAFKA_PASSWORD_FILE": str(self.brokers.password_file),
        }
        command = [*_NRM_HUB, "topics", "apply"]
        done = subprocess.run(  # noqa: S603 - our own command
            command, env=_clean() | administrator, check=False, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            raise Unavailable("LOCAL_TOPICS", "nrm-hub topics apply failed; its message is above")

    def environment(self, service: Service) -> dict[str, str]:
        """Return the environment of a process: just what it may have."""
        own = {"NRM_DATA": str(self.data)}
        if service.database:
            own["NRM_DATABASE_URL_FILE"] = str(self.data / "database-url")
        if service.user:
            own["NRM_KAFKA_BOOTSTRAP"] = self.brokers.bootstrap
            lines = (self.data / "kafka" / f"{service.user}.env").read_text("utf-8").split()
            own |= dict(line.split("=", 1) for line in lines)
        return _clean() | own

    def spawn(self, name: str) -> None:
        """Start a process, unless it runs."""
        service, process = self.services[name], self._processes[name]
        logs = process.pid_file.parent
        logs.mkdir(exist_ok=True, mode=0o700)
        if process.pid() is None:
            command = [*_NRM_HUB, *service.words, "--listen", service.place]
            pid = process.spawn(command, logs / f"{name}.log", env=self.environment(service))
            process.pid_file.write_text(str(pid))

    def process(self, name: str) -> Process:
        """Return the process called `name`."""
        return self._processes[name]

    def revive(self) -> list[str]:
        """Start again what has ended; return what that was."""
        ended = [name for name, process in self._processes.items() if process.pid() is None]
        for name in ended:
            self.spawn(name)
        return ended

    def logins(self) -> Mapping[str, str]:
        """Return for each agency the address that logs a person in, once, as its gateway said."""
        return {m.id: self._login(m.id) for m in CAST}

    def _login(self, agency: str) -> str:
        words = self._processes[agency].pid_file.with_suffix(".log").read_text("utf-8").split()
        return next((w for w in reversed(words) if "/login?code=" in w), "see its log")

    async def _register(self) -> None:
        """Register who is not registered, as soon as the parts answer."""
        parts = Parts(Settings(data=self.data))
        for left in range(_SECONDS, -1, -1):
            try:
                known, now = await registry(parts, self.addresses)
                for member in (OPERATOR, *CAST):
                    if known.signing_key(member.id, now) is None:
                        await add(parts, self.addresses, member)
            except Unavailable:
                if not left:
                    raise
                await asyncio.sleep(1)
            else:
                return

    async def fill(self, cases: int, seed: int = 1) -> Played:
        """Make invented cases, as the agencies' own systems would; return what was answered."""
        parts = Parts(Settings(data=self.data))
        links = {m.id: gateway_link(parts, m.id, self.services[m.id].address) for m in CAST}
        try:
            return await drive(seeded(seed, cases, now_ms()), dict(links))
        finally:
            for link in links.values():
                await link.close()


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("NRM_")}


_NRM_HUB = (sys.executable, "-m", "services.cli")
