"""`nrm-hub witness`: cosign the checkpoints of a log, as any agency or neighbour may."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from domain.trail.notes import VerifierKey
from services import apart
from services.bootstrap.witness import Watched, log_keys, witness_signers
from services.cli.common import DATA, Data, do, parts_of, stopping
from services.cli.processes import Listen

Body = Annotated[
    str,
    typer.Argument(envvar="NRM_WITNESS", help="Who runs it, as a word, such as rapporteur."),
]
_LINES = "%(asctime)s %(levelname)s %(name)s %(message)s"
MlDsa = Annotated[
    bool,
    typer.Option("--ml-dsa", envvar="NRM_WITNESS_ML_DSA", help="Cosign with ML-DSA-44 as well."),
]


def witness(
    body: Body,
    listen: Listen,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="NRM_WITNESS_LOGS",
            help="File with the vkey of a log to watch; without one, the log that trust.json pins.",
        ),
    ] = None,
    replay: Annotated[
        str,
        typer.Option(envvar="NRM_WITNESS_REPLAY", help="Folder or URL of the trail, to replay it."),
    ] = "",
    agency: Annotated[
        str,
        typer.Option(envvar="NRM_AGENCY", help="As whom a URL is asked: one that may audit."),
    ] = "",
    ml_dsa: MlDsa = False,
    data: Data = DATA,
) -> None:
    """Serve a witness (C2SP tlog-witness): cosign checkpoints of logs that only grow."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=_LINES)

    async def run() -> None:
        parts = parts_of(data)
        if replay or not log:
            parts.require_trust()
        logs = log_keys(log) if log else [VerifierKey.parse(parts.trust.log)]
        watched = Watched(logs=logs, replay=replay, agency=agency, ml_dsa=ml_dsa)
        await apart.run_witness(parts, body, watched, listen, stop=stopping())

    do(run())


def witness_keys(body: Body, ml_dsa: MlDsa = False, data: Data = DATA) -> None:
    """Print the vkeys of a witness, one a line, for policies; they are made if there are none."""

    async def shown() -> None:
        for signer in witness_signers(parts_of(data), body, ml_dsa=ml_dsa):
            print(signer.key.text)

    do(shown())
