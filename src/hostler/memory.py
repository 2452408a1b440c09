"""Memory that models take: what is expected of one, and what is measured."""

from enum import StrEnum

from hostler.struct import Struct


class FootprintBasis(StrEnum):
    """What an estimate of a model's memory rests on, the best first."""

    MEASURED = "measured"
    """An earlier load of the same weights in the same number format on the same kind of device."""
    HEADERS = "headers"
    """The headers of its weights, which name every tensor's shape and format."""
    FILES = "files"
    """The sizes of its files."""
    SIZE = "size"
    """The registry's `size`, taken for a number of parameters, or nothing better than a guess."""


class Footprint(Struct, frozen=True):
    """Memory that a model takes, in bytes, on the device that it computes on unless said otherwise."""

    weights_bytes: int
    kv_cache_bytes: int
    """At most; taken as requests come."""
    workspace_bytes: int
    """What a step needs besides."""
    process_bytes: int
    """Of the host's memory, whatever the device."""
    basis: FootprintBasis

    @property
    def device_bytes(self) -> int:
        """All but the process."""
        return self.weights_bytes + self.kv_cache_bytes + self.workspace_bytes


class Estimate(Struct, frozen=True):
    """What loading a model will take."""

    footprint: Footprint
    load_s: float | None = None
    """Seconds that an earlier load took; `None`: none is remembered."""


class DeviceMemory(Struct, frozen=True):
    """Memory that a worker's allocator holds on one accelerator, in bytes."""

    device_id: int
    allocated_bytes: int
    reserved_bytes: int
