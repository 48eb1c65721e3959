"""PostgreSQL: the embedded server, connections, migrations, queries, recorded sessions."""
