"""Tests of ``loadtests.bench.sockets``, file by file."""
