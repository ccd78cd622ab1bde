"""PromptTokens: system, clip, question and what has been answered so far, as the ids that the model reads."""

from dataclasses import dataclass

from assay.frame import Clip
from assay.generator import Conversation
from assay.qwen2_vl.patches import Patches, PatchLayout
from assay.qwen2_vl.tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True, eq=False)
class PromptTokens:
    """A prompt, ready for the model."""

    ids: tuple[int, ...]
    clip: Patches
    is_video: bool


def prompt_tokens(clip: Clip, conversation: Conversation, layout: PatchLayout, text: TextTokenizer) -> PromptTokens:
    """Qwen2-VL's chat template with the clip's placeholders expanded, up to where the answer goes on.

    The frame is built from ids, so nothing in the conversation's texts can open or close a turn.
    InvalidRequest if the frames do not fit the patches or a text is not Unicode.
    """
    patches = layout.patches(clip, conversation.tenant)
    special = text.special
    pad = special.video_pad if clip.is_video else special.image_pad
    ids = (
        *(special.im_start, *text.encode(f"system\n{conversation.system}"), special.im_end, *text.encode("\n")),
        *(special.im_start, *text.encode("user\n")),
        *(special.vision_start, *[pad] * layout.tokens(patches.grid_thw), special.vision_end),
        *(*text.encode(conversation.question), special.im_end, *text.encode("\n")),
        *(special.im_start, *text.encode("assistant\n")),
        *(token for answered in conversation.answered for token in text.encode(answered)),
    )
    return PromptTokens(ids, patches, clip.is_video)
