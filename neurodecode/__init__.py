"""Decode what a person saw or heard from a brain recording."""

__version__ = "0.1.0"
