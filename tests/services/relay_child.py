"""A relay as a process of its own, which ends once everything is published, or where it is told.

`python -m tests.services.relay_child STORE HUB`; the brokers as NRM_KAFKA_* say. It says
`waits` or `leads`, ends with 0 when all is published, with `FENCED` when another took over.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from kafka import KafkaProducer

import services.hub.relay as product
from adapters.kafka.client import Broker
from adapters.kafka.log import RELAY, KafkaLogTopic
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.errors import Refused, Unavailable
from schemas.language import AvroLanguage
from tests.services.relay_store import lease_of, opened

PAGE = 20
"""Events of one transaction: small, so that there are many moments to be killed at."""
FENCED = 3
FAIL = "RELAY_FAILS"
"""`kill sent 7`: SIGKILL between the seventh sending and its commit. Also `stop`, for SIGSTOP;
`committed`, once a commit is done; and `opened`, before the records are sent."""


def main(store: str, hub: str) -> int:
    names = Names(hub)
    publisher = Publisher(Broker.from_env(os.environ), names, RELAY)
    _arm(os.environ.get(FAIL, ""))
    product.PAGE = PAGE
    topic = KafkaLogTopic(publisher, AvroLanguage(), names)
    return _run(product.Relay(opened(store), topic, lease_of(store, hub)))


def _run(relay: product.Relay) -> int:
    told = ""
    while True:
        try:
            busy = relay.step()
        except Unavailable as e:
            sys.stderr.write(f"{e}\n")
            time.sleep(0.05)
            continue
        except Refused as e:
            sys.stderr.write(f"{e}\n")
            return FENCED if e.code == "FENCED" else 1
        if not busy and relay.lag() == 0:
            relay.close()
            return 0
        state = "waits" if relay.lag() is None else "leads"
        if state != told:
            sys.stdout.write(f"{state}\n")
            sys.stdout.flush()
            told = state


def _arm(told: str) -> None:
    """Let this process be killed or stopped at the place and time that `told` names."""
    if not told:
        return
    action, place, number = told.split()
    sign = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[action]
    times = count(1)

    def struck() -> None:
        if next(times) == int(number):
            os.kill(os.getpid(), sign)

    match place:
        case "sent":
            KafkaProducer.flush = _then(KafkaProducer.flush, struck)
        case "committed":
            Publisher.publish = _then(Publisher.publish, struck)  # type: ignore[method-assign]
        case _:
            KafkaProducer.flush = _open_first(KafkaProducer.flush, struck)


def _then(call: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        answer = call(*args, **kwargs)
        strike()
        return answer

    return called


def _open_first(flush: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    """Strike when Kafka knows of the transaction, but has none of its records yet."""

    def called(producer: KafkaProducer, *args: Any) -> Any:
        while producer._transaction_manager.has_partitions_to_add():  # noqa: SLF001 - nothing says
            time.sleep(0.001)
        strike()
        return flush(producer, *args)

    return called


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
