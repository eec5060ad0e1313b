"""What is valid. Pure: reads objects by id; writes nothing, knows no remote, no clock, no configuration."""
