"""The language the processes share: units, messages, sockets, journals and shared memory."""
