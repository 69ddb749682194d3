"""THINGS-EEG2 (Gifford et al. 2022): pictures of 1,854 concepts in rapid succession, in every form that goes around."""

from neurodecode.datasets.gifford2022.study import ThingsEEG2

__all__ = ["ThingsEEG2"]
