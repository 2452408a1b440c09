"""Looks for stop strings in the texts of a beam search."""

import copy
from collections.abc import Sequence

from hostler.engine.beams.search import BeamSearch, Candidate
from hostler.engine.text.detokenizer import IncrementalDetokenizer
from hostler.engine.text.stop_strings import StopStrings


class BeamTexts:
    """The texts of one search's beams, for as long as stop strings are looked for in them."""

    def __init__(self, detokenizer: IncrementalDetokenizer, stop_strings: StopStrings) -> None:
        self._running = [(detokenizer, stop_strings)]
        self._grown: dict[tuple[int, int], tuple[IncrementalDetokenizer, StopStrings]] = {}
        """By beam and token, each continuation that was last offered."""

    def stopped(self, search: BeamSearch, candidates: Sequence[Candidate]) -> set[Candidate]:
        """Those that complete a stop string. To be called before the search takes the candidates in."""
        if self._grown:
            beams = zip(search.parents, search.running, strict=True)
            self._running = [self._grown[parent, beam.token_ids[-1]] for parent, beam in beams]
        self._grown = {}
        stopped = set()
        for candidate in candidates:
            detokenizer, stop_strings = self._running[candidate.parent]
            detokenizer, stop_strings = detokenizer.fork(), copy.copy(stop_strings)
            self._grown[candidate.parent, candidate.token_id] = detokenizer, stop_strings
            _, is_stopped = stop_strings.add(detokenizer.add(candidate.token_id))
            if is_stopped:
                stopped.add(candidate)
        return stopped
