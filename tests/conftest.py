"""What every test shares: the torchvision guard comes first, and a test that cannot run here says why."""

import os
from pathlib import Path

import pytest

import neurodecode  # noqa: F401 - installs the torchvision guard before any test module imports lightning

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    root = os.environ.get("NEURODECODE_DATA", "")
    without_data = pytest.mark.skip(reason="NEURODECODE_DATA names no folder with the real recordings")
    without_gpu = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if item.get_closest_marker("data") and not (root and Path(root).is_dir()):
            item.add_marker(without_data)
        if item.get_closest_marker("gpu"):
            import torch

            if not torch.cuda.is_available():
                item.add_marker(without_gpu)
