"""The gateway as gunicorn's one worker, with the bounds, the drain and the signals that `hostler serve` has."""

import asyncio
import signal

from gunicorn.config import Config
from gunicorn.errors import AppImportError
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from hostler.config import only_one_gateway
from hostler.errors import HostlerError
from hostler.gateway import Configuration, Gateway, Occasions
from hostler.gateway_server import loop_factory


class GatewayWorker(Worker):
    """Runs uvicorn on gunicorn's sockets. gunicorn watches its event loop, and starts another when it stands still."""

    @classmethod
    def check_config(cls, cfg: Config, _log: Logger) -> None:
        """
        Raises:
            RuntimeError: more than one worker; gunicorn ends and prints it.
        """
        if cfg.workers != 1:
            raise RuntimeError(f"workers {only_one_gateway(cfg.workers)}")

    def init_signals(self) -> None:
        # The arbiter's handlers are not for this process; those of the loop come when it runs.
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def load_wsgi(self) -> None:
        """
        Raises:
            AppImportError: a server cannot be made of the configuration; gunicorn ends and prints it.
        """
        try:
            self._gateway = Gateway.of(Configuration.read(None, {}))
        except HostlerError as exc:
            raise AppImportError(str(exc)) from exc

    def run(self) -> None:
        occasions = Occasions(beat=self._beat, beat_every_s=self.timeout or 1.0)  # gunicorn hands over half of it
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self._gateway.run(self.sockets, occasions))
        self._gateway.close()

    async def _beat(self) -> None:
        self.notify()
