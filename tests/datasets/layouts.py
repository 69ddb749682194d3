"""Miniatures of a study in each of its forms, for tests that compare them and damage copies."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurodecode.core.prepared import PreparedStudy, prepare_study
from neurodecode.datasets.catalogue import open_study
from neurodecode.datasets.miniatures.catalogue import write_miniature


class Layouts:
    """Write the miniature of each layout when it is first asked for; what is given is not to be changed."""

    def __init__(self, study: str, root: Path) -> None:
        self.study, self.root = study, root

    def __call__(self, layout: str) -> Path:
        """Return the folder of a layout."""
        if not (self.root / layout).exists():
            write_miniature(self.study, self.root / layout, layout=layout)
        return self.root / layout

    def copy(self, layout: str, folder: Path, *hidden: str) -> Path:
        """Copy a layout, but for what is hidden, into a folder where a test may damage it."""
        return Path(shutil.copytree(self(layout), folder, ignore=shutil.ignore_patterns(*hidden)))

    def prepare(
        self, layouts: Iterable[str], caches: Path, *, subjects: dict[str, list[str]] | None = None, **settings: Any
    ) -> dict[str, PreparedStudy]:
        """Prepare every layout; of some only the subjects named for them."""
        return {
            layout: prepare_study(
                open_study(self.study, self(layout)), caches / layout, subjects=(subjects or {}).get(layout), **settings
            )
            for layout in layouts
        }
