"""The containers of compose.yaml can write nowhere, reach few, and hold secrets as files alone."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.local.properties import Node, Ports
from tests.deploy.tools import DEPLOY, IMAGE, run
from tests.metrics_page import PROCESSES


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


def settings_in(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text("utf-8").splitlines())
    return {key: value for key, is_setting, value in lines if is_setting and key[0] != "#"}


def test_compose_takes_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NRM_KAFKA_CLUSTER", "invented")
    run("docker-compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet")


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_can_write_nowhere_and_do_nothing_special(service: str) -> None:
    found = SERVICES[service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert "privileged" not in found
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["user"].split(":")[0] not in {"0", "root"}
    assert found["mem_limit"]
    assert re.search(r":[\w.-]*\d", found["image"])
    assert all(port.startswith("127.0.0.1:") for port in found.get("ports", ()))


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_gets_secrets_as_files_alone(service: str) -> None:
    found, declared = SERVICES[service], compose()["secrets"]
    for secret in found.get("secrets", ()):
        name = secret if isinstance(secret, str) else secret["source"]
        assert declared[name]["file"].startswith("./secrets/")
    for name, value in found.get("environment", {}).items():
        if re.search("PASSWORD|PASSPHRASE|DATABASE_URL", name):
            assert name.endswith("_FILE")
            assert value.startswith("/run/secrets/")


def test_compose_declares_no_secret_that_nobody_uses() -> None:
    used = {
        s if isinstance(s, str) else s["source"]
        for service in SERVICES.values()
        for s in service.get("secrets", ())
    }
    assert used == compose()["secrets"].keys()


@pytest.mark.parametrize(
    ("network", "allowed"),
    [
        ("database", {"database", "hub-1", "hub-2", "relay", "feed-relay", "notary", "clocks"}),
        ("brokers", {"kafka-1", "kafka-2", "kafka-3", "relay", "feed-relay"}),
        ("hubs", {"hub-1", "hub-2", "proxy", "prometheus"}),
    ],
)
def test_a_network_reaches_those_alone_who_need_it(network: str, allowed: set[str]) -> None:
    there = {name for name, service in SERVICES.items() if network in service["networks"]}
    projectors = {"projector-1", "projector-2"} if network != "hubs" else set()
    assert there == allowed | projectors
    assert compose()["networks"][network] == {"internal": True}


def test_compose_runs_every_process() -> None:
    commands = {s["command"][0] for s in SERVICES.values() if s["image"] == IMAGE}
    assert commands == set(PROCESSES)


def test_the_proxy_keeps_to_itself_what_names_the_agencies() -> None:
    text = (DEPLOY / "compose" / "proxy.conf").read_text("utf-8")
    assert re.search(r"location ~ \^/\(metrics\|ready\) \{ return 404; \}", text)
    assert "ssl_protocols TLSv1.3;" in text
    assert "access_log off;" in text


def test_a_broker_is_secured_as_the_brokers_of_the_tests_are() -> None:
    declared = settings_in(DEPLOY / "compose" / "broker.properties")
    ports = [Ports(client=n, internal=n, controller=n, operator=n) for n in (1, 2, 3)]
    node = Node(id=1, ports=ports, home=Path("home"), pems=Path("pems"), reauth_ms=1)
    tried = dict(line.split("=", 1) for line in node.server().splitlines())
    own = {"controller.quorum.voters", "log.dirs", "ssl.keystore.location"} | {
        "ssl.truststore.location",
        "listener.name.client.connections.max.reauth.ms",
    }
    same = {k: v for k, v in declared.items() if k in tried and k not in own}
    assert same == {k: tried[k] for k in same}
    assert {k for k in tried if re.match("ssl|sasl|listener|authorizer|allow|super", k)} <= {
        *declared,
        "listeners",
    }
    assert int(declared["listener.name.client.connections.max.reauth.ms"]) <= 900_000
