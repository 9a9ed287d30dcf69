"""The composition root: which adapter stands behind which port, for every process.

The only room of services that knows the adapters. Each part has its own folder, store and
keys, also when all of them run in one process.
"""

from services.bootstrap.custodian import CustodianProcess, build_custodian
from services.bootstrap.gateway import (
    GatewayProcess,
    build_gateway,
    build_registering,
    gateway_link,
    operator_link,
)
from services.bootstrap.hub import HubParts, WholeHub, build_hub
from services.bootstrap.parts import (
    COORDINATOR,
    CUSTODIAN,
    REGISTRARS,
    Parts,
    now_ms,
)
from services.bootstrap.settings import Settings

__all__ = [
    "COORDINATOR",
    "CUSTODIAN",
    "REGISTRARS",
    "CustodianProcess",
    "GatewayProcess",
    "HubParts",
    "Parts",
    "Settings",
    "WholeHub",
    "build_custodian",
    "build_gateway",
    "build_hub",
    "build_registering",
    "gateway_link",
    "now_ms",
    "operator_link",
]
