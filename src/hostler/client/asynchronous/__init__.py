"""The client for asyncio. The one without is made from it: see `tools/blocking_client.py`."""
