"""A small assay.toml for tests: every form, the wording of nano, no weights; and nano with another activation."""

import json
import shutil
import tomllib
from pathlib import Path

from assay.checkpoint import ModelSpec

NANO = Path(__file__).parents[2] / "checkpoints" / "nano"


def nano_with(directory: Path, activation: str) -> Path:
    """A copy of nano that says so of its vision tower; with `quick_gelu` it is as vLLM computes it."""
    shutil.copytree(NANO, directory)
    config = json.loads((directory / "config.json").read_text())
    config["vision_config"]["hidden_act"] = activation
    (directory / "config.json").write_text(json.dumps(config))
    return directory


ASSAY_TOML = '''
name = "test"
[pixels]
min_pixels = 3136
max_pixels = 100352
video_min_pixels = 3136
video_max_pixels = 50176
mean = [0.48145466, 0.4578275, 0.40821073]
std = [0.26862954, 0.26130258, 0.27577711]
[score]
minimum = 0.0
maximum = 10.0
[form.direct]
question_image = "Rate the quality of this image."
question_video = "Rate the quality of this video."
answer = "The quality score of this image is{score}."
score_lead = " "
[form.regular]
question_image = "Rate this image with the regular form."
question_video = "Rate this video with the regular form."
answer = """Reason:{composition_reason}
Composition:{composition}
Subject:{subject}
Background:{background}
Clarity:{clarity}
The final score is <{score}>."""
[form.natural]
question_image = "Rate this image."
question_video = "Rate this video."
answer = "{reasoning} The final score is <{score}>."
[free.reasoning]
max_tokens = 200
stops = [" The final score is <"]
[reading]
composition = ["a score of {grade}"]
clarity = ["the image is {grade}"]
[reading.level_shot]
yes = "The camera is level"
no = "The camera is tilted"
'''


def small_checkpoint() -> ModelSpec:
    return ModelSpec.model_validate(tomllib.loads(ASSAY_TOML))
