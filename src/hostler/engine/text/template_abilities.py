"""What a chat template does with what it is given, found out by rendering it."""

from collections.abc import Callable
from functools import cached_property

from hostler.engine.text.chat_template import Render, TemplateCall
from hostler.errors import InvalidRequestError
from hostler.tools import Tool
from hostler.types import ChatMessage

PROBE = Tool(name="hostler_probe", description="A probe.")
_USER = ChatMessage(role="user", content="Hi")


class TemplateAbilities:
    """Found when they are first asked for, and kept. Used by one thread at a time."""

    def __init__(
        self, template_for: Callable[[list[Tool]], str], special_tokens: dict[str, str], render: Render
    ) -> None:
        """`template_for`: the template for a conversation with such tools; some models have one of its own for them."""
        self._template_for = template_for
        self._special_tokens = special_tokens
        self._render = render

    @cached_property
    def mentions_tools(self) -> bool:
        """Whether it reads what it is given of them; nothing is rendered for that."""
        return "tools" in self._template_for([PROBE])

    @cached_property
    def knows_tools(self) -> bool:
        """Whether it tells the model of tools."""
        return self.mentions_tools and self._shows([_USER], [PROBE])

    @cached_property
    def takes_system(self) -> bool:
        """Whether it tells the model what a system message says."""
        return self._shows([ChatMessage(role="system", content=PROBE.name), _USER], [])

    def _shows(self, messages: list[ChatMessage], tools: list[Tool]) -> bool:
        call = TemplateCall(
            template=self._template_for(tools),
            special_tokens=self._special_tokens,
            messages=messages,
            tools=tools,
            add_generation_prompt=True,
            continue_last=False,
        )
        try:
            return PROBE.name in self._render(call).text
        except InvalidRequestError:
            return False
