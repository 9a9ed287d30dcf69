"""The files of deploy/ are checked by the programs that will read them."""
