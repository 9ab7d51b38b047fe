"""Where the counts cubes of ingested observations are kept."""

from pathlib import Path


def cube_folder(home: Path, content_sha256: str) -> Path:
    """Folder of an observation's counts and exposure, which all workers map into memory."""
    return home / "cubes" / content_sha256
