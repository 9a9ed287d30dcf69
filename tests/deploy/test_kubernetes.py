"""The manifests give a pod no more than it needs, and say when it is to be restarted."""

from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY, IMAGE

KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def manifests(kind: str) -> dict[str, dict[str, Any]]:
    """Return the manifests of a kind by name."""
    documents = (d for path in KUBERNETES for d in yaml.safe_load_all(path.read_text("utf-8")))
    return {d["metadata"]["name"]: d for d in documents if d and d["kind"] == kind}


WORKLOADS = manifests("Deployment") | manifests("StatefulSet")


def pod(workload: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKLOADS[workload]["spec"]["template"]
    return found


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_has_no_more_rights_than_it_needs(workload: str) -> None:
    spec = pod(workload)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"] + spec.get("initContainers", []):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert container["image"] == IMAGE


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_pod_is_restarted_for_its_health_and_never_for_somebody_elses(workload: str) -> None:
    for container in pod(workload)["spec"]["containers"]:
        assert container["livenessProbe"]["httpGet"]["path"] == "/health"
        assert container["startupProbe"]["httpGet"]["path"] == "/health"
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
        ports = {port["name"] for port in container["ports"]}
        assert container["readinessProbe"]["httpGet"]["port"] in ports


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_a_pod_mounts_is_declared_and_what_selects_it_fits(workload: str) -> None:
    template, declared = pod(workload), WORKLOADS[workload]["spec"]
    volumes = {v["name"] for v in template["spec"]["volumes"]}
    volumes |= {c["metadata"]["name"] for c in declared.get("volumeClaimTemplates", ())}
    containers = template["spec"]["containers"] + template["spec"].get("initContainers", [])
    assert {m["name"] for c in containers for m in c["volumeMounts"]} == volumes
    assert declared["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_deployments_survive_a_drain_and_what_holds_keys_is_never_doubled() -> None:
    budgets = manifests("PodDisruptionBudget")
    deployments = manifests("Deployment")
    assert budgets.keys() == deployments.keys()
    assert all(d["spec"]["replicas"] >= 2 for d in deployments.values())
    assert {s["spec"]["replicas"] for s in manifests("StatefulSet").values()} == {1}


def test_a_user_of_kafka_is_one_that_the_declaration_makes() -> None:
    users = manifests("KafkaUser")
    for workload in manifests("Deployment"):
        for volume in pod(workload)["spec"]["volumes"]:
            if volume["name"] == "kafka-user":
                assert volume["secret"]["secretName"] in users
    cluster = manifests("Kafka")
    labels = {u["metadata"]["labels"]["strimzi.io/cluster"] for u in users.values()}
    assert labels == set(cluster)


def test_pods_reach_nobody_unless_a_policy_says_so() -> None:
    policies = manifests("NetworkPolicy")
    nothing = policies.pop("nothing-by-default")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    to_database = policies["to-database"]["spec"]["podSelector"]["matchLabels"]
    reach = {w for w in WORKLOADS if to_database.items() <= pod(w)["metadata"]["labels"].items()}
    assert reach == {"hub", "relay", "feed-relay", "projector", "notary", "coordinator"}
    to_brokers = policies["to-brokers"]["spec"]["podSelector"]["matchLabels"]
    reach = {w for w in WORKLOADS if to_brokers.items() <= pod(w)["metadata"]["labels"].items()}
    assert reach == {"relay", "feed-relay", "projector"}
