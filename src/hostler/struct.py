"""The base of the values that cross the process border."""

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable, built by keyword."""
