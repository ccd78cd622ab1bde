"""Is the checkpoint a plain Qwen2-VL? Digits by transformers' own classes against those of our engine.

`python -m training.plain_digits --checkpoint checkpoints/nano demo/photo.jpg` loads config.json and the weights with
nothing but transformers (its image processor, its chat template, its model), asks for the direct score of each photo,
and prints the largest difference between the ten probabilities of the first digit and ours. Exit code 1 above 1e-4, or
where the tower's activation is not Qwen's own, which other servers take for granted. Both get the picture at the size
at which it is served.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessor

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.frame import Clip, Frame
from assay.generator import Conversation, NumberWritten
from assay.prompt import answer_form, question
from training.degrade import Pixels
from training.framing import served

LARGEST = 1e-4
_ACTIVATION = "quick_gelu"
Ten = NDArray[np.float64]


def by_transformers(directory: Path, checkpoint: ModelSpec, pictures: Sequence[Pixels]) -> list[Ten]:
    """Probabilities of the first digit, by transformers' own classes alone."""
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    processor = Qwen2VLImageProcessor.from_pretrained(directory, local_files_only=True)
    model = Qwen2VLForConditionalGeneration.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    model.train(False)
    template = checkpoint.form["direct"]
    asked = question(checkpoint, "direct", is_video=False)
    parts: Any = [{"type": "image"}, {"type": "text", "text": asked}]
    said = tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    text = f"{said}{template.answer.split('{')[0]}{template.score_lead}"
    digits = [tokenizer.convert_tokens_to_ids(str(digit)) for digit in range(10)]
    found = []
    for picture in pictures:
        # It is resized already: with one area for all, the rule would not leave it as it is a second time.
        inputs = processor(images=[Image.fromarray(picture)], do_resize=False, return_tensors="pt")
        tokens = int(inputs["image_grid_thw"].prod()) // processor.merge_size**2
        ids = tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * tokens), return_tensors="pt")
        kinds = (ids["input_ids"] == model.config.image_token_id).int()
        with torch.inference_mode():
            logits = model(**ids, **inputs, mm_token_type_ids=kinds).logits[0, -1, digits]
        found.append(logits.double().softmax(-1).numpy())
    return found


def by_engine(directory: Path, checkpoint: ModelSpec, pictures: Sequence[Pixels]) -> list[Ten]:
    """The same, by the engine that serves."""
    engine = Engine.load(directory, EngineOptions(max_in_flight=1, threads=1, number_format="stored"))
    conversation, form = Conversation(question(checkpoint, "direct", is_video=False)), answer_form(checkpoint, "direct")

    async def one(picture: Pixels) -> Ten:
        clip = Clip((Frame(picture),), is_video=False)
        events = [event async for event in engine.generate(clip, conversation, form)]
        return next(np.array(event.by_prefix[""]) for event in events if isinstance(event, NumberWritten))

    async def every() -> list[Ten]:
        return [await one(picture) for picture in pictures]

    found = asyncio.run(every())
    engine.close()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(argv)
    checkpoint = read_checkpoint(options.checkpoint)
    pictures = [served(np.asarray(Image.open(path).convert("RGB")), checkpoint.pixels) for path in options.photos]
    ours, theirs = (ask(options.checkpoint, checkpoint, pictures) for ask in (by_engine, by_transformers))
    apart = [float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)]
    for path, difference in zip(options.photos, apart, strict=True):
        print(f"{path}: largest difference of a digit's probability {difference:.1e}")
    activation = json.loads((options.checkpoint / "config.json").read_text())["vision_config"]["hidden_act"]
    if activation != _ACTIVATION:
        print(
            f"hidden_act of the vision tower is {activation!r}: vLLM takes {_ACTIVATION!r} for granted", file=sys.stderr
        )
    return 1 if max(apart) > LARGEST or activation != _ACTIVATION else 0


if __name__ == "__main__":
    sys.exit(main())
