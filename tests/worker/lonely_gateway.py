"""A gateway to be killed: `python -m tests.worker.lonely_gateway OBEDIENT STUCK_AT_LOAD CACHE`.

It starts a worker that has nothing to do, one that waits in a forward pass, one that is stuck in another, and one that
is stuck while it loads; then says so in a line, and waits.
"""

import asyncio
import sys
from pathlib import Path

from hostler.config import load_settings
from hostler.types import SamplingParams, TokenPrompt
from hostler.worker.launcher import ForkserverLauncher
from tests.worker.loading import loaded, spec_of
from tests.worker.obedience import Gate
from tests.worker.obedient_gpt2 import STICK, WAIT


async def run(obedient: Path, stuck_at_load: Path, cache: Path) -> None:
    launcher = ForkserverLauncher(load_settings(None, {"hostler_cache_dir": cache}))
    await launcher.start()
    workers = [await loaded(launcher, obedient, trust_remote_code=True)]
    gate = Gate(obedient)
    for token_id in (WAIT, STICK):
        workers.append(await loaded(launcher, obedient, trust_remote_code=True))
        asking = asyncio.create_task(workers[-1].generate(TokenPrompt(token_ids=[token_id]), SamplingParams()))
        await gate.begun()
        await asking
    workers.append(await launcher.launch(spec_of(stuck_at_load, trust_remote_code=True)))
    loading = asyncio.create_task(workers[-1].load(lambda _: None))
    await Gate(stuck_at_load).begun()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await loading


if __name__ == "__main__":
    asyncio.run(run(*map(Path, sys.argv[1:])))
