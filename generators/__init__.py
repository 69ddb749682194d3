"""The folder behind `neurodecode.generators`."""

if __name__ == "generators":
    raise ImportError("import neurodecode.generators instead: the repository root is on sys.path and shadows it")
