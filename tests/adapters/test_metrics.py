"""Each process's metrics: what moves them, what they say, and that the page lists them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from adapters.metrics import (
    ClockMetrics,
    CustodianMetrics,
    FeedRelayMetrics,
    GatewayMetrics,
    HubMetrics,
    ProcessMetrics,
    ProjectorMetrics,
    RelayMetrics,
)
from adapters.metrics.asked import asked_value
from adapters.metrics.notary import NotaryMetrics
from adapters.metrics.witness import WitnessMetrics
from domain.action import Outcome
from domain.errors import Unavailable
from domain.feed import Skip
from domain.lanes import LaneFigures, Stall
from domain.messages import FeedItem, FeedPage, Shown
from domain.ports import Recorded
from domain.vocabulary import Seat
from schemas.language import AvroLanguage
from services.bootstrap import now_ms
from tests.deploy.tools import promtool
from tests.metrics_page import PROCESSES, documented

SEAT = Seat("gb-shelter", "protection_support")


@dataclass(frozen=True)
class Waiting:
    entries: int
    since_ms: int | None


class Relaying:
    """A relay that leads, or waits when its lag is None."""

    def __init__(self, lag: int | None) -> None:
        self.behind = lag
        self.commit_seconds = 0.25

    def lag(self) -> int | None:
        return self.behind


def recorded(type: str, at: int) -> Recorded:
    return Recorded(
        position=1,
        event_id="",
        case_id="",
        version=1,
        type=type,
        body=b"",
        statement=b"",
        signature=b"",
        recorded_ms=at,
    )


def of_hub(registry: CollectorRegistry) -> HubMetrics:
    metrics = HubMetrics(registry)
    metrics.watch_lag(lambda: 7)
    metrics.watch_store(lambda: 40)
    metrics.watch_readers(lambda: {SEAT: Waiting(3, 0)})
    metrics.watch_withdrawals(lambda: {"feeds": None, "keys": 0})
    metrics.watch_registry(lambda: {"gb-shelter": 5_000}, lambda: {"gb-shelter": 4_000})
    skip = Skip(lane=3, offset=1, digest=b"", by="x", reason="x", skipped_ms=0)
    metrics.watch_skips(lambda: [skip, skip])
    return metrics


def of_relay(registry: CollectorRegistry, lag: int | None = 4) -> None:
    RelayMetrics(registry).watch(Relaying(lag), lambda newest: 1_000 if newest == 4 else None)


def of_projector(registry: CollectorRegistry) -> ProjectorMetrics:
    metrics = ProjectorMetrics(registry)
    figures = {3: LaneFigures(offset=9, lag=2, moved_s=1.5)}
    metrics.watch(lambda: figures, lambda: {5: Stall("RECORD_UNREADABLE", "planted", 8)})
    return metrics


def of_clocks(registry: CollectorRegistry) -> ClockMetrics:
    metrics = ClockMetrics(registry)
    metrics.watch(lambda: 1_000)
    return metrics


def of_custodian(registry: CollectorRegistry) -> CustodianMetrics:
    metrics = CustodianMetrics(registry)
    metrics.watch(lambda: 31, lambda: 1, lambda: 2)
    metrics.watch_proofs(lambda: 5, lambda: None, lambda: 4)
    return metrics


def of_notary(registry: CollectorRegistry) -> None:
    metrics = NotaryMetrics(registry)
    metrics.watch_tree(lambda: 9, lambda: 4)
    metrics.watch_sources(lambda: 3)
    metrics.watch_witnesses(lambda: {"one": 1, "two": 0})
    metrics.watch_state(lambda: "published", lambda: 14_400.0, lambda: 1_000)
    metrics.watch_anchors(lambda: 90.0)
    metrics.watch_alarms(lambda: 2)


def of_witness(registry: CollectorRegistry) -> WitnessMetrics:
    metrics = WitnessMetrics(registry, ["hub.example/trail"])
    metrics.watch_replay(lambda: 70, lambda: 7, lambda: 0, lambda: "MAP")
    return metrics


def of_gateway(registry: CollectorRegistry) -> GatewayMetrics:
    metrics = GatewayMetrics(registry)
    counts = {"queued": 2, "deposits": 1, "parked": 3}
    metrics.watch_outbox(lambda: counts, lambda: 1_000, lambda: "ACTOR_SEQ_USED")
    metrics.watch_alarms(lambda: {"BAD_TAG": 4})
    trail = {"receipts_waiting": 5, "feed_entries_unproven": 6, "confirmations_waiting": 7}
    metrics.watch_trail(lambda: trail, lambda: 1_000, lambda: {"SPLIT_VIEW": 1}, lambda: 1_000)
    return metrics


MAKE: Mapping[str, Callable[[CollectorRegistry], object]] = {
    "hub": of_hub,
    "relay": of_relay,
    "feed-relay": lambda registry: FeedRelayMetrics(registry, lambda: 5_000),
    "projector": of_projector,
    "clocks": of_clocks,
    "custodian": of_custodian,
    "gateway": of_gateway,
    "notary": of_notary,
    "witness": of_witness,
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def value(registry: CollectorRegistry) -> Callable[..., float | None]:
    """Return what reads one sample: name and labels -> value, None if it is not there."""
    return lambda name, **labels: registry.get_sample_value(name, labels)


Value = Callable[..., float | None]


@pytest.mark.parametrize("process", PROCESSES)
def test_the_page_lists_every_metric_of_a_process_with_kind_and_meaning(process: str) -> None:
    registry = CollectorRegistry()
    MAKE[process](registry)
    common = ProcessMetrics(registry, process)
    common.watch(lambda: {"store": ""}, lambda: {"loop": 1.0})
    common.watch_certificates({})
    there = {f.name: f.type for f in registry.collect() if f.name.startswith("nrm_")}
    kinds = {"info": "gauge"}
    found = {n.replace("nrm_build", "nrm_build_info"): kinds.get(k, k) for n, k in there.items()}
    assert found == {m.name: m.kind for m in documented() if process in m.processes}
    promtool("check", "metrics", given=generate_latest(registry).decode())


def test_the_labels_on_the_page_are_those_of_the_samples() -> None:
    for process, make in MAKE.items():
        registry = CollectorRegistry()
        make(registry)
        rows = {m.name: m for m in documented() if process in m.processes}
        for family in registry.collect():
            for sample in family.samples:
                if family.name in rows:
                    assert sample.labels.keys() - {"le"} == rows[family.name].labels, family.name


def test_answers_are_counted_by_their_reason_code(
    registry: CollectorRegistry, value: Value
) -> None:
    metrics = of_hub(registry)
    metrics.answered(Outcome(event_id="x", accepted=True, recorded_ms=1))
    metrics.answered(Outcome(event_id="y", accepted=False, code="CONSENT_MISSING"))
    assert value("nrm_actions_total", code="ACCEPTED") == 1
    assert value("nrm_actions_total", code="CONSENT_MISSING") == 1
    assert value("nrm_actions_total", code="RULES_FAILED") == 0


def test_what_a_hub_is_asked_stands_in_the_scrape(
    registry: CollectorRegistry, value: Value
) -> None:
    of_hub(registry)
    seat = SEAT._asdict()
    assert value("nrm_projection_lag_events") == 7
    assert value("nrm_store_events") == 40
    assert value("nrm_feed_waiting_entries", **seat) == 3
    age = value("nrm_feed_delivery_age_seconds", **seat)
    assert age is not None
    assert age > 1e9  # since 1970
    assert value("nrm_withdrawal_pending_seconds", place="feeds") == 0
    assert value("nrm_designation_expiry_timestamp_seconds", agency="gb-shelter") == 5
    assert value("nrm_agency_key_start_timestamp_seconds", agency="gb-shelter") == 4
    assert value("nrm_lane_skipped_total", lane="3") == 2
    assert value("nrm_lane_skipped_total", lane="4") == 0


def test_fields_are_counted_as_a_page_shows_or_withholds_them(
    registry: CollectorRegistry, value: Value
) -> None:
    language, metrics = AvroLanguage(), of_hub(registry)
    type = language.newest("PersonIdentityRecorded")
    fields = language.shape(type).fields
    shown = Shown(type=type, record=b"", statement=b"", signature=b"", recorded_ms=0)
    item = FeedItem(
        lane=0,
        seq=1,
        supersedes=None,
        categories=("IDENTITY",),
        granted=("IDENTITY",),
        basis="",
        event=shown,
    )
    metrics.served(FeedPage(items=(item, item), cursor=""), language)
    identity = sum(c.name == "IDENTITY" for _, c in fields)
    family = sum(c.name == "FAMILY" for _, c in fields)
    assert identity
    assert family
    assert value("nrm_fields_disclosed_total", category="IDENTITY") == 2 * identity
    assert value("nrm_fields_withheld_total", category="IDENTITY") == 0
    assert value("nrm_fields_withheld_total", category="FAMILY") == 2 * family


def test_a_relay_that_leads_shows_its_outbox_and_one_that_waits_does_not(
    registry: CollectorRegistry, value: Value
) -> None:
    of_relay(registry)
    waiting = CollectorRegistry()
    of_relay(waiting, lag=None)
    assert value("nrm_relay_leading") == 1
    assert value("nrm_outbox_events") == 4
    assert (value("nrm_outbox_age_seconds") or 0) > 1e9
    assert value("nrm_relay_commit_seconds") == 0.25
    assert waiting.get_sample_value("nrm_relay_leading") == 0
    assert waiting.get_sample_value("nrm_outbox_events") is None
    assert waiting.get_sample_value("nrm_outbox_age_seconds") is None


def test_an_empty_outbox_has_no_age(registry: CollectorRegistry, value: Value) -> None:
    of_relay(registry, lag=0)
    assert value("nrm_outbox_age_seconds") == 0


def test_a_seat_that_is_parked_is_named_until_it_flows_again(
    registry: CollectorRegistry, value: Value
) -> None:
    metrics, seat = FeedRelayMetrics(registry, lambda: 5_000), SEAT._asdict()
    metrics.parked(SEAT, "KAFKA_NOT_ALLOWED")
    metrics.parked(SEAT, "TOPIC_MISSING")
    assert value("nrm_feed_topic_parked", **seat, code="KAFKA_NOT_ALLOWED") is None
    assert value("nrm_feed_topic_parked", **seat, code="TOPIC_MISSING") == 1
    metrics.parked(SEAT, None)
    assert value("nrm_feed_topic_parked", **seat, code="TOPIC_MISSING") is None


def test_entries_in_their_topic_are_counted_with_the_time_they_took(
    registry: CollectorRegistry, value: Value
) -> None:
    metrics = FeedRelayMetrics(registry, lambda: 5_000)
    metrics.feeds_behind(12)
    metrics.delivered(SEAT, [4_000, 9_000])
    assert value("nrm_feed_topics_lag_entries") == 12
    assert value("nrm_feed_topic_entries_total", **SEAT._asdict()) == 2
    assert value("nrm_feed_topic_seconds_sum") == 1  # a clock behind the hub's counts as nothing


def test_a_withdrawal_is_timed_apart_from_other_events(
    registry: CollectorRegistry, value: Value
) -> None:
    metrics = of_projector(registry)
    events: Sequence[Recorded] = [
        recorded("nrm.v1.ConsentGiven", 1_000),
        recorded("nrm.v1.ConsentWithdrawn", 1_000),
    ]
    metrics.projected(events, 3_000)
    assert value("nrm_projection_seconds_count") == 2
    assert value("nrm_withdrawal_seconds_count", place="feeds") == 1
    assert value("nrm_withdrawal_seconds_sum", place="feeds") == 2


def test_a_lane_shows_where_it_is_and_why_it_stands_still(
    registry: CollectorRegistry, value: Value
) -> None:
    of_projector(registry)
    assert value("nrm_lane_offset_records", lane="3") == 9
    assert value("nrm_lane_lag_records", lane="3") == 2
    assert value("nrm_lane_unmoved_seconds", lane="3") == 1.5
    assert value("nrm_lane_stalled", lane="5", reason="RECORD_UNREADABLE") == 1


def test_clocks_count_what_they_had_recorded(registry: CollectorRegistry, value: Value) -> None:
    of_clocks(registry).rang("ConsentExpired", "accepted")
    assert value("nrm_clock_events_total", type="ConsentExpired", answer="accepted") == 1
    assert (value("nrm_clock_overdue_seconds") or 0) > 1e9


def test_the_custodian_counts_keys_and_what_is_wrong(
    registry: CollectorRegistry, value: Value
) -> None:
    metrics = of_custodian(registry)
    metrics.deposited(3)
    metrics.settled(2, 1)
    metrics.cut_off(0.5)
    metrics.waited(0.7)
    metrics.bad_proof()
    done = {o: value("nrm_custodian_keys_total", operation=o) for o in ("deposited", "removed")}
    assert done == {"deposited": 3, "removed": 1}
    assert value("nrm_custodian_keys_total", operation="released") == 2
    assert value("nrm_withdrawal_seconds_sum", place="keys") == 0.5
    assert value("nrm_custodian_gap_cases") == 1
    assert value("nrm_custodian_substituted_cases") == 2
    assert value("nrm_custodian_proof_wait_seconds_sum") == 0.7
    assert value("nrm_custodian_bad_proofs_total") == 1
    assert value("nrm_custodian_waiting_releases") == 5
    assert value("nrm_custodian_waiting_oldest_seconds") == 0
    assert value("nrm_custodian_degraded_cases") == 4


def test_a_gateway_shows_its_outbox_what_blocks_it_and_its_alarms(
    registry: CollectorRegistry, value: Value
) -> None:
    of_gateway(registry)
    assert value("nrm_gateway_queued_actions") == 2
    assert value("nrm_gateway_parked_entries") == 3
    assert value("nrm_gateway_blocked", code="ACTOR_SEQ_USED") == 1
    assert value("nrm_gateway_alarms_total", code="BAD_TAG") == 4
    assert value("nrm_gateway_receipts_waiting") == 5
    assert value("nrm_gateway_entries_unproven") == 6
    assert value("nrm_gateway_confirmations_waiting") == 7
    assert value("nrm_gateway_trail_alarms", code="SPLIT_VIEW") == 1


def test_what_a_store_that_is_away_would_say_is_absent_and_the_rest_is_there(
    registry: CollectorRegistry, value: Value
) -> None:
    def away() -> float:
        raise Unavailable("STORE_UNAVAILABLE", "planted")

    asked_value(registry, "nrm_away", "Planted.", away)
    asked_value(registry, "nrm_there", "Planted.", lambda: 1)
    assert value("nrm_away") is None
    assert value("nrm_there") == 1
    assert b"nrm_there 1.0" in generate_latest(registry)


def test_the_certificate_that_runs_out_first_counts_and_a_broken_file_does_not(
    registry: CollectorRegistry, value: Value, tmp_path: Path
) -> None:
    now = datetime.fromtimestamp(now_ms() // 1000, UTC)
    chain, broken = tmp_path / "ca.pem", tmp_path / "broken.pem"
    chain.write_bytes(certificate(now, days=9) + certificate(now, days=3))
    broken.write_bytes(b"no certificate")
    metrics = ProcessMetrics(registry, "relay")
    metrics.watch_certificates({"kafka_ca": [chain, broken], "gone": [tmp_path / "none.pem"]})
    end = (now + timedelta(days=3)).timestamp()
    assert value("nrm_certificate_expiry_timestamp_seconds", certificate="kafka_ca") == end
    assert value("nrm_certificate_expiry_timestamp_seconds", certificate="gone") is None


def certificate(now: datetime, days: int) -> bytes:
    """Return a certificate, self-signed with a key that is thrown away, as PEM."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "invented")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, None)
    )
    return made.public_bytes(Encoding.PEM)
