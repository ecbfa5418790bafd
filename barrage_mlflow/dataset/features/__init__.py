"""Feature types: what each learns of a column, and the arrays that it makes of one.

A feature asks for a kind of column and parses no cell. What it makes of a cell depends on that
cell and on what was learnt alone.
"""
