# Made by tools/blocking_client.py from asynchronous/__init__.py: change that one and run it again.
"""The client without asyncio, made from the other one."""
