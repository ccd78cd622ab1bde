"""Worker: vLLM, greedy and constrained by a regular expression; runs in vLLM's environment, without assay.

`python vllm_generate.py CHECKPOINT THREADS MODE DTYPE`, MODE plain or ngram (its n-gram speculation), DTYPE float32 or
bfloat16. Threads and the rest of its settings are environment variables: see process.py.
"""

import base64
import io
import sys
from typing import Any

import numpy as np
from PIL import Image
from vllm import LLM, SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from worker import Answer, Answers, in_groups, serve  # type: ignore[import-not-found]

CHECKPOINT, _, MODE, DTYPE = sys.argv[1:]
SPECULATION = {"method": "ngram", "num_speculative_tokens": 8, "prompt_lookup_max": 4, "prompt_lookup_min": 2}


def load() -> Answer:
    model = LLM(
        CHECKPOINT,
        dtype=DTYPE,
        max_model_len=2048,
        max_num_seqs=32,
        enforce_eager=True,
        enable_prefix_caching=False,
        limit_mm_per_prompt={"image": 1, "video": 1},
        **({"speculative_config": SPECULATION} if MODE == "ngram" else {}),
    )

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        rules = StructuredOutputsParams(regex=batch["regex"])
        how = SamplingParams(temperature=0, max_tokens=batch["most_tokens"], structured_outputs=rules)

        def run(group: list[list[str]]) -> list[str]:
            shown = [_video(each) if batch["is_video"] else {"image": _picture(each[0])} for each in group]
            asked = [{"prompt": batch["prompt"], "multi_modal_data": each} for each in shown]
            return [each.outputs[0].text for each in model.generate(asked, how, use_tqdm=False)]

        found: Answers = in_groups(batch["clips"], in_flight, run)
        return found

    return answer


def _picture(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")


def _video(pngs: list[str]) -> dict[str, Any]:
    return {"video": np.stack([np.asarray(_picture(png)) for png in pngs])}


if __name__ == "__main__":
    serve(load)
