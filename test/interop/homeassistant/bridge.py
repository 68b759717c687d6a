"""Connects to a Matter server's WebSocket: one JSON message a line, both ways."""

import asyncio
import json
import sys

import aiohttp


async def connect(http, url):
    for _ in range(600):
        try:
            return await http.ws_connect(url, max_msg_size=0)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)
    sys.exit(f"no Matter server at {url} in a minute")


async def send(ws):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await ws.send_str(line)
    await ws.close()


async def main(url):
    async with aiohttp.ClientSession() as http:
        ws = await connect(http, url)
        sending = asyncio.create_task(send(ws))
        async for message in ws:
            print(json.dumps(json.loads(message.data)), flush=True)
        sending.cancel()


asyncio.run(main(sys.argv[1]))
