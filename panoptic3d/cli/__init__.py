"""The command line. Only the named verb's module is imported, and its heavy imports happen when it runs."""

from panoptic3d.cli.main import main

__all__ = ["main"]
