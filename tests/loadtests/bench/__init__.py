"""Tests of ``loadtests.bench``, file by file."""
