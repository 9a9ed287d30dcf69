"""What every test shares: property tests that do not depend on the speed, and real servers."""

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import (
    brokers,
    database,
    hub_id,
    missing_lines,
    postgres,
    server_folder,
    three_brokers,
)

__all__ = ["brokers", "database", "hub_id", "postgres", "server_folder", "three_brokers"]

# The settings in force are the parent: where CI is set, Hypothesis repeats the same examples.
settings.register_profile(
    "house", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

# kafka-python 3.0 leaves the socket of a refused connection to the collector (net/inet.py,
# sock_connect); such a socket is bound to no address of its own, unlike any that we forget.
REFUSED = r"ignore:unclosed <socket.socket .* laddr=\('0.0.0.0', \d+\)>:ResourceWarning"


def pytest_configure(config: pytest.Config) -> None:
    """Let a test kill a broker without answering for its client."""
    config.addinivalue_line("filterwarnings", REFUSED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which real servers the run did without."""
    for line in missing_lines():
        terminalreporter.write_line(line, red=True)
