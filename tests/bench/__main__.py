"""`python -m tests.bench`: one JSON object a line; ONLY=name,name for some of them."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import (
    accept,
    auditing,
    feed_latency_kafka,
    feed_relaying,
    memory,
    notary,
    postgres,
    projecting,
    relaying,
    sealing,
    stores,
    watching,
)
from tests.bench.measuring import Measured

BENCHES: Mapping[str, Callable[[Path], Iterator[Measured]]] = {
    "accept_single": accept.single,
    "accept_batch": accept.batch,
    "accept_single_postgres": accept.single_postgres,
    "accept_batch_postgres": accept.batch_postgres,
    "group_commit": stores.group_commit,
    "append": stores.append,
    "append_postgres": postgres.append_postgres,
    "group_commit_postgres": postgres.group_commit_postgres,
    "project": projecting.project,
    "relay": relaying.relay,
    "feed_relay": feed_relaying.feed_relay,
    "feed_latency": watching.feed_latency,
    "feed_latency_kafka": feed_latency_kafka.feed_latency_kafka,
    "withdrawal": watching.withdrawal,
    "seal_field": sealing.seal_field,
    "open_field": sealing.open_field,
    "notary": notary.notary,
    "accept_beside_notary": accept.beside_notary,
    "memory": memory.memory,
    "audit_tree": auditing.tree,
    "audit_chains": auditing.chains,
    "audit_full": auditing.full,
}


def main() -> None:
    """Run every bench, or those that ONLY names."""
    only = os.environ.get("ONLY", "").split(",") if os.environ.get("ONLY") else list(BENCHES)
    if not BENCHES.keys() >= set(only):
        raise SystemExit(f"ONLY names some of: {', '.join(BENCHES)}")
    for name, bench in BENCHES.items():
        if name in only:
            with TemporaryDirectory(prefix="nrm-bench-") as folder:
                for measured in bench(Path(folder)):
                    sys.stdout.write(measured.line() + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
