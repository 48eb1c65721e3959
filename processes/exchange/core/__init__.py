"""The exchange without I/O: books, matching, orders, money, market lifecycle. Events in and out."""
