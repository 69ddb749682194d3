"""Any arrays with a table of trials, described by a few lines of YAML."""

from neurodecode.datasets.arrays.study import ArrayStudy

__all__ = ["ArrayStudy"]
