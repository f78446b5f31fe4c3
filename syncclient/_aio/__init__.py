"""``session.aio``: the same session awaited from any event loop of asyncio or trio."""
