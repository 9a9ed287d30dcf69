"""One file, one technology behind one port: they translate and decide nothing."""
