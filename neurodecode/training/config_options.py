"""The configuration files among the options: found, read, checked and composed into one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurodecode.core.errors import ConfigError, suggestion
from neurodecode.training.config_checks import check_names
from neurodecode.training.config_files import find_config, read_config, to_yaml
from neurodecode.training.configuration import compose, give_way

CONFIG = ("--config", "-c")
#: What may stand at the top of a configuration file.
ROOTS = (
    "seed_everything", "trainer", "model", "data", "recipe", "ckpt_path", "weights_only", "optimizer", "lr_scheduler",
    "verbose", "return_predictions",
)  # fmt: skip


def split_configs(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the configuration files that options name from all other words.

    Parameters
    ----------
    words : sequence of str
        What was typed.

    Returns
    -------
    names : list of str
        Of configuration files, in their order.
    others : list of str
        All else.

    Examples
    --------
    >>> split_configs(["fit", "--config", "a.yaml", "--data.fold", "1", "--config=b.yaml"])
    (['a.yaml', 'b.yaml'], ['fit', '--data.fold', '1'])
    """
    names, others = [], []
    rest = iter(words)
    for word in rest:
        option, has_value, value = word.partition("=")
        # The parser takes the beginning of an option for the option.
        if option not in CONFIG and not (len(option) > 3 and CONFIG[0].startswith(option)):
            others.append(word)
            continue
        name = value if has_value else next(rest, "")
        if not name or name.startswith("--"):
            raise ConfigError(f"{option}: got no file, expected a YAML file")
        names.append(name)
    return names, others


def compose_options(words: Sequence[str]) -> list[str]:
    """Put the composed configuration in place of the files that options name: files in their order, then the options.

    Parameters
    ----------
    words : sequence of str
        The command, then what was typed after it.

    Returns
    -------
    list of str
        The command, the configuration as text, then the other words.

    Raises
    ------
    ConfigError
        If a file cannot be found or read, has an unknown entry, or is a recipe that fit cannot fit.
    """
    names, (command, *others) = split_configs(words)
    if not names:
        return [command, *others]
    sources = []
    for name in names:
        path = find_config(name)
        sources.append((path, read_config(path, what="--config")))
        _check_top(*sources[-1])
    composed = give_way(compose(values for _, values in sources), others)
    check_names(composed, sources, others)
    return [command, f"--config={to_yaml(composed)}", *others]


def _check_top(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse an unknown entry at the top of a file, which the parser passes over if empty, and recipes for others."""
    for key in values:
        if key not in ROOTS:
            raise ConfigError(f"--config: {path} has an unknown entry {key!r}{suggestion(str(key), ROOTS)}")
    card = values.get("recipe")
    command = card.get("command", "fit") if isinstance(card, dict) else "fit"
    if command != "fit":
        raise ConfigError(f"--config: recipe {path.stem} is fitted by `neurodecode {command}`, not by fit")
