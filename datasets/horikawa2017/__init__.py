"""Generic Object Decoding (Horikawa and Kamitani 2017): seen and imagined objects."""

from neurodecode.datasets.horikawa2017.study import GenericObjectDecoding

__all__ = ["GenericObjectDecoding"]
