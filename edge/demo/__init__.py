"""An evening at the casino, played against a real gateway from outside: ``edge demo``.

A room of its own, because it is not the gateway: it starts one as a subprocess and knows only
what any client knows, the wire contract. So it imports nothing else of ``edge`` (nor of
``origin_client``), and what it proves it proves without the house's help.

======================  ==============================================================
:mod:`~.issuer`         signs the players' and services' tokens, serves its public key
:mod:`~.gateway`        the gateway as a process: start, kill, stop, ask for its metrics
:mod:`~.wire`           HTTP/1.1 as a client speaks it, over one connection
:mod:`~.payloads`       what the events of the evening say
:mod:`~.rounds`         the same, about rounds and slips
:mod:`~.speaker`        sends events until each has its one verdict
:mod:`~.stream`         the same over a socket, which it resumes
:mod:`~.jackpot`        a push, published at the origin, and who hears it
:mod:`~.ledger`         the clients' own book of what they sent and were told
:mod:`~.player`         one player's evening, and what services state about it
:mod:`~.mischief`       what must be refused
:mod:`~.stage`          all of that, wired; cleared away whatever happens
:mod:`~.floor`          everybody at once, and the kill in the middle
:mod:`~.evening`        from the first line to the exit code
:mod:`~.metrics`        whether a gateway's own counters add up
:mod:`~.audit`          reads the origin's log; a program of its own that shares no code
:mod:`~.account`        the table at the end
:mod:`~.narrator`       what is printed on the way
======================  ==============================================================
"""
