"""The recipe: an example is a picture, a question and an answer of weighted segments; configurations say the rest.

RealQA (arXiv 2503.06141) for Qwen2-VL-7B on transformers, peft and accelerate. Read in the order in which data flow:
settings -> mixture -> example -> picture -> encoding -> objective -> run -> trainer -> stages, then merge (adapter ->
checkpoint), scoring and log (figure 5). Every piece runs on a CPU with a tiny model.
"""
