"""Learned maps on the side of the stimulus, for objectives that compare in a space of their own."""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

from neurodecode.core.errors import MismatchError
from neurodecode.encoders.brain.heads import Shape, target_shapes


class LinearImageSide(nn.Module):
    """A linear head over all targets of a stimulus, side by side.

    Published systems that match intermediate layers train such a head together with the brain's.

    Parameters
    ----------
    targets : mapping
        See :func:`neurodecode.encoders.brain.heads.target_shapes`.
    width : int
        Number of features it returns.

    Attributes
    ----------
    out_features : int
        The same as ``width``; the encoder gets a head of this size.

    Examples
    --------
    >>> LinearImageSide({"layer.2": 6, "layer.5": 3}, width=4)(
    ...     {"layer.2": torch.zeros(2, 6), "layer.5": torch.zeros(2, 3)}).shape
    torch.Size([2, 4])
    """

    def __init__(self, targets: Mapping[str, int | list[int] | Shape], width: int = 512) -> None:
        super().__init__()
        self.shapes = target_shapes(targets)
        self.out_features = width
        self.projection = nn.Linear(sum(prod(shape) for shape in self.shapes.values()), width)

    def forward(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Return the stimulus's vector.

        Parameters
        ----------
        targets : mapping of str to Tensor of shape (n_stimuli, *shape)
            All targets this side was built for.

        Returns
        -------
        Tensor of shape (n_stimuli, width)
        """
        for name, shape in self.shapes.items():
            if name not in targets or tuple(targets[name].shape[1:]) != shape:
                got = tuple(targets[name].shape[1:]) if name in targets else "nothing"
                raise MismatchError(f"image side: got {got} for target {name!r}, expected shape {shape}")
        projected: Tensor = self.projection(torch.cat([targets[name].flatten(1) for name in self.shapes], dim=1))
        return projected

    def split(self, values: Tensor) -> dict[str, Tensor]:
        """Carry vectors of the learned space back to the targets, so that products with stimuli stay what they are.

        Parameters
        ----------
        values : Tensor of shape (n, width)
            Such as what an encoder's head of this size gives.

        Returns
        -------
        dict of str to Tensor of shape (n, *shape)
            Their product with a stimulus's targets is that of `values` with the stimulus's vector, but for what the
            bias adds to all stimuli alike.

        Examples
        --------
        >>> side = LinearImageSide({"a": 3, "b": [2, 2]}, width=4)
        >>> targets = {"a": torch.ones(1, 3), "b": torch.ones(1, 2, 2)}
        >>> values = torch.ones(1, 4)
        >>> parts = side.split(values)
        >>> product = sum((parts[name] * targets[name]).sum() for name in targets)
        >>> torch.allclose(product, (values * (side(targets) - side.projection.bias)).sum(), atol=1e-5)
        True
        """
        return parted(values @ self.projection.weight, self.shapes)


class SameImageSide(nn.Module):
    """All targets of a stimulus side by side, as they are: nothing is learned.

    It gives the encoder a head ``retrieval`` of its own for the contrastive objective, beside the heads that regress
    the same targets.

    Parameters
    ----------
    targets : mapping
        See :func:`neurodecode.encoders.brain.heads.target_shapes`.

    Examples
    --------
    >>> SameImageSide({"a": 2, "b": [2, 3]})({"a": torch.zeros(4, 2), "b": torch.zeros(4, 2, 3)}).shape
    torch.Size([4, 8])
    """

    def __init__(self, targets: Mapping[str, int | list[int] | Shape]) -> None:
        super().__init__()
        self.shapes = target_shapes(targets)
        self.out_features = sum(prod(shape) for shape in self.shapes.values())

    def forward(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Return the stimulus's targets as one vector, shape (n_stimuli, out_features)."""
        return torch.cat([targets[name].flatten(1) for name in self.shapes], dim=1)

    def split(self, values: Tensor) -> dict[str, Tensor]:
        """Part such vectors ``(n, out_features)`` into the targets again, each ``(n, *shape)``.

        Examples
        --------
        >>> parts = SameImageSide({"a": 2, "b": [2, 3]}).split(torch.zeros(4, 8))
        >>> parts["a"].shape, parts["b"].shape
        (torch.Size([4, 2]), torch.Size([4, 2, 3]))
        """
        return parted(values, self.shapes)


def parted(values: Tensor, shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """Part vectors of all targets side by side into the targets, each in its shape.

    Examples
    --------
    >>> {name: tuple(part.shape) for name, part in parted(torch.zeros(4, 8), {"a": (2,), "b": (2, 3)}).items()}
    {'a': (4, 2), 'b': (4, 2, 3)}
    """
    parts = torch.split(values, [prod(shape) for shape in shapes.values()], dim=1)
    return {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
