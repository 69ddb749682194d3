"""A budget's batches, with the targets as a checkpoint reduces them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neurodecode.core.errors import MismatchError
from neurodecode.training.adaptation import Source, require_new
from neurodecode.training.data_module import BrainDataModule
from neurodecode.training.preparation import Preparation


class BudgetData(BrainDataModule):
    """A budget's batches, with the targets as a checkpoint reduces them; all else is fitted on the budget.

    Parameters
    ----------
    source : Source
        Of whom transforms (their names) and, unless `own_targets`, the fitted reductions of the targets are taken. They
        know stimuli, not brains, and none that is tested.
    own_targets : bool
        Fit the reductions on the budget's stimuli instead.
    **settings : Any
        Of `BrainDataModule`.
    """

    def __init__(self, source: Source, *, own_targets: bool, **settings: Any) -> None:
        self._source = source
        self._own_targets = own_targets
        targets = source.interface["targets"]
        forms = {str(target.get("form", "components")) for target in targets.values()}
        if len(forms) != 1:
            raise MismatchError(f"{source.path}: has targets of the forms {', '.join(sorted(forms))}, expected one")
        form = forms.pop()
        if form == "components":
            settings["components"] = {name: int(target["size"]) for name, target in targets.items()}
        super().__init__(transforms=source.interface["transforms"], target_form=form, **settings)  # type: ignore[arg-type]

    def _describe(self) -> dict[str, Any]:
        found = super()._describe()
        require_new(self._source, self.subjects[0], found)
        if not self._own_targets:
            for name, target in self._source.interface["targets"].items():
                found["targets"][name] = dict(target)
        return found

    def prepare_fold(self) -> Preparation:
        """Fit the transforms on the budget; see the base."""
        if not self._fitted:
            super().prepare_fold()
            if not self._own_targets:
                self.preparation.reductions = dict(self._source.preparation.reductions)
        return self.preparation

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Count the first subject, who is new, as the only one."""
        everybody, self.subjects = self.subjects, self.subjects[:1]
        try:
            yield
        finally:
            self.subjects = everybody
