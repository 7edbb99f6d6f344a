"""GraphQL over WebSockets at /graphql: the protocol graphql-transport-ws, and no other.

A socket carries any number of operations, one after the other or at once. Each is as it is over HTTP: bounded by the
same limits, paid for from the same budget, executed through the same door; what is wrong with one ends that one alone.
"""

import asyncio
from contextlib import aclosing
from typing import Any, NoReturn

import structlog
from starlette.types import Message, Receive, Scope, Send

from arcbilling.gate import Handshake, token_of
from arcbilling.operations import Operations, Refused, contexts, is_subscription, members, told, told_refusal
from arcbilling.streams import SECONDS_FOR_LAST_WORD, Ending, Stream, Streams
from schema.calls import Call
from schema.decoding import DecodingError, decode
from schema.errors import Code, DomainError, internal, unavailable
from schema.execution import Answer, NotSubscribed, Result, execute, subscribe
from schema.scalars import json

log = structlog.get_logger("arcbilling.sockets")

PROTOCOL = "graphql-transport-ws"
SECONDS_TO_INIT = 5.0
SECONDS_FOR_ANSWERS = 1.0
"""What is under way when a socket ends has so long for its answer."""
MOST_OPERATIONS = 20
LONGEST_ID = 255
LONGEST_REASON = 120
"""Bytes of the reason of a close, of which WebSockets take 123."""

CLOSED_FOR = {Code.UNAUTHORIZED: 4401, Code.FORBIDDEN: 4403, Code.RATE_LIMITED: 4429}
TRY_AGAIN_LATER = 1013


