"""What a model will take, before it is loaded: looked up off the event loop, and bettered by every load."""

import asyncio
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hostler.config import Settings
from hostler.memory import Estimate, Footprint, FootprintBasis
from hostler.models.footprint import Inspection, bytes_per_number, device_kind, footprint_of
from hostler.models.footprint_history import FootprintHistory, LoadRecord, estimate_ratio
from hostler.registry import ModelSpec
from hostler.types import ModelFacts

if TYPE_CHECKING:
    from hostler.models.hub import HubAccess
    from hostler.models.inspection import Inspector

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""For all that is looked at of one model; more than the hub is given, so that this is for disks that hang and for the
imports of the first time."""


class FootprintEstimator:
    """Implements `hostler.lifecycle.ports.Estimator`."""

    def __init__(self, settings: Settings, *, hub: "HubAccess | None" = None, timeout_s: float = TIMEOUT_S) -> None:
        """`hub`: another than the one of the settings."""
        self._settings = settings
        self._hub = hub
        self._timeout_s = timeout_s
        self._history = FootprintHistory(settings.hostler_cache_dir)
        self._inspector: Inspector | None = None
        self._inspector_lock = threading.Lock()

    async def estimate(self, spec: ModelSpec, device: str) -> Estimate:
        """See `Estimator.estimate`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(self._estimate, spec, device)
        except Exception as exc:  # an estimate is never the reason why a model is not loaded
            logger.warning("estimate_failed model=%s reason=%s", spec.id, type(exc).__name__, exc_info=exc)
            return _estimate_of(spec, Inspection(FootprintBasis.SIZE), device, None)

    async def record(self, spec: ModelSpec, footprint: Footprint, facts: ModelFacts) -> None:
        """See `Estimator.record`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.to_thread(self._record, spec, footprint, facts)
        except Exception as exc:  # nor why one that is loaded is not used
            logger.warning("footprint_not_recorded model=%s reason=%s", spec.id, type(exc).__name__, exc_info=exc)

    def _estimate(self, spec: ModelSpec, device: str) -> Estimate:
        inspection = self._inspect(spec)
        key = _key(spec, inspection, device)
        return _estimate_of(spec, inspection, device, self._history.find(key) if key is not None else None)

    def _record(self, spec: ModelSpec, footprint: Footprint, facts: ModelFacts) -> None:
        key = _key(spec, self._inspect(spec), facts.device)
        if key is not None:
            self._history.add(key, LoadRecord.of(footprint, facts))
        logger.info(
            "footprint_measured model=%s basis=%s host_bytes=%d device_bytes=%d estimated_to_measured=%s",
            spec.id,
            footprint.basis,
            facts.host_bytes,
            facts.device_bytes,
            "unknown" if (ratio := estimate_ratio(footprint, facts)) is None else f"{ratio:.3f}",
        )

    def _inspect(self, spec: ModelSpec) -> Inspection:
        with self._inspector_lock:
            if self._inspector is None:
                self._inspector = _make_inspector(self._settings, self._hub)
        return self._inspector.inspect(spec)


def _make_inspector(settings: Settings, hub: "HubAccess | None") -> "Inspector":
    # Imported here, in a thread: huggingface_hub takes a good part of a second, for which no start should wait.
    from hostler.models.hub import HubAccess
    from hostler.models.inspection import Inspector

    token = settings.hf_token.get_secret_value() if settings.hf_token is not None else None
    return Inspector(
        hub or HubAccess(cache_dir=settings.cache_dir, token=token), Path(settings.hostler_cache_dir) / "converted"
    )


def _key(spec: ModelSpec, inspection: Inspection, device: str) -> str | None:
    """All that decides on what a load takes; `None` where it is not known which weights they are."""
    if inspection.identity is None:
        return None
    bits = 8 * bytes_per_number(spec.torch_dtype, device, is_pooling=spec.type.is_pooling)
    return f"{inspection.identity} {bits}bit {device_kind(device)}"


def _estimate_of(spec: ModelSpec, inspection: Inspection, device: str, record: LoadRecord | None) -> Estimate:
    number_bytes = bytes_per_number(spec.torch_dtype, device, is_pooling=spec.type.is_pooling)
    measured = record.measurement if record is not None else None
    footprint = footprint_of(spec, inspection, device, number_bytes, measured)
    return Estimate(footprint=footprint, load_s=record.load_s if record is not None else None)
