"""What a network is made of, so that weights are never loaded into another one."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from neurodecode.core.errors import MismatchError
from neurodecode.core.files import fingerprint


def network_fingerprint(network: nn.Module) -> dict[str, str]:
    """Describe a network by its class, its parts and the shapes of its weights.

    Parameters
    ----------
    network : nn.Module
        The network.

    Returns
    -------
    dict of str to str
        ``class``: its import path; ``parts``: a digest of the classes of all its parts, with their settings as far as
        they print them, and of all shapes.

    Examples
    --------
    >>> network_fingerprint(nn.Linear(2, 3))["class"]
    'torch.nn.modules.linear.Linear'
    """
    parts = [
        [name, f"{type(module).__module__}.{type(module).__qualname__}", module.extra_repr()]
        for name, module in network.named_modules()
    ]
    shapes = [[name, list(tensor.shape)] for name, tensor in network.state_dict().items()]
    return {
        "class": f"{type(network).__module__}.{type(network).__qualname__}",
        "parts": fingerprint([parts, shapes]),
    }


def require_same_network(saved: Mapping[str, Any], network: nn.Module, *, what: str, role: str) -> None:
    """Raise a MismatchError that names both sides unless the network is the one that was saved.

    Parameters
    ----------
    saved : mapping
        What :func:`network_fingerprint` returned then.
    network : nn.Module
        The network now.
    what : str
        Name of the checkpoint in messages.
    role : str
        What the network is for, such as ``encoder``.

    Examples
    --------
    >>> require_same_network(network_fingerprint(nn.Linear(2, 3)), nn.Linear(2, 3), what="last.ckpt", role="encoder")
    """
    found = network_fingerprint(network)
    if saved.get("class") != found["class"]:
        raise MismatchError(f"{what}: its {role} is a {saved.get('class')}, but the one built is a {found['class']}")
    if saved.get("parts") != found["parts"]:
        raise MismatchError(
            f"{what}: its {role} ({found['class']}) has other parts or settings ({saved.get('parts')}) than the one "
            f"built here ({found['parts']})"
        )
