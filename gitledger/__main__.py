"""`python -m gitledger`."""

from gitledger.cli import main

main()
