"""What `--json` prints."""

import json


def to_json(value: object) -> str:
    """Over several lines, for people too."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def to_json_line(value: object) -> str:
    """One of many, for programs that read them one by one."""
    return json.dumps(value, ensure_ascii=False)
