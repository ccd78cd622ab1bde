"""protos/generate.py: what the generated package brings into a process, and what it leaves to others."""

import subprocess
import sys

ANOTHER_RELEASE = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(
    name="buf/validate/validate.proto", package="buf.validate", syntax="proto2",
    dependency=["google/protobuf/descriptor.proto"],
)
file.message_type.add(name="FieldRules").field.add(name="cel", number=23, label=3, type=9)
file.message_type.add(name="OneofRules")
file.extension.add(
    name="field", number=1159, label=1, type=11,
    type_name=".buf.validate.FieldRules", extendee=".google.protobuf.FieldOptions",
)
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
"""


def said(program: str) -> str:
    """What the program prints, in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def test_the_client_is_imported_next_to_another_release_of_the_rules_and_still_applies_ours():
    refused = """
from assay.client import Client
from assay.rpc.validation import check
from assay.v1 import assay_pb2
from assay.errors import InvalidRequest
try:
    check(assay_pb2.ScoreConfig(tenant="x" * 64))
except InvalidRequest as error:
    print(error.field)
"""
    assert said(ANOTHER_RELEASE + refused) == "tenant"


def test_another_release_of_the_rules_can_be_loaded_after_the_client():
    assert said(f"import assay.client\n{ANOTHER_RELEASE}\nprint('loaded')") == "loaded"
