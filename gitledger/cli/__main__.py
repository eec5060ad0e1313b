"""`python -m gitledger.cli`."""

from gitledger.cli import main

main()
