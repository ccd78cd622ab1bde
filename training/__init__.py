"""The recipe for checkpoints/nano: photos -> degraded versions and labels -> rows of text -> a small Qwen2-VL."""
