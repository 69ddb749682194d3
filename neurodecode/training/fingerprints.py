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


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """Say in what two configurations of a network differ, entry by entry.

    Parameters
    ----------
    there, here : Any
        Class paths with their arguments.
    name : str
        Of the entry.

    Returns
    -------
    list of str

    Examples
    --------
    >>> differences({"class_path": "a.X", "init_args": {"width": 3}}, {"class_path": "a.X", "init_args": {"width": 4}})
    ['width is 3 there, but 4 here']
    >>> differences({"part": {"class_path": "a.X"}}, {"part": {"class_path": "a.Y"}})
    ['part is X there, but Y here']
    """
    if not isinstance(there, Mapping) or not isinstance(here, Mapping):
        return [] if there == here else [f"{name} is {_named(there)} there, but {_named(here)} here"]
    kinds = there.get("class_path"), here.get("class_path")
    if kinds[0] != kinds[1]:
        return [f"{name or 'it'} is {_named(there)} there, but {_named(here)} here"]
    first, second = (side.get("init_args", {}) if kinds[0] else side for side in (there, here))
    return [
        line
        for key in dict.fromkeys([*first, *second])
        for line in differences(first.get(key), second.get(key), f"{name}.{key}" if name else str(key))
    ]


def _named(value: Any) -> str:
    kind = value.get("class_path") if isinstance(value, Mapping) else None
    return str(kind).rpartition(".")[2] if kind else str(value)


def require_same_network(
    saved: Mapping[str, Any], network: nn.Module, *, what: str, role: str, configs: tuple[Any, Any] = (None, None)
) -> None:
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
    configs : tuple
        The network's configuration there and here, where both are known, to say in what they differ.

    Examples
    --------
    >>> require_same_network(network_fingerprint(nn.Linear(2, 3)), nn.Linear(2, 3), what="last.ckpt", role="encoder")
    """
    found = network_fingerprint(network)
    if saved.get("class") != found["class"]:
        raise MismatchError(f"{what}: its {role} is a {saved.get('class')}, but the one built is a {found['class']}")
    if saved.get("parts") != found["parts"]:
        known = all(isinstance(config, Mapping) for config in configs)
        listed = differences(*configs)[:3] if known else []
        telling = ": " + "; ".join(listed) if listed else ""
        raise MismatchError(
            f"{what}: its {role} ({found['class']}) has other parts or settings ({saved.get('parts')}) than the one "
            f"built here ({found['parts']}){telling}"
        )
