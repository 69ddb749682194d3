"""Open the studio in a browser."""

from pathlib import Path


def run(
    results: Path = Path("outputs/quickstart"),
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    browser: bool = False,
) -> None:
    """Serve the studio over finished results until it is interrupted.

    Parameters
    ----------
    results : Path
        A result's folder, or a folder that holds some.
    host : str
        Address to bind; the default keeps the studio on this machine. Set the environment variables NEURODECODE_USER
        and NEURODECODE_PASSWORD before opening it to others.
    port : int
        TCP port.
    browser : bool
        Whether to open a browser.
    """
    from neurodecode.core.errors import ConfigError

    if not 1 <= port <= 65535:
        raise ConfigError(f"port: got {port}, expected 1 to 65535")
    from neurodecode.ui.app import launch_app

    print(f"neurodecode studio: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    launch_app(results, port=port, host=host, open_browser=browser)
