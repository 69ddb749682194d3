"""Errors that a user can act on: one line that names what was got and what was expected."""


class NeurodecodeError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class DataError(NeurodecodeError, ValueError):
    """A file, table or signal is not what its format or its neighbours say it is."""


class ConfigError(NeurodecodeError, ValueError):
    """An argument or a configuration value cannot be used."""


class LeakageError(NeurodecodeError, ValueError):
    """Something that must be disjoint between training and testing is not."""


class MismatchError(NeurodecodeError, ValueError):
    """Two parts that must fit (checkpoint, target space, generator, subject) do not."""
