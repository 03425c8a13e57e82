"""`panoptic3d app`: serve a page to drop photos on, and the same by HTTP."""

import argparse
import socket

from panoptic3d.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="this machine only (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="0 is any free one (8765)")
    parser.add_argument("--no-open", action="store_true", help="print the address and open nothing")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C. All photos and scenes lie in a temporary folder, which goes when the server ends."""
    import threading
    import webbrowser

    from panoptic3d.optional import require

    require("fastapi", "`panoptic3d app`")
    require("uvicorn", "`panoptic3d app`")
    require("python_multipart", "`panoptic3d app`")
    from panoptic3d.app.connection import make_server
    from panoptic3d.app.guard import Guard
    from panoptic3d.app.jobs import Jobs
    from panoptic3d.app.limits import Limits
    from panoptic3d.app.private_folder import private_folder
    from panoptic3d.app.service import make_app
    from panoptic3d.app.worker import ProcessRunner

    if not 0 <= arguments.port <= 65535:
        raise InputError(f"port {arguments.port} does not exist; give one from 1 to 65535, or 0 for any free one.")
    try:
        listening = listening_at(arguments.host, arguments.port)
    except OSError as error:
        place = f"{arguments.host}:{arguments.port}"
        raise InputError(
            f"{place} cannot be had ({error.strerror or error}); give another --port or --host."
        ) from error
    port, limits = listening.getsockname()[1], Limits()
    with private_folder() as folder:
        jobs = Jobs(folder, ProcessRunner(arguments.device), limits)
        server = make_server(Guard(make_app(jobs), limits, port), limits)
        address = f"http://{_shown(arguments.host)}:{port}/"
        print(f"{address} (end with Ctrl-C)", flush=True)
        if not arguments.no_open:
            threading.Timer(1.0, webbrowser.open, (address,)).start()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # the way to end it
            print()
        finally:
            jobs.close()
    return 0


def listening_at(host: str, port: int) -> socket.socket:
    """`::` takes IPv4, too, where the system can."""
    if ":" not in host:
        return socket.create_server((host, port))
    is_dual = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=is_dual)


def _shown(host: str) -> str:
    """An address for the browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
