"""A feed relay in a process of its own, to be killed: says a line after each transaction.

Its arguments are a bootstrap address, a user, a hub's id and the file of the feeds; the
password is in KAFKA_PASSWORD. It ends when everything is published.
"""

import os
import sys
from contextlib import closing

from adapters.kafka.client import Broker
from adapters.kafka.feed_topics import RELAY, KafkaFeedTopics
from adapters.kafka.names import Names
from adapters.kafka.publisher import Publisher
from domain.secret import Secret
from services.hub import feed_relay
from tests.adapters.kafka_feeds import LANGUAGE, now_ms
from tests.services.feed_relays import FilledFeeds, relay

RECORDS = 20
"""Small transactions, so that a kill hits one."""


def main(bootstrap: str, user: str, hub_id: str, path: str) -> None:
    password = Secret(os.environ["KAFKA_PASSWORD"].encode())
    broker, names = Broker(bootstrap=bootstrap, user=user, password=password), Names(hub_id)
    topics = KafkaFeedTopics(Publisher(broker, names, RELAY), names, LANGUAGE, now_ms)
    with closing(relay(FilledFeeds(path), topics)) as running:
        while running.step():
            sys.stdout.write("published\n")
            sys.stdout.flush()


if __name__ == "__main__":
    feed_relay.RECORDS = RECORDS
    main(*sys.argv[1:])
