"""`python -m services.cli`: the command line where no script is installed."""

from services.cli import main

main()
