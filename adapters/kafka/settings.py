"""The settings of topics that a declaration may give, under Kafka's names and as Kafka says them.

kafka.apache.org/42/configuration/topic-configs; `min.insync.replicas` follows from the copies.
"""

from collections.abc import Mapping

from domain.errors import Malformed
from domain.strict_toml import Table

_WORDS: Mapping[str, tuple[str, ...]] = {
    "cleanup.policy": ("delete", "compact", "compact,delete"),
    "message.timestamp.type": ("CreateTime", "LogAppendTime"),
    "compression.type": ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"),
}
_NUMBERS: Mapping[str, int] = {
    "retention.ms": -1,
    "retention.bytes": -1,
    "segment.ms": 1,
    "segment.bytes": 1 << 20,
    "max.message.bytes": 1 << 20,
    "max.compaction.lag.ms": 1,
    "min.compaction.lag.ms": 0,
    "delete.retention.ms": 0,
    "message.timestamp.after.max.ms": 0,
    "message.timestamp.before.max.ms": 0,
}
"""Setting -> the least that it can be."""
_FRACTIONS = ("min.cleanable.dirty.ratio",)
_SWITCHES = ("unclean.leader.election.enable",)
_SETTINGS = frozenset((*_WORDS, *_NUMBERS, *_FRACTIONS, *_SWITCHES))
MOST = (1 << 63) - 1
"""The greatest number that TOML and Kafka both hold."""


def settings(table: Table) -> dict[str, str]:
    """Take every setting in `table`; `Malformed` names one that is unknown or out of range."""
    return {key: _setting(table, key) for key in table.keys(_SETTINGS)}


def _setting(table: Table, key: str) -> str:
    if key in _WORDS:
        return table.word(key, _WORDS[key])
    if key in _NUMBERS:
        return str(table.number(key, _NUMBERS[key], MOST))
    if key in _SWITCHES:
        return str(table.take(key, bool)).lower()
    ratio = table.take(key, float)
    if not 0 <= ratio <= 1:
        raise Malformed("TOPICS_RANGE", f"{table.at(key)} must be from 0 to 1")
    return str(ratio)
