"""What a machine can run: known cards, the memory that a model takes, and the choice of a profile, explained."""
