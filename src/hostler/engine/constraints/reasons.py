"""Why a schema cannot be followed, for who wrote it: llguidance tells it who embeds it."""

import re

_UNKNOWN_KEYWORDS = re.compile(r"Unimplemented keys: \[(?P<quoted>.*)\]", re.DOTALL)
_QUOTED = re.compile(r'"([^"]*)"')
_ONE_OF = "oneOf constraints are not supported"


def in_our_words(reason: str) -> str:
    """With a remedy, where one is known; else as it is."""
    if found := _UNKNOWN_KEYWORDS.search(reason):
        keywords = ", ".join(_QUOTED.findall(found["quoted"]))
        return f"no grammar holds an answer to {keywords}; leave that out of the schema, and check it yourself"
    if _ONE_OF in reason:
        return (
            "a value may suit more than one schema of a oneOf; use anyOf, or tell them apart by a property that is"
            " required and a const"
        )
    return reason
