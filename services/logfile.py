"""The log of a process that has its terminal for people."""

import logging
from pathlib import Path


def log_to(data: Path) -> None:
    """Write the log of this process into the data folder, and nowhere else."""
    folder = data / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    logging.basicConfig(
        filename=folder / "nrm-hub.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
