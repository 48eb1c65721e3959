-- name: marks
-- A session's reconnects, gaps and holes.
delete from rl_session_marks where session_id = $1

-- name: fees
-- What a session's markets charged.
delete from rl_session_fees where session_id = $1

-- name: programs
-- The programs of a session's markets.
delete from rl_session_programs where session_id = $1

-- name: markets
-- Which rows a session's markets had.
delete from rl_session_markets where session_id = $1

-- name: session
-- A session itself.
delete from rl_orderbook_sessions where session_id = $1

-- name: rejected
-- What was set aside of a stream's journals.
delete from rl_rejected_rows where stream = $1

-- name: offsets
-- How far a stream's journals were recorded.
delete from rl_journal_offsets where stream = $1

-- name: stream
-- A stream itself.
delete from rl_streams where stream = $1

-- name: events
-- A session's events, wherever they are.
select rl_drop_events($1)
