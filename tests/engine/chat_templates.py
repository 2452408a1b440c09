"""Chat templates in the manner of several families, written for the tests."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('there is no system role here') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant take turns') }}{% endif %}"
    "[{{ 'model' if message.role == 'assistant' else 'user' }}] {{ message.content | trim }} [end]\n"
    "{% endfor %}{% if add_generation_prompt %}[model] {% endif %}"
)
TOOLS = (
    "{% for message in messages %}"
    "{% if message.role == 'tool' %}<tool {{ message.name }} {{ message.tool_call_id }}>{{ message.content }}</tool>\n"
    "{% else %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<call {{ call.type }} {{ call.id }}>{{ call.function.name }}("
    "{% if call.function.arguments is mapping %}"
    "{% for name, value in call.function.arguments.items() %}{{ name }}={{ value | tojson }};{% endfor %}"
    "{% else %}{{ call.function.arguments }}{% endif %})</call>{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REASONING = (
    "{% for message in messages %}<|im_start|>{{ message.role }}{{ ' ' ~ message.name if message.name }}\n"
    "{% if message.reasoning_content is string and message.reasoning_content %}"
    "<think>\n{{ message.reasoning_content }}\n</think>\n{% endif %}"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
SWITCHED = CHATML + (
    "{% if add_generation_prompt %}{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% endif %}{% if thinking %}on{% endif %} {{ reasoning_effort | default('medium') }}{% endif %}"
)
"""Switches of several families at once."""
MARKED = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "<|im_start|>assistant\n{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}\n"
    "{% else %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TURNS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}CALL{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HERMES = (
    "{% if tools %}<|im_start|>system\nYour functions:\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    'To call one: <tool_call>\n{"name": ..., "arguments": ...}\n</tool_call><|im_end|>\n{% endif %}'
) + _TURNS.replace("CALL", "<tool_call>\n{{ call.function | tojson }}\n</tool_call>")
LLAMA = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson(indent=4) }}\n{% endfor %}"
    'Answer as {"name": function, "parameters": dictionary of arguments}.<|im_end|>\n{% endif %}'
) + _TURNS.replace("CALL", "{{ call.function | tojson }}")
MISTRAL = "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}" + _TURNS.replace(
    "CALL", "[TOOL_CALLS] [{{ call.function | tojson }}]"
)
MISTRAL_NAMED = "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}" + _TURNS.replace(
    "CALL", "[TOOL_CALLS]{{ call.function.name }}[ARGS]{{ call.function.arguments | tojson }}"
)
QWEN_XML = (
    "{% if tools %}<|im_start|>system\nYour functions:\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "To call one: <tool_call>\n<function=name>\n<parameter=key>\nvalue\n</parameter>\n</function>\n</tool_call>"
    "<|im_end|>\n{% endif %}"
) + _TURNS.replace("CALL", "{{ call.function | tojson }}")
OF_TOOLS = {"hermes": HERMES, "llama": LLAMA, "mistral": MISTRAL, "mistral_named": MISTRAL_NAMED}
"""Those that tell a model of tools, each in the form in which its family calls them."""
ALL = {"chatml": CHATML, "no_system": NO_SYSTEM, "tools": TOOLS, "reasoning": REASONING, "marked": MARKED}
