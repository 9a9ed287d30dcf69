"""Rules and dashboard speak of metrics that there are, and of the runbook that there is."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY, ROOT, promtool
from tests.metrics_page import documented

PROMETHEUS = DEPLOY / "prometheus"
FOREIGN = {"up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"} | {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}
"""Series that others show: Prometheus, its client library, the node exporter."""
PARTS = ("**You see**", "**It means**", "**Safe**", "**Do**", "**Wake**")
CHAPTERS = {"accepting", "publishing", "feeds", "agencies", "custodian", "gateway", "trail"} | {
    "witness",
    "failures",
    "codes-that-end-a-process",
}
FAILURES = {
    "broker down": ["brokers-away", "nrmoutboxnotmoving"],
    "broker slow or restarted, leader moved": ["brokers-slow-partitions-moving"],
    "broker's disk full": ["broker-disk-full", "nrmdiskfilling"],
    "database down, commit whose answer was lost": ["database-away"],
    "database's disk full": ["database-disk-full"],
    "crash between commit and send, kill at any step": ["a-process-was-killed-in-the-middle"],
    "two publishers": ["two-relays-at-once", "nrmnorelay"],
    "poisoned, oversized, foreign record": ["a-poisoned-oversized-or-foreign-record"],
    "unknown schema": ["unknown-schema"],
    "projector crashes, lanes change hands": ["a-projector-crashes-again-and-again"],
    "stale projection": ["nrmprojectionstopped", "nrmprojectionlagging"],
    "clock skew": ["a-clock-is-off"],
    "database restored from a backup": ["the-store-was-restored-from-a-backup"],
    "topic lost or made anew": ["the-logs-topic-was-lost-or-made-anew"],
    "withdrawal during lag": ["nrmwithdrawalnotcutoff"],
    "credential leaked": ["a-credential-or-key-is-stolen"],
    "forged or exchanged ciphertext and statements": ["nrmgatewayalarm", "nrmentriesparked"],
    "a hub that leaves out": ["nrmcustodiangap", "nrmgatewayblocked"],
    "feeds doubted": ["feeds-look-wrong"],
    "a log with two histories, or entries that do not hold": ["nrmtrailforked", "nrmreplayfailed"],
    "a time-stamp authority away or wrong": ["nrmanchormissing"],
    "a part without its keys": ["a-part-lost-its-keys"],
    "keys that wait for the trail": ["nrmreleaseswait", "nrmreleasesdegraded", "nrmbadproof"],
    "two logs, receipts and feeds that do not fit": ["nrmtrailalarm", "nrmreceiptmissing"],
    "an agency kept from the trail": ["nrmcheckpointold"],
    "a witness that forgot": ["a-witness-lost-its-folder"],
}
"""What the mechanism must withstand and an operator notices -> sections that speak of it."""
WORDS = {"by", "on", "and", "or", "unless", "group_left", "le"}


def groups() -> list[dict[str, Any]]:
    return list(yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text("utf-8"))["groups"])


def rules() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "nrm-hub.json").read_text("utf-8"))
    return found


def panels() -> dict[str, dict[str, Any]]:
    return {p["title"]: p for p in dashboard()["panels"] if p["type"] != "row"}


def expressions() -> list[tuple[str, str]]:
    """Return every expression of rules and dashboard, with where it stands."""
    of_rules = [(name, rule["expr"]) for name, rule in rules().items()]
    return of_rules + [(t, q["expr"]) for t, p in panels().items() for q in p["targets"]]


def series_in(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|\b(by|on)\s*\([^)]*\)", " ", expression)
    return set(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", bare)) - WORDS


def slug(heading: str) -> str:
    """Return the anchor that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """Return the sections of the runbook by anchor."""
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.M)
    return {slug(heading): body for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_promtool_takes_configuration_and_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert "SUCCESS" in promtool("check", "rules", str(PROMETHEUS / "alerts.yaml"))


def test_every_rule_fires_and_keeps_quiet_as_its_histories_say() -> None:
    promtool("test", "rules", str(PROMETHEUS / "alerts.test.yaml"))


def test_every_rule_has_a_history_in_which_it_fires_and_one_in_which_not() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yaml").read_text("utf-8"))["tests"]
    tried = {
        (case["alertname"], bool(case["exp_alerts"]))
        for test in tests
        for case in test["alert_rule_test"]
    }
    assert tried == {(name, fires) for name in rules() for fires in (True, False)}


@pytest.mark.parametrize("alert", rules())
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(alert: str) -> None:
    rule = rules()[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor in sections()


@pytest.mark.parametrize("section", [*sections()])
def test_a_section_of_the_runbook_says_all_that_a_night_operator_needs(section: str) -> None:
    body = sections()[section]
    if section not in {"processes", *CHAPTERS}:
        for part in PARTS:
            assert part in body, part


def test_every_failure_that_an_operator_can_meet_has_a_section() -> None:
    assert not {a for anchors in FAILURES.values() for a in anchors} - sections().keys()


def test_every_link_of_the_runbook_leads_to_a_section_or_a_file() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        page, _, anchor = target.partition("#")
        assert (ROOT / "docs" / page).exists()
        assert page or anchor in sections(), target


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_an_expression_uses_series_that_there_are(where: str, expression: str) -> None:
    there = FOREIGN | {series for metric in documented() for series in metric.series}
    assert series_in(expression) <= there, where
    assert series_in(expression)


def test_an_unknown_series_would_be_found() -> None:
    assert series_in('sum by (le) (rate(nrm_bogus_bucket{le="1"}[5m])) > on () 0.5') == {
        "nrm_bogus_bucket"
    }


def test_every_documented_metric_has_a_panel() -> None:
    shown = {s for _, e in expressions() for s in series_in(e)}
    assert not {m.name for m in documented() if not m.series & shown}


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= 39
    ids = [p["id"] for p in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels().values():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [t["refId"] for t in panel["targets"]] == sorted(
            {t["refId"] for t in panel["targets"]}
        )
    boxes = [p["gridPos"] for p in board["panels"]]
    assert all(b["x"] + b["w"] <= 24 for b in boxes)
    for one, next_ in pairwise(boxes):
        assert (next_["y"], next_["x"]) > (one["y"], one["x"])


def test_prometheus_scrapes_every_kind_of_process() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"].removeprefix("nrm-") for job in config["scrape_configs"]}
    kinds = {p for m in documented() for p in m.processes}
    assert kinds <= jobs
    assert config["global"]["scrape_interval"] == "15s"
