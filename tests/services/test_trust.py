"""What every part pins is read as it was written, or not at all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from domain.errors import Malformed, Refused
from domain.trail.notes import Algorithm, VerifierKey
from services.bootstrap import COORDINATOR, Parts, Settings
from services.bootstrap.parts import PINS
from services.trust import Trust
from tests.agencies import sha

HUB = "nrm:xa"
TRUST = Trust(
    hub=HUB,
    registrars={"registrar-a": sha("a"), "registrar-b": sha("b")},
    operator=sha("operator"),
    custodian=sha("custodian"),
    custodian_opening=sha("opening") * 38,
    notary=sha("notary"),
    log=VerifierKey("nrm:xa.nrm/trail", Algorithm.ED25519, sha("log")).text,
)
WITNESS = VerifierKey("nrm.xa/witness", Algorithm.ED25519_COSIGNATURE, sha("log"))
WHOLE = json.loads(TRUST.dumps())
SHARES = {
    "custodian": {k: WHOLE[k] for k in ("custodian", "custodian_opening")},
    "notary": {k: WHOLE[k] for k in ("notary", "log")},
    f"gateways/{COORDINATOR}": {"operator": WHOLE["operator"]},
    **{f"registrars/{n}": {f"registrars/{n}": k} for n, k in WHOLE["registrars"].items()},
}


def texts(**changed: object) -> list[str]:
    """Return the shares of all parts, with a key changed."""
    return [
        json.dumps(share | {k: v for k, v in changed.items() if k in share})
        for share in SHARES.values()
    ]


def test_the_keys_come_back_as_they_were() -> None:
    assert Trust.loads(TRUST.dumps()) == TRUST
    assert Trust.joined(HUB, [json.dumps(dict(TRUST.pins))]) == TRUST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        b"\xff",
        "[" * 100_000,
        json.dumps(WHOLE | {"operator": "no hex"}),
        json.dumps(WHOLE | {"operator": WHOLE["operator"][2:]}),
        json.dumps(WHOLE | {"operator": 5}),
        json.dumps(WHOLE | {"custodian_opening": WHOLE["custodian"]}),
        json.dumps(WHOLE | {"registrars": {"registrar-a": sha("a").hex()}}),
        json.dumps(WHOLE | {"registrars": [sha("a").hex(), sha("b").hex()]}),
        json.dumps(WHOLE | {"another": "00"}),
        json.dumps(WHOLE | {"log": "no+verifier+key"}),
        json.dumps(WHOLE | {"log": WITNESS.text}),
        json.dumps({k: v for k, v in WHOLE.items() if k != "custodian"}),
    ],
)
def test_what_is_not_just_the_keys_is_refused(text: str | bytes) -> None:
    with pytest.raises(Malformed, match=r"^TRUST: "):
        Trust.loads(text)


def test_the_shares_of_all_bodies_joined_are_the_keys() -> None:
    assert Trust.joined(HUB, texts()) == TRUST
    assert Trust.joined(HUB, reversed(texts())) == TRUST


@pytest.mark.parametrize("left_out", range(len(SHARES)))
def test_without_the_share_of_one_body_nothing_is_joined(left_out: int) -> None:
    shares = texts()
    del shares[left_out]
    with pytest.raises(Malformed, match=r"^TRUST_SHARES: .*(missing|2 registrars)"):
        Trust.joined(HUB, shares)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([*texts(), texts()[0]], "'custodian' is given twice"),
        ([*texts(), '{"registrars/registrar-b": "00"}'], "'registrars/registrar-b' is given twice"),
        ([*texts(), json.dumps({"registrars/another": sha("c").hex()})], "2 registrars"),
        (texts(**{"registrars/registrar-b": sha("a").hex()}), "a key of its own"),
        (texts(operator=sha("operator").hex()[1:]), "operator is not 32 bytes in hex"),
        (texts(custodian_opening=sha("opening").hex()), "not 1216 bytes in hex"),
        ([*texts(), '{"hub": "nrm:another"}'], "something else"),
        ([*texts(), b"\xff\xfe"], "no JSON"),
    ],
)
def test_what_is_not_each_key_once_is_not_joined(shares: list[str | bytes], said: str) -> None:
    with pytest.raises(Malformed, match=f"^TRUST_SHARES: .*{said}"):
        Trust.joined(HUB, shares)


def test_a_part_believes_the_file_and_makes_no_keys_of_others(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(TRUST.dumps(), "utf-8")
    parts = Parts(Settings(data=tmp_path, hub_id=HUB))
    assert parts.trust == TRUST
    assert parts.operator().signing_key == TRUST.operator
    assert parts.registrars() == TRUST.registrars
    assert [p.name for p in tmp_path.iterdir()] == ["trust.json"]


def test_a_part_does_not_believe_the_file_of_another_hub(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(TRUST.dumps(), "utf-8")
    parts = Parts(Settings(data=tmp_path))
    with pytest.raises(Refused, match=r"^TRUST_OF_ANOTHER_HUB: "):
        _ = parts.trust


def test_where_every_part_runs_the_keys_that_lie_there_are_pinned(tmp_path: Path) -> None:
    parts = Parts(Settings(data=tmp_path))
    assert parts.trust.operator == parts.public_key(f"gateways/{COORDINATOR}")
    assert Parts(Settings(data=tmp_path)).trust == parts.trust


def nrm_hub(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the hub, as an operator does."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NRM_")}
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "services.cli", *words, "--data", str(data)],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refusal(*words: str, data: Path) -> str:
    """Return the reason code of a refusal, which is one line and exit code 2."""
    done = nrm_hub(*words, data=data)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    refused, code, message = line.split(": ", 2)
    assert refused == "refused"
    assert message
    return code


def test_bodies_apart_make_one_trust_of_their_own_keys(tmp_path: Path) -> None:
    # given: each body with a folder of its own, and what it printed
    shares = []
    for part in SHARES:
        body = tmp_path / part.replace("/", "-")
        shares.append(body.with_suffix(".json"))
        printed = nrm_hub("keys", part, data=body)
        assert (printed.returncode, printed.stderr) == (0, "")
        assert nrm_hub("keys", part, data=body).stdout == printed.stdout
        shares[-1].write_text(printed.stdout, "utf-8")
    # when
    done = nrm_hub("trust", *map(str, shares), data=tmp_path / "hub")
    # then
    assert (done.returncode, done.stderr) == (0, "")
    found = Trust.loads(done.stdout)
    assert found.hub == "nrm:gb"
    custodian = Parts(Settings(data=tmp_path / "custodian"))
    assert found.custodian == custodian.public_key("custodian")
    assert not (tmp_path / "hub" / "custodian").exists()
    # and: a share that is not there, or none, is one line
    gone = str(tmp_path / "gone.json")
    assert refusal("trust", *map(str, shares[1:]), gone, data=tmp_path) == "TRUST_SHARES"
    assert refusal("trust", *map(str, shares[1:]), str(tmp_path), data=tmp_path) == "TRUST_SHARES"
    assert refusal("keys", "gateways/gb-police", data=tmp_path / "hub") == "PART"


AT = ("--listen", "127.0.0.1:1")
LINKS = ("--hub", "http://h", "--trail", "http://t")
APART = {
    "hub": ("hub", *AT),
    "relay": ("relay", *AT),
    "feed-relay": ("feed-relay", *AT),
    "projector": ("projector", *AT),
    "notary": ("notary", *AT),
    "clocks": ("clocks", *AT, "--coordinator", "http://127.0.0.1:1"),
    "custodian": ("custodian", *AT, *LINKS),
    "gateway": ("gateway", "gb-police", *AT, *LINKS, "--custodian", "http://c"),
    "rebuild": ("rebuild",),
}


@pytest.mark.parametrize("words", APART.values(), ids=APART)
def test_a_part_that_runs_apart_pins_no_keys_that_it_made_itself(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert refusal(*words, data=tmp_path) == "TRUST_MISSING"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "code"), [(TRUST.dumps().encode(), "TRUST_OF_ANOTHER_HUB"), (b"\xff", "TRUST")]
)
def test_a_part_that_runs_apart_pins_nothing_from_a_file_that_is_not_its_own(
    tmp_path: Path, text: bytes, code: str
) -> None:
    (tmp_path / "trust.json").write_bytes(text)
    assert refusal(*APART["relay"], data=tmp_path) == code


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of every pinned part, with trust.json and its hub's own id."""
    data = tmp_path_factory.mktemp("pinned")
    (data / "trust.json").write_text(Parts(Settings(data=data)).own_keys().dumps(), "utf-8")
    return data


