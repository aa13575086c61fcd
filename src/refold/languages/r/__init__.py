"""R blocks: a file with a function, called in a process of R."""
