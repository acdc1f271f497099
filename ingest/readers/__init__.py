"""One module per family of formats; each turns a file into pages of text with elements.

They run in the parser process only.
"""
