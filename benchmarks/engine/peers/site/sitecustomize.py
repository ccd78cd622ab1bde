"""torchvision next to a torch for the CPU, in every process of a peer that imports it and uses none of its operators.

The registry's torchvision is a CUDA build: its library cannot be loaded here, so its operators do not exist, and it
fails to import where it describes two of them. Declared beforehand, without a body, they can be described. Resizing and
colours, all that a picture goes through, are torch's own. Python imports this file by its name when it starts, if the
folder is on PYTHONPATH; vLLM looks into models in processes that it starts itself.
"""

import torch

# Held by its name: the operators go with it.
_LIBRARY = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
for _name in ("nms", "qnms"):
    _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
