"""THINGS-MEG (Hebart et al. 2023): pictures of 1,854 concepts, in every form that goes around."""

from neurodecode.datasets.hebart2023.study import ThingsMEG

__all__ = ["ThingsMEG"]
