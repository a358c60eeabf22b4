"""The spool of one process: accepted events in, kept until the origin has them, whatever happens.

Theory of operation
-------------------
Accepted means fsynced. Each lane has its own directory, files, writer thread and reader, and is
disturbed by no other lane; what they share is the disk, and how much of it may be used.

=====================  =======================================================
module                 owns
=====================  =======================================================
``core.frame``         the bytes of a segment
``disk``               the system calls
``home``               whether a lane's directory is still the one that was opened
``segment``            the files of one lane
``key_index``          what a start need not scan
``recovery``           what a crash left
``cursor``             how far the origin has acknowledged
``shelf``              which segments there are, and what waits in them
``intake``, ``commit`` the loop's side: appends, group commits, their waiters
``lane_writer``        the writer thread, and its answer to failures
``segment_writer``     the file being written, and the numbers
``lane_spool``         the forwarder's side: read, acknowledge
``retention``          deletion
``budget``, ``room``   bytes that may wait; disk space, when there is none
``bulkhead``           one lane, put together
``claim``              lock, identity, file system
``process``            all lanes, put together
``inspect``            what operators see, without the lock
=====================  =======================================================
"""
