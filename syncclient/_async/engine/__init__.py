"""Private names of aiohttp, asyncio and uvloop, each with its guard. No other folder uses any."""
