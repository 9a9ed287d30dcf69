"""`python -m services.local kafka|postgres|cluster`: real servers in the foreground until Ctrl-C.

What they are reached by is printed as lines for a shell; passwords stay in their files unless
--show asks for them. After a kill -9 of this command the next one ends what it left running.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Never

from domain.errors import HubError
from services.local import access, postgres
from services.local.brokers import Brokers
from services.local.postgres import USER, Postgres

DATABASE = "hub"


def main(arguments: list[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Run what was asked for until SIGINT or SIGTERM; return the exit code."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        match asked.what:
            case "kafka":
                return _kafka(asked, env)
            case "postgres":
                return _postgres(asked, env)
            case _:
                return _cluster(asked)
    except HubError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.local", description="Real servers in the foreground until Ctrl-C."
    )
    what = parser.add_subparsers(dest="what", required=True)
    kafka = what.add_parser("kafka", help="Kafka brokers with SCRAM and ACLs")
    kafka.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    kafka.add_argument("--tls", action="store_true", help="encrypt every listener")
    cluster = what.add_parser("cluster", help="a whole mechanism in processes apart, over both")
    cluster.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="brokers")
    cluster.add_argument("--cases", type=int, default=12, help="invented cases to begin with")
    cluster.add_argument("--data", type=Path, metavar="DIR", help="where everything is kept")
    for command in (kafka, what.add_parser("postgres", help="PostgreSQL with SCRAM")):
        command.add_argument("--data", type=Path, metavar="DIR", help="where everything is kept")
        command.add_argument("--show", action="store_true", help="print the passwords too")
    return parser


def _kafka(asked: argparse.Namespace, env: Mapping[str, str]) -> int:
    if access.given(env):
        return _say(["# NRM_KAFKA_BOOTSTRAP is set: those brokers serve, none was started"])
    kind = f"kafka-{asked.nodes}{'-tls' if asked.tls else ''}"
    own = Brokers(asked.data or Path("data", kind), asked.nodes, tls=asked.tls, env=env)

    def lines() -> list[str]:
        secret = _secret(own.password_file, show=asked.show)
        exports = {
            "NRM_KAFKA_BOOTSTRAP": own.bootstrap,
            "NRM_KAFKA_USER": own.admin_user,
            "NRM_KAFKA_PASSWORD": secret,
            "NRM_KAFKA_CA": quote(own.ca) if own.tls else "",
        }
        shown = [f"export {name}={value}" for name, value in exports.items() if value]
        if own.tls:
            shown.append(f"# operator, by certificate: {own.operator_bootstrap} {own.operator_pem}")
        return shown

    return _run(own, lines, lambda: bool(own.pids()))


def _postgres(asked: argparse.Namespace, env: Mapping[str, str]) -> int:
    if postgres.given(env):
        return _say(["# NRM_DATABASE_URL is set: that server serves, none was started"])
    own = Postgres(asked.data or Path("data", "postgres"))

    def lines() -> list[str]:
        if not own.has_database(DATABASE):
            own.create_database(DATABASE)
        place = own.dsn(DATABASE).rpartition("@")[2]
        secret = _secret(own.password_file, show=asked.show)
        return [f"export NRM_DATABASE_URL=postgresql://{USER}:{secret}@{place}"]

    return _run(own, lines, lambda: own.pid() is not None)


def _cluster(asked: argparse.Namespace) -> int:
    from services.local.cluster import Cluster  # noqa: PLC0415 - loads the whole mechanism

    own = Cluster(asked.data or Path("data", "cluster"), asked.nodes)
    try:
        _say([f"Starting PostgreSQL, {asked.nodes} brokers and {len(own.services)} processes ..."])
        own.start()
        if own.new and asked.cases:
            _say([f"Making {asked.cases} invented cases ..."])
            asyncio.run(own.fill(asked.cases))
        _say(columns({name: f"{of.address}/ready" for name, of in own.services.items()}))
        _say(["", "One-time log-in for each gateway (works once, for 15 minutes):"])
        _say([f"  {line}" for line in columns(own.logins())])
        _say(["", f"export NRM_DATA={quote(str(own.data))}   # for nrm-hub act, case, feed"])
        _say([f"Logs lie in {own.folder}/logs. Stop with Ctrl-C; the data stay."])
        while True:
            time.sleep(1)
            _say([f"{name} had ended and was started again" for name in own.revive()])
    finally:
        _deaf()
        own.stop()


def columns(said: Mapping[str, str]) -> list[str]:
    """Return a line for each name and what is said of it, one below the other."""
    width = max(map(len, said)) + 2
    return [f"{name:{width}}{what}" for name, what in said.items()]


def _run(own: Brokers | Postgres, lines: Callable[[], list[str]], lives: Callable[[], bool]) -> int:
    """Start `own`, say how to reach it, stay until a signal or its end, and stop it."""
    try:
        own.start()
        _say(lines())
        while lives():
            time.sleep(0.5)
    finally:
        _deaf()
        own.stop()
    sys.stderr.write(f"the servers ended by themselves: read the logs in {own.folder}\n")
    return 1


def _deaf() -> None:
    """Hear no second Ctrl-C: it would leave things half stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _secret(file: Path, *, show: bool) -> str:
    return file.read_text() if show else f'"$(cat {quote(str(file))})"'


def _say(lines: list[str]) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
