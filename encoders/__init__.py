"""The folder behind `neurodecode.encoders`."""

if __name__ == "encoders":
    raise ImportError("import neurodecode.encoders instead: the repository root is on sys.path and shadows the package")
