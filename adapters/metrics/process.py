"""What every process shows, whatever its part: who it is, what it needs, whether it goes round."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates
from prometheus_client import CollectorRegistry, Info, ProcessCollector

from adapters.metrics.asked import Samples, asked


class ProcessMetrics:
    """The metrics that all processes have in common."""

    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        """Register in `registry`, with memory and processor time of the process."""
        self._registry = registry
        ProcessCollector(registry=registry)
        build = Info("nrm_build", "Version of nrm-hub and part it runs.", registry=registry)
        build.info({"version": _version(), "process": process})

    def watch(
        self,
        states: Callable[[], Mapping[str, str]],
        loops: Callable[[], Mapping[str, float]],
    ) -> None:
        """Show each dependency's reason code ("" is up) and the seconds since each loop turned."""
        asked(
            self._registry,
            "nrm_dependency_up",
            "Whether a part that this process needs answers (1) or not (0).",
            lambda: {(name,): float(not code) for name, code in states().items()},
            ("dependency",),
        )
        asked(
            self._registry,
            "nrm_loop_idle_seconds",
            "Seconds since a loop of this process last went round; a loop that hangs grows.",
            lambda: {(name,): seconds for name, seconds in loops().items()},
            ("loop",),
        )

    def watch_certificates(self, files: Mapping[str, Sequence[Path]]) -> None:
        """Show when the first certificate of each PEM file runs out; name -> files."""

        def ends() -> Samples:
            found = {name: _end(paths) for name, paths in files.items()}
            return {(name,): end for name, end in found.items() if end is not None}

        asked(
            self._registry,
            "nrm_certificate_expiry_timestamp_seconds",
            "When a certificate that this process uses runs out.",
            ends,
            ("certificate",),
        )


def _end(paths: Sequence[Path]) -> float | None:
    """Return when the first certificate in `paths` runs out; None when none can be read."""
    ends = []
    for path in paths:
        try:
            certificates = load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError):
            continue  # whoever uses the file reports it
        ends += [c.not_valid_after_utc.timestamp() for c in certificates]
    return min(ends, default=None)


def _version() -> str:
    try:
        return version("nrm-hub")
    except PackageNotFoundError:
        return "unknown"  # run from a source tree that is not installed
