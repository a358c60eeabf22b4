"""``python -m loadtests.overload``: what is left of a node that is asked for twice and five times.

Theory of operation
-------------------
First the *saturation*: what a closed loop over few connections gets accepted. Then a fixed set of
connections asks for a share of it, 0.7 (the *baseline*), 2 and 5 times, each phase on its own
connections. Each connection has its own due times, at random; what falls due while its last
request is unanswered it cannot send, and counts as *not offered*: that is what a fixed set of
connections means. A refused request is sent again when something falls due, and not before; what
``Retry-After`` says is not heeded, which is harder for the node.

Latencies run from the write of the request to its whole answer, so time in the node's sockets
counts. The first second of each phase is the node's to find out, and counts for nothing but the
longest wait and the loss.

After all phases the origin's log must hold exactly the events that were accepted, once each.

=================  ===========================================================================
``crowd``          the connections: due times, answers, what came of each request
``generator``      a process of its own around it
``conductor``      orders it about
``stage``          that, a gateway, and their room
``phases``         who is asked for what, and what is told of it
``audit``          the origin's log against what was accepted
=================  ===========================================================================

The gateway is known here only from outside: its command line, its port, its log of the origin.
"""
