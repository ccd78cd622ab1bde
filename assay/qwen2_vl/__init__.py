"""What Qwen2-VL reads: texts as tokens, frames as patches, a conversation as a prompt. Loads no torch."""
