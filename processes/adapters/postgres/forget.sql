-- name: marks
-- Reconnects, gaps and holes.
delete from rl_session_marks where session_id = $1

-- name: markets
-- Which rows its markets had.
delete from rl_session_markets where session_id = $1

-- name: rejected
-- What was set aside of its journals.
delete from rl_rejected_rows
where stream = (
    select 'collector/' || session_uid from rl_orderbook_sessions where session_id = $1
)

-- name: offsets
-- How far its journals were recorded.
delete from rl_journal_offsets
where stream = (
    select 'collector/' || session_uid from rl_orderbook_sessions where session_id = $1
)

-- name: stream
-- The run that wrote it.
delete from rl_streams
where stream = (
    select 'collector/' || session_uid from rl_orderbook_sessions where session_id = $1
)

-- name: session
-- The session itself, last: those above ask it for its name.
delete from rl_orderbook_sessions where session_id = $1
