"""The command line `hostler`."""

from hostler.cli.commands import main

__all__ = ["main"]
