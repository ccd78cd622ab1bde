"""Worker: OpenVINO GenAI, greedy and constrained by a regular expression; runs in its own environment, without assay.

`python openvino_generate.py EXPORTED THREADS PRECISION`, PRECISION f32 or bf16: of the sums, where the machine has it.
"""

import base64
import io
import sys
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai
from PIL import Image
from worker import Answer, Answers, in_groups, serve  # type: ignore[import-not-found]


def load() -> Answer:
    exported, threads, precision = sys.argv[1:]
    scheduling = genai.SchedulerConfig()
    scheduling.cache_size, scheduling.max_num_seqs, scheduling.max_num_batched_tokens = 1, 32, 4096
    scheduling.enable_prefix_caching = False
    how = {
        "INFERENCE_NUM_THREADS": int(threads),
        "INFERENCE_PRECISION_HINT": precision,
        # Eight bits, its default, would write other answers.
        "KV_CACHE_PRECISION": precision,
    }
    model = genai.ContinuousBatchingPipeline(exported, scheduling, "CPU", how)

    def answer(batch: dict[str, Any], in_flight: int) -> Answers:
        rules = genai.GenerationConfig()
        rules.do_sample, rules.apply_chat_template, rules.max_new_tokens = False, False, batch["most_tokens"]
        rules.structured_output_config = genai.StructuredOutputConfig(regex=batch["regex"])

        def run(group: list[list[str]]) -> list[str]:
            shown = [[openvino.Tensor(_picture(each))] for each in group]
            prompts, ruled = [batch["prompt"]] * len(group), [rules] * len(group)
            return [each.texts[0] for each in model.generate(prompts, images=shown, generation_config=ruled)]

        found: Answers = in_groups(batch["clips"], in_flight, run)
        return found

    return answer


def _picture(pngs: list[str]) -> np.ndarray[Any, Any]:
    """(1, height, width, 3) uint8."""
    (png,) = pngs
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))[None]


if __name__ == "__main__":
    serve(load)
