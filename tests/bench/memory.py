"""`memory`: how large a hub process grows with its log."""

import os
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from services.bootstrap import Parts, Settings
from tests.bench.cases import CASE_ACTIONS, mixed
from tests.bench.children import child, said
from tests.bench.measuring import Measured
from tests.bench.town import Town

SIZES = (10_000, 50_000, 100_000)
"""Events in the log; BENCH_EVENTS in the environment replaces the last."""
PART = 2_500
"""Actions a file; the child takes one in while the next is written."""
MB = 1_000_000


def memory(folder: Path) -> Iterator[Measured]:
    """Have a hub accept and project a growing log; note its resident memory at each size."""
    sizes = (*SIZES[:-1], int(os.environ.get("BENCH_EVENTS", SIZES[-1])))
    town = Town(Parts(Settings(data=folder)), 50, 50)
    sent = mixed(town, sizes[-1] // CASE_ACTIONS + PART)
    with child("memory", str(folder)) as (empty, process):
        grown, done = [empty["bytes"]], 0
        for size in sizes:
            for at in range(done, size, PART):
                path = folder / f"part-{at}"
                part = list(islice(sent, min(PART, size - at)))
                path.write_bytes(msgspec.msgpack.encode(part))
                _tell(process, str(path))
            _tell(process, "size")
            grown.append(said(process)["bytes"])
            done = size
    for size, found in zip(sizes, grown[1:], strict=True):
        yield Measured(
            name=f"memory_{size}",
            value=found / MB,
            unit="MB",
            ratio=found / grown[0],
            against=f"the same process before its first case ({grown[0] / MB:.0f} MB)",
        )
    slopes = [
        (after - before) / (large - small)
        for (small, before), (large, after) in (
            ((sizes[0], grown[1]), (sizes[1], grown[2])),
            ((sizes[1], grown[2]), (sizes[2], grown[3])),
        )
    ]
    yield Measured(
        name="memory_slope",
        value=slopes[1],
        unit="bytes/event",
        ratio=slopes[1] / slopes[0],
        against=f"the slope between {sizes[0]} and {sizes[1]} events",
    )


def _tell(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
