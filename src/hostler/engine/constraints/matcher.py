"""One sequence's place in a grammar."""

from llguidance import LLMatcher


class GrammarMatcher:
    """Says which tokens may come next, and follows those that did."""

    def __init__(self, matcher: LLMatcher, param: str) -> None:
        """`param`: the field of the request that the grammar came from."""
        self._matcher = matcher
        self.param = param

    def fork(self) -> "GrammarMatcher":
        """Another sequence at the same place."""
        return GrammarMatcher(self._matcher.deep_copy(), self.param)

    def allowed(self) -> bytes:
        """A byte per token, 0 for those that may not come next; an end token may once the text is whole.

        Computed anew at each call, without the interpreter's lock.
        """
        return self._matcher.compute_logit_bias()

    def allows(self, token_id: int) -> bool:
        """Whether this token may come next; much less work than to find all that may."""
        return self._matcher.validate_tokens([token_id]) == 1

    def accept(self, token_id: int) -> str | None:
        """Go on by a token; says why that cannot be: nothing may come next that the model has a token for, or the
        grammar grew beyond its limits. `None`: it can."""
        self._matcher.consume_token(token_id)
        return self.error

    @property
    def error(self) -> str | None:
        """Why the grammar cannot be followed; `None`: it can."""
        return self._matcher.get_error() or None
