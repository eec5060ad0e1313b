"""How objects travel, by the git program."""
