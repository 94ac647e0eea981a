"""A UDP relay on loopback that drops packets both ways, where the kernel has no netem.
Usage: lossy_relay.py PORT PERCENT; prints its own port, and at its end what it dropped."""

import asyncio
import random
import signal
import sys

PORT, SHARE = int(sys.argv[1]), float(sys.argv[2]) / 100
chance = random.Random(20)
count = {"seen": 0, "dropped": 0}


def passes():
    count["seen"] += 1
    dropped = chance.random() < SHARE
    count["dropped"] += dropped
    return not dropped


class Back(asyncio.DatagramProtocol):
    """From the gateway to one client."""

    def __init__(self, front, client):
        self.front, self.client = front, client

    def datagram_received(self, data, _):
        if passes():
            self.front.sendto(data, self.client)


class Front(asyncio.DatagramProtocol):
    """From the clients, each by a socket of its own, as it would be without us."""

    def __init__(self):
        self.clients = {}

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        if client not in self.clients:
            loop = asyncio.get_running_loop()
            back = loop.create_datagram_endpoint(
                lambda: Back(self.transport, client), remote_addr=("127.0.0.1", PORT))
            self.clients[client] = asyncio.ensure_future(back)
        if passes():
            self.clients[client].add_done_callback(lambda made: made.result()[0].sendto(data))


async def main():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Front, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    print(f"dropped {count['dropped']} of {count['seen']} packets", flush=True)


asyncio.run(main())
