"""protos/README.md: an outsider with nothing but protos/ and a generator gets stubs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
PROTOS = sorted((ROOT / "protos").rglob("*.proto"))
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "protos/README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
    if not line.startswith("np")  # npm and npx need a registry
]


def outside(command: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command does in a directory where nothing but protos/ lies."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The directory after every command of the README, and what each of them said."""
    directory = tmp_path_factory.mktemp("outside")
    shutil.copytree(ROOT / "protos", directory / "protos", ignore=shutil.ignore_patterns("__pycache__"))
    return directory, [outside(command, directory) for command in COMMANDS]


def test_the_readme_shows_protoc_and_buf():
    assert {command.split()[0] for command in COMMANDS} == {"mkdir", "python", "buf"}


@pytest.mark.parametrize("index", range(len(COMMANDS)), ids=[command[:30] for command in COMMANDS])
def test_every_command_of_the_readme_succeeds(done, index):
    _, results = done
    assert (results[index].returncode, results[index].stderr) == (0, "")


def test_the_stubs_can_be_imported_where_there_is_no_assay(done):
    directory, _ = done
    site = Path(descriptor_pb2.__file__).parents[2]
    program = "from assay.v1 import assay_pb2_grpc, live_pb2_grpc; print(live_pb2_grpc.LiveServiceStub.__name__)"
    # -S: without the hooks of an installation in place, which would offer our own package as well.
    result = outside(f"python -S -c '{program}'", directory, PYTHONPATH=f"gen{os.pathsep}{site}")
    assert (result.stdout.strip(), result.stderr) == ("LiveServiceStub", "")


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_each_proto_compiles_alone(path, tmp_path):
    out = tmp_path / "alone.binpb"
    name = path.relative_to(ROOT / "protos")
    folders = [f"-I{ROOT / 'protos'}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    assert protoc.main(["protoc", *folders, f"--descriptor_set_out={out}", str(name)]) == 0
