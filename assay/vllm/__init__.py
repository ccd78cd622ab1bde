"""Qwen2-VL in vLLM, whose core is a child process. Here is the only place where vllm is imported."""
