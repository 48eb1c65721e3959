"""The exchange without I/O: books, orders, money, and the lives of markets. Events in and out."""
