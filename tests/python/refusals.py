"""What a program in another language learns when a call is refused. Run by tests/tests/api/python.rs: refusals.py ADDRESS"""

import asyncio
import os
import sys

import grpc
from grpc import StatusCode
from livetape.v1 import catalogue_pb2, catalogue_pb2_grpc, ingest_pb2, ingest_pb2_grpc, tape_pb2, tape_pb2_grpc
from record import SPEC, counting, reasons


async def opened(channel, stream, **options):
    call = ingest_pb2_grpc.IngestServiceStub(channel).Ingest(**options)
    opening = ingest_pb2.Open(stream=stream, source="refusals.py", instance=os.urandom(16), spec=SPEC)
    await call.write(ingest_pb2.IngestRequest(open=opening))
    return call, (await call.read()).opened


async def append(call, epoch, first, pcm):
    message = ingest_pb2.Append(epoch=epoch, first_frame=first, captured_at_unix_ns=1, pcm=pcm)
    await call.write(ingest_pb2.IngestRequest(append=message))


async def refused(call, code, reason, **facts):
    """Reads to the end of a call, which has to be this one."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
        raise AssertionError(f"not {reason}, but a clean end")
    except grpc.aio.AioRpcError as error:
        said = (error.code(), *reasons(error)[:2])
        # A deadline passes here, too, and whoever is first says it.
        assert error.code() == code and error.details(), error
        if code != StatusCode.DEADLINE_EXCEEDED:
            assert said[1] == reason and said[2].items() >= facts.items(), said


async def main(address):
    async with grpc.aio.insecure_channel(address) as channel:
        call, answer = await opened(channel, "hole")
        await append(call, answer.epoch, 100, counting(100, 1))
        await refused(call, StatusCode.OUT_OF_RANGE, "HOLE", next_frame="0")

        call, answer = await opened(channel, "epoch")
        await append(call, answer.epoch + 1, 0, counting(0, 1))
        await refused(call, StatusCode.ABORTED, "UNKNOWN_EPOCH", epoch=str(answer.epoch))

        call, answer = await opened(channel, "large")
        await append(call, answer.epoch, 0, bytes(answer.max_append_bytes + 4))
        await refused(call, StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", max_append_bytes="1048576")

        # What came before a deadline stays.
        call, answer = await opened(channel, "deadline", timeout=2)
        await append(call, answer.epoch, 0, counting(0, 480))
        await refused(call, StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")
        _, answer = await opened(channel, "deadline")
        assert answer.next_frame == 480, answer

        tapes = tape_pb2_grpc.TapeServiceStub(channel)
        request = tape_pb2.ReadFramesRequest(recording_id=answer.recording_id, first_frame=481)
        await refused(tapes.ReadFrames(request), StatusCode.OUT_OF_RANGE, "PAST_END", end_frame="480")
        request.follow = True
        await refused(tapes.ReadFrames(request, timeout=0.5), StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")
        request.recording_id = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10"
        await refused(tapes.ReadFrames(request), StatusCode.NOT_FOUND, "NO_SUCH_RECORDING")

        catalogue = catalogue_pb2_grpc.CatalogueServiceStub(channel)
        try:
            await catalogue.ListStreams(catalogue_pb2.ListStreamsRequest(limit=5000), timeout=20)
            raise AssertionError("a page of any size")
        except grpc.aio.AioRpcError as error:
            assert error.code() == StatusCode.INVALID_ARGUMENT and reasons(error)[1] == {"field": "limit"}, error
    print("refused as it should be")


asyncio.run(main(sys.argv[1]))
