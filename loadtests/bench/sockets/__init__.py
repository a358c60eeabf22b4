"""``make bench``, sockets: what ``GET /v1/stream`` costs, beside an echo on the same stack.

Theory of operation
-------------------
The same interleaving as :mod:`loadtests.bench`, and the same measure: events per CPU-second of
the whole server process, until the last one is at the origin. Beside the gateway stands uvicorn
with its ``websockets-sansio`` implementation and an application that sends back what it gets.
Both have as many sockets and as many messages under way on each, one or several; each message is
a write of its own, as a game's are. The gateway's verdicts must say that every event is durable, the echo must
send back every octet.

The gateway tells of many messages in one frame, the echo answers each: that is a part of how the
gateway works, and so is not taken out of its figure. Two more things are told. What an idle
socket holds: resident memory that so many of them add to a fresh process, the gateway's beyond
the echo's. And how long a push takes from its publisher to each of many sockets: the publisher is
``edge origin put``, the clock is read before a line is written to it and when a frame was read,
so that its way to the origin, the origin's sync and our own reading count.

=================  ===========================================================================
``frames``         RFC 6455 as a client speaks it: bytes in, bytes out
``speakers``       who speaks and what they say, as frames
``answers``        what must come back
``client``         many sockets on one poll
``fan_out``        publishes, and waits for what arrives
``generator``      a process of its own around all these
``echo``           the application that sends back
``subjects``       the two servers
``contest``        the interleaving
``spans``          memory and pushes
``report``         the tables, the JSON, README's block
=================  ===========================================================================

The gateway is known here only from outside: its command line, its ports, its metrics, its origin.
"""
