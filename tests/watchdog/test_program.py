"""The process of one call: whatever it has come to, nothing of it is left when the call has ended."""

from __future__ import annotations

import subprocess

from springtide.watchdog.program import ForkedProgram


async def test_process_that_has_no_group_of_its_own_yet_is_killed_alone() -> None:
    process = subprocess.Popen(["sleep", "3600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    async with ForkedProgram(process):
        pass

    assert process.returncode == -9
