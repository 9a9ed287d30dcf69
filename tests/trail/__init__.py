"""Logs as ours are written, before programs that others wrote."""
