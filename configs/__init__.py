"""The folder behind `neurodecode.configs`."""

if __name__ == "configs":
    raise ImportError("import neurodecode.configs instead: the repository root is on sys.path and shadows the package")
