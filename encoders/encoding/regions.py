"""Which region's query a voxel is read from."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurodecode.core.errors import ConfigError
from neurodecode.encoders.brain.layouts import SensorLayout

#: The query of all channels that are in no region.
ELSEWHERE = "elsewhere"


def region_of_channels(
    layout: SensorLayout, regions: Sequence[str] | None = None, sides: Sequence[str] = ()
) -> NDArray[np.str_]:
    """Name the region of every channel: the smallest one that holds it, by side where sides are known.

    Parameters
    ----------
    layout : SensorLayout
        Channels with named regions, which may overlap.
    regions : sequence of str, optional
        Regions that count; all but the sides by default.
    sides : sequence of str
        Regions that divide all others, such as the two hemispheres; those the layout has not are left out.

    Returns
    -------
    ndarray of str, shape (n_channels,)
        ``elsewhere`` for channels in none.

    Raises
    ------
    ConfigError
        For a region the layout does not have.

    Examples
    --------
    >>> masks = {"V1": np.array([True, False, False]), "visual": np.array([True, True, False])}
    >>> region_of_channels(SensorLayout(("a", "b", "c"), 0.0, regions=masks)).tolist()
    ['V1', 'visual', 'elsewhere']
    """
    known = layout.regions
    wanted = [name for name in known if name not in sides] if regions is None else list(regions)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"regions: got {unknown[0]!r}, expected some of {', '.join(known) or 'none: there are none'}")
    found = np.full(len(layout.names), ELSEWHERE, dtype=object)
    # Small regions are written last, so that they win.
    for name in sorted(wanted, key=lambda name: -int(known[name].sum())):
        found[known[name]] = name
    for side in sides:
        if side in known:
            found[known[side]] = [f"{side} {name}" for name in found[known[side]]]
    return found.astype(np.str_)


def all_regions(by_subject: Mapping[str, NDArray[np.str_]]) -> list[str]:
    """Return all names that occur, sorted.

    Examples
    --------
    >>> all_regions({"a": np.array(["V2", "V1"]), "b": np.array(["V1"])})
    ['V1', 'V2']
    """
    return sorted({str(name) for names in by_subject.values() for name in names})
