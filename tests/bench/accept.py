"""`accept_single` and `accept_batch`: signed, sealed actions into a hub over HTTP, durable."""

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from domain.action import Action
from domain.messages import Submission
from services.bootstrap import Parts, Settings
from tests.bench.children import child
from tests.bench.load import Load, drive, request
from tests.bench.measuring import Measured, paired, quantile
from tests.bench.town import OPENER_ACTIONS, Town, WrittenCase

ROUNDS = 5
NOOP = "a FastAPI route that reads the same bodies and does nothing, in the same process"


def single(folder: Path) -> Iterator[Measured]:
    """64 connections of 64 agencies, one action a request."""
    yield _accept("accept_single", folder, connections=64, size=1, requests=48)


def batch(folder: Path) -> Iterator[Measured]:
    """8 connections of 8 agencies, 50 actions a request."""
    yield _accept("accept_batch", folder, connections=8, size=50, requests=8)


def _accept(
    name: str, folder: Path, *, connections: int, size: int, requests: int
) -> Measured:
    """Send `requests` a connection and round, to the hub and to the route that does nothing."""
    town = Town(Parts(Settings(data=folder)), connections, 1)
    bodies = [_bodies(town, agency, size, requests * ROUNDS) for agency in town.openers]
    loads: list[Load] = []
    with child("hub", str(folder), str(connections)) as (hub, _):
        tokens = hub["tokens"]

        def plans(number: int, path: str) -> list[list[bytes]]:
            part = slice(number * requests, (number + 1) * requests)
            return [
                [request(path, tokens[agency], body) for body in mine[part]]
                for agency, mine in zip(town.openers, bodies, strict=True)
            ]

        def ours(number: int) -> float:
            loads.append(uvloop.run(drive(hub["port"], plans(number, "/v1/actions"))))
            return _rate(loads[-1], connections * requests * size)

        def noop(number: int) -> float:
            load = uvloop.run(drive(hub["noop"], plans(number, "/noop")))
            return connections * requests * size / load.seconds

        gc.freeze()
        value, ratio = paired(ROUNDS, ours, noop)
    p99 = quantile([ms for load in loads for ms in load.latencies_ms], 0.99)
    return Measured(
        name=name, value=value, unit="actions/s", ratio=ratio, against=NOOP, p99_ms=p99
    )


def _rate(load: Load, expected: int) -> float:
    if load.accepted != expected:
        raise RuntimeError(f"{load.accepted} of {expected} actions were accepted")
    return load.accepted / load.seconds


def _bodies(town: Town, agency: str, size: int, count: int) -> list[bytes]:
    actions = _actions(town, agency, size * count)
    return [
        msgspec.json.encode(Submission(actions=tuple(actions[at : at + size])))
        for at in range(0, size * count, size)
    ]


def _actions(town: Town, agency: str, count: int) -> Sequence[Action]:
    """Return the agency's next `count` actions, in its order: the openings of many cases."""
    found: list[Action] = []
    for _ in range(-(-count // OPENER_ACTIONS)):
        case = WrittenCase(town, agency, town.providers[0])
        found += [action for step in case.opening() for _, action in step]
    return found[:count]
