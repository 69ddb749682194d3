"""LAION-fMRI (2026): five people, 25,052 pictures at 7 T, with splits that do not leak."""

from neurodecode.datasets.laion2026.study import LaionFmri

__all__ = ["LaionFmri"]
