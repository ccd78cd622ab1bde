"""Qwen2-VL in this process. Here, and in training, is the only place where torch is imported."""

from assay.engine.engine import Engine, EngineOptions

__all__ = ["Engine", "EngineOptions"]
