"""``make bench``: what the gateway costs, told as a ratio to an application that does nothing.

Theory of operation
-------------------
Machines are noisy and differ, so nothing here is told as a time alone. In each round every
subject gets the same bytes, one after the other (A B C A B C …); a round's figures are divided
by the same round's figures of the empty application, and the median of the rounds is told,
with the quartiles beside it.

What is divided are events per CPU-second of the whole server process: every thread, user and
system, from the first byte until the last event is at the origin. Work that is only put off
is work done. Waiting for the disk is no work: it is told as latency.

=================  ===========================================================================
``scenario``       who speaks and what they say: the requests' bytes
``client``         sends them over keep-alive connections, and checks every answer
``generator``      a process of its own around both
``subjects``       the servers as processes: the empty application, the gateways
``empty``          the application that reads the body and answers 202
``device``         what the disk alone takes for one fdatasync
``rounds``         the interleaving
``figures``        medians, ratios, percentiles
``report``         the tables, the JSON, README's block
``soak``           memory over millions of events
``tokens``         the issuer that signs for everybody
``tree``           the code of another commit
``sockets``        the same for ``GET /v1/stream``
=================  ===========================================================================

The gateway is known here only from outside: its command line, its ports, its metrics.
"""
