"""Whose keys and values a sequence can begin with: arithmetic alone, the tensors are the runner's.

Sources are sequences that run, as far as they are computed, and ended ones that are kept for a while. They stand in a
tree whose edges are whole blocks of tokens, so that sequences which begin alike share the first part of their way.
Edges are compared token by token: what is found is the same prefix, not one with the same hash.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hostler.engine.request import Request, RequestStatus

LEAST_REUSED_TOKENS = 32
"""Shorter prefixes are computed again: a sequence that begins with nothing shares its pass with others that do."""


@dataclass(frozen=True)
class Prefix:
    """The first tokens of a sequence, which another one begins with too."""

    source: Request
    num_tokens: int


@dataclass(frozen=True)
class Match:
    """What there is for a sequence to begin with."""

    prefix: Prefix | None
    """Computed already."""
    num_coming: int
    """Tokens that it will have in common with a running sequence before it in turn, once that one is computed; 0 where
    they are no more than those of the prefix."""


@dataclass
class _Block:
    """Where all sequences are that begin with the same blocks."""

    sources: set[Request] = field(default_factory=set)
    """Those that go on from here, and those that end here: none that is not in the block before."""
    next: dict[tuple[int, ...], "_Block"] = field(default_factory=dict)


class PrefixCache:
    """Finds the longest prefix; keeps ended sequences, of which the longest unused leaves first."""

    def __init__(self, block_size: int) -> None:
        """`block_size`: prefixes are whole multiples of so many tokens."""
        self._block_size = block_size
        self._root = _Block()
        self._num_blocks: dict[Request, int] = {}
        """How far each source is in the tree."""
        self._kept: dict[Request, int] = {}
        """Tokens of ended sequences, the longest unused first."""
        self._dropped: list[Request] = []
        self.num_kept_tokens = 0

    def match(self, request: Request) -> Match:
        """The longest prefix of a sequence of which nothing is computed; its last token is never part of it."""
        path = list(self._path(request, (request.num_tokens - 1) // self._block_size))
        best: Prefix | None = None
        num_best = num_coming = 0
        seen: set[Request] = set()
        for depth in range(len(path), 0, -1):
            sources = path[depth - 1].sources
            if num_best >= depth:
                break
            # The sources of a block are among those of the block before it.
            if len(sources) == len(seen):
                continue
            for source in sources - seen:
                num_blocks = min(depth, source.num_computed_tokens // self._block_size)
                if num_blocks > num_best:
                    num_best, best = num_blocks, Prefix(source, num_blocks * self._block_size)
                if num_best == depth:
                    break
                if source.status is RequestStatus.RUNNING and source.turn < request.turn:
                    num_coming = max(num_coming, depth * self._block_size)
            seen = sources
        if best is not None and best.num_tokens < LEAST_REUSED_TOKENS:
            best = None
        return Match(best, num_coming if num_coming > num_best * self._block_size else 0)

    def use(self, prefix: Prefix) -> None:
        """Note that a kept sequence is still useful."""
        if prefix.source in self._kept:
            self._kept[prefix.source] = self._kept.pop(prefix.source)

    def begin(self, request: Request) -> None:
        """Let others begin as a running sequence did, as far as its known tokens are computed when they ask."""
        self._insert(request, request.num_tokens // self._block_size)

    def leave(self, request: Request) -> None:
        """Forget a sequence that runs no more; unknown ones are ignored."""
        if request in self._num_blocks:
            self._remove(request)

    def keep(self, request: Request, limit: int) -> None:
        """Keep what is computed of a sequence that has ended, unless a kept one begins with all of it.

        Kept ones leave for it until all of them are at most `limit` tokens, but never the last.
        """
        self.leave(request)
        num_blocks = request.num_computed_tokens // self._block_size
        if num_blocks * self._block_size < LEAST_REUSED_TOKENS:
            return
        path = list(self._path(request, num_blocks))
        if len(path) == num_blocks:
            longer = next((source for source in path[-1].sources if source in self._kept), None)
            if longer is not None:
                self._kept[longer] = self._kept.pop(longer)
                return
        shorter = [source for source in path[0].sources if self._is_on(path, source)] if path else []
        for source in shorter:
            self._drop(source)
        self._insert(request, num_blocks)
        self._kept[request] = num_blocks * self._block_size
        self.num_kept_tokens += self._kept[request]
        self.shrink(max(limit, self._kept[request]))

    def num_kept_tokens_of(self, request: Request) -> int:
        """0 for a sequence that is not kept."""
        return self._kept.get(request, 0)

    def shrink(self, limit: int) -> None:
        """Forget kept sequences until at most `limit` tokens are left."""
        while self.num_kept_tokens > limit:
            self._drop(next(iter(self._kept)))

    def take_dropped(self) -> list[Request]:
        """Sequences that were kept and are no more, since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _is_on(self, path: list[_Block], source: Request) -> bool:
        """Whether a source is kept and goes no other way than this one, and no further."""
        num_blocks = self._num_blocks[source]
        return source in self._kept and num_blocks <= len(path) and source in path[num_blocks - 1].sources

    def _drop(self, request: Request) -> None:
        self.num_kept_tokens -= self._kept.pop(request)
        self._dropped.append(request)
        self._remove(request)

    def _insert(self, request: Request, num_blocks: int) -> None:
        block = self._root
        for tokens in self._edges(request, num_blocks):
            block = block.next.setdefault(tokens, _Block())
            block.sources.add(request)
        self._num_blocks[request] = num_blocks

    def _remove(self, request: Request) -> None:
        block = self._root
        for tokens in self._edges(request, self._num_blocks.pop(request)):
            following = block.next[tokens]
            following.sources.discard(request)
            if not following.sources:
                # Nobody else came this way, so nobody is further on.
                del block.next[tokens]
                return
            block = following

    def _path(self, request: Request, num_blocks: int) -> Iterator[_Block]:
        """The blocks that sources have in common with the first `num_blocks` of a sequence."""
        block = self._root
        for tokens in self._edges(request, num_blocks):
            if tokens not in block.next:
                return
            block = block.next[tokens]
            yield block

    def _edges(self, request: Request, num_blocks: int) -> Iterator[tuple[int, ...]]:
        for start in range(0, num_blocks * self._block_size, self._block_size):
            yield tuple(request.token_ids(start, start + self._block_size))
