"""One feed: what frames do to books and to a session's record, for every way in.

The collector (live), `sessions import` and the reader of recordings share it; none has rules of
its own. See docs/adr/0011-one-feed.md.
"""
