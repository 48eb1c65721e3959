-- name: sessions
-- Stored sessions, newest first; environment $1 and status $2 may be null: any.
select session_id, session_uid, environment, status, websocket_url,
       coalesce(started_ns, (extract(epoch from started_at) * 1e9)::bigint) as started_ns,
       coalesce(ended_ns, (extract(epoch from ended_at) * 1e9)::bigint) as ended_ns,
       market_tickers, last_event_no, events, deltas, trades, archive_path,
       to_regclass('rl_packed_events_s' || session_id) is not null as stored
from rl_orderbook_sessions
where ($1::text is null or environment = $1) and ($2::text is null or status = $2)
order by started_at desc, session_id desc

-- name: markets
-- A session's markets, as last listed, and what they paid, where that is known.
select distinct on (market_id) market_id, market_ticker, price_ranges, open_ms, close_ms,
       nullif(r.result, '') as result, r.yes_value_e4
from rl_session_markets join rl_markets using (market_id)
    join rl_orderbook_sessions using (session_id)
    left join rl_market_results r using (environment, market_id)
where session_id = $1
order by market_id, from_event_no desc

-- name: marks
-- What a session says of itself, in order.
select kind, market_ticker, event_no, ts_ns, detail
from rl_session_marks left join rl_markets using (market_id)
where session_id = $1
order by record_no

-- name: rejected
-- How many events of a session were set aside.
select count(*) from rl_rejected_rows r join rl_orderbook_sessions s
    on r.stream = 'collector/' || s.session_uid
where s.session_id = $1 and r.journal = 'events'

-- name: last_event_no
-- The number of a session's last event that is there, 0 without any; by the key's index if it can.
select coalesce(max(event_key) & 1099511627775, 0)
from rl_packed_events where (event_key >> 40) = $1

-- name: packed_events
-- A session's events with keys from $2 to below $3, as they are stored.
select event_key, recv_ns, coalesce(exch_ms, recv_ns / 1000000 - exch_lag_ms, 0),
       seq, qty_e2, market_kind, price_side
from rl_packed_events
where (event_key >> 40) = $1 and event_key >= $2 and event_key < $3

-- name: packed_market_events
-- The same, of the market $4 alone.
select event_key, recv_ns, coalesce(exch_ms, recv_ns / 1000000 - exch_lag_ms, 0),
       seq, qty_e2, market_kind, price_side
from rl_packed_events
where (event_key >> 40) = $1 and event_key >= $2 and event_key < $3
    and (market_kind & 268435455) = $4

-- name: figures
-- What a session holds right now, counted, and its bytes.
select count(*) as events,
       count(*) filter (where kind = 4) as deltas,
       count(*) filter (where kind = 5) as trades
from rl_book_events where session_id = $1

-- name: size
-- Bytes of a session's events with their index, 0 when they are not here.
select coalesce(pg_total_relation_size(to_regclass('rl_packed_events_s' || $1::bigint)), 0)

-- name: gaps
-- How often frames were missed or not recorded.
select count(*) from rl_session_marks
where session_id = $1 and kind in ('gap', 'disconnected', 'hole')

-- name: archived
-- Remember where a session's archive lies.
update rl_orderbook_sessions set archive_path = $2, archived_at = now() where session_id = $1
