"""torchvision next to a torch for the CPU: can be imported, by those who use none of its operators.

The registry's torchvision is a CUDA build: its library cannot be loaded here, so its operators do not exist, and it
fails to import where it describes two of them. Declared beforehand, without a body, they can be described. Resizing and
colours, all that a picture goes through, are torch's own. Python imports this file by its name when it starts, if the
folder is on PYTHONPATH; in the environment of `make vllm` a .pth file does. vLLM looks into models in processes that it
starts itself.
"""

import sys
from importlib.machinery import ModuleSpec
from typing import ClassVar


class _BeforeTorchvision:
    """Declares the operators once somebody imports torchvision: torch takes seconds to import."""

    held: ClassVar[list[object]] = []
    """The operators go with the library object, and the finder itself when it has found torchvision."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
            for operator in ("nms", "qnms"):
                library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
            self.held.append(library)
        return None


# Once, where a .pth file imports it and PYTHONPATH has it as well.
if not any(type(finder).__name__ == _BeforeTorchvision.__name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, _BeforeTorchvision())
