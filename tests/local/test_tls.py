"""Local brokers with TLS: every listener is encrypted, and certificates open the operator's."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from services.local import pems
from services.local.access import taking_part
from services.local.brokers import Brokers
from tests.local.test_brokers import administrator
from tests.servers import running

# kafka-python 3.0 leaves the socket of a failed handshake to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # here, where that is allowed, and not in another module's test


@pytest.fixture(scope="module")
def encrypted(server_folder: Path) -> Iterator[Brokers]:
    with running("Kafka", lambda: Brokers(server_folder / "tls", tls=True)) as own:
        yield own


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    pems.make(folder, ["operator"])
    return folder


def by_certificate(brokers: Brokers, ca: str, pem: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": brokers.operator_bootstrap.split(","),
        "security_protocol": "SSL",
        "ssl_cafile": ca,
        "ssl_certfile": pem or None,
    }


def test_a_password_works_over_tls_with_the_clusters_own_authority(encrypted: Brokers) -> None:
    assert taking_part(encrypted.client_options())


def test_a_client_that_trusts_another_authority_talks_to_nobody(
    encrypted: Brokers, foreign: Path
) -> None:
    assert not taking_part(encrypted.client_options() | {"ssl_cafile": str(foreign / "ca.pem")})


def test_nothing_is_answered_without_tls(encrypted: Brokers) -> None:
    assert not taking_part(encrypted.client_options() | {"security_protocol": "SASL_PLAINTEXT"})


def test_the_operator_is_a_super_user_by_certificate_alone(encrypted: Brokers) -> None:
    # given
    options = by_certificate(encrypted, encrypted.ca, encrypted.operator_pem)
    # when: only a super user may read who has credentials
    with administrator(options) as admin:
        users = admin.describe_user_scram_credentials()
    # then
    assert list(users) == ["admin"]


def test_the_operators_door_stays_shut_without_a_certificate_of_the_cluster(
    encrypted: Brokers, foreign: Path
) -> None:
    assert taking_part(by_certificate(encrypted, encrypted.ca, encrypted.operator_pem))
    assert not taking_part(by_certificate(encrypted, encrypted.ca, ""))
    assert not taking_part(by_certificate(encrypted, encrypted.ca, str(foreign / "operator.pem")))


def test_keys_are_private_and_the_authoritys_is_not_kept(encrypted: Brokers) -> None:
    # given
    folder = Path(encrypted.ca).parent
    keys = {f.name for f in folder.iterdir() if b"PRIVATE KEY" in f.read_bytes()}
    # then
    assert keys == {"broker-1.pem", "operator.pem"}
    assert {(folder / name).stat().st_mode & 0o777 for name in keys} == {0o600}


def test_a_certificate_names_its_holder_and_loopback(foreign: Path) -> None:
    # given
    held, issuer = x509.load_pem_x509_certificates((foreign / "operator.pem").read_bytes())
    # then
    held.verify_directly_issued_by(issuer)
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.subject.rfc4514_string() == "CN=operator"
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert (held.not_valid_after_utc - held.not_valid_before_utc).days == pems.DAYS