def copied(pinned: Path, to: Path) -> Path:
    return Path(shutil.copytree(pinned, to / "data"))


def other(part: str, data: Path) -> None:
    """Put another body's key folder in the place of a part's own."""
    elsewhere = data.with_name("elsewhere")
    Parts(Settings(data=elsewhere)).share(part)
    shutil.rmtree(data / part)
    shutil.copytree(elsewhere / part, data / part)


def gone(part: str, data: Path) -> None:
    shutil.rmtree(data / part)


def empty(part: str, data: Path) -> None:
    for file in (data / part / "keys").iterdir():
        file.unlink()


def one_gone(part: str, data: Path) -> None:
    """Remove the last of a part's own secrets alone."""
    (data / part / "keys" / f"{[*PINS[part]][-1]}.secret").unlink()


PINNED_PARTS = {
    "custodian": APART["custodian"],
    "notary": ("notary", *AT),
    f"gateways/{COORDINATOR}": ("gateway", COORDINATOR, *APART["gateway"][2:]),
    "registrars/registrar-a": ("gateway", COORDINATOR, *APART["gateway"][2:]),
}


@pytest.mark.parametrize("lose", [gone, empty, one_gone, other])
@pytest.mark.parametrize("part", PINNED_PARTS)
def test_a_part_that_lost_its_pinned_keys_makes_none(
    part: str, lose: Callable[[str, Path], None], pinned: Path, tmp_path: Path
) -> None:
    # given
    data = copied(pinned, tmp_path)
    lose(part, data)
    before = sorted((data / part).rglob("*"))
    # when, then: neither at its start, nor when its share is asked for
    parts = Parts(Settings(data=data))
    for name in PINS[part]:
        lost = lose is not one_gone or name == [*PINS[part]][-1]
        with pytest.raises(Refused, match=r"^TRUST_OTHER_KEYS: ") if lost else nullcontext():
            parts.secret(part, name)
    with pytest.raises(Refused, match=r"^TRUST_OTHER_KEYS: .*restore it from its backup"):
        parts.share(part)
    assert sorted((data / part).rglob("*")) == before


@pytest.mark.parametrize(("part", "words"), PINNED_PARTS.items(), ids=PINNED_PARTS)
def test_a_part_without_its_pinned_keys_does_not_start(
    part: str, words: tuple[str, ...], pinned: Path, tmp_path: Path
) -> None:
    data = copied(pinned, tmp_path)
    (data / "policy").write_text("quorum none\n", "utf-8")
    gone(part, data)
    assert refusal(*words, data=data) == "TRUST_OTHER_KEYS"
    assert not list((data / part).rglob("*.secret"))


def test_what_is_not_pinned_is_made_at_first_use(pinned: Path, tmp_path: Path) -> None:
    parts = Parts(Settings(data=copied(pinned, tmp_path)))
    assert parts.secret("custodian", "box").reveal() == parts.secret("custodian", "box").reveal()
    parts.public_keys("gb-police")
    assert len(parts.secret("custodian", "opening").reveal()) == 32
