"""Records counting PCM over gRPC, watches the recording grow, reads it while it does, exports it, and checks every byte.

    python record.py ADDRESS STREAM SECONDS
"""

import asyncio
import collections
import contextlib
import os
import struct
import sys
import time

import grpc
from google.rpc import error_details_pb2, status_pb2
from livetape.v1 import ingest_pb2, ingest_pb2_grpc, tape_pb2, tape_pb2_grpc, types_pb2

RATE, FRAME_BYTES = 48_000, 4
SPEC = types_pb2.Spec(format=types_pb2.SAMPLE_FORMAT_S16, rate=RATE, channels=2)
OPTIONS = [
    # Find out within 20 s that the recorder's machine is gone, and come back within 2 s when it is there again.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


def reasons(error):
    """What an error carries besides its code and text: its reason, its facts, and in how many seconds to try again."""
    reason, facts, again = None, {}, None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    reason, facts = info.reason, dict(info.metadata)
                elif detail.Unpack(retry):
                    again = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, facts, again


async def pause(error):
    """Waits before the next try, if there is to be one: the recorder is away, or says when it makes sense."""
    reason, _, again = reasons(error)
    if again is None and error.code() != grpc.StatusCode.UNAVAILABLE:
        raise error
    print(f"{error.code().name} ({reason}): {error.details()}", flush=True)
    await asyncio.sleep(again or 1)


# Audio and when its first frame was captured, in nanoseconds since 1970.
Block = collections.namedtuple("Block", "captured_ns pcm")


class Source:
    """Pushes audio into a stream. Keeps what is not durable yet, and goes on there when a call breaks."""

    def __init__(self, channel, stream):
        self.stub = ingest_pb2_grpc.IngestServiceStub(channel)
        # The same instance in each call says: I still have everything that I captured.
        self.opening = ingest_pb2.Open(stream=stream, source="record.py", instance=os.urandom(16), spec=SPEC)
        self.queue = collections.deque()  # blocks to be sent
        self.sent = collections.deque()  # (number of the first frame, block): sent, but not durable yet
        self.ended, self.news = False, asyncio.Event()
        self.recording_id = asyncio.get_running_loop().create_future()

    def add(self, block):
        """Takes audio that was just captured. Never waits: a recorder that is slow must not stop a microphone."""
        # Who runs for months sets a limit here, and announces what it gives up by a Gap.
        self.queue.append(block)
        self.news.set()

    def end(self):
        """Nothing will follow."""
        self.ended = True
        self.news.set()

    async def run(self):
        """Delivers everything, in as many calls as it takes."""
        sealed = False
        while not sealed:
            try:
                sealed = await self.call()
            except grpc.aio.AioRpcError as error:
                await pause(error)

    async def call(self):
        # Without a deadline: a source's call lasts as long as the source.
        call, opened = self.stub.Ingest(), asyncio.get_running_loop().create_future()
        sending = asyncio.create_task(self.send(call, opened))
        try:
            while (answer := await call.read()) is not grpc.aio.EOF:
                if answer.HasField("opened"):
                    self.resume(answer.opened)
                    opened.set_result(answer.opened)
                elif answer.HasField("acknowledged"):
                    durable = answer.acknowledged.durable_frame
                    while self.sent and self.sent[0][0] + frames(self.sent[0][1].pcm) <= durable:
                        self.sent.popleft()
                else:
                    return True
            return False
        finally:
            # Why a call broke is said where answers are read.
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def resume(self, opened):
        """Puts back into the queue what an earlier call has sent and the recorder has not got."""
        while self.sent:
            first, block = self.sent.pop()
            has = min(max(opened.resume_frame - first, 0), frames(block.pcm)) if opened.HasField("resume_frame") else 0
            if has < frames(block.pcm):
                later = block.captured_ns + has * 1_000_000_000 // RATE
                self.queue.appendleft(Block(later, block.pcm[has * FRAME_BYTES :]))
        # From now on frames are counted in this recording.
        self.opening.resume_recording_id = opened.recording_id
        if not self.recording_id.done():
            self.recording_id.set_result(opened.recording_id)

    async def send(self, call, opened):
        await call.write(ingest_pb2.IngestRequest(open=self.opening))
        epoch, first = (answer := await opened).epoch, answer.next_frame
        while True:
            self.news.clear()
            while self.queue:
                block = self.queue.popleft()
                self.sent.append((first, block))
                append = ingest_pb2.Append(
                    epoch=epoch, first_frame=first, captured_at_unix_ns=block.captured_ns, pcm=block.pcm
                )
                # Waits when the recorder cannot keep up: that is HTTP/2's flow control.
                await call.write(ingest_pb2.IngestRequest(append=append))
                first += frames(block.pcm)
            if self.ended:
                end = ingest_pb2.End(epoch=epoch, at_frame=first)
                return await call.write(ingest_pb2.IngestRequest(end=end))
            await self.news.wait()


async def watch(channel, recording_id):
    """How far the recording goes, again and again until it is finished. What it says never changes any more."""
    tapes, end = tape_pb2_grpc.TapeServiceStub(channel), 0
    while True:
        try:
            async for answer in tapes.WatchTail(tape_pb2.WatchTailRequest(recording_id=recording_id)):
                assert answer.tail.end_frame >= end, "a tail went back"
                end = answer.tail.end_frame
                yield end
            return
        except grpc.aio.AioRpcError as error:
            await pause(error)


async def read(channel, recording_id, follow):
    """The audio from the beginning, as far as it goes now, or as it comes until the recording is finished."""
    tapes, at = tape_pb2_grpc.TapeServiceStub(channel), 0
    while True:
        try:
            wanted = tape_pb2.ReadFramesRequest(recording_id=recording_id, first_frame=at, follow=follow)
            async for block in tapes.ReadFrames(wanted):
                assert block.first_frame == at, "a hole"
                at += frames(block.pcm)
                yield block.pcm
            return
        except grpc.aio.AioRpcError as error:
            await pause(error)


async def export(channel, recording_id):
    """The recording as a WAV file. This call has to be over in a minute."""
    tapes = tape_pb2_grpc.TapeServiceStub(channel)
    wanted = tape_pb2.ExportRequest(recording_id=recording_id, container=tape_pb2.CONTAINER_WAV)
    return b"".join([piece.data async for piece in tapes.Export(wanted, timeout=60)])


def frames(pcm):
    return len(pcm) // FRAME_BYTES


def counting(first, count):
    """Audio in which each frame says its own number."""
    return b"".join(struct.pack("<I", frame) for frame in range(first, first + count))


async def capture(source, seconds):
    """Stands for a microphone: 20 ms of audio, each 20 ms."""
    start, block = time.time_ns(), RATE // 50
    for n in range(seconds * 50):
        captured_ns = start + n * 20_000_000
        await asyncio.sleep(max(0, (captured_ns - time.time_ns()) / 1e9))
        source.add(Block(captured_ns, counting(n * block, block)))
    source.end()


async def main(address, stream, seconds):
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        source = Source(channel, stream)

        async def growing():
            recording_id = await source.recording_id
            return [end async for end in watch(channel, recording_id)]

        async def heard():
            recording_id = await source.recording_id
            return b"".join([pcm async for pcm in read(channel, recording_id, follow=True)])

        _, _, ends, live = await asyncio.gather(capture(source, seconds), source.run(), growing(), heard())
        recording_id = source.recording_id.result()
        again = b"".join([pcm async for pcm in read(channel, recording_id, follow=False)])
        wav = await export(channel, recording_id)

    recorded = counting(0, seconds * RATE)
    assert ends[-1] == seconds * RATE, ends
    assert live == recorded, "what was read while it grew"
    assert again == recorded, "what was read afterwards"
    assert wav[:4] == b"RIFF" and wav[44:] == recorded, "what was exported"
    print(f"{recording_id}: {frames(recorded)} frames, seen to grow {len(ends)} times; every byte is right")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
