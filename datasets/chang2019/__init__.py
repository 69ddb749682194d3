"""BOLD5000 (Chang et al. 2019): responses of four people to 5,000 pictures."""

from neurodecode.datasets.chang2019.study import Bold5000

__all__ = ["Bold5000"]
