"""How many tokens the key–value cache has room for: arithmetic alone, the tensors are the runner's.

The generic runner keeps its sequences as rows of one padded tensor, as long as the longest of them. What a set of
sequences costs is therefore rows times longest row, counted in whole blocks. A decoder's row has a second part,
the keys and values of its encoder's output; a token's size is measured with both parts, so the longer one is counted.
The beams of a search are as long as each other and have a tensor of their own.

What is kept of ended sequences counts too, and makes way for those that run.
"""

from collections.abc import Collection, Mapping

from hostler.engine.prefix_cache import Match, Prefix, PrefixCache
from hostler.engine.request import Request

BLOCK_SIZE = 16
"""Tokens; the rows' lengths are rounded up to it, so that growing by one token seldom changes the sum."""

KEPT_SHARE = 0.5
"""Part of the capacity that ended sequences may take for good. The last one may take more."""


class KVCacheManager:
    """Says yes or no to each growth of a sequence, and never more than the capacity in all."""

    def __init__(self, capacity_tokens: int, *, reuses_prefixes: bool = False) -> None:
        self.capacity_tokens = capacity_tokens
        self._num_blocks: dict[Request, int] = {}
        self._prefixes = PrefixCache(BLOCK_SIZE) if reuses_prefixes else None

    @property
    def num_used_tokens(self) -> int:
        """Tokens that the padded rows of running sequences take up."""
        return num_cached_tokens(self._num_blocks)

    @property
    def num_kept_tokens(self) -> int:
        """Tokens kept of ended sequences."""
        return 0 if self._prefixes is None else self._prefixes.num_kept_tokens

    def allocate_slots(self, request: Request, num_tokens: int) -> bool:
        """Make room for a sequence to be `num_tokens` long; `False`, and nothing changed, where there is none.

        What is kept of ended sequences leaves first, see `take_dropped`.
        """
        num_blocks = num_blocks_of(max(num_tokens, request.num_encoder_tokens))
        if self._num_blocks.get(request) == num_blocks:
            return True
        num_left = self.capacity_tokens - num_cached_tokens({**self._num_blocks, request: num_blocks})
        if num_left < 0:
            return False
        if self._prefixes is not None:
            self._prefixes.shrink(num_left)
            if request not in self._num_blocks and request.search is None:
                self._prefixes.begin(request)
        self._num_blocks[request] = num_blocks
        return True

    def would_fit(self, request: Request, num_tokens: int, without: Collection[Request]) -> bool:
        """Whether a sequence that does not run could be `num_tokens` long if some did not run. Changes nothing."""
        num_blocks = {one: blocks for one, blocks in self._num_blocks.items() if one not in without}
        num_blocks[request] = num_blocks_of(max(num_tokens, request.num_encoder_tokens))
        return num_cached_tokens(num_blocks) <= self.capacity_tokens

    def match(self, request: Request) -> Match:
        """What a sequence that is about to run can begin with."""
        if self._prefixes is None or not request.can_reuse_prefix:
            return Match(prefix=None, num_coming=0)
        return self._prefixes.match(request)

    def use(self, prefix: Prefix) -> None:
        """Note that a sequence does begin with it."""
        if self._prefixes is not None:
            self._prefixes.use(prefix)

    def free(self, request: Request) -> None:
        """Take back what a sequence had; harmless when it had nothing."""
        self._num_blocks.pop(request, None)
        if self._prefixes is not None:
            self._prefixes.leave(request)

    def keep(self, request: Request) -> None:
        """Take back what an ended sequence had, but for what later ones may begin with."""
        self.free(request)
        if self._prefixes is not None and request.search is None:
            # It takes no more room than it has just left.
            self._prefixes.keep(request, int(self.capacity_tokens * KEPT_SHARE))

    def num_kept_tokens_of(self, request: Request) -> int:
        """Of an ended sequence; 0 where it is not kept."""
        return 0 if self._prefixes is None else self._prefixes.num_kept_tokens_of(request)

    def drop_kept(self) -> None:
        """Keep nothing of ended sequences, see `take_dropped`."""
        if self._prefixes is not None:
            self._prefixes.shrink(0)

    def take_dropped(self) -> list[Request]:
        """Ended sequences of which something was kept that must go now; each is named once."""
        return [] if self._prefixes is None else self._prefixes.take_dropped()


def num_blocks_of(num_tokens: int) -> int:
    """Blocks that hold so many tokens of one row."""
    return -(-num_tokens // BLOCK_SIZE)


def num_cached_tokens(num_blocks: Mapping[Request, int]) -> int:
    """Tokens, padding included, that the rows of sequences with so many blocks each take up."""
    padded = [blocks for request, blocks in num_blocks.items() if request.search is None]
    beams = sum(blocks * request.num_rows for request, blocks in num_blocks.items() if request.search is not None)
    return (len(padded) * max(padded, default=0) + beams) * BLOCK_SIZE
