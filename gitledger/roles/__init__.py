"""The seeds' roles, one room each: host, witness, proposer, authority, consumer; and the place where they act."""
