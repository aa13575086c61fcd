"""How a block's file is loaded and its function called, whatever its language.

The rules that hold for every language live here: what a dynamic block may return (`unfolding`), what a function is
called with (`arguments`, `keywords`). A folder beneath holds what one language adds: it makes a function of a file that
is called as a Python block's is, so that SQL and R blocks unfold, fold, fail and are tried again like any other.
"""
