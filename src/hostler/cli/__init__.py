"""The command line `hostler`."""


def main() -> None:
    """Run the command that the process's arguments name, and exit."""
    # Each worker imports what the gateway was started with, for all that it never runs it.
    from hostler.cli.commands import main as run

    run()
