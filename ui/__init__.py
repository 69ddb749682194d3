"""The folder behind `neurodecode.ui`."""

if __name__ == "ui":
    raise ImportError("import neurodecode.ui instead: the repository root is on sys.path and shadows the package")
