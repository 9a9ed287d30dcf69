"""`nrm-hub audit` at a terminal: what it prints, and the exit codes on which scripts rely."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from domain.trail.statement import stream_tag
from services.cli import app
from tests.trail import audited
from tests.trail.example import FOLDER as EXAMPLE
from tests.trail.signed import CASE, SignedTrail, small_trail

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trail() -> SignedTrail:
    return small_trail()


@pytest.fixture(scope="module")
def folder(trail: SignedTrail, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("audited") / "trail"
    audited.write(made, trail)
    (made.parent / "policy").write_bytes(audited.policy_of(trail))
    (made.parent / "trust.json").write_bytes(audited.trust_of(trail))
    return made


@pytest.fixture(scope="module")
def own(folder: Path) -> list[str]:
    return ["--policy", f"{folder.parent}/policy", "--trust", f"{folder.parent}/trust.json"]


def audit(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def test_verify_says_what_was_checked_and_as_of_when(folder: Path, own: list[str]) -> None:
    done = audit("verify", folder, *own)
    assert done.exit_code == 0
    assert "2026-06-01T09:00:00Z  w0" in done.stdout
    assert "holds    SIGNATURE: 11 signatures" in done.stdout
    assert done.stdout.endswith("Everything checked holds.\n")
    said = json.loads(audit("verify", folder, *own, "--json").stdout)
    assert said["holds"]
    assert said["checkpoint"]["size"] == 14
    assert said["cosigned"] == {"w0": "2026-06-01T09:00:00Z", "w1": "2026-06-01T09:00:00Z"}


def test_without_copies_of_ones_own_the_report_says_so(folder: Path) -> None:
    done = audit("verify", folder)
    assert done.exit_code == 0
    assert "policy came with what is audited" in done.stdout
    assert "trust.json came with what is audited" in done.stdout


def test_what_held_is_remembered_in_a_file_of_any_name(
    folder: Path, own: list[str], tmp_path: Path
) -> None:
    words = ["verify", str(folder), *own, "--state", f"{tmp_path}/.held"]
    assert "SIGNATURE: 11 signatures\n" in audit(*words).stdout
    again = audit(*words)
    assert again.exit_code == 0
    assert "SIGNATURE: 0 signatures, from entry 14 on" in again.stdout


def test_a_finding_names_check_and_entry_and_exits_with_1(
    trail: SignedTrail, own: list[str], tmp_path: Path
) -> None:
    audited.write(tmp_path, trail)
    body = tmp_path / "body/000.p/14"
    body.write_bytes(body.read_bytes().replace(b"opened", b"closed"))
    done = audit("verify", tmp_path, *own)
    assert done.exit_code == 1
    assert "FINDING  BODY: entry 6: the body is not the one that was signed" in done.stdout
    said = json.loads(audit("verify", tmp_path, *own, "--json").stdout)
    assert said["findings"] == [
        {"check": "BODY", "message": "the body is not the one that was signed", "index": 6}
    ]


def test_a_case_shows_every_entry_and_that_none_is_missing(folder: Path, own: list[str]) -> None:
    done = audit("case", folder, CASE, *own)
    assert done.exit_code == 0
    assert "entry 8  action by refuge, refused: CONSENT_MISSING" in done.stdout
    assert "COMPLETENESS: disclosures: all 3 entries that the map of heads counts" in done.stdout
    stream = stream_tag(CASE).hex()
    assert "COMPLETENESS: stream: all 2 entries" in audit("case", folder, stream, *own).stdout


def test_a_case_of_which_the_log_has_nothing_is_proven_absent(folder: Path, own: list[str]) -> None:
    done = audit("case", folder, "00000000-0000-4000-8000-000000000000", *own)
    assert done.exit_code == 0
    assert "trail: the log has nothing, and its map says so" in done.stdout


def test_a_bundle_is_written_and_verified(folder: Path, own: list[str], tmp_path: Path) -> None:
    file = tmp_path / "case.nrmtrail"
    done = audit("bundle", folder, CASE, "-o", file, *own)
    assert done.exit_code == 0
    assert f"{file} has" in done.stdout
    assert audit("verify-bundle", file, *own).exit_code == 0
    assert audit("verify-bundle", file, *own, "--json").exit_code == 0
    smaller = tmp_path / "smaller.nrmtrail"
    assert audit("bundle", folder, CASE, "-o", smaller, "--no-bodies", *own).exit_code == 0
    assert smaller.stat().st_size < file.stat().st_size


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["verify", "no-such-folder"], "SOURCE"),
        (["verify", "ftp://example.org/trail"], "SOURCE"),
        (["verify", "{folder}", "--policy", "{folder}/checkpoint"], "POLICY"),
        (["verify", "{folder}", "--policy", "no-such-file"], "UNREADABLE"),
        (["verify", "{folder}", "--trust", "{folder}/policy"], "TRUST"),
        (["verify", "{folder}", "--state", "{folder}/policy"], "STATE"),
        (["verify", "{folder}", "--kafka", "--data", "{folder}/none"], "KAFKA_BOOTSTRAP"),
        (["verify", "http://127.0.0.1:9/trail", "--as", "x", "--data", "{folder}"], "AGENCY_KEYS"),
        (["case", "{folder}", "no case"], "CASE_ID"),
        (["bundle", "{folder}", "no case", "-o", "out"], "CASE_ID"),
        (["bundle", "{folder}", "00000000-0000-4000-8000-000000000000", "-o", "o"], "NO_SUCH_CASE"),
        (["bundle", "{folder}", CASE, "-o", "{folder}/no/such/folder"], "OUTPUT"),
        (["verify", "{folder}", "--state", "{folder}"], "STATE"),
        (["verify-bundle", "no-such-file"], "UNREADABLE"),
        (["verify-bundle", "{folder}/tile/0/000.p/14"], "ARCHIVE"),
        (["verify", "http://[::1/trail"], "SOURCE"),
        (["verify", "{folder}", "--policy", "/dev/zero"], "FILE_SIZE"),
        (["verify", "{folder}", "--state", "/dev/zero"], "STATE"),
        (["bundle", "{folder}", CASE, "-o", "/dev/full"], "OUTPUT"),
        (["who-saw", "{folder}", CASE, "--at", "2027"], "INSTANT"),
        (["disclosures", "{folder}", "--pack", "no-such-file"], "UNREADABLE"),
        (["disclosures", "{folder}", "--pack", "{folder}/checkpoint"], "POLICY_SYNTAX"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_exits_with_2(
    folder: Path, words: list[str], code: str
) -> None:
    done = audit(*(word.format(folder=folder) for word in words))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"failed: {code}: ")
    assert done.stderr.count("\n") == 1


def test_a_report_that_cannot_be_written_is_no_verdict() -> None:
    command = [sys.executable, "-m", "services.cli", "audit", "verify", str(EXAMPLE)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603 - our own command
            command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, check=False, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith("failed: OUTPUT: ")
    assert done.stderr.count("\n") == 1


def test_an_address_that_does_not_answer_exits_with_3() -> None:
    done = audit("verify", "http://127.0.0.1:9/trail")
    assert done.exit_code == 3
    assert done.stderr.startswith("failed: SOURCE_AWAY: ")


@pytest.mark.parametrize("lies", [(), ("keys",), ("keys", "keys/opening.secret")])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("audit verify {address}", "AGENCY_KEYS"),
        ("audit case {address} {case}", "AGENCY_KEYS"),
        ("audit challenge {address} {case}", "AGENCY_KEYS"),
        ("case list", "AGENCY_TOKEN"),
        ("trail status", "NO_GATEWAY"),
    ],
)
def test_a_command_for_an_agency_makes_no_keys(
    words: str, code: str, lies: tuple[str, ...], tmp_path: Path
) -> None:
    own = tmp_path / "gateways" / "refuge"
    own.mkdir(parents=True)
    for path in lies:
        (own / path).touch() if "." in path else (own / path).mkdir()
    (tmp_path / "addresses.json").write_text('{"gateways": {"refuge": "http://127.0.0.1:9"}}')
    before = sorted(tmp_path.rglob("*"))
    asked = words.format(address="http://127.0.0.1:9/trail", case=CASE).split()
    done = CliRunner().invoke(app, [*asked, "--as", "refuge", "--data", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.partition(": ")[2].startswith(f"{code}: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["verify", "case"])
def test_the_page_for_auditors_shows_what_is_printed(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs/auditing.md").read_text("utf-8")
    shown = re.search(rf"```\n\$ nrm-hub audit ({command} \S+example .*)\n([^`]*)```", page)
    assert shown
    place = EXAMPLE.relative_to(ROOT)
    files = {"policy": f"{place}/policy", "trust.json": f"{place}/trust.json"}
    done = audit(*(files.get(word, word) for word in shown[1].split()))
    assert done.exit_code == 0
    assert [line for line in shown[2].splitlines() if line not in done.stdout.splitlines()] == []
    assert command != "verify" or shown[2] == done.stdout
