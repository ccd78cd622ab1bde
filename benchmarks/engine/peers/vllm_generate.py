"""Worker: vLLM, greedy and constrained by a regular expression; runs in vLLM's environment, without assay.

`python vllm_generate.py CHECKPOINT THREADS MODE`, MODE plain or ngram (its n-gram speculation). Threads and the rest of
its settings are environment variables: see process.py.
"""

import base64
import io
import sys
from typing import Any

from PIL import Image
from vllm import LLM, SamplingParams  # type: ignore[import-not-found]
from vllm.sampling_params import StructuredOutputsParams  # type: ignore[import-not-found]
from worker import Answers, in_groups, serve  # type: ignore[import-not-found]

CHECKPOINT, _, MODE = sys.argv[1:]
SPECULATION = {"method": "ngram", "num_speculative_tokens": 8, "prompt_lookup_max": 4, "prompt_lookup_min": 2}


def main() -> None:
    model = LLM(
        CHECKPOINT,
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=32,
        enforce_eager=True,
        enable_prefix_caching=False,
        limit_mm_per_prompt={"image": 1},
        **({"speculative_config": SPECULATION} if MODE == "ngram" else {}),
    )

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        rules = StructuredOutputsParams(regex=batch["regex"])
        how = SamplingParams(temperature=0, max_tokens=batch["most_tokens"], structured_outputs=rules)

        def run(group: list[str]) -> list[str]:
            asked = [{"prompt": batch["prompt"], "multi_modal_data": {"image": _picture(one)}} for one in group]
            return [each.outputs[0].text for each in model.generate(asked, how, use_tqdm=False)]

        if batch["frames_each"] != 1:
            raise SystemExit("only pictures are asked of this peer")
        found: Answers = in_groups([frames[0] for frames in batch["clips"]], in_flight, run)
        return found

    serve(answer)


def _picture(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


if __name__ == "__main__":
    main()
