-- name: sessions
-- Stored sessions, the newest run first, whatever time its market data is of: a replay of old data
-- is newer than the live session before it. Environment $1 and status $2 may be null: any.
select session_id, session_uid, environment, status, websocket_url,
       coalesce(started_ns, (extract(epoch from started_at) * 1e9)::bigint) as started_ns,
       coalesce(ended_ns, (extract(epoch from ended_at) * 1e9)::bigint) as ended_ns,
       market_tickers, last_event_no, events, deltas, trades, archive_path,
       events_shared or to_regclass('rl_packed_events_s' || session_id) is not null as stored,
       events_shared as shared
from rl_orderbook_sessions
where ($1::text is null or environment = $1) and ($2::text is null or status = $2)
order by session_id desc

-- name: markets
-- A session's markets, as last listed, and what they paid, where that is known.
select distinct on (market_id) market_id, market_ticker, price_ranges, open_ms, close_ms,
       nullif(r.result, '') as result, r.yes_value_e4
from rl_session_markets join rl_markets using (market_id)
    join rl_orderbook_sessions using (session_id)
    left join rl_market_results r using (environment, market_id)
where session_id = $1
order by market_id, from_event_no desc

-- name: fees
-- What a session's markets charge, as it read it, in order.
select market_id, from_ms, fee_type, multiplier_e4
from rl_session_fees where session_id = $1
order by market_id, from_ms

-- name: programs
-- The programs of a session's markets, as it read them last, in the order of their times.
select market_id, program_id, kind, description, start_ms, end_ms, reward_e6, paid_out,
       target_size_e2, discount_bps, most_per_account_e6, listed_ns
from rl_session_programs where session_id = $1
order by market_id, start_ms, program_id

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
-- `rl_events_of_session`, here and below, stands for the table that holds the session's events.
select coalesce(max(event_key) & 1099511627775, 0)
from rl_events_of_session where (event_key >> 40) = $1

-- name: packed_events
-- A session's events with keys from $2 to below $3, as they are stored.
select event_key, recv_ns, coalesce(exch_ms, recv_ns / 1000000 - exch_lag_ms, 0),
       seq, qty_e2, market_kind, price_side
from rl_events_of_session
where (event_key >> 40) = $1 and event_key >= $2 and event_key < $3

-- name: packed_market_events
-- The same, of the market $4 alone.
select event_key, recv_ns, coalesce(exch_ms, recv_ns / 1000000 - exch_lag_ms, 0),
       seq, qty_e2, market_kind, price_side
from rl_events_of_session
where (event_key >> 40) = $1 and event_key >= $2 and event_key < $3
    and (market_kind & 268435455) = $4

-- name: figures
-- What a session holds right now, counted.
select count(*) as events,
       count(*) filter (where market_kind >> 28 = 4) as deltas,
       count(*) filter (where market_kind >> 28 = 5) as trades
from rl_events_of_session where (event_key >> 40) = $1

-- name: sizes
-- Bytes of each of the sessions $1 with their index, 0 for one whose events are not here. One that
-- shares a table has that table's bytes by its share of the rows.
with shared as (
    select sum(events) as events, pg_total_relation_size('rl_shared_events') as bytes
    from rl_orderbook_sessions where events_shared
)
select session_id,
       case when events_shared
            then coalesce((shared.bytes * s.events / nullif(shared.events, 0))::bigint, 0)
            else coalesce(pg_total_relation_size(to_regclass('rl_packed_events_s' || session_id)), 0)
       end as bytes
from rl_orderbook_sessions s, shared
where session_id = any($1::bigint[])

-- name: gaps
-- How often frames were missed or not recorded in each of the sessions $1 that has such marks.
select session_id, count(*) as gaps from rl_session_marks
where session_id = any($1::bigint[]) and kind in ('gap', 'disconnected', 'hole')
group by session_id

-- name: drop_events
-- A session's events go, wherever they are.
select rl_drop_events($1)

-- name: archived
-- Remember where a session's archive lies.
update rl_orderbook_sessions set archive_path = $2, archived_at = now() where session_id = $1
