"""Qwen2-VL itself: our own forward for CPUs over the checkpoint's weights."""
