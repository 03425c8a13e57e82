"""The version, alone in a file that imports nothing, so that setup and `--version` read it at no cost."""

__version__ = "0.1.0"
