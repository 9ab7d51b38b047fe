"""What a run was made with, for its provenance."""

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import workers

_PACKAGES = ("asidcat", "astropy", "healpy", "numpy", "scipy", "sqlalchemy", "psycopg", "celery")


@cache
def code_version() -> str:
    """Version of the program: the commit where it runs from a checkout, else the package's version."""
    root = Path(workers.__file__).resolve().parent.parent
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--match", "v*"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return said.stdout.strip()
    return metadata.version("asidcat")


def software_versions() -> dict[str, str]:
    """Name and version of the program, Python and the packages that shape a result."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {**versions, "code": code_version(), "python": platform.python_version()}
