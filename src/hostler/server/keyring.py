"""The keys that are valid now."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from hostler.config import Settings
from hostler.errors import ConfigError
from hostler.keys import Key, Scope, digest_of
from hostler.keys_file import KEY_OF_SETTING, read_keys
from hostler.watching import FileWatch

MAX_SHOWN = 4
"""Keys of one request that are looked at: there are two headers for them, and each costs time."""

logger = logging.getLogger(__name__)


class Keyring:
    """The key of `api_key` and those of the file. Belongs to one event loop."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Reads the file, if there is one.

        Raises:
            ConfigError: it cannot be used.
        """
        self._clock = clock
        self._path = settings.keys_file
        self.file = FileWatch(self._path)
        """As it was before it was read, so that no change is missed."""
        self._of_setting: list[Key] = []
        if settings.api_key is not None:
            secret = settings.api_key.get_secret_value().encode()
            self._of_setting = [Key(name=KEY_OF_SETTING, digest=digest_of(secret), scopes=frozenset(Scope))]
        self._has_file = self._path.exists()
        self._keys: Sequence[Key] = (*self._of_setting, *(read_keys(self._path).values() if self._has_file else ()))

    @property
    def is_needed(self) -> bool:
        """Whether a key must be shown: once there was a file, even one whose last key has been revoked."""
        return self._has_file or bool(self._of_setting)

    def find(self, secrets: Iterable[bytes]) -> Key | None:
        """The key that one of these is. `None` also where it has expired."""
        found: Key | None = None
        for secret in islice(secrets, MAX_SHOWN):
            digest = digest_of(secret)
            # Against all of them and in constant time, so that timing tells nothing of any.
            for key in self._keys:
                if hmac.compare_digest(digest, key.digest):
                    found = key
        if found is not None and found.expires_at is not None and self._clock() >= found.expires_at:
            return None
        return found

    async def reload(self) -> None:
        """Read the file again, where there is one. If it cannot be used, the keys stay as they were.

        Raises:
            ConfigError: it cannot be used.
        """
        if not self._has_file and not await asyncio.to_thread(self._path.exists):
            return
        keys = await asyncio.to_thread(read_keys, self._path)
        self._keys = (*self._of_setting, *keys.values())
        self._has_file = True
        logger.info("keys_read num_keys=%d", len(keys))

    async def reload_and_log(self) -> None:
        """The same where nobody waits for the answer; never raises."""
        try:
            await self.reload()
        except ConfigError as exc:
            logger.error("keys_refused error=%r", exc.message)  # noqa: TRY400
