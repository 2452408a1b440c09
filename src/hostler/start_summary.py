"""What is printed when a server starts: where it serves what, for whom, and what may surprise later."""

from collections.abc import Iterator, Mapping

from hostler import __version__
from hostler.catalogue import is_found
from hostler.config import Settings, is_loopback
from hostler.errors import ModelNotFoundError
from hostler.lifecycle.ledger import PLACES
from hostler.quantities import format_bytes
from hostler.registry import Registry


def start_summary(settings: Settings, registry: Registry, budget: Mapping[str, int], address: tuple[str, int]) -> str:
    """Plain lines, for terminals and files alike. `budget`: what models may take, by resource, as far as it is known;
    `address`: what is listened on."""
    host, port = address
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    facts = [
        ("models", _models(registry)),
        ("default", _default(settings, registry)),
        ("memory", _memory(settings, budget)),
        ("key", "needed" if _has_key(settings) else "not needed (there is none)"),
        ("playground", f"{url}/playground"),
        ("docs", f"{url}/docs"),
        *(("warning", warning) for warning in _warnings(settings, registry)),
    ]
    return "\n".join([f"Hostler {__version__} serves on {url}", *(f"  {name:<11} {text}" for name, text in facts)])


def _models(registry: Registry) -> str:
    num_found = sum(map(is_found, registry.values()))
    found = f", {num_found} discovered" if num_found else ""
    return f"{len(registry) - num_found} listed{found}; loaded on demand"


def _default(settings: Settings, registry: Registry) -> str:
    if settings.default_model is not None:
        return f"{settings.default_model}, loaded now"
    first = next(iter(registry), None)
    return "none" if first is None else f"{first}, loaded when it is asked for"


def _memory(settings: Settings, budget: Mapping[str, int]) -> str:
    amounts = [f"{resource} {format_bytes(amount)}" for resource, amount in budget.items() if resource != PLACES]
    share = settings.memory_budget.share
    basis = f" ({share:.0%} of each memory)" if share is not None else ""
    return f"{', '.join(amounts)} for models{basis}; {settings.max_concurrent_models} of them at once"


def _has_key(settings: Settings) -> bool:
    return settings.api_key is not None or settings.keys_file.exists()


def _warnings(settings: Settings, registry: Registry) -> Iterator[str]:
    if settings.default_model is not None:
        try:
            registry.resolve(settings.default_model)
        except ModelNotFoundError as exc:
            yield f"DEFAULT_MODEL: {exc.message.removesuffix(' (GET /models lists all)')}"
    if not _has_key(settings) and not is_loopback(settings.host):
        yield f"whoever reaches {settings.host} may use, load and unload models: there is no key"
    if settings.trust_remote_code:
        yield "trust_remote_code: Python that comes with models is run"
    if num_gated := sum(spec.gated for spec in registry.values()) if settings.hf_token is None else 0:
        yield f"{num_gated} gated models cannot be downloaded: HF_TOKEN is not set"
