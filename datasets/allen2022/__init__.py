"""The Natural Scenes Dataset (Allen et al. 2022): its betas, the derivatives that decoders use, and NSD-Imagery."""

from neurodecode.datasets.allen2022.imagery import NsdImagery
from neurodecode.datasets.allen2022.study import Nsd

__all__ = ["Nsd", "NsdImagery"]
