"""Triton: the Generator port behind a Triton server. The one importer of tritonclient; never loads torch."""

from assay.triton.generator import TritonGenerator
from assay.triton.stream import config_with_instances

__all__ = ["TritonGenerator", "config_with_instances"]
