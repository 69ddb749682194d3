"""List the recipes, build each and check its size."""

import json as json_format
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurodecode.training.recipes import Checked


def run(names: list[str] | None = None, *, json: bool = False) -> None:
    """List the published recipes, build each at its full size without memory, and compare its parameter count.

    Parameters
    ----------
    names : list of str, optional
        Recipes to show; all by default.
    json : bool
        Print a JSON list instead of a table.
    """
    from neurodecode.core.errors import MismatchError
    from neurodecode.training.recipes import check_recipes

    checked = check_recipes(names)
    if json:
        print(json_format.dumps([recipe.to_plain() for recipe in checked], indent=2, ensure_ascii=False))
    else:
        _show(checked)
    wrong = [recipe.card.name for recipe in checked if not recipe.matches]
    if wrong:
        raise MismatchError(f"recipes: {', '.join(wrong)} have another number of parameters than their reference")


def _show(checked: "list[Checked]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Recipes", box=box.SIMPLE_HEAD)
    for heading in ("name", "parameters", "reference", "per subject", "fits"):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "name" else "right")
    table.add_column("source")
    for recipe in checked:
        for position, count in enumerate(recipe.counts or (None,)):
            first = position == 0
            expected = None if count is None else count.size.parameters
            table.add_row(
                recipe.card.name if first else "",
                "-" if count is None else f"{count.parameters:,}",
                "-" if expected is None else f"{expected:,}",
                "-" if count is None else f"{count.subject_parameters:,}",
                "-" if count is None or expected is None else "yes" if count.matches else "NO",
                recipe.card.source if first else count.size.name if count is not None else "",
            )
    console = Console(soft_wrap=False)
    console.print(table)
    for recipe in checked:
        card = recipe.card
        console.print(f"{card.name}: {card.what} Targets: {card.targets}.", soft_wrap=True, highlight=False)
        for entry in card.published:
            console.print(
                f"  published: {entry.get('score', '')} ({entry.get('protocol', '')})", soft_wrap=True, highlight=False
            )
        for line in card.differs:
            console.print(f"  differs: {line}", soft_wrap=True, highlight=False)
