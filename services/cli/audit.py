"""The auditor's commands: the whole log, one case, a bundle, one entry. They trust no hub.

0 everything holds · 1 findings · 2 bad usage, or what cannot be read or written · 3 away: retry
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

from domain.errors import Corrupt, HubError, Unavailable
from services.auditor.bundling import bundle
from services.auditor.case import case as case_of
from services.auditor.evidence import check_bundle
from services.auditor.opening import Tools
from services.auditor.proving import proof
from services.auditor.report import AWAY, FINDINGS, UNREADABLE, Report
from services.auditor.verifying import verify
from services.bootstrap.anchoring import stamp_checks
from services.bootstrap.auditor import (
    agency_token,
    auditor_tools,
    bundle_file,
    enclosed,
    log_on_kafka,
    own_copies,
    own_copy,
    source_of,
    state_file,
    write_new,
)
from services.cli.common import DATA, AsJson, Data, parts_of
from services.trail.source import Source

audit_app = typer.Typer(
    help="Check the trail as an auditor: of a folder, an address, a bundle or one proof.",
    no_args_is_help=True,
)
Where = Annotated[str, typer.Argument(help="Folder of a trail, or its URL (https://…/trail).")]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="Your own copy of the policy: which log, which witnesses."),
]
TrustFile = Annotated[
    Path | None,
    typer.Option("--trust", help="Your own copy of trust.json: registrars, operator, notary."),
]
StateFile = Annotated[
    Path | None,
    typer.Option(
        "--state", help="File that keeps what was verified; the next run goes on from there."
    ),
]
WithKafka = Annotated[
    bool,
    typer.Option("--kafka", help="Compare with the log on Kafka too (NRM_KAFKA_BOOTSTRAP)."),
]
TsaFile = Annotated[
    Path | None,
    typer.Option(
        "--tsa-ca", help="Certificates (PEM) of a time-stamp authority: check its time-stamps too."
    ),
]
AsAuditor = Annotated[
    str, typer.Option("--as", help="Agency with an oversight role, whose keys lie in --data.")
]
T = TypeVar("T")


@audit_app.command("verify")
def verify_log(
    source: Where,
    policy: PolicyFile = None,
    trust: TrustFile = None,
    state: StateFile = None,
    tsa_ca: TsaFile = None,
    kafka: WithKafka = False,
    agency: AsAuditor = "",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Verify the whole log: tree, chains, map, registry, bodies and every signature.

    With --state only what came after the last run that used this file.
    """

    def work(tools: Tools) -> Report:
        own, topic = own_copies(policy, trust), log_on_kafka(parts_of(data)) if kafka else None
        trail, used = trail_at(source, agency, data), stamping(tools, tsa_ca)
        return verify(trail, own, used, state_file(state), topic)

    answer(work, as_json=as_json)


@audit_app.command("case")
def whole_case(
    source: Where,
    case: Annotated[str, typer.Argument(help="Case id, or a stream as 64 hex digits.")],
    policy: PolicyFile = None,
    trust: TrustFile = None,
    agency: AsAuditor = "",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show every entry of a case, and check that none is missing."""

    def work(tools: Tools) -> Report:
        return case_of(trail_at(source, agency, data), own_copies(policy, trust), tools, case)

    answer(work, as_json=as_json)


@audit_app.command("bundle")
def make_bundle(
    source: Where,
    case: Annotated[str, typer.Argument(help="Case id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    bodies: Annotated[
        bool, typer.Option(help="With the records of the case, sealed as they are.")
    ] = True,
    policy: PolicyFile = None,
    trust: TrustFile = None,
    agency: AsAuditor = "",
    data: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Write a bundle of evidence: the whole trail of a case, for a court to verify offline."""

    def work(tools: Tools) -> Report:
        trail, own = trail_at(source, agency, data), own_copies(policy, trust)
        report, made = bundle(trail, own, tools, case, enclosed(), bodies=bodies)
        if made:
            write_new(output, made)
            digest = sha256(made).hexdigest()
            report.notes.append(f"{output} has {len(made)} bytes and the SHA-256 {digest}")
        return report

    answer(work, as_json=as_json)


@audit_app.command("verify-bundle")
def verify_bundle(
    file: Annotated[Path, typer.Argument(help="Bundle of evidence, such as case.nrmtrail.")],
    policy: PolicyFile = None,
    trust: TrustFile = None,
    tsa_ca: TsaFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle of evidence offline, as the verify.py in it does."""

    def work(tools: Tools) -> Report:
        own, verifier = own_copies(policy, trust), enclosed().verifier
        used = stamping(tools, tsa_ca)
        return check_bundle(bundle_file(file), own, used, file.name, verifier)

    answer(work, as_json=as_json)


@audit_app.command("proof")
def prove_entry(
    proof_file: Annotated[
        Path, typer.Argument(metavar="PROOF", help="C2SP tlog-proof, such as 7.tlog-proof.")
    ],
    entry: Annotated[
        Path, typer.Argument(metavar="ENTRY", help="Bytes of the entry, such as 7.entry.")
    ],
    policy: PolicyFile = None,
    trust: TrustFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify offline that an entry is in the log, and say what it is. --policy is needed."""

    def work(tools: Tools) -> Report:
        data, own = (own_copy(proof_file), own_copy(entry)), own_copies(policy, trust)
        return proof(*data, own, tools, entry.name)

    answer(work, as_json=as_json)


def stamping(tools: Tools, tsa_ca: Path | None) -> Tools:
    """Return the tools with what checks time-stamps, if an authority is to be trusted."""
    return tools if tsa_ca is None else replace(tools, stamps=stamp_checks(tsa_ca))


def trail_at(where: str, agency: str = "", data: Path = DATA) -> Source:
    """Return the trail at a folder or an address, asked as `agency` if that is said.

    Without one, NRM_TRAIL_TOKEN may hold an access token.
    """
    if agency and "://" in where:
        return source_of(where, agency_token(parts_of(data), agency, where))
    token = os.environ.get("NRM_TRAIL_TOKEN", "")
    return source_of(where, lambda: token)


def answer(work: Callable[[Tools], Report], *, as_json: bool) -> None:
    """Do an audit, print its report, and exit with what it says."""

    def audit() -> Report:
        with auditing() as tools:
            return work(tools)

    report = ended(audit)
    _say(report.json() if as_json else report.text())
    raise typer.Exit(report.exit_code)


def _say(text: str) -> None:
    """Print the report; where it cannot be written, no exit code may pass for its verdict."""
    try:
        print(text, flush=True)
    except OSError as e:
        print(f"failed: OUTPUT: the report cannot be written: {e.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else it is tried again
        raise typer.Exit(UNREADABLE) from e


def ended(work: Callable[[], T]) -> T:
    """Return what `work` returns; an error of ours becomes one line and an exit code."""
    try:
        return work()
    except HubError as e:
        print(f"failed: {e}", file=sys.stderr)
        if isinstance(e, Unavailable):
            raise typer.Exit(AWAY) from e
        raise typer.Exit(FINDINGS if isinstance(e, Corrupt) else UNREADABLE) from e


@contextmanager
def auditing() -> Iterator[Tools]:
    """Give the tools of an audit, with a progress bar on stderr where that is a terminal."""
    logging.basicConfig(level=logging.WARNING)
    shown = sys.stderr.isatty()
    bar = Progress(console=Console(stderr=True), transient=True, disable=not shown)
    task = bar.add_task("entries", total=None)
    with (
        bar,
        auditor_tools(lambda done, size: bar.update(task, completed=done, total=size)) as tools,
    ):
        yield tools
