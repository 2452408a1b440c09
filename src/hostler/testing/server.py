"""A server without models, for tests of whatever speaks to one."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from starlette.middleware import Middleware

from hostler.config import Settings
from hostler.errors import HostlerError, ModelNotFoundError
from hostler.gateway_server import GatewayServer, drain, uvicorn_config
from hostler.lifecycle.manager import ModelManager
from hostler.registry import ModelEntry, Registry, load_registry
from hostler.server.app import create_app
from hostler.server.services import Services
from hostler.server.streaming import StreamTiming
from hostler.testing.estimator import FakeEstimator, NoGpus
from hostler.testing.model import FACTS, FakeModel
from hostler.testing.recording import Record, RecordedRequest, Recorder
from hostler.testing.waits import Gate
from hostler.testing.worker import FakeLauncher
from hostler.types import ModelType, PoolingFacts
from hostler.yaml_file import YamlFile

Models = Mapping[str, str | Mapping[str, Any]]
"""By id: a type, or an entry as the registry file has it, of which only `type` is needed."""

MODELS: Models = {
    "fake-chat": "conversational",
    "fake-text": "text",
    "fake-embedding": "embedding",
    "fake-reranker": "reranker",
    "fake-classifier": "classifier",
}
_POOLING = {
    ModelType.EMBEDDING: PoolingFacts(num_values=8),
    ModelType.RERANKER: PoolingFacts(num_values=1),
    ModelType.CLASSIFIER: PoolingFacts(num_values=2, labels=["negative", "positive"]),
}
_TIMING = StreamTiming(progress_every_s=0.02, comment_every_s=0.02)
"""What is told while something lasts is told at once."""
_NO_FILE = Path("/nonexistent/hostler/keys.yaml")


class FakeServer:
    """The real gateway on a free port of this machine, in a thread, over models that say what a test tells them.

        with FakeServer() as server:
            server.model("fake-chat").answer = "Paris"
            assert my_program(server.url) == "Paris"
            assert server.requests[0].json["message"] == "What is the capital of France?"

    Routes, checks, errors and streams are those of a server; the environment and its files are not looked at. Words
    count as tokens, and a model that was told nothing answers `word0 word1 …`.
    """

    def __init__(self, models: Models = MODELS, *, api_key: str | None = None, **settings: Any) -> None:
        """`api_key`: what callers have to send; `None`: nothing. `settings`: as the registry file has them.

        Raises:
            ConfigError: a model or a setting cannot be used.
        """
        given: dict[str, Any] = {"keys_file": _NO_FILE, "api_key": api_key} | settings
        self._settings = _Settings(**{name: value for name, value in given.items() if value is not None})
        self._registry = _registry_of(models, self._settings)
        self._launcher = FakeLauncher()
        self._forget_answers()
        self._record = Record()
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._server: GatewayServer
        self._manager: ModelManager

    @property
    def url(self) -> str:
        """Its address; the same after a `stop` and a `start`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """All that came, the oldest first; `clear()` it where it is long."""
        return self._record.requests

    def model(self, model_id: str) -> FakeModel:
        """What the model does from now on, for a test to change: its `answer`, `answers`, `tool_calls`, `read`,
        `load_error`, `progress` and others."""
        return self._launcher.model(model_id)

    def fail(self, failure: HostlerError, *, num_requests: int = 1) -> None:
        """Answer the next requests, whatever they ask for, with that error, as
        `RateLimitError("slow down", retry_after_s=1)`."""
        self._record.fail(failure, num_requests)

    def fail_after(self, model_id: str, num_words: int, failure: HostlerError) -> None:
        """From now on the model's answers break off with that error after so many words."""
        model = self.model(model_id)
        model.num_free_words, model.generation_error = num_words, failure

    def crash(self, model_id: str) -> None:
        """End the model's process, if it is loaded; what it works on fails with `engine_dead`."""
        done: Future[None] = Future()

        def end() -> None:
            for worker in self._launcher.workers_of(model_id):
                worker.crash()
            done.set_result(None)

        self._loop.call_soon_threadsafe(end)
        done.result()

    def hold_load(self, model_id: str) -> Gate:
        """From now on the model's loads wait for that gate."""
        gate = self.model(model_id).load_gate = Gate(self._loop)
        return gate

    def hold_requests(self, model_id: str) -> Gate:
        """From now on requests wait for that gate once the model is loaded; no stream begins before."""
        gate = self.model(model_id).admission_gate = Gate(self._loop)
        return gate

    def hold_words(self, model_id: str, after: int = 0) -> Gate:
        """From now on the model's answers wait for that gate, each when it has had so many words."""
        model = self.model(model_id)
        model.num_free_words = after
        gate = model.token_gate = Gate(self._loop)
        return gate

    def reset(self) -> None:
        """Be as if just started: requests, failures and what models were told are forgotten, and none is loaded."""
        unloading = asyncio.run_coroutine_threadsafe(self._manager.unload_all(force=True), self._loop)
        unloading.result()
        self._record.forget()
        self._forget_answers()

    def start(self) -> None:
        """Begin to listen, with no model loaded."""
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="hostler-fake-server", daemon=True)
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """End it, as SIGTERM twice would: what runs is told `shutting_down`. Connections are refused afterwards."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._server.stop_at_once)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _forget_answers(self) -> None:
        self._launcher.forget_models()
        for spec in self._registry.values():
            self.model(spec.id).facts = replace(FACTS, pooling=_POOLING.get(spec.type))

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        estimator = FakeEstimator()
        self._manager = ModelManager(self._registry, self._settings, self._launcher, estimator, gpus=NoGpus())
        app = create_app(
            self._manager,
            self._settings,
            read_catalogue=lambda: (self._settings, self._registry),
            timing=_TIMING,
            look_up=_only_these,
        )
        app.user_middleware.append(Middleware(Recorder, record=self._record))
        services: Services = app.state.services
        self._server = GatewayServer(
            uvicorn_config(app, self._settings),
            on_started=lambda: started.set_result(None),
            drain=partial(drain, services.drain, self._manager, 0),
        )
        with socket.create_server(("127.0.0.1", self._port)) as listener:
            self._port = listener.getsockname()[1]
            await self._server.serve(sockets=[listener])


def fake_server(models: Models = MODELS, *, api_key: str | None = None, **settings: Any) -> Iterator[FakeServer]:
    """A running `FakeServer` that ends with the generator: `server = pytest.fixture(fake_server)` is a fixture."""
    with FakeServer(models, api_key=api_key, **settings) as server:
        yield server


class _Settings(Settings):
    """Nothing but what is given."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _registry_of(models: Models, settings: Settings) -> Registry:
    entries: dict[str, Any] = {}
    for model_id, entry in models.items():
        given = {"type": entry} if isinstance(entry, str) else dict(entry)
        usual = {"name": f"fake/{model_id}", "size": "1M", "description": "Says what a test wants", "max_length": 1024}
        entries[model_id] = usual | given
    return load_registry(YamlFile(Path("models.yaml"), {"models": entries}, {}), settings)


def _only_these(name: str) -> ModelEntry:
    """There is no hub."""
    raise ModelNotFoundError(f"no model {name!r} is registered", param="model")
