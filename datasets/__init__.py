"""The folder behind `neurodecode.datasets`."""

if __name__ == "datasets":
    raise ImportError("import neurodecode.datasets instead: the repository root is on sys.path and shadows the package")
