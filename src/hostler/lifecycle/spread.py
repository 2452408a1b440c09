"""How a model is shared out among several accelerators when none of them has room for all of it."""

from collections.abc import Mapping, Sequence

from hostler.lifecycle.ledger import Need
from hostler.memory import Footprint

UNEVENNESS = 1.15
"""Layers stay whole and the embeddings lie on one accelerator: how much more than its part one of them may get."""


def joined(devices: list[str]) -> str:
    """Several devices in one word: `cuda:0,cuda:2`."""
    return ",".join(devices)


def split(device: str) -> list[str]:
    """The devices that `joined` joined; one is itself."""
    return device.split(",")


def spread_need(footprint: Footprint, budgets: Mapping[str, int], least: int = 2) -> Need | None:
    """What each of the fewest accelerators, but at least so many, that can hold a model together takes; `None`: even
    all of them cannot.

    Equal parts, as far as an accelerator's budget goes; the largest comes last and takes what the others leave. This
    is how transformers' `device_map="balanced"` shares out layers, and the keys and values lie where their layers do.
    Each accelerator needs the workspace of a step. In the order in which the model runs through them.
    """
    ascending = sorted(budgets, key=lambda device: budgets[device])
    for num_devices in range(least, len(ascending) + 1):
        chosen = ascending[-num_devices:]
        even = even_need(footprint, chosen)
        need = {device: min(even[device], budgets[device]) for device in chosen}
        need[chosen[-1]] += sum(even.values()) - sum(need.values())
        if all(footprint.workspace_bytes <= need[device] <= budgets[device] for device in chosen):
            return need
    return None


def even_need(footprint: Footprint, devices: Sequence[str]) -> Need:
    """The same in equal parts, whether there is room for them or not."""
    divisible = int((footprint.weights_bytes + footprint.kv_cache_bytes) * UNEVENNESS)
    return dict.fromkeys(devices, -(-divisible // len(devices)) + footprint.workspace_bytes)


def measured_spread(footprint: Footprint, bytes_by_device: Mapping[str, int]) -> Need:
    """What each accelerator holds of a loaded model, and its part of what is still to come."""
    to_come = int(footprint.kv_cache_bytes * UNEVENNESS) // len(bytes_by_device) + footprint.workspace_bytes
    return {device: amount + to_come for device, amount in bytes_by_device.items()}
