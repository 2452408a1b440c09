"""`hostler doctor`: all checks, in one screen."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hostler.config import registry_path
from hostler.diagnosis.findings import Finding, Level
from hostler.diagnosis.installation import check_advisories, check_engine, check_python, check_tracing
from hostler.diagnosis.service import check_access, check_configuration, check_port
from hostler.diagnosis.storage import check_folders, check_token
from hostler.errors import ConfigError
from hostler.server.hub_account import ask_hub

_MARKS = {Level.OK: "ok", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}
_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def examine_machine(config: Path | None) -> list[Finding]:
    """Everything; takes some seconds. Where the configuration cannot be read, nothing that depends on it."""
    findings = [*check_python(), *check_engine(), *check_advisories(), *check_tracing(os.environ)]
    try:
        path = registry_path(config)
    except ConfigError as exc:
        return [*findings, Finding(topic="configuration", text=exc.message, level=Level.PROBLEM, remedy="Correct it.")]
    of_file, configuration = check_configuration(path)
    findings += of_file
    if configuration is not None:
        settings, registry = configuration
        findings += [
            *check_access(settings),
            *check_port(settings.host, settings.port),
            *check_folders(settings),
            *check_token(settings, registry, ask_hub),
        ]
    return findings


def has_problems(findings: Sequence[Finding]) -> bool:
    return any(finding.level is Level.PROBLEM for finding in findings)


def record(findings: Sequence[Finding]) -> dict[str, Any]:
    return {"is_well": not has_problems(findings), "findings": msgspec.to_builtins(findings)}


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """A line for each, with what to do under what is not well."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = finding.text if finding.remedy is None else f"{finding.text}\n{finding.remedy}"
        table.add_row(finding.topic, Text(_MARKS[finding.level], _STYLES[finding.level]), text)
    console.print(table)
