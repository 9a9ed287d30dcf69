"""`nrm-hub witness --replay` as it runs: over a folder, with the keys that trust.json pins."""

import json
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from domain.sealing.ports import OPENING_KEY_SIZE
from domain.trail.notes import Note, VerifierKey
from domain.witness import AddCheckpoint
from services.bootstrap import Parts, Settings
from services.bootstrap.witness import witness_signers
from services.local.processes import until
from services.trust import Trust
from tests import agencies as a
from tests.metrics_page import documented
from tests.services.kill_child import LIMIT
from tests.services.witness_child import BODY, WitnessChild, is_cosigned
from tests.trail.signed import NOTARY, OPERATOR, REGISTRARS, SignedTrail, public, small_trail
from tests.witnessed import Log, cosigned_at


def trust_of(log: Log) -> Trust:
    """Pin the keys that the trail was signed with."""
    return Trust(
        hub="nrm:gb",
        registrars={r: public(r) for r in REGISTRARS},
        operator=public(OPERATOR),
        custodian=public("custodian"),
        custodian_opening=bytes(OPENING_KEY_SIZE),
        notary=public(NOTARY),
        log=log.vkey.text,
    )


def ask(child: WitnessChild, trail: SignedTrail, old: int) -> tuple[int, bytes]:
    """Show the trail's checkpoint; again, as a log does, while the witness is replaying."""
    asked = AddCheckpoint(old, trail.consistency(old) if old else (), trail.note)
    answers: list[tuple[int, bytes]] = []

    def is_answered() -> bool:
        answers.append(child.ask(asked))
        return answers[-1][0] != 503

    assert until(is_answered, seconds=LIMIT)
    return answers[-1]


def test_it_replays_goes_on_after_a_kill_and_names_what_is_wrong(tmp_path: Path) -> None:
    trail, folder = small_trail(), tmp_path / "trail"
    first = trail.write(folder).size
    with WitnessChild(tmp_path, trail.log.vkey, "--replay", str(folder)) as child:
        child.data.mkdir()
        (child.data / "trust.json").write_text(trust_of(trail.log).dumps())
        child.start()
        status, lines = ask(child, trail, 0)
        assert status == 200
        assert is_cosigned(lines)
        child.kill()
        for n in range(300):
            trail.add(a.POLICE, body=b"%d" % n)
        trail.epoch()
        second = trail.write(folder).size
        child.start()
        assert ask(child, trail, first)[0] == 200
        metrics = child.fetch("/metrics")[1].decode()
        assert f"nrm_replay_entries {second}.0" in metrics
        assert "nrm_replay_lag_entries 0.0" in metrics
        there = {family.name for family in text_string_to_metric_families(metrics)}
        shown = {m.name for m in documented() if "witness" in m.processes}
        assert {n for n in there if n.startswith("nrm_")} == shown
        trail.add(a.POLICE, body=b"forged", signed_by="stranger")
        trail.epoch()
        trail.write(folder)
        status, said = ask(child, trail, second)
        assert status == 422
        verdict = f"entry {second} fails the check SIGNATURE: "
        assert said.decode().startswith(f"REPLAY_FAILED: {verdict}")
        assert f"the trail is not right: {verdict}" in child.output
        metrics = child.fetch("/metrics")[1].decode()
        assert 'nrm_replay_failed{check="SIGNATURE"} 1.0' in metrics
        assert until(lambda: child.fetch("/ready")[0] == 503, seconds=LIMIT)
        ready = json.loads(child.fetch("/ready")[1])
        assert ready["dependencies"] == {"store": "UP", "replay": "REPLAY_FAILED"}
        assert child.stop() == 0


def test_started_again_it_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    trail, folder = small_trail(), tmp_path / "trail"

    def grown(entries: int) -> int:
        for n in range(entries):
            trail.add(a.POLICE, body=b"%d" % n)
        trail.epoch()
        return trail.write(folder).size

    with WitnessChild(tmp_path, trail.log.vkey, "--replay", str(folder)) as child:
        child.data.mkdir()
        (child.data / "trust.json").write_text(trust_of(trail.log).dumps())
        size = grown(300)
        child.start()
        assert ask(child, trail, 0)[0] == 200
        assert child.stop() == 0
        (folder / "tile/entries/000").unlink()
        for _ in range(2):  # after a kill it has cosigned more than it kept
            old, size = size, grown(10)
            child.start()
            assert ask(child, trail, old)[0] == 200
            child.kill()
        assert "set aside" not in child.output


def test_the_key_that_a_policy_names_is_the_one_that_cosigns(tmp_path: Path) -> None:
    trail = small_trail()
    with WitnessChild(tmp_path, trail.log.vkey) as child:
        child.start()
        _, lines = ask(child, trail, 0)
    parts = Parts(Settings(data=child.data))
    (signer,) = witness_signers(parts, BODY, ml_dsa=False)
    assert signer.key.name == "rapporteur.nrm.gb/witness"
    assert VerifierKey.parse(signer.key.text) == signer.key
    assert cosigned_at(trail.checkpoint, signer.key, Note.decode(b"text\n\n" + lines).signatures[0])
