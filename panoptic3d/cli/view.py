"""`panoptic3d view DIR`: show a scene, or the list of scenes in a folder, in the browser."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a predicted scene, or a folder of them")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: any free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import webbrowser

    from panoptic3d.viewer.server import HOST, make_server

    with make_server(Path(arguments.folder), arguments.port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        print(f"{address} (end with Ctrl-C)", flush=True)
        if not arguments.no_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # Ctrl-C is how a user ends the server, so it is no error
            print()
    return 0
