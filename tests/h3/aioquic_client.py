"""An HTTP/3 client by aioquic: sends events over one connection, moves it to another port in
between, and tries requests that must be refused.
Usage: aioquic_client.py URL CA-FILE COUNT"""

import asyncio
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset


class Refused(Exception):
    """The stream was reset, or the connection ended."""


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.answers = {}

    async def ask(self, fields, body=b""):
        stream = self._quic.get_next_available_stream_id()
        answer = asyncio.get_running_loop().create_future()
        self.answers[stream] = (answer, {}, bytearray())
        self.h3.send_headers(stream, fields, end_stream=not body)
        if body:
            self.h3.send_data(stream, body, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(answer, 20)

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for answer, _, _ in self.answers.values():
                if not answer.done():
                    answer.set_exception(Refused(f"connection: {event.error_code:#x}"))
        if isinstance(event, StreamReset) and event.stream_id in self.answers:
            answer = self.answers.pop(event.stream_id)[0]
            answer.set_exception(Refused(f"stream: {event.error_code:#x}"))
        for event in self.h3.handle_event(event):
            if event.stream_id not in self.answers:
                continue
            answer, headers, body = self.answers[event.stream_id]
            if isinstance(event, HeadersReceived):
                headers.update(event.headers)
            if isinstance(event, DataReceived):
                body.extend(event.data)
            if event.stream_ended:
                del self.answers[event.stream_id]
                answer.set_result((headers, bytes(body)))

    async def move(self):
        """From now on packets leave from another port."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("::ffff:127.0.0.1", 0))


def fields(host, path, method="POST", more=()):
    return [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", host.encode()),
            (b":path", path.encode()), *more]


async def main(url, ca, count):
    parts = urlsplit(url)
    host = parts.netloc
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
    configuration.load_verify_locations(ca)
    path = "/v1/events?writeKey=demo"

    async def events(client, name):
        bodies = [b'{"type":"track","event":"Seen","messageId":"%s-%d","properties":{"text":"%s"}}'
                  % (name, i, b"x" * 3000) for i in range(count)]
        for headers, body in await asyncio.gather(*(client.ask(fields(host, path), b) for b in bodies)):
            assert headers[b":status"] == b"200" and b'"outcome":"accepted"' in body, (headers, body)
            assert headers[b"set-cookie"].startswith(b"__Host-tg_vid="), headers
            assert b"date" in headers and b"content-length" in headers, headers

    def opened():
        return connect(parts.hostname, parts.port, configuration=configuration, create_protocol=Client)

    async with opened() as client:
        await events(client, b"py")
        await client.move()
        await events(client, b"py-moved")
        headers, body = await client.ask(fields(host, "/v1/pixel.gif?writeKey=demo&event=Seen", "GET"))
        assert headers[b":status"] == b"200" and len(body) == 43, headers
    tricks = [
        [*fields(host, path), (b"host", b"other.example")],
        [*fields(host, path), (b"transfer-encoding", b"chunked")],
        [*fields(host, path), (b"content-length", b"1")],
        [*fields(host, path), (b"content-length", b"2"), (b"content-length", b"50")],
        [*fields(host, path), (b"Host", host.encode())],
        [*fields("a@" + host, path)],
        [*fields(host, "v1/events")],
        fields(host, path)[1:],
    ]
    for trick in tricks:
        async with opened() as client:
            try:
                headers, _ = await client.ask(trick, b'{"type":"track","event":"Evil"}')
                assert headers[b":status"] == b"400", (trick, headers)
            except Refused:
                pass
    print(f"aioquic: {2 * count} events taken, moved in between; {len(tricks)} tricks refused")


asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2], int(sys.argv[3])), 60))
