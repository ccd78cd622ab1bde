"""What is installed once is not installed again, and what cannot be installed says why."""

import platform
import subprocess
import sys
import time

import pytest

from tests.triton import ROOT
from triton_server import install as installing
from triton_server.install import DEFAULT_DIRECTORY, CannotInstall, binaries, check_machine, install


def test_the_second_time_is_instant():
    install(DEFAULT_DIRECTORY)
    started = time.process_time()
    assert install(DEFAULT_DIRECTORY) is False
    assert time.process_time() - started < 0.2
    assert (binaries(DEFAULT_DIRECTORY) / "bin" / "tritonserver").is_file()


def test_nothing_installed_says_what_to_do(tmp_path):
    with pytest.raises(CannotInstall, match="python -m triton_server install"):
        binaries(tmp_path)


def already_there(directory, python=b"3.11") -> None:
    for name, content in (("bin/tritonserver", b""), (str(installing._STUB), b"\0libpython" + python + b".so.1.0\0")):
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_bytes(content)


def test_a_server_that_is_there_already_is_taken_as_it_stands(tmp_path):
    already_there(tmp_path, ".".join(map(str, sys.version_info[:2])).encode())
    assert binaries(tmp_path) == tmp_path


def test_nvidias_image_is_found_where_nothing_was_installed(tmp_path, monkeypatch):
    already_there(tmp_path / "opt", ".".join(map(str, sys.version_info[:2])).encode())
    monkeypatch.setattr(installing, "IMAGE_DIRECTORY", tmp_path / "opt")
    monkeypatch.setattr(installing, "DEFAULT_DIRECTORY", tmp_path / "none")
    assert binaries(tmp_path / "none") == tmp_path / "opt"


def test_a_server_whose_models_run_in_another_python_names_both(tmp_path):
    already_there(tmp_path, b"3.10")
    with pytest.raises(CannotInstall, match=r"runs models in Python 3\.10, and this is Python 3\.\d+; install"):
        binaries(tmp_path)


def test_an_installation_for_another_python_is_not_started(tmp_path):
    (tmp_path / "installed.json").write_text('{"requirements": "", "libpython": "/elsewhere/libpython3.11.so"}')
    with pytest.raises(CannotInstall, match="another Python"):
        binaries(tmp_path)


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    wheel = tmp_path / "nvidia_pytriton-0.7.0-py3-none-any.whl"
    wheel.write_bytes(b"not what NVIDIA has published")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(installing, "REQUIREMENTS", requirements)
    with pytest.raises(CannotInstall, match="pip could not fetch"):
        install(tmp_path / "triton")
    assert not (tmp_path / "triton").exists()


@pytest.mark.parametrize(
    ("module", "name", "value", "sentence"),
    [
        (platform, "machine", lambda: "aarch64", "x86-64 with CPython 3.11 to 3.13 only, this is Linux aarch64"),
        (sys, "platform", "darwin", "x86-64 with CPython 3.11 to 3.13 only"),
        (sys, "version_info", (3, 14, 0), "CPython 3.11 to 3.13 only"),
        (platform, "libc_ver", lambda: ("glibc", "2.31"), "needs glibc 2.35 or later, this machine has glibc 2.31"),
        (platform, "libc_ver", lambda: ("", ""), "needs glibc 2.35"),
    ],
)
def test_a_machine_that_cannot_run_it_is_reported(monkeypatch, module, name, value, sentence):
    monkeypatch.setattr(module, name, value)
    with pytest.raises(CannotInstall) as refused:
        check_machine()
    monkeypatch.undo()
    assert sentence in refused.value.message


def test_a_python_without_a_shared_library_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(installing, "libpython", lambda: tmp_path / "libpython3.11.so.1.0")
    with pytest.raises(CannotInstall, match="--enable-shared"):
        check_machine()


def test_a_wrong_command_line_shows_the_right_one():
    ran = subprocess.run([sys.executable, "-m", "triton_server", "instal"], cwd=ROOT, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "install" in ran.stderr.partition("choose from")[2]
