"""Passwords are hashed as the product hashes them, in threads, but by parameters that cost next to nothing.

A real hash takes tens of milliseconds of CPU, by intent: beside it nothing else of a request could be seen. All three
servers use these, the product through `bench.ours`.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher

CHEAP = PasswordHasher(memory_cost=8, time_cost=1, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, CHEAP.hash, password)
