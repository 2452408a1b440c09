"""`hostler check`: what the registered models are, before anything of them is downloaded."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from hostler.accelerators import Gpus
from hostler.catalogue import read_catalogue
from hostler.config import Settings, registry_path
from hostler.lifecycle.ledger import Need
from hostler.lifecycle.placement import Placer, Placing
from hostler.lifecycle.policy import could_ever_fit
from hostler.logs import configure_logging
from hostler.memory import FootprintBasis
from hostler.models.bundle_manifest import damage_of
from hostler.models.estimator import FootprintEstimator
from hostler.models.hub import HubAccess
from hostler.models.preflight import Preflight, examine
from hostler.quantities import format_bytes
from hostler.registry import ModelSpec
from hostler.struct import Struct

_AT_ONCE = 8
"""Models that are looked at together: few enough for the hub, enough that one without an answer holds up nobody."""


class Checked(Struct, frozen=True, kw_only=True):
    """One model."""

    files: Preflight
    needed_bytes: int
    """On its device, its process included."""
    basis: FootprintBasis
    """What that rests on; `size`: a guess."""
    fits: bool
    problems: tuple[str, ...]

    @property
    def model_id(self) -> str:
        return self.files.model_id


def check_models(config: Path | None, names: Sequence[str], hub: HubAccess | None = None) -> list[Checked]:
    """The models of those names, or all of the registry. `hub`: another than the one of the settings.

    Raises:
        ConfigError: the registry file cannot be used.
        ModelNotFoundError: it has no model of such a name.
    """
    configure_logging("WARNING")
    path = registry_path(config)
    settings, registry = read_catalogue(path, {"insecure_no_auth": True})
    specs = [registry.resolve(name) for name in names] or list(registry.values())
    token = settings.hf_token.get_secret_value() if settings.hf_token is not None else None
    hub = hub or HubAccess(cache_dir=settings.cache_dir, token=token)
    return asyncio.run(_check(specs, settings, hub, path.absolute().parent))


async def _check(specs: Sequence[ModelSpec], settings: Settings, hub: HubAccess, base: Path) -> list[Checked]:
    """`base`: where the registry lies, with the manifest of the models if it is one of `hostler pull --to`."""
    estimator = FootprintEstimator(settings, hub=hub)
    placer = Placer(estimator, settings.memory_budget, settings.max_concurrent_models, Gpus())
    await placer.probe()
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def check(spec: ModelSpec) -> Checked:
        async with at_once:
            files = await asyncio.to_thread(examine, spec, hub)
            damage = await asyncio.to_thread(damage_of, base, spec.id)
            return _judge(files, damage, await placer.place(spec, {}), placer.budget)

    return list(await asyncio.gather(*map(check, specs)))


def _judge(files: Preflight, damage: Sequence[str], placing: Placing, budget: Need) -> Checked:
    fits = could_ever_fit(placing.options, budget, ())
    footprint = placing.footprint
    needed_bytes = footprint.device_bytes + footprint.process_bytes
    problems = (*files.problems, *damage)
    if not fits:
        problems += (
            f"It needs {format_bytes(needed_bytes)}, more than the memory budget has; raise memory_budget, set"
            " torch_dtype: bfloat16, or use a smaller model.",
        )
    return Checked(files=files, needed_bytes=needed_bytes, basis=footprint.basis, fits=fits, problems=problems)


def record(checked: Sequence[Checked]) -> dict[str, dict[str, Any]]:
    """Everything, by model id."""
    return {
        one.model_id: {
            **msgspec.to_builtins(one.files),
            "needed_bytes": one.needed_bytes,
            "needed_basis": one.basis.value,
            "fits": one.fits,
            "problems": list(one.problems),
        }
        for one in checked
    }


def print_report(checked: Sequence[Checked], console: Console) -> None:
    """A line for each model, then what is wrong with it, and what to do."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "access", "revision", "weights", "code", "licence", "download", "needs"):
        table.add_column(heading, no_wrap=True)
    for one in checked:
        table.add_row(*_cells(one))
    console.print(table)
    for kind, (told, *others) in _alike(checked):
        console.print(f"{kind}  {told[0]}: {told[1]}")
        if others:
            console.print(f"{kind}  {', '.join(model_id for model_id, _ in others)}: the same")


def _alike(checked: Sequence[Checked]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Problems and warnings as pairs of model and sentence, those together that differ in the repository alone.

    A hub that is not reached is then told once, and not for every model.
    """
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for one in checked:
        for kind, sentences in (("problem", one.problems), ("warning", one.files.warnings)):
            for sentence in sentences:
                key = kind, sentence.replace(one.files.name, "")
                found.setdefault(key, []).append((one.model_id, sentence))
    for (kind, _), alike in found.items():
        yield kind, alike


def _cells(one: Checked) -> tuple[str, ...]:
    files = one.files
    access = {None: "unknown", True: "yes", False: "no"}[files.has_access]
    guess = "~" if one.basis is FootprintBasis.SIZE else ""
    return (
        one.model_id,
        f"{access} (gated)" if files.is_gated else access,
        "-" if files.is_pinned is None else "pinned" if files.is_pinned else files.revision or "newest",
        ", ".join(files.formats) or "-",
        "own" if files.needs_own_code else "elsewhere" if files.kernel_keys else "-",
        files.licence or "-",
        "here" if files.is_here else "-" if files.download_bytes is None else format_bytes(files.download_bytes),
        f"{guess}{format_bytes(one.needed_bytes)}{'' if one.fits else ' (too much)'}",
    )
