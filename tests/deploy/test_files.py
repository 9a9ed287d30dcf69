"""What is in deploy/ is what the programs that read it take, and the pages speak of it rightly."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli import app
from tests.deploy.tools import DEPLOY, ROOT, run
from tests.metrics_page import PROCESSES

SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TEXTS = [p for p in sorted(DEPLOY.rglob("*")) if p.is_file() and "secrets" not in p.parts]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_yaml_file_is_in_good_order() -> None:
    run("yamllint", "--strict", "-c", str(DEPLOY / ".yamllint.yaml"), str(DEPLOY))


def test_the_dockerfile_passes_its_linter() -> None:
    run("hadolint", str(DEPLOY / "Dockerfile"))


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_script_passes_its_linter(script: Path) -> None:
    run("shellcheck", str(script))
    assert script.stat().st_mode & 0o100


def test_the_image_runs_as_nobody_special_and_holds_nothing_that_builds() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in last
    assert "/health" in last
    assert last.count("pip uninstall") == 1
    assert text.count("pip uninstall") == 3
    assert not re.search(r":latest|apt-get|curl|ADD ", text)
    assert all(":" in image for image in re.findall(r"^FROM (\S+)", text, re.M))


def test_nothing_but_the_program_gets_into_the_image() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.M)
    assert rules[0] == "*"
    assert {r[1:] for r in rules if r[0] == "!"} == {f for line in copied for f in line.split()}


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_is_one_that_systemd_takes_and_calls_safe(unit: Path, tmp_path: Path) -> None:
    instance = tmp_path / unit.name.replace("@.", "@8704.")
    text = unit.read_text("utf-8")
    instance.write_text(text.replace("/opt/nrm-hub/bin/nrm-hub", "/bin/true"), "utf-8")
    assert run("systemd-analyze", "verify", str(instance)) == ""
    run("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(instance))


def test_every_process_has_settings_for_its_unit() -> None:
    there = {path.stem for path in (DEPLOY / "systemd").glob("*.env")}
    assert there == set(PROCESSES)


@pytest.mark.parametrize("text", TEXTS, ids=name_of)
def test_no_file_holds_a_secret(text: Path) -> None:
    content = text.read_text("utf-8")
    assert not re.search(r"-----BEGIN|[A-Za-z0-9+/]{60,}={0,2}\b", content)
    for value in re.findall(
        r"(?i)(?:password|passphrase)[\"']?\s*[:=]\s*[\"']?([^\s\"',}\]]+)", content
    ):
        assert re.match(r"/run/|/etc/|\$|kafka_|database_|\[|\{|\./|%", value), value


def test_the_variables_in_the_files_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    documented = set(re.findall(r"\bNRM_[A-Z_]+\b", page)) | {"NRM_KAFKA_CLUSTER"}
    used = {v for p in TEXTS for v in re.findall(r"\bNRM_[A-Z_]+\b", p.read_text("utf-8"))}
    assert {v.removesuffix("_FILE") for v in used} <= documented


def commands(group: Any, before: str = "") -> Iterator[str]:
    """Yield every command and group of the command line."""
    for name, command in group.commands.items():
        yield f"{before}{name}"
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")


def test_the_commands_that_pages_and_files_name_are_there() -> None:
    there = set(commands(typer.main.get_command(app)))
    groups = {command.split()[0] for command in there if " " in command}
    pages = [ROOT / "docs" / f"{name}.md" for name in ("runbook", "operating", "scale")]
    named = set[str]()
    for page in [*pages, *TEXTS]:
        text = page.read_text("utf-8")
        for words in re.findall(r"(?:^|`)nrm-hub ((?:[a-z-]+ ?)+)", text, re.M):
            first, *rest = words.split()
            named.add(f"{first} {rest[0]}" if first in groups else first)
    assert {"skip", "topics plan", "agency suspend"} <= named
    assert named <= there | {"is"}  # "nrm-hub is a program" begins a line too
