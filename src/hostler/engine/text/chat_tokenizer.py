"""Token ids of a conversation, whole or without its oldest turns."""

from collections.abc import Callable, Sequence

import msgspec
from transformers import PreTrainedTokenizerBase

from hostler.engine.text.chat_formats import spell
from hostler.engine.text.chat_template import (
    MAX_CPU_S,
    Render,
    Rendered,
    TemplateCall,
    described,
    takes_too_much,
)
from hostler.engine.text.template_abilities import TemplateAbilities
from hostler.engine.text.tool_prompt import with_instruction
from hostler.errors import InvalidRequestError
from hostler.tools import Tool
from hostler.types import ChatFormat, ChatMessage, ChatPrompt


class ChatTokenizer:
    """Renders in the model's format, and tokenises as transformers' `apply_chat_template` does."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        chat_format: ChatFormat,
        tokenize_text: Callable[[str], list[int]],
        render: Render,
    ) -> None:
        """`tokenize_text`: how a text is tokenised where there is no template."""
        self._tokenizer = tokenizer
        self._chat_format = chat_format
        self._tokenize_text = tokenize_text
        self._render = render
        self._abilities = TemplateAbilities(self.template_for, tokenizer.special_tokens_map, render)

    @property
    def mentions_tools(self) -> bool:
        """The same as `knows_tools` but for templates that fail on tools, and at no cost."""
        return self._chat_format is ChatFormat.TEMPLATE and self._abilities.mentions_tools

    @property
    def knows_tools(self) -> bool:
        """Whether the model's template shows it the tools of a conversation; otherwise a system message does."""
        return self._chat_format is ChatFormat.TEMPLATE and self._abilities.knows_tools

    def template_for(self, tools: Sequence[Tool]) -> str:
        """Some models have a template of its own for conversations with tools."""
        template: str = self._tokenizer.get_chat_template(tools=described(tools) or None)
        return template

    def tokenize(
        self, prompt: ChatPrompt, max_tokens: int, check: Callable[[str, str], None] | None = None
    ) -> tuple[list[int], int]:
        """Token ids, and how many messages were left out for there to be no more than `max_tokens`.

        Where even the last message alone has more, its tokens are returned. `check` is shown each text and the field
        that it comes from, before it is tokenised.

        Raises:
            InvalidRequestError: no message, or a template that refuses the conversation or fails on it.
            RequestError: what `check` raises.
        """
        if not prompt.messages:
            raise InvalidRequestError("a conversation needs at least one message", param="messages")
        prompt = self._with_tools(prompt)
        rendering = _Rendering(self, prompt, check)
        token_ids = rendering.of(prompt.messages)
        if not prompt.drop_oldest or len(token_ids) <= max_tokens:
            return token_ids, 0
        shorter = list(_shorter(prompt.messages))
        if not shorter:
            return token_ids, 0
        messages, token_ids = _longest_that_fits(shorter, rendering.of, max_tokens)
        return token_ids, len(prompt.messages) - len(messages)

    def render(self, prompt: ChatPrompt, messages: list[ChatMessage], cpu_limit_s: float) -> Rendered:
        """The text of some of a prompt's messages."""
        add_generation_prompt = prompt.add_generation_prompt and not prompt.continue_last
        if self._chat_format is not ChatFormat.TEMPLATE:
            end = self._tokenizer.eos_token or ""
            text = spell(
                self._chat_format,
                messages,
                end,
                add_generation_prompt=add_generation_prompt,
                is_open=prompt.continue_last,
            )
            return Rendered(text=text, cpu_s=0.0)
        tools = prompt.tool_use.tools if prompt.tool_use is not None else []
        call = TemplateCall(
            template=self.template_for(tools),
            special_tokens=self._tokenizer.special_tokens_map,
            messages=messages,
            tools=tools,
            add_generation_prompt=add_generation_prompt,
            continue_last=prompt.continue_last,
            reasoning=prompt.reasoning,
            cpu_limit_s=cpu_limit_s,
        )
        return self._render(call)

    def _with_tools(self, prompt: ChatPrompt) -> ChatPrompt:
        """The prompt, told of its tools in words where the template does not do it."""
        if prompt.tool_use is None or self.knows_tools:
            return prompt
        takes_system = self._chat_format is not ChatFormat.TEMPLATE or self._abilities.takes_system
        messages = with_instruction(prompt.messages, prompt.tool_use, takes_system=takes_system)
        return msgspec.structs.replace(prompt, messages=messages, tool_use=None)

    def encode(self, text: str) -> list[int]:
        """Token ids of what `render` gave."""
        if self._chat_format is not ChatFormat.TEMPLATE:
            return self._tokenize_text(text)
        token_ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        if not token_ids:
            raise InvalidRequestError(
                "the model's chat template is at fault: it makes nothing of this conversation", param="messages"
            )
        return token_ids


class _Rendering:
    """All renderings of one prompt, which share what computing they may take."""

    def __init__(self, tokenizer: ChatTokenizer, prompt: ChatPrompt, check: Callable[[str, str], None] | None) -> None:
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._check = check
        self._cpu_left_s = MAX_CPU_S

    def of(self, messages: list[ChatMessage]) -> list[int]:
        if self._cpu_left_s <= 0:
            raise takes_too_much()
        rendered = self._tokenizer.render(self._prompt, messages, self._cpu_left_s)
        self._cpu_left_s -= rendered.cpu_s
        if self._check is not None:
            self._check(rendered.text, "messages")
        return self._tokenizer.encode(rendered.text)


def _shorter(messages: Sequence[ChatMessage]) -> list[list[ChatMessage]]:
    """The conversation without its oldest turns: one, two and so on, to the last message. A system's stays.

    It never goes on with an answer or with what a tool said, unless that is the last message: templates refuse it.
    """
    first = 1 if messages[0].role == "system" else 0
    last = len(messages) - 1
    begins = [i for i in range(first + 1, last) if messages[i].role not in ("assistant", "tool")]
    return [[*messages[:first], *messages[i:]] for i in [*begins, last] if i > first]


def _longest_that_fits(
    conversations: Sequence[list[ChatMessage]],
    token_ids_of: Callable[[list[ChatMessage]], list[int]],
    max_tokens: int,
) -> tuple[list[ChatMessage], list[int]]:
    """Of conversations that grow shorter, the first that fits, or the last one; and its tokens.

    Goes from the end in strides that double, and halves the rest: what is rendered is about as long as what fits.
    """
    fits = len(conversations) - 1
    best = token_ids_of(conversations[fits])
    too_long, stride = -1, 1
    if len(best) > max_tokens:
        return conversations[fits], best
    while fits - too_long > 1:
        middle = max(fits - stride, (fits + too_long) // 2)
        token_ids = token_ids_of(conversations[middle])
        if len(token_ids) <= max_tokens:
            fits, best, stride = middle, token_ids, 2 * stride
        else:
            too_long, stride = middle, len(conversations)
    return conversations[fits], best
