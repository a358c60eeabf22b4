"""The edge gateway: it lets good events in, quickly, and says why it refuses the rest.

Path of one event through the house:

=============  ==============================  =============================================
stage          module                          turns
=============  ==============================  =============================================
authenticate   :mod:`edge.core.authenticate`   bearer token -> Principal
decode         :mod:`edge.core.decode`         body bytes -> events, each typed by its schema
authorise      :mod:`edge.core.authorise`      Principal x event -> allowed
recall         :mod:`edge.core.recall`         id, business key, number -> first or duplicate
limit          :mod:`edge.core.limit`          quotas charged, clock compared
shed           :mod:`edge.core.shed`           telemetry under pressure -> some of each session
seal           :mod:`edge.core.seal`           event + what the edge knows -> envelope
=============  ==============================  =============================================

then ``spool -> fsync -> verdict`` and, at its own pace, ``spool -> forward -> origin``.
:func:`edge.core.admit.admit` is the one place that knows this order.
"""
