"""kcat shows a feed's keys, headers and raw values to whoever operates a seat's reader."""

import os
import shutil
import subprocess
from pathlib import Path

import confluent_kafka
import pytest

from tests.clients.feed import LANGUAGE, Feed, headers_of
from tests.servers import missing


@pytest.fixture
def config(feed: Feed, tmp_path: Path) -> Path:
    """How the seat logs in, in a file of its owner's: arguments are seen by everybody."""
    path = tmp_path / "kcat.conf"
    path.touch(0o600)
    path.write_text(
        f"bootstrap.servers={feed.bootstrap}\nsecurity.protocol=SASL_PLAINTEXT\n"
        f"sasl.mechanism=SCRAM-SHA-512\nsasl.username={feed.user}\nsasl.password={feed.password}\n"
    )
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a librdkafka that logs in to Kafka 4, which older ones than 2.6.1 cannot.

    They send their nonce twice, and Kafka refuses that since CVE-2024-56128 was mended.
    """
    packages = Path(confluent_kafka.__file__).parents[1]
    bundled = next((packages / "confluent_kafka.libs").glob("librdkafka*.so*"))
    folder = tmp_path_factory.mktemp("librdkafka")
    (folder / "librdkafka.so.1").symlink_to(bundled)
    return folder


class Kcat:
    """kcat, run as the seat's principal."""

    def __init__(self, config: Path, library: Path) -> None:
        self._options = ["-F", str(config), "-C", "-q"]
        self._env = {**os.environ, "LD_LIBRARY_PATH": str(library)}

    def __call__(self, *options: str) -> subprocess.CompletedProcess[bytes]:
        found = shutil.which("kcat")
        if found is None:
            missing("kcat", "kcat is not on the PATH: apt-get install kcat")
        return subprocess.run(  # noqa: S603 - our own arguments
            [found, *self._options, *options],
            env=self._env,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def shown(self, feed: Feed, form: str, count: int) -> bytes:
        """Return the first `count` records of the feed in kcat's own format."""
        options = ("-t", feed.topic, "-o", "beginning", "-c", str(count), "-f", form)
        done = self(*options)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def kcat(config: Path, library: Path) -> Kcat:
    return Kcat(config, library)


def test_kcat_shows_the_key_and_size_of_every_record(feed: Feed, kcat: Kcat) -> None:
    lines = kcat.shown(feed, r"%k %S\n", feed.count).decode().splitlines()

    *shown, heartbeat = lines
    assert heartbeat == "heartbeat -1"
    assert shown == [f"{e.event_id} {5 + len(e.item.event.record)}" for e in feed.entries]


def test_kcat_shows_the_headers_of_every_entry(feed: Feed, feed_hub: str, kcat: Kcat) -> None:
    shown = kcat.shown(feed, "%h;", len(feed.entries))

    # Text is shown whole, bytes up to the first that is nought.
    expected = (
        b",".join(
            name.encode() + b"=" + value.partition(b"\0")[0]
            for name, value in headers_of(entry, feed_hub).items()
        )
        for entry in feed.entries
    )
    assert shown == b"".join(line + b";" for line in expected)


def test_kcat_gives_the_value_as_it_was_framed(feed: Feed, kcat: Kcat) -> None:
    event = feed.entries[0].item.event
    number = LANGUAGE.shape(event.type).number

    assert kcat.shown(feed, "%s", 1) == b"\0" + number.to_bytes(4, "big") + event.record


def test_the_seat_is_told_that_it_may_not_read_the_log(feed: Feed, kcat: Kcat) -> None:
    log = feed.topic.partition(".feed.")[0] + ".log"

    refused = kcat("-t", log, "-o", "beginning", "-e")

    assert refused.returncode != 0
    assert refused.stdout == b""
    assert b"authoriz" in refused.stderr.lower()
