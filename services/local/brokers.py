"""One or three real Kafka brokers (KRaft, SCRAM, ACLs) on loopback, kept in one folder.

Without TLS the brokers trust whatever reaches their INTERNAL and CONTROLLER ports on loopback:
a machine shared with others needs `tls=True`, where every listener is encrypted and those two
and the operator's take certificates alone. Addresses and data survive restarts and kills.
"""

import json
import os
import secrets
import shutil
import signal
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from domain.errors import Malformed, Unavailable
from services.local import pems
from services.local.access import GivenBrokers, taking_part
from services.local.java import jars, java, tool
from services.local.processes import FolderLock, Process, free_ports, listens, until, write_private
from services.local.properties import SCRAM, Node, Ports, log4j

OPERATOR = "operator"
REAUTH_MS = 60_000
_START_SECONDS = 120
_STOP_SECONDS = 30


class Brokers:
    """A cluster in `folder`, whose lock is held from `start` to `stop`."""

    admin_user = "admin"

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        *,
        tls: bool = False,
        reauth_ms: int = REAUTH_MS,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        if nodes not in {1, 3}:
            raise Malformed("LOCAL_NODES", "a local cluster has 1 or 3 nodes")
        self.folder = folder.resolve()
        self.nodes = nodes
        self.tls = tls
        self._reauth_ms = reauth_ms
        self._env = env
        self._processes = {n: self._process(n) for n in range(1, nodes + 1)}
        self._lock = FolderLock(self.folder)
        self._libs = Path()
        self._ports: list[Ports] = []

    @property
    def bootstrap(self) -> str:
        """Return the addresses for clients, who log in by SCRAM-SHA-512."""
        return ",".join(f"127.0.0.1:{p.client}" for p in self._ports)

    @property
    def operator_bootstrap(self) -> str:
        """Return the addresses that take certificates and no password; "" without TLS."""
        return ",".join(f"127.0.0.1:{p.operator}" for p in self._ports) if self.tls else ""

    @property
    def operator_pem(self) -> str:
        """Return the file of the operator's key and certificate; "" without TLS."""
        return str(self._pems / f"{OPERATOR}.pem") if self.tls else ""

    @property
    def password_file(self) -> Path:
        """Return the file of the super user's password; only its owner can read it."""
        return self.folder / "admin-password"

    @property
    def admin_password(self) -> str:
        """Return the super user's password, made at random when the cluster was."""
        return self.password_file.read_text()

    @property
    def ca(self) -> str:
        """Return the file of the certificate to trust; "" without TLS."""
        return str(self._pems / "ca.pem") if self.tls else ""

    def start(self) -> None:
        """Start every node, on the old data if there is any; return when all serve.

        What an earlier process left running in this folder is stopped first.
        """
        java()
        self._libs = jars(self._env)
        self._lock.take()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every node in order, also those of a process that died and left them.

        `Unavailable` LOCAL_IN_USE if they serve another process that lives.
        """
        if not self.folder.exists():
            return
        self._lock.take()
        self._end()
        self._lock.release()

    def restart(self) -> None:
        """Stop and start every node."""
        self.stop()
        self.start()

    def kill(self, node: int) -> None:
        """End `node` (1 or more) as a power cut would."""
        self._processes[node].end(signal.SIGKILL, seconds=_STOP_SECONDS)

    def up(self, node: int) -> None:
        """Start `node` again on its old data and wait until it serves."""
        if self._processes[node].pid() is None:
            self._spawn(node)
        self._wait(node)

    def pause(self, node: int) -> None:
        """Let `node` hang: its connections stay open and nothing answers."""
        self._processes[node].send(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Let a paused `node` go on."""
        self._processes[node].send(signal.SIGCONT)

    def pids(self) -> dict[int, int]:
        """Return the process id of every node that lives."""
        return {n: pid for n, p in self._processes.items() if (pid := p.pid()) is not None}

    def client_options(self) -> dict[str, Any]:
        """Return what a kafka-python client needs to log in as the super user."""
        given = GivenBrokers(
            bootstrap=self.bootstrap,
            admin_user=self.admin_user,
            admin_password=self.admin_password,
            ca=self.ca,
        )
        return given.client_options()

    @property
    def _pems(self) -> Path:
        return self.folder / "tls"

    def _home(self, node: int) -> Path:
        return self.folder / f"node{node}"

    def _process(self, node: int) -> Process:
        home = self._home(node)
        return Process(pid_file=home / "pid", mark=str(home / "server.properties"))

    def _start(self) -> None:
        self._end()
        if not (self.folder / "cluster.json").exists():
            self._format()
        self._read()
        if self.tls:  # anew each time: they are valid for some days, and nothing else knows them
            brokers = [f"broker-{n}" for n in self._processes]
            pems.make(self._pems, [OPERATOR, *brokers])
        for node in self._processes:
            self._spawn(node)
        self._wait(*self._processes)

    def _read(self) -> None:
        stored = json.loads((self.folder / "cluster.json").read_text())
        self._ports = [Ports(**p) for p in stored["ports"]]
        if len(self._ports) != self.nodes or stored["tls"] != self.tls:
            kind = f"{len(self._ports)} nodes, {'with' if stored['tls'] else 'without'} TLS"
            raise Malformed("LOCAL_CLUSTER", f"{self.folder} holds {kind}: ask for that, or delete")

    def _format(self) -> None:
        """Make a new cluster; cluster.json is written last and says that it is complete."""
        free = free_ports(4 * self.nodes)
        of_nodes = zip(*[iter(free)] * 4, strict=True)
        self._ports = [
            Ports(client=a, internal=b, controller=c, operator=d) for a, b, c, d in of_nodes
        ]
        write_private(self.password_file, secrets.token_urlsafe(24))
        # 16 bytes as Kafka writes them; the first is nought lest the text begin with a hyphen
        cluster = urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
        for node in self._processes:
            shutil.rmtree(self._home(node), ignore_errors=True)
            self._home(node).mkdir(mode=0o700)
            self._configure(node)
            login = f"{SCRAM}=[name={self.admin_user},password={self.admin_password}]"
            config = str(self._home(node) / "server.properties")
            words = ["format", "--cluster-id", cluster, "--config", config, "--add-scram", login]
            tool(self._libs, ["kafka.tools.StorageTool", *words], self.folder)
        stored = {"ports": [asdict(p) for p in self._ports], "tls": self.tls}
        (self.folder / "cluster.json").write_text(json.dumps(stored))

    def _configure(self, node: int) -> None:
        home = self._home(node)
        told = Node(
            id=node,
            ports=self._ports,
            home=home,
            pems=self._pems if self.tls else None,
            reauth_ms=self._reauth_ms,
        )
        (home / "server.properties").write_text(told.server())
        (home / "log4j2.properties").write_text(log4j(home))

    def _spawn(self, node: int) -> None:
        self._configure(node)
        home = self._home(node)
        command = [
            *(java(), "-Xms384m", "-Xmx384m", "-XX:+UseG1GC", "-XX:-UsePerfData"),
            f"-Dlog4j2.configurationFile={home}/log4j2.properties",
            *("-cp", f"{self._libs}/*", "kafka.Kafka", f"{home}/server.properties"),
        ]
        process = self._processes[node]
        process.pid_file.write_text(str(process.spawn(command, home / "out.log")))

    def _end(self) -> None:
        living = [p for p in self._processes.values() if p.pid() is not None]
        for process in living:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in living:
            process.end(signal.SIGTERM, signal.SIGKILL, seconds=_STOP_SECONDS)

    def _wait(self, *nodes: int) -> None:
        """Wait until each of `nodes` itself answers that all of them take part."""
        for node in nodes:
            if not until(partial(self._serves, node, nodes), seconds=_START_SECONDS):
                raise Unavailable("LOCAL_BROKER", f"it does not answer: {self._home(node)}/out.log")

    def _serves(self, node: int, expected: Iterable[int]) -> bool:
        if self._processes[node].pid() is None:
            message = f"node {node} ended while starting: read {self._home(node)}/out.log"
            raise Unavailable("LOCAL_BROKER", message)
        port = self._ports[node - 1].client
        if not listens(port):  # the client leaks the socket of a refused connection
            return False
        options = self.client_options() | {"bootstrap_servers": [f"127.0.0.1:{port}"]}
        return taking_part(options).issuperset(expected)
