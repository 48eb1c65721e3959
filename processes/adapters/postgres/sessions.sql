-- name: sessions
-- Stored sessions, newest first; environment $1 and status $2 may be null: any.
select session_id, session_uid, environment, status, started_ns, ended_ns, market_tickers
from rl_orderbook_sessions
where ($1::text is null or environment = $1) and ($2::text is null or status = $2)
order by started_at desc, session_id desc

-- name: markets
-- A session's markets, as last listed.
select distinct on (market_id) market_id, market_ticker, price_ranges, open_ms, close_ms
from rl_session_markets join rl_markets using (market_id)
where session_id = $1
order by market_id, from_event_no desc

-- name: events
-- A market's events of a session up to an event number, in the order of the journal's record.
select event_no, recv_ns, exch_ms, qty_e2, seq, kind, side, 0, price_e4
from rl_book_events
where session_id = $1 and market_id = $2 and event_no <= $3
order by event_no

-- name: book_seqs
-- Every event of a session that came on the book subscription: number, exchange `seq`, market.
select event_no, seq, market_id from rl_book_events
where session_id = $1 and kind <= 4
order by event_no

-- name: deltas
-- How many deltas of each market a session holds.
select market_ticker, count(*) as deltas
from rl_book_events join rl_markets using (market_id)
where session_id = $1 and kind = 4
group by market_ticker

-- name: holes
-- How often a session's record has a hole: marks that say so, and event numbers that are missing.
select (select count(*) from rl_session_marks where session_id = $1 and kind = 'hole') as marked,
       coalesce(max(event_no) - count(*), 0) as missing
from rl_book_events where session_id = $1
