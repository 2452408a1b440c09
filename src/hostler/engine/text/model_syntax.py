"""How a model's answers are to be read, found from its tokenizer."""

from collections.abc import Callable
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from hostler.engine.text.answer_syntax import AnswerSyntax, ResponseTemplate
from hostler.engine.text.call_syntax import JSON, CallSyntax, syntax_of
from hostler.engine.text.chat_template import described
from hostler.engine.text.reasoning import ReasoningMarks, Thinking, marks_of
from hostler.engine.text.response_template import known_template
from hostler.types import ChatPrompt

_END_TOKENS = 16
"""Of a prompt; the mark that may end it has few."""


class ModelSyntax:
    """Belongs to one model."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, template: str | None, knows_tools: Callable[[], bool]
    ) -> None:
        """`template`: the one for conversations with tools; `None`: there is none. `knows_tools`: whether it shows them
        to the model."""
        self._tokenizer = tokenizer
        self._template = template or ""
        self._knows_tools = knows_tools
        self._response_template = getattr(tokenizer, "response_template", None) or known_template(self._template)

    def of(self, prompt: ChatPrompt, prompt_token_ids: list[int], *, is_constrained: bool) -> AnswerSyntax | None:
        """`None`: it is all text. `is_constrained`: a grammar says what it is, but for its reasoning."""
        tool_use = prompt.tool_use
        if tool_use is None and not prompt.splits_reasoning:
            return None
        thinking = self.thinking(prompt, prompt_token_ids, is_constrained=is_constrained)
        own = self._own(prompt, prompt_token_ids) if not is_constrained else None
        if tool_use is None and thinking is None and own is None:
            return None
        return AnswerSyntax(
            calls=None if tool_use is None else self.calls(is_constrained=is_constrained),
            names=frozenset(tool.name for tool in tool_use.tools) if tool_use is not None else frozenset(),
            has_text=tool_use is None or not tool_use.is_required,
            is_parallel=tool_use is None or tool_use.is_parallel,
            thinking=thinking,
            response_template=own,
        )

    def thinking(self, prompt: ChatPrompt, prompt_token_ids: list[int], *, is_constrained: bool) -> Thinking | None:
        """What the answer may think before it says anything. `None`: it is not known to, or not asked to be told apart.

        `is_constrained`: nor where the prompt has it behind itself, as templates have it that switch it off: a grammar
        holds from there on.
        """
        marks = self._reasoning if prompt.splits_reasoning else None
        if marks is None:
            return None
        end = self._decode(prompt_token_ids[-_END_TOKENS:]).rstrip()
        has_begun = end.endswith(marks.opener)
        if is_constrained and not has_begun and (prompt.continue_last or end.endswith(marks.closer)):
            return None
        return Thinking(marks, has_begun)

    def calls(self, *, is_constrained: bool) -> CallSyntax:
        """How calls are written. What a response template describes is no grammar, and so is not asked for."""
        if not self._knows_tools() or (is_constrained and self._response_template is not None):
            return JSON
        return syntax_of(self._template)

    @cached_property
    def _reasoning(self) -> ReasoningMarks | None:
        added = {token.content for token in self._tokenizer.added_tokens_decoder.values()}
        return marks_of(self._template, added)

    def _own(self, prompt: ChatPrompt, prompt_token_ids: list[int]) -> ResponseTemplate | None:
        if self._response_template is None or (prompt.tool_use is not None and not self._knows_tools()):
            return None
        return ResponseTemplate(
            template=self._response_template,
            prompt_text=self._decode(prompt_token_ids),
            tools=tuple(described(prompt.tool_use.tools if prompt.tool_use is not None else [])),
        )

    def _decode(self, token_ids: list[int]) -> str:
        text: str = self._tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text
