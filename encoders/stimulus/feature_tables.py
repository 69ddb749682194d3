"""Ready vectors in the place of a model: whoever made the data has embedded the stimuli already."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from neurodecode.core.errors import ConfigError
from neurodecode.core.feature_table import FeatureTable
from neurodecode.core.files import fingerprint
from neurodecode.encoders.stimulus.base import Features

MODEL = "given"


class FeatureTableEncoder:
    """Look vectors up by the name of the stimulus; the name is what `encode` is given.

    Parameters
    ----------
    tables : mapping of str to FeatureTable
        By layer.

    Raises
    ------
    ConfigError
        If there is no layer.

    Examples
    --------
    >>> import numpy as np
    >>> table = FeatureTable("here", ("a", "b"), np.eye(2, dtype=np.float32))
    >>> FeatureTableEncoder({"last": table}).encode(["b"])["last"].tolist()
    [[0.0, 1.0]]
    """

    name = MODEL
    kind: Literal["image", "text", "speech"] = "text"

    def __init__(self, tables: Mapping[str, FeatureTable]) -> None:
        if not tables:
            raise ConfigError("features: got no table, expected at least one")
        self.tables = dict(tables)

    def layers(self) -> list[str]:
        """List the tables, in the order given."""
        return list(self.tables)

    def encode(self, stimuli: Sequence[Any]) -> Features:
        """Look up the vectors of some stimuli in every table."""
        names = [str(name) for name in stimuli]
        return {layer: table.of(names) for layer, table in self.tables.items()}

    def fingerprint(self) -> dict[str, Any]:
        """Describe the tables by their content: the file may be called anything."""
        return {
            "model": MODEL,
            "weights": fingerprint({layer: table.digest() for layer, table in self.tables.items()}, length=64),
            "layers": self.layers(),
            "pooling": dict.fromkeys(self.tables, "as given"),
            "normalised": {layer: table.normalised for layer, table in self.tables.items()},
            "preprocessing": {"vectors": "as given"},
        }
