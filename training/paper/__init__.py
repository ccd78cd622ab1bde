"""The training of RealQA (arXiv 2503.06141) for Qwen2-VL-7B, on transformers, peft and accelerate.

Read in the order in which data flow: settings -> row -> mixture -> picture -> encoded -> batch -> objective -> train,
then merge (adapter -> checkpoint) and plot (log -> figure 5). Every piece runs on a CPU with a tiny model.
"""
