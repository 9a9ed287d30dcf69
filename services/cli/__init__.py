"""Command line: parse, call one use case, print, and exit with a code that says what happened.

0 done · 1 something failed, or a check did not hold · 2 the rules refused; `audit` has its own
"""

import os

import typer

from services.cli.agencies import agency_app
from services.cli.audit import audit_app
from services.cli.cases import act, case_app, feed_app
from services.cli.custodian import custodian_accept
from services.cli.disclosed import questions
from services.cli.processes import processes
from services.cli.running import demo, run
from services.cli.topics import topics_app
from services.cli.trail import trail_app
from services.cli.witness import witness, witness_keys

app = typer.Typer(
    help="Exchange of referrals between the agencies of a National Referral Mechanism.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, demo, act, *processes, custodian_accept, witness, witness_keys):
    app.command()(command)
for name, question in questions.items():
    audit_app.command(name)(question)
app.add_typer(case_app, name="case")
app.add_typer(feed_app, name="feed")
app.add_typer(agency_app, name="agency")
app.add_typer(audit_app, name="audit")
app.add_typer(topics_app, name="topics")
app.add_typer(trail_app, name="trail")


def main() -> None:
    """Run the command line; what it writes is for its owner alone."""
    os.umask(0o077)
    app()
