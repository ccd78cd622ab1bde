"""Once, before the worker: a checkpoint in OpenVINO's own format. `python openvino_export.py CHECKPOINT OUT WEIGHTS`.

Runs in OpenVINO's environment, without assay. The models are exported by optimum-intel, the tokeniser by
openvino-tokenizers. WEIGHTS is fp32, or int8 with a scale per row, by NNCF.
"""

import sys
from pathlib import Path

import nncf  # type: ignore[import-not-found]
import openvino
from openvino_tokenizers import convert_tokenizer
from optimum.exporters.openvino import main_export  # type: ignore[import-not-found]
from transformers import AutoTokenizer


def main() -> None:
    checkpoint, out, weights = sys.argv[1:]
    main_export(checkpoint, out, task="image-text-to-text", trust_remote_code=False)
    for part in Path(out).glob("openvino_*_model.xml") if weights == "int8" else ():
        compress(part)
    parts = convert_tokenizer(AutoTokenizer.from_pretrained(checkpoint), with_detokenizer=True)
    for name, converted in zip(("openvino_tokenizer", "openvino_detokenizer"), parts, strict=True):
        openvino.save_model(converted, f"{out}/{name}.xml")


def compress(part: Path) -> None:
    """Its weights to int8, in place."""
    model = nncf.compress_weights(openvino.Core().read_model(part), mode=nncf.CompressWeightsMode.INT8_SYM)
    written = part.with_name(f"int8_{part.name}")
    openvino.save_model(model, written, compress_to_fp16=False)
    for suffix in (".xml", ".bin"):
        written.with_suffix(suffix).replace(part.with_suffix(suffix))


if __name__ == "__main__":
    main()
