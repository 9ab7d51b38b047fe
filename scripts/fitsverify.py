"""NASA's `fitsverify`, compiled into a folder: ``python -m scripts.fitsverify FOLDER``.

Debian has no package of it. Its source is among the utilities of CFITSIO, which comes with the source of the Python
package `fitsio`. Needs a C compiler and `make`; for `make test-clients`.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "fitsio==1.2.6"
STEPS = (
    ("./configure", "--disable-curl", "CFLAGS=-O1"),
    ("make", "libcfitsio.a"),
)
SOURCES = ("ftverify", "fvrf_data", "fvrf_file", "fvrf_head", "fvrf_key", "fvrf_misc")


def build(target: Path) -> None:
    """Fetch, compile, and put the program into its place."""
    with tempfile.TemporaryDirectory(prefix="fitsverify-") as temporary:
        folder = Path(temporary)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        _run([*pip, "--no-build-isolation", "--dest", temporary, PACKAGE], folder)
        (archive,) = folder.glob("fitsio-*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        (source,) = folder.glob("fitsio-*/cfitsio-*/")
        for step in STEPS:
            _run(step, source)
        units = [f"utilities/{name}.c" for name in SOURCES]
        compiler = ["cc", "-I.", "-Iutilities", "-DSTANDALONE", *units, "libcfitsio.a"]
        _run([*compiler, "-lm", "-lz", "-lpthread", "-o", "fitsverify"], source)
        shutil.copy(source / "fitsverify", target / "fitsverify")


def _run(command: list[str] | tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SystemExit(f"fitsverify: {' '.join(command[:3])}: {''.join(last)}")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
