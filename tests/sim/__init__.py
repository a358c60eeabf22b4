"""A deterministic simulation: the gateway's own spool, forwarder and recall in a world of dice.

One seed decides everything: what clients send, which part goes on next, what the disk and the
origin do, when the process dies. What it dies with is decided like that of a real disk: of the
writes that were not synced any pages are kept, torn or lost, of the names any prefix.

=============  ======================================================================
module         owns
=============  ======================================================================
``chance``     choices: by dice, or all of them one after the other
``disk``       a file system with a page cache, and what a power loss leaves of it
``damage``     bits that flip
``clock``      both clocks, and the loop that calls back
``claims``     what clients send, and what they send again
``clients``    which of them is sent next, or again
``memory``     what recall must say, by a plain dictionary
``issue``      one envelope made of a claim
``ledger``     what was promised, what became of it, and every rule that it obeys
``origin``     a broker that fails, and notices what must not come
``gateway``    one life of a process: the parts that run in production, wired without threads
``weather``    how much goes wrong, and when
``bugs``       what production's supervisors catch
``world``      the steps of one seed
``every``      short traces with a crash at every call, and all that it may leave
``limits``     what a seed may use, so that none runs for ever
``run``        one seed, or one tree, on a stage of its own
``campaign``   many seeds on several processors
=============  ======================================================================
"""
