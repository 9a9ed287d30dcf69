"""The declaration: read strictly, expanded for a hub, and compared with what a cluster has."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka import feed_topics, log, source
from adapters.kafka.client import MAX_RECORD
from adapters.kafka.declaration import hub_principal, parse_declaration
from adapters.kafka.declared import Acl, Found, Topic, Wanted
from adapters.kafka.differences import REVOKED, Revocation, compare
from adapters.kafka.names import Names, principal_of
from adapters.kafka.strimzi import manifests
from domain.errors import Malformed
from domain.feed import LANES
from domain.vocabulary import Purpose, Seat
from services.demo.cast import CAST
from services.topics import seats_of_members

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/kafka/topics.toml").read_text("utf-8")
DECLARATION = parse_declaration(TEXT)
NAMES = Names("nrm:xx")
HERE = Seat("xx-shelter", "protection_support")
THERE = Seat("xx-police", "investigation")
LIVE = 4096


def wanted(*seats: Seat, brokers: int = 3) -> Wanted:
    return DECLARATION.expand(NAMES, brokers, seats)


def as_wanted(asked: Wanted) -> Found:
    return Found(
        topics={t.name: t for t in asked.topics},
        users=dict.fromkeys(asked.users, LIVE),
        acls=asked.acls,
    )


def rights(asked: Wanted, principal: str) -> set[str]:
    return {
        f"{a.operation} {a.resource} {a.name}{'*' if a.prefixed else ''}"
        for a in asked.acls
        if a.principal == f"User:{principal}"
    }


def test_the_log_has_a_partition_for_each_lane_and_nothing_in_the_trail_expires() -> None:
    topics = {t.name: t for t in wanted(HERE).topics}
    assert topics["nrm.xx.log"].partitions == LANES
    for name in ("nrm.xx.log", "nrm.xx.refusals"):
        assert topics[name].config["cleanup.policy"] == "delete"
        assert topics[name].config["retention.ms"] == "-1"
    assert topics["nrm.xx.position"].config["cleanup.policy"] == "compact"
    feed = topics["nrm.xx.feed.xx-shelter.protection_support"]
    assert feed.config["cleanup.policy"] == "compact,delete"
    assert feed.config["retention.ms"] == str(90 * 86_400_000)


def test_topics_take_the_largest_record_that_a_relay_may_send() -> None:
    assert {t.config["max.message.bytes"] for t in wanted(HERE).topics} == {str(MAX_RECORD)}


def test_projectors_may_use_their_group() -> None:
    group = NAMES.group(source.READERS)
    assert f"READ GROUP {group}*" in rights(wanted(), hub_principal(NAMES, "projector"))


def test_transactional_ids_are_those_of_the_relays() -> None:
    assert f"WRITE TRANSACTIONAL_ID {NAMES.transactional(log.RELAY)}" in rights(
        wanted(), hub_principal(NAMES, "relay")
    )
    assert f"WRITE TRANSACTIONAL_ID {NAMES.transactional(feed_topics.RELAY)}" in rights(
        wanted(), hub_principal(NAMES, "feed-relay")
    )


@pytest.mark.parametrize(
    ("brokers", "copies", "in_sync"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (5, 3, "2")]
)
def test_copies_are_three_or_one_a_broker(brokers: int, copies: int, in_sync: str) -> None:
    for topic in wanted(HERE, brokers=brokers).topics:
        assert topic.replication == copies
        assert topic.config["min.insync.replicas"] == in_sync


def test_a_seat_reads_its_topic_in_its_groups_and_may_nothing_else() -> None:
    assert rights(wanted(HERE, THERE), principal_of(HERE)) == {
        "READ TOPIC nrm.xx.feed.xx-shelter.protection_support",
        "DESCRIBE TOPIC nrm.xx.feed.xx-shelter.protection_support",
        "READ GROUP xx-shelter.protection-support.*",
        "DESCRIBE GROUP xx-shelter.protection-support.*",
    }


def test_the_operator_has_no_right_to_a_record_and_nobody_may_change_rights() -> None:
    assert not [r for r in rights(wanted(HERE), "nrm.xx.operator") if r[:5] in {"READ ", "WRITE"}]
    assert not [a for a in wanted(HERE).acls if a.resource == "CLUSTER" and a.operation == "ALTER"]


@given(
    st.lists(
        st.builds(
            Seat,
            st.from_regex(r"[a-z0-9][a-z0-9-]{0,12}", fullmatch=True),
            st.sampled_from(Purpose),
        ),
        unique=True,
        max_size=8,
    )
)
def test_no_seat_has_a_right_that_reaches_another_seats_things(seats: list[Seat]) -> None:
    asked = wanted(*seats)
    for user, topic in asked.seats.items():
        others = [a for a in asked.acls if a.principal in {f"User:{u}" for u in asked.seats}]
        for acl in others:
            if acl.principal == f"User:{user}":
                continue
            assert acl.name != topic
            assert not (acl.prefixed and f"{user}.group".startswith(acl.name))


def test_an_agreement_sets_its_agencys_retention_and_a_stray_one_is_told() -> None:
    text = TEXT.replace("agreed = []", 'agreed = [{ agency = "xx-shelter", days = 30 }]')
    declaration = parse_declaration(text)
    topics = {t.name: t for t in declaration.expand(NAMES, 3, [HERE, THERE]).topics}
    assert topics[NAMES.feed(HERE)].config["retention.ms"] == str(30 * 86_400_000)
    assert topics[NAMES.feed(THERE)].config["retention.ms"] == str(90 * 86_400_000)
    assert declaration.expand(NAMES, 3, [THERE]).notes == (
        "feed.agreed names xx-shelter, which has no seat: check its id",
    )


def test_an_agency_with_a_dot_in_its_id_is_refused() -> None:
    with pytest.raises(Malformed, match=r"xx\.shelter"):
        wanted(Seat("xx.shelter", "monitoring"))


BAD = {
    "TOPICS_SYNTAX": ("replication = 3", "replication = "),
    "TOPICS_WORD_UNKNOWN": ('"retention.bytes" = -1', '"retention.byte" = -1'),
    "TOPICS_TYPE": ("partitions = 8", 'partitions = "8"'),
    "TOPICS_RANGE": ("retention_days = 90", "retention_days = 0"),
    "TOPICS_KEY_MISSING": ("retention_days = 90", ""),
    "TOPICS_LANES": ("partitions = 8", "partitions = 12"),
    "TOPICS_TRAIL": ('"cleanup.policy" = "delete"', '"cleanup.policy" = "compact"'),
    "TOPICS_RETENTION": (
        '"segment.ms" = 600_000\n"max.compaction.lag.ms" = 600_000',
        '"retention.ms" = 1',
    ),
    "TOPICS_RIGHT": ('topic = "all"\n', ""),
}


@pytest.mark.parametrize("code", BAD)
def test_a_file_that_is_not_understood_is_refused(code: str) -> None:
    old, new = BAD[code]
    assert old in TEXT
    with pytest.raises(Malformed) as refused:
        parse_declaration(TEXT.replace(old, new))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min_insync = 2", "min_insync = 2\nmin_sync = 2"),
        ("[topics.log]", "[topics.dlq]\npartitions = 1\n[topics.log]"),
        ("partitions = 8", "partitions = 8\npartition = 8"),
        ("[seats]", "[seats]\nwrite = true"),
        ("days = 90", "days = 90\nweeks = 3"),
        ('topic = "all"', 'topic = "everything"'),
        ('topic = "all"', 'topic = "all"\nhost = "*"'),
        ('may = ["DESCRIBE"]', 'may = ["ALL"]'),
        ('topic = ["READ", "DESCRIBE"]', 'topic = ["READ", "WRITE"]'),
        ("request_percentage = 25", "requests_percentage = 25"),
    ],
)
def test_a_word_that_nobody_knows_is_refused(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(Malformed, match=r"topics\.toml"):
        parse_declaration(TEXT.replace(old, new, 1))


@given(st.text())
def test_garbage_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(Malformed):
        parse_declaration(text)


def test_what_is_as_declared_does_not_differ() -> None:
    asked = wanted(HERE, THERE)
    assert compare(asked, as_wanted(asked)).agrees


def test_on_an_empty_cluster_everything_is_new_and_rights_come_last() -> None:
    asked = wanted(HERE)
    plan = compare(asked, Found(topics={}))
    words = [str(c)[:6] for c in plan.changes]
    assert words == sorted(words, key=["+ topi", "+ user", "+ acl "].index)
    assert len(words) == len(asked.topics) + len(asked.users) + len(asked.acls)


EVIL = "User:mallory"


@pytest.mark.parametrize(
    "acl",
    [
        Acl(EVIL, "READ", "TOPIC", "nrm.xx.log"),
        Acl(EVIL, "READ", "TOPIC", "nrm.xx.later"),
        Acl(EVIL, "READ", "TOPIC", "*"),
        Acl(EVIL, "READ", "TOPIC", "nrm.xx.f", prefixed=True),
        Acl(EVIL, "READ", "TOPIC", "nrm", prefixed=True),
        Acl(EVIL, "READ", "GROUP", f"{principal_of(HERE)}.desk"),
        Acl(EVIL, "WRITE", "TRANSACTIONAL_ID", "nrm.xx.relay"),
        Acl(f"User:{principal_of(HERE)}", "READ", "TOPIC", "elsewhere"),
        Acl(f"User:{principal_of(HERE)}", "ALTER", "CLUSTER", "kafka-cluster"),
        Acl(f"User:{principal_of(HERE)}", "READ", "TOPIC", NAMES.feed(HERE), permission="DENY"),
        Acl(f"User:{principal_of(HERE)}", "READ", "TOPIC", NAMES.feed(HERE), host="10.0.0.1"),
    ],
    ids=str,
)
def test_a_right_that_is_too_much_is_taken_back_before_anything_else(acl: Acl) -> None:
    asked = wanted(HERE)
    there = as_wanted(asked)
    plan = compare(asked, replace(there, acls=there.acls | {acl}))
    assert list(map(str, plan.changes)) == [f"- acl {acl}"]


def test_the_rights_of_other_hubs_and_programs_are_left_alone() -> None:
    asked, other = wanted(HERE), DECLARATION.expand(Names("nrm:yy"), 3, [THERE])
    foreign = {
        Acl(EVIL, "READ", "TOPIC", "payroll"),
        Acl(EVIL, "ALTER", "CLUSTER", "kafka-cluster"),
    }
    there = as_wanted(asked)
    users = {**there.users, **dict.fromkeys(other.users, LIVE), "payroll": LIVE}
    found = replace(there, acls=there.acls | other.acls | foreign, users=users)
    assert compare(asked, found).agrees


def test_a_former_seat_is_revoked_once_and_its_topic_is_told_of() -> None:
    both, one = wanted(HERE, THERE), wanted(HERE)
    gone = principal_of(THERE)
    plan = compare(one, as_wanted(both))
    assert Revocation(gone) in plan.changes
    assert {str(c)[:1] for c in plan.changes} == {"-"}
    there = as_wanted(one)
    after = replace(
        there,
        topics={t.name: t for t in both.topics},
        users={**there.users, gone: REVOKED},
    )
    assert compare(one, after).agrees
    assert [n for n in compare(one, after).notes if NAMES.feed(THERE) in n]


def test_a_former_seat_is_known_by_its_rights_when_its_topic_is_gone() -> None:
    both, one = wanted(HERE, THERE), wanted(HERE)
    found = replace(as_wanted(both), topics=as_wanted(one).topics)
    assert Revocation(principal_of(THERE)) in compare(one, found).changes


Odd = Callable[[Topic], Topic]


@pytest.mark.parametrize(
    ("name", "odd", "code"),
    [
        ("nrm.xx.log", lambda t: replace(t, partitions=4), "TOPIC_PARTITIONS"),
        ("nrm.xx.log", lambda t: replace(t, partitions=12), "TOPIC_PARTITIONS"),
        (NAMES.feed(HERE), lambda t: replace(t, partitions=2), "TOPIC_PARTITIONS"),
        ("nrm.xx.log", lambda t: replace(t, replication=1), "TOPIC_REPLICATION"),
        (
            "nrm.xx.refusals",
            lambda t: replace(t, config={**t.config, "cleanup.policy": "compact"}),
            "TOPIC_POLICY",
        ),
    ],
)
def test_what_is_not_safe_to_change_is_blocked(name: str, odd: Odd, code: str) -> None:
    asked = wanted(HERE)
    there = as_wanted(asked)
    plan = compare(asked, replace(there, topics={**there.topics, name: odd(there.topics[name])}))
    assert [b.code for b in plan.blocked] == [code]
    assert name in plan.blocked[0].message
    assert not plan.changes


@pytest.mark.parametrize("name", ["nrm.xx.notes", "nrm.xx.feed.junk", "nrm.xx.feed.A B.monitoring"])
def test_a_topic_that_nobody_declared_is_blocked(name: str) -> None:
    asked = wanted(HERE)
    there = as_wanted(asked)
    stray = Topic(name=name, partitions=1, replication=3, config={})
    plan = compare(asked, replace(there, topics={**there.topics, name: stray}))
    assert [b.code for b in plan.blocked] == ["TOPIC_FOREIGN"]
    assert name in plan.blocked[0].message


def demo_manifests() -> str:
    return manifests(DECLARATION.expand(Names("nrm:gb"), 3, seats_of_members(CAST)), "nrm")


def test_the_kubernetes_manifests_are_those_of_the_declaration() -> None:
    shipped = (ROOT / "deploy/kubernetes/kafka.yaml").read_text("utf-8")
    assert shipped == demo_manifests(), "write it again: nrm-hub topics strimzi"


def test_the_manifests_say_just_what_the_declaration_says() -> None:
    asked = DECLARATION.expand(Names("nrm:gb"), 3, seats_of_members(CAST))
    documents: list[Any] = list(yaml.safe_load_all(demo_manifests()))
    topics = [d["spec"] for d in documents if d["kind"] == "KafkaTopic"]
    assert {t["topicName"]: (t["partitions"], t["replicas"], t["config"]) for t in topics} == {
        t.name: (t.partitions, t.replication, dict(t.config)) for t in asked.topics
    }
    rules = {
        (d["metadata"]["name"], operation, *sorted(rule["resource"].values()))
        for d in documents
        if d["kind"] == "KafkaUser"
        for rule in d["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    }
    assert len(rules) == len(asked.acls)


def test_kubernetes_takes_every_name_in_the_manifests() -> None:
    for document in yaml.safe_load_all(demo_manifests()):
        name = document["metadata"]["name"]  # RFC 1123 subdomain
        assert all(part and part.strip("-") == part for part in name.split("."))
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert len(name) <= 253
        assert document["metadata"]["labels"] == {"strimzi.io/cluster": "nrm"}
