"""A process that appends: `postgres_writer.py DATABASE ROUNDS` prints the id of each event."""

import sys
from uuid import uuid4

from adapters.postgres.event_store import PostgresEventStore
from tests.builders import CASE
from tests.contracts.making import recorded


def main(database: str, rounds: int) -> None:
    """Append in turns to a case that others write too and to one of its own."""
    own, store = str(uuid4()), PostgresEventStore(database)
    for turn in range(1, rounds + 1):
        with store.appending([CASE]) as tx:
            version = tx.start.heads.get(CASE, 0) + 1
            ms = tx.start.recorded_ms + 1
            events = [
                recorded(str(uuid4()), version, recorded_ms=ms),
                recorded(str(uuid4()), turn, case_id=own, recorded_ms=ms),
            ]
            tx.append(events, [])
        for event in events:
            sys.stdout.write(event.event_id + "\n")
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
