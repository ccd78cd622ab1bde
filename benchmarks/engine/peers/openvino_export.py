"""Once, before the worker: a checkpoint in OpenVINO's own format. `python openvino_export.py CHECKPOINT OUT`.

Runs in OpenVINO's environment, without assay. The models are exported by optimum-intel, the tokeniser by
openvino-tokenizers; weights stay fp32.
"""

import sys

import openvino
from openvino_tokenizers import convert_tokenizer
from optimum.exporters.openvino import main_export  # type: ignore[import-not-found]
from transformers import AutoTokenizer


def main() -> None:
    checkpoint, out = sys.argv[1:]
    main_export(checkpoint, out, task="image-text-to-text", trust_remote_code=False)
    parts = convert_tokenizer(AutoTokenizer.from_pretrained(checkpoint), with_detokenizer=True)
    for name, part in zip(("openvino_tokenizer", "openvino_detokenizer"), parts, strict=True):
        openvino.save_model(part, f"{out}/{name}.xml")


if __name__ == "__main__":
    main()
