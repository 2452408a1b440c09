"""All that is fuzzed."""

from tests.fuzz import answers, bodies, files, heads

TARGETS = {target.name: target for target in (*bodies.TARGETS, *answers.TARGETS, *files.TARGETS, *heads.TARGETS)}
