"""Decode what a person saw or heard from a brain recording."""

from neurodecode import _torchvision_guard

__version__ = "0.1.0"

_torchvision_guard.install()
