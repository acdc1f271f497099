"""Language models: the processes and servers that run them, and the one client of all."""