class Closed(Exception):
    """The socket is to be closed, with a code and a sentence."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class GraphQLSocket:
    """An ASGI application for WebSockets at /graphql."""

    def __init__(self, operations: Operations, streams: Streams) -> None:
        self._operations = operations
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handshake: Handshake = scope["state"]["handshake"]
        await receive()  # that it wants to be opened
        if scope["path"].rstrip("/") != "/graphql":
            await _reject(send, 404)
        elif not handshake.is_of_known_origin:
            await _reject(send, 403)
        elif PROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await _close(send, Closed(4406, f"The subprotocol must be {PROTOCOL}."))
        else:
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            await _Conversation(self._operations, self._streams, handshake, receive, send).hold()


class _Conversation:
    """One socket, from its opening to its end."""

    def __init__(
        self, operations: Operations, streams: Streams, handshake: Handshake, receive: Receive, send: Send
    ) -> None:
        self._operations = operations
        self._streams = streams
        self._handshake = handshake
        self._receive = receive
        self._send = send
        self._call: Call | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._following: set[asyncio.Task[None]] = set()
        """Those of them that are subscriptions."""

    async def hold(self) -> None:
        try:
            call = await self._acquaint()
            if call is not None:
                with self._streams.open(call.admitted(), "websocket") as stream:
                    await self._tell({"type": "connection_ack"})
                    await self._converse(call, stream)
        except Closed as closed:
            await self._end(closed)
        except DomainError as error:
            code = CLOSED_FOR.get(error.code, TRY_AGAIN_LATER) if self._call is None else TRY_AGAIN_LATER
            await self._end(Closed(code, error.message))
        except OSError:
            pass  # the caller has gone
        except Exception as error:
            log.error("internal error", exc_info=error, request_id=self._handshake.request_id)
            await self._end(Closed(1011, "Something went wrong on our side."))
        finally:
            await self._cancel(list(self._running))

    async def _acquaint(self) -> Call | None:
        """Learns who calls; None if the caller goes away first."""
        try:
            async with asyncio.timeout(SECONDS_TO_INIT):
                while True:
                    message = await self._receive()
                    if message["type"] == "websocket.disconnect":
                        return None
                    content = _read(message)
                    match content["type"]:
                        case "connection_init":
                            break
                        case "ping":
                            await self._tell({"type": "pong"})
                        case "pong":
                            pass
                        case "subscribe":
                            raise Closed(4401, "Unauthorized")
                        case _:
                            _unfit(content)
        except TimeoutError:
            raise Closed(4408, "Connection initialisation timeout") from None
        call = await self._handshake.admit(_token(content.get("payload")))
        call.admitted()
        self._call = call
        return call

    async def _converse(self, call: Call, stream: Stream) -> None:
        receiving = asyncio.create_task(self._listen(call))
        try:
            await asyncio.wait((receiving, stream.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            receiving.cancel()
            await asyncio.wait((receiving,))
        if not receiving.cancelled():
            receiving.result()
        elif stream.ended.done():
            await self._finish(stream.ended.result())

    async def _listen(self, call: Call) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            content = _read(message)
            match content["type"]:
                case "subscribe":
                    await self._subscribe(call, content)
                case "complete":
                    if (task := self._running.pop(_id(content), None)) is not None:
                        task.cancel()
                case "ping":
                    await self._tell({"type": "pong"})
                case "pong":
                    pass
                case "connection_init":
                    raise Closed(4429, "Too many initialisation requests")
                case _:
                    _unfit(content)
            # Many come in one breath: let others have their turn, and what was asked for begin and be paid for.
            await asyncio.sleep(0)

    async def _subscribe(self, call: Call, content: dict[str, Any]) -> None:
        id, payload = _id(content), content.get("payload")
        if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
            raise Closed(4400, "The member payload must be an object with the member query.")
        if id in self._running:
            raise Closed(4409, f"Subscriber for {id} already exists")
        if len(self._running) >= MOST_OPERATIONS:
            sentence = f"This socket runs {MOST_OPERATIONS} operations already. Complete one, or open another socket."
            await self._fail(id, DomainError(Code.RATE_LIMITED, sentence))
            return
        task = self._running[id] = asyncio.create_task(self._operate(call, id, payload))
        task.add_done_callback(lambda _: self._forget(id, task))

    def _forget(self, id: str, task: "asyncio.Task[None]") -> None:
        self._following.discard(task)
        if self._running.get(id) is task:
            del self._running[id]

    async def _operate(self, call: Call, id: str, payload: dict[str, Any]) -> None:
        """One operation; nothing that is wrong with it ends the others."""
        try:
            await self._run(call, id, payload)
        except DomainError as error:
            await self._fail(id, error)
        except (Refused, NotSubscribed) as refused:
            await self._tell({"id": id, "type": "error", "payload": told(refused.result, call.request_id)[0]["errors"]})
        except OSError:
            pass  # the caller has gone: the socket ends by itself
        except Exception as error:
            log.error("internal error", exc_info=error, request_id=call.request_id)
            await self._fail(id, internal())

    async def _run(self, call: Call, id: str, payload: dict[str, Any]) -> None:
        if (limited := await call.charge(1)) is not None:
            raise limited
        request = members(payload)
        operation, more = await self._operations.read(request)
        if more and (limited := await call.charge(more)) is not None:
            raise limited
        new_context, schema = contexts(call), self._operations.schema
        if is_subscription(operation):
            task = asyncio.current_task()
            assert task is not None
            self._following.add(task)
            results = await subscribe(schema, operation, request.variables, new_context)
            async with aclosing(results):
                async for result in results:
                    await self._next(id, call, result)
        else:
            outcome: list[Result] = []

            def keep(result: Result) -> Answer:
                outcome.append(result)
                return Answer(200, b"")

            await execute(schema, operation, request.variables, new_context(), keep)
            if not outcome[-1].executed:
                raise NotSubscribed(outcome[-1])
            await self._next(id, call, outcome[-1])
        await self._tell({"id": id, "type": "complete"})
        self._running.pop(id, None)  # its id is free once the caller reads that it is complete

    async def _next(self, id: str, call: Call, result: Result) -> None:
        await self._tell({"id": id, "type": "next", "payload": told(result, call.request_id)[0]})

    async def _fail(self, id: str, error: DomainError) -> None:
        request_id = self._handshake.request_id
        await self._tell({"id": id, "type": "error", "payload": told_refusal(error, request_id)})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": json(message).decode()})

    async def _finish(self, why: Ending) -> None:
        """The last word, where it is ours: each operation has its answer or is complete, and the socket closes."""
        following = [id for id, task in self._running.items() if task in self._following]
        await self._cancel(following)
        closed = Closed(1001, "Going away") if why is Ending.STOPPING else Closed(4401, "Unauthorized")
        try:
            async with asyncio.timeout(SECONDS_FOR_LAST_WORD):
                for id in following:
                    await self._tell({"id": id, "type": "complete"})
                if self._running:  # a mutation is done whatever we say here: say how it went
                    await asyncio.wait(self._running.values(), timeout=SECONDS_FOR_ANSWERS)
                unanswered = list(self._running)
                await self._cancel(unanswered)
                for id in unanswered:
                    await self._fail(id, unavailable())
                await _close(self._send, closed)
        except TimeoutError:
            log.info("a caller did not read the last word of its socket")

    async def _end(self, closed: Closed) -> None:
        await self._cancel(list(self._running))
        try:
            async with asyncio.timeout(SECONDS_FOR_LAST_WORD):
                await _close(self._send, closed)
        except (TimeoutError, OSError):
            pass  # whoever does not read is left

    async def _cancel(self, ids: list[str]) -> None:
        tasks = [task for id in ids if (task := self._running.pop(id, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _read(message: Message) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise Closed(4400, "Messages must be text.")
    try:
        content = decode(text.encode())
    except DecodingError as error:
        raise Closed(4400, str(error).replace("request body", "message")) from None
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise Closed(4400, "A message must be an object with the member type.")
    return content


def _token(payload: object) -> str | None:
    """The key that the first message carries: `Authorization`, by itself or among `headers`."""
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise Closed(4400, "The member payload must be an object.")
    headers = payload.get("headers")
    for given in (payload, headers if isinstance(headers, dict) else {}):
        for name, value in given.items():
            if name.lower() == "authorization" and isinstance(value, str):
                return token_of(value)
    return None


def _id(content: dict[str, Any]) -> str:
    id = content.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= LONGEST_ID:
        raise Closed(4400, f"The member id must be a string of 1 to {LONGEST_ID} characters.")
    return id


def _unfit(content: dict[str, Any]) -> NoReturn:
    raise Closed(4400, f"Messages of the type {content['type'][:40]} are not known here.")


async def _reject(send: Send, status: int) -> None:
    """Refuses to open a socket."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})


async def _close(send: Send, closed: Closed) -> None:
    reason = closed.reason.encode()[:LONGEST_REASON].decode(errors="ignore")
    await send({"type": "websocket.close", "code": closed.code, "reason": reason})
