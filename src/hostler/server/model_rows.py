"""What is told about one registered model."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

from hostler.lifecycle.ledger import PLACES, Need
from hostler.protocol.native_answers import AuthStatus, MemoryUsage, ModelDetails, ModelRow
from hostler.quantities import spell_keep_alive
from hostler.registry import ModelSpec
from hostler.server.services import Services
from hostler.types import ModelState


def model_row(services: Services, spec: ModelSpec) -> ModelRow:
    status = services.manager.status(spec.id)
    used_at = status.last_used_at
    return ModelRow(
        name=spec.name,
        type=spec.type.value,
        size=spec.size,
        description=spec.description,
        max_length=spec.max_length,
        suggested_temperature=spec.suggested_temperature,
        gated=spec.gated,
        loaded=status.state is ModelState.READY,
        loading=status.state is ModelState.LOADING,
        device=None if status.facts is None else status.facts.device,
        last_used=None if used_at is None else datetime.fromtimestamp(used_at, UTC).isoformat(),
        memory_bytes=sum(only_bytes(services.manager.reserved(spec.id)).values()),
        pinned=status.is_pinned,
        keep_alive=spell_keep_alive(
            spec.keep_alive_s if status.asked_keep_alive_s is None else status.asked_keep_alive_s,
            services.settings.keep_alive_s,
        ),
        state=status.state.value,
        num_leases=status.num_leases,
        num_waiting=status.num_waiting,
        reserved=only_bytes(services.manager.reserved(spec.id)),
        last_error=status.last_error,
    )


def only_bytes(need: Need) -> dict[str, int]:
    """Without what is not memory."""
    return {resource: amount for resource, amount in need.items() if resource != PLACES}


def model_details(services: Services, spec: ModelSpec) -> ModelDetails:
    details = cast(ModelDetails, {**model_row(services, spec), "model_id": spec.id})
    if (facts := services.manager.status(spec.id).facts) is not None:
        details["memory_usage"] = MemoryUsage(
            total_parameters=facts.num_parameters,
            trainable_parameters=facts.num_trainable_parameters,
            estimated_size_mb=round(facts.memory_bytes / 2**20, 2),
        )
    if spec.gated:
        details["auth_status"] = services.hub_account.has_token
        details["access_url"] = f"https://huggingface.co/{spec.name}"
    return details


def gated_ids(visible: Iterable[ModelSpec]) -> list[str]:
    return [spec.id for spec in visible if spec.gated]


def loaded_among(services: Services, visible: Iterable[ModelSpec]) -> list[str]:
    """Those in memory, in the manager's order."""
    ids = {spec.id for spec in visible}
    return [model_id for model_id in services.manager.loaded_ids() if model_id in ids]


async def auth_status(services: Services, visible: Iterable[ModelSpec]) -> AuthStatus:
    gated = gated_ids(visible)
    return AuthStatus(
        has_token=services.hub_account.has_token,
        token_accepted=await services.hub_account.is_token_accepted(),
        gated_models_count=len(gated),
        gated_models=gated,
    )
