"""List the studies that can be read and what was found of them."""

import json as json_format
from typing import Any


def run(*, root: str | None = None, json: bool = False) -> None:
    """List studies: modality, licence, where to get them, and what was found on this machine.

    Parameters
    ----------
    root : str, optional
        Folder that holds the studies; by default the one that the environment variable NEURODECODE_DATA names.
    json : bool
        Print a JSON list instead of a table.
    """
    rows = study_rows(root)
    if json:
        print(json_format.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from neurodecode.datasets.catalogue import ROOT_VARIABLE, data_root

    folder = data_root(root)
    table = Table(title="Studies", box=box.SIMPLE_HEAD)
    for heading in ("name", "modality", "stimuli", "found"):
        table.add_column(heading, no_wrap=True)
    table.add_column("description")
    for row in rows:
        simulated = " Simulated." if row["simulated"] else ""
        table.add_row(
            row["name"], row["modality"], row["kind"], "yes" if row["found"] else "no", row["description"] + simulated
        )
    console = Console(soft_wrap=False)
    console.print(table)
    for row in rows:
        place = f"found in {row['found']}" if row["found"] else f"not found; where to get it: {row['where']}"
        console.print(f"{row['name']}: {place}", soft_wrap=True, highlight=False)
    if folder is None:
        console.print(f"Nothing was looked for: give --root or set {ROOT_VARIABLE}.")


def study_rows(root: str | None = None) -> list[dict[str, Any]]:
    """Put what is known and what was found of every study into plain values.

    Parameters
    ----------
    root : str, optional
        Folder that holds the studies.

    Returns
    -------
    list of dict
        With `name`, `modality`, `kind`, `description`, `citation`, `licence`, `where`, `size`, `simulated`,
        `expected` and `found` (the study's folder, or None).
    """
    from neurodecode.datasets.catalogue import data_root, study_classes

    folder = data_root(root)
    rows = []
    for name, kind in study_classes().items():
        info = kind.info
        found = None if folder is None else kind.find(folder)
        rows.append(
            {
                "name": name,
                "modality": info.modality,
                "kind": info.kind,
                "description": info.description,
                "citation": info.citation,
                "licence": info.licence,
                "where": info.where,
                "size": info.size,
                "simulated": info.simulated,
                "expected": dict(info.expected),
                "found": None if found is None else str(found),
            }
        )
    return rows
