"""Finding, checking and reading the weights of frozen models."""

import hashlib
import importlib.util
from pathlib import Path

import torch
from safetensors.torch import load_file

from neurodecode.core.errors import DataError
from neurodecode.core.files import sha256_of_file


def wheel_file(package: str, relative: str, *, distribution: str, extra: str = "offline") -> Path:
    """Find a file inside an installed package without importing the package.

    Parameters
    ----------
    package : str
        Import name of the package.
    relative : str
        Path of the file inside the package.
    distribution : str
        Name to install it by, for the message.
    extra : str
        The extra of neurodecode that brings it, for the message.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If the package is not installed or holds no such file.

    Examples
    --------
    >>> wheel_file("torch", "version.py", distribution="torch").name
    'version.py'
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"weights: package {distribution} is not installed, expected it from the extra {extra!r}")
    path = Path(spec.submodule_search_locations[0]) / relative
    if not path.is_file():
        raise DataError(f"weights: {path} does not exist, expected it in package {distribution}")
    return path


def check_sha256(path: Path, expected: str) -> str:
    """Compare a file's SHA-256 with the expected one.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        64 hexadecimal digits.

    Returns
    -------
    str
        The digest, equal to `expected`.

    Raises
    ------
    DataError
        If the file is missing or its digest is another one.
    """
    if not path.is_file():
        raise DataError(f"weights: {path} does not exist, expected a file with SHA-256 {expected}")
    digest = sha256_of_file(path)
    if digest != expected:
        raise DataError(f"weights: {path} has SHA-256 {digest}, expected {expected}")
    return digest


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a table of tensors from a PyTorch or safetensors file, executing nothing from it.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or anything that ``torch.load(weights_only=True)`` reads.

    Returns
    -------
    dict of str to torch.Tensor
        Tensors on the CPU by name.

    Raises
    ------
    DataError
        If the file is missing, broken or holds anything but tensors by name.
    """
    if not path.is_file():
        raise DataError(f"weights: {path} does not exist, expected a file of tensors")
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # The readers raise a dozen kinds of errors on broken files; all mean the same to the user.
        raise DataError(f"weights: {path} is not a whole file of tensors ({one_line(error)})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise DataError(f"weights: {path} holds {type(state).__name__}, expected tensors by name")
    return dict(state)


def fill(network: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Copy tensors into a network, whose names and shapes must be exactly theirs.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    state : dict of str to torch.Tensor
        Every parameter and buffer of the network.
    path : Path
        Where the tensors came from, for the message.

    Raises
    ------
    DataError
        If a name is missing or too many, or a shape differs.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise DataError(f"weights: {path} does not fit {type(network).__name__}: {lines[-1][:160]}") from error


def state_sha256(network: torch.nn.Module) -> str:
    """Compute the SHA-256 of a network's tensors, whatever file they were read from.

    Parameters
    ----------
    network : torch.nn.Module
        With its weights loaded.

    Returns
    -------
    str
        64 hexadecimal digits over names, types, shapes and values, in order of the names.

    Examples
    --------
    >>> first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    >>> _ = second.load_state_dict(first.state_dict())
    >>> state_sha256(first) == state_sha256(second)
    True
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().to("cpu").contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def one_line(error: BaseException) -> str:
    """Give the first line of an error's text, or its type where it has none, at most 160 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:160]
