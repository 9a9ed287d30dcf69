"""Tests mirror the tree; contracts/ holds one suite per port, run against every adapter."""
