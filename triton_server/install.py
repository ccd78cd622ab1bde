"""Install: NVIDIA's Triton server from PyPI, by hash, into a directory of its own. A second run is instant.

The wheel carries the server, the python backend and one stub per Python version. Two things are missing for it to run:
the stub has to lie next to the backend, and it has to find the libpython of the interpreter whose packages it imports.

A server that is there already, as in NVIDIA's images, is started as it stands.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from assay.errors import AssayError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DEFAULT_DIRECTORY = Path(__file__).resolve().parents[1] / ".triton"
IMAGE_DIRECTORY = Path("/opt/tritonserver")
"""Where NVIDIA's images have it."""
_STAMP = "installed.json"
_STUB = Path("backends/python/triton_python_backend_stub")
_PYTHONS = ((3, 11), (3, 12), (3, 13))
"""For which the wheel has a stub, and this project runs."""


class CannotInstall(AssayError):
    """This machine cannot run the embedded Triton, or the wheel could not be fetched."""

    grpc_status = "FAILED_PRECONDITION"
    reason = "CANNOT_INSTALL_TRITON"


def binaries(directory: Path) -> Path:
    """The folder with bin/tritonserver and backends/: the directory itself, or what install() put into it.

    Where the default directory has nothing, NVIDIA's image is searched. CannotInstall if there is no server, or one
    whose models run in another Python than this.
    """
    if directory == DEFAULT_DIRECTORY and not (directory / _STAMP).is_file() and has_server(IMAGE_DIRECTORY):
        directory = IMAGE_DIRECTORY
    if has_server(directory):
        _refuse_other_python(directory)
        return directory
    found = directory / "pytriton" / "tritonserver"
    if not (directory / _STAMP).is_file():
        raise CannotInstall(f"No Triton server in {directory}; run `python -m triton_server install` first.")
    if _stamp_of(directory) != _stamp():
        raise CannotInstall(
            f"The Triton server in {directory} was installed for another Python or release; "
            "run `python -m triton_server install` again."
        )
    return found


def has_server(directory: Path) -> bool:
    """Whether a server that we did not install lies there."""
    return (directory / "bin" / "tritonserver").is_file()


def is_from_wheel(found: Path) -> bool:
    """Whether what binaries() found was put there by install()."""
    return (found.parents[1] / _STAMP).is_file()


def _refuse_other_python(directory: Path) -> None:
    stub = directory / _STUB
    if not stub.is_file():
        raise CannotInstall(f"The Triton server in {directory} has no Python backend ({stub} does not exist).")
    linked = re.search(rb"libpython(3\.\d+)", stub.read_bytes())
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if linked and linked[1].decode() != here:
        raise CannotInstall(
            f"The Triton server in {directory} runs models in Python {linked[1].decode()}, and this is Python {here}; "
            f"install assay for python{linked[1].decode()} and start this program with it."
        )


def install(directory: Path) -> bool:
    """Unpacks Triton into `directory` and makes it fit this interpreter. False if it already was there.

    CannotInstall says what this machine lacks.
    """
    if _stamp_of(directory) == _stamp():
        return False
    check_machine()
    # Only a finished installation gets the final name, so that an interrupted one is not taken for it.
    unfinished = directory.with_name(directory.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _fetch(unfinished)
    _fit(unfinished)
    _check_runs(unfinished / "pytriton" / "tritonserver")
    (unfinished / ".gitignore").write_text("*\n")
    (unfinished / _STAMP).write_text(json.dumps(_stamp(), indent=2) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    unfinished.rename(directory)
    return True


def check_machine() -> None:
    """CannotInstall unless this is Linux on x86-64 with a CPython of _PYTHONS that is a shared library."""
    here = f"{platform.system()} {platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    fits = sys.platform == "linux" and platform.machine() == "x86_64"
    if not fits or sys.implementation.name != "cpython" or sys.version_info[:2] not in _PYTHONS:
        raise CannotInstall(
            f"The embedded Triton server runs on Linux x86-64 with CPython 3.11 to 3.13 only, this is {here}. "
            "Use NVIDIA's Triton image instead (docs/gpu.md)."
        )
    if not libpython().is_file():
        raise CannotInstall(
            f"This Python has no shared library ({libpython()} does not exist), which Triton's stub has to load. "
            "Build it with --enable-shared (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared), or use your "
            "distribution's Python with its libpython3 package."
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(int(part) for part in version.split(".")) < (2, 35):
        raise CannotInstall(f"The embedded Triton server needs glibc 2.35 or later, this machine has {libc} {version}.")


def libpython() -> Path:
    """The shared library of this interpreter, whether or not it exists."""
    name = sysconfig.get_config_var("INSTSONAME") or f"libpython{sysconfig.get_python_version()}.so.1.0"
    return Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib") / str(name)


def _stamp() -> dict[str, str]:
    return {"requirements": REQUIREMENTS.read_text(), "libpython": str(libpython())}


def _stamp_of(directory: Path) -> dict[str, str] | None:
    try:
        stamp: dict[str, str] = json.loads((directory / _STAMP).read_text())
    except (OSError, ValueError):
        return None
    return stamp


def _fetch(target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    exactly_this = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile", "-r", str(REQUIREMENTS)]
    done = subprocess.run([*pip, *exactly_this, "--target", str(target)], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise CannotInstall("pip could not fetch the Triton server; its message stands above.")


def _fit(target: Path) -> None:
    """Puts the stub next to the backend (a copy: Triton does not follow a link) and libpython where the stub looks."""
    server = target / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    copied = Path(shutil.copy(stub, server / "backends" / "python"))
    for program in (copied, server / "bin" / "tritonserver"):
        program.chmod(0o755)
    (target / "nvidia_pytriton.libs" / libpython().name).symlink_to(libpython())


def _check_runs(server: Path) -> None:
    """CannotInstall with the loader's words if a library that the server or the stub needs does not fit."""
    for program in (server / "bin" / "tritonserver", server / "backends" / "python" / "triton_python_backend_stub"):
        ran = subprocess.run([str(program), "--help"], capture_output=True, text=True, env={}, timeout=60, check=False)
        if ran.returncode in (126, 127) or ran.returncode < 0 or "error while loading" in ran.stderr:
            raise CannotInstall(f"{program.name} does not start on this machine: {ran.stderr.strip()[-400:]}")
