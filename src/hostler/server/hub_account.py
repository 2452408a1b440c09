"""Whether the Hugging Face hub takes the token that is set."""

import asyncio
import logging
import time
from collections.abc import Callable

from pydantic import SecretStr

logger = logging.getLogger(__name__)

ASK_TIMEOUT_S = 5.0
KEEP_ANSWER_S = 300.0
KEEP_SILENCE_S = 30.0
"""How long an unreachable hub is not asked again."""


class HubAccount:
    """Asks the hub, off the event loop, and remembers the answer for some minutes."""

    def __init__(
        self, token: SecretStr | None, ask: Callable[[str], bool | None] | None = None, timeout_s: float = ASK_TIMEOUT_S
    ) -> None:
        self._token = token
        self._ask = ask or ask_hub
        self._timeout_s = timeout_s
        self._answer: bool | None = None
        self._valid_until = -float("inf")
        self._lock = asyncio.Lock()

    @property
    def has_token(self) -> bool:
        return self._token is not None

    async def is_token_accepted(self) -> bool | None:
        """`None`: there is no token, or the hub could not be asked."""
        if self._token is None:
            return None
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                self._answer = await self._ask_in_thread(self._token)
                keep_s = KEEP_SILENCE_S if self._answer is None else KEEP_ANSWER_S
                self._valid_until = time.monotonic() + keep_s
            return self._answer

    async def _ask_in_thread(self, token: SecretStr) -> bool | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(self._ask, token.get_secret_value())
        except TimeoutError:
            return None


def ask_hub(token: str) -> bool | None:
    """Whether the hub takes the token; `None`: it could not be asked. Blocks."""
    # Imported here, in the thread: it takes a good part of a second, and few servers need it.
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        huggingface_hub.whoami(token=token)
    except HfHubHTTPError as exc:
        return False if exc.response.status_code in (401, 403) else None
    except Exception as exc:
        # Offline, no name service, a proxy that says no: what matters is that nobody could be asked. The text of the
        # exception stays out of the log, since it may quote the request.
        logger.info("hub_account_unknown error=%s", type(exc).__name__)
        return None
    return True
