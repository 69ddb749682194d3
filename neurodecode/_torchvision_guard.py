"""Let a CUDA build of torchvision import next to a torch without CUDA.

The default torchvision wheel links against CUDA libraries. Beside a torch without CUDA its compiled extension cannot
load, and torchvision then registers fake kernels for two operators that were never declared, which raises a
`RuntimeError` on import. Declaring the two schemas first is enough: the Python side of torchvision works, the operators
themselves (which neurodecode never calls) stay unavailable.

A finder on `sys.meta_path` waits for the import of torchvision, so torch is imported no earlier than torchvision itself
would import it. It does nothing where torch has CUDA or where torchvision is not a CUDA build.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

FAKED_OPERATORS = ("nms", "qnms")

_declared: list[Any] = []  # torch forgets a schema when its Library object dies


def is_cuda_build(torchvision_origin: str | None) -> bool:
    """Tell from its version file, without importing it, whether a torchvision was built for CUDA.

    Parameters
    ----------
    torchvision_origin : str or None
        Path of torchvision's ``__init__.py`` (the ``origin`` of its import spec).

    Returns
    -------
    bool
        False as well when there is no readable version file.
    """
    if torchvision_origin is None:
        return False
    try:
        return "+cu" in (Path(torchvision_origin).parent / "version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def declare_operators() -> None:
    """Declare the schemas of the operators torchvision fakes, once, if torch has no CUDA."""
    import torch

    if _declared or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in FAKED_OPERATORS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)


class _DeclaringLoader(Loader):
    """Declares the operators, then hands the module back to its own loader."""

    def __init__(self, own_loader: Loader) -> None:
        self._own_loader = own_loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own_loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own_loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._own_loader
        declare_operators()
        self._own_loader.exec_module(module)


class TorchvisionGuard(MetaPathFinder):
    """Finder that answers only for torchvision and otherwise steps aside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find torchvision through the other finders and wrap its loader if it is a CUDA build."""
        if fullname != "torchvision":
            return None
        for finder in sys.meta_path:
            if isinstance(finder, TorchvisionGuard) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and is_cuda_build(spec.origin):
                    spec.loader = _DeclaringLoader(spec.loader)
                return spec
        return None


def install() -> None:
    """Put the guard first on `sys.meta_path`, once."""
    if not any(isinstance(finder, TorchvisionGuard) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionGuard())
