-- name: open_stream
-- The id of a stream, which is made when it is new.
with made as (
    insert into rl_streams (stream, environment, websocket_url, started_ns)
    values ($1, $2, $3, $4)
    on conflict (stream) do nothing
    returning stream_id
)
select stream_id from made
union all
select stream_id from rl_streams where stream = $1
limit 1

-- name: find_stream
-- What is known of a stream: its id, status, end, and the session that it is, if it is one.
select s.stream_id, s.status, s.ended_ns, o.session_id
from rl_streams s
left join rl_orderbook_sessions o
    on s.stream = 'collector/' || o.session_uid
where s.stream = $1

-- name: create_session
-- A session and its id; `session_uid` $1, started_ns $2, URL $3, environment $4, tickers $5.
insert into rl_orderbook_sessions
    (session_uid, started_ns, websocket_url, environment, market_tickers, started_at, status)
values ($1, $2, $3, $4, $5, to_timestamp($2::bigint / 1e9), 'active')
returning session_id

-- name: make_offset
-- A journal's place, at its beginning when it is new.
insert into rl_journal_offsets (stream, journal, position, records)
values ($1, $2, 0, 0)
on conflict (stream, journal) do nothing

-- name: lock_offset
-- A journal's place. Locked: the backend of a killed recorder may still be committing its batch.
select position, records from rl_journal_offsets where stream = $1 and journal = $2 for update

-- name: move_offset
-- The place behind what this transaction writes.
update rl_journal_offsets set position = $3, records = $4 where stream = $1 and journal = $2

-- name: market_id
-- The number of a market, given on first use.
with made as (
    insert into rl_markets (market_ticker) values ($1)
    on conflict (market_ticker) do nothing
    returning market_id
)
select market_id from made
union all
select market_id from rl_markets where market_ticker = $1
limit 1

-- name: list_market
-- From an event on, a row of the session's table holds this market.
insert into rl_session_markets
    (session_id, row_no, from_event_no, market_id, price_ranges, open_ms, close_ms)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (session_id, row_no, from_event_no) do update
set market_id = excluded.market_id, price_ranges = excluded.price_ranges,
    open_ms = excluded.open_ms, close_ms = excluded.close_ms

-- name: name_market
-- Add a ticker to those of a session.
update rl_orderbook_sessions
set market_tickers = array_append(market_tickers, $2)
where session_id = $1 and not market_tickers @> array[$2]

-- name: listed_markets
-- Which market each row of a session's table held, from which event on.
select row_no, from_event_no, market_id
from rl_session_markets where session_id = $1
order by from_event_no

-- name: keep_result
-- The last word on what a market paid, in the environment of the session $1 that heard it.
insert into rl_market_results as known
    (environment, market_id, result, yes_value_e4, determined_ms, settled_ms, told_ns)
select environment, $2, $3, $4, $5, $6, $7 from rl_orderbook_sessions where session_id = $1
on conflict (environment, market_id) do update
set result = excluded.result, yes_value_e4 = excluded.yes_value_e4,
    determined_ms = excluded.determined_ms, settled_ms = excluded.settled_ms,
    told_ns = excluded.told_ns
where known.told_ns <= excluded.told_ns

-- name: drop_fees
-- What was known of a market's fees in a session: all of it is said again.
delete from rl_session_fees where session_id = $1 and market_id = $2

-- name: keep_fee
-- From a moment on a market of a session charges this.
insert into rl_session_fees (session_id, market_id, from_ms, fee_type, multiplier_e4)
values ($1, $2, $3, $4, $5)

-- name: keep_program
-- A program of a market, as a session read it last.
insert into rl_session_programs
    (session_id, program_id, market_id, kind, description, start_ms, end_ms, reward_e6, paid_out,
     target_size_e2, discount_bps, most_per_account_e6, listed_ns)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (session_id, program_id) do update
set market_id = excluded.market_id, kind = excluded.kind, description = excluded.description,
    start_ms = excluded.start_ms, end_ms = excluded.end_ms, reward_e6 = excluded.reward_e6,
    paid_out = excluded.paid_out, target_size_e2 = excluded.target_size_e2,
    discount_bps = excluded.discount_bps, most_per_account_e6 = excluded.most_per_account_e6,
    listed_ns = excluded.listed_ns

-- name: add_mark
-- A reconnect, a gap, a hole, or its healing.
insert into rl_session_marks (session_id, record_no, kind, market_id, event_no, ts_ns, detail)
values ($1, $2, $3, $4, $5, $6, $7)

-- name: note_end
-- A stream's last record: when it ended. It is marked as ended when all of it is recorded.
update rl_streams set ended_ns = $2 where stream_id = $1

-- name: close_stream
-- A stream that said goodbye and is recorded to its end: `closed`, with how much it holds.
update rl_streams s
set status = 'closed', events = o.position
from rl_journal_offsets o
where s.stream_id = $1 and o.stream = s.stream and o.journal = 'events'

-- name: close_session
-- A session that said goodbye and is recorded to its end.
update rl_orderbook_sessions
set status = 'closed', ended_ns = $2, ended_at = to_timestamp($2::bigint / 1e9)
where session_id = $1

-- name: last_sign
-- When a session was last heard of.
select rl_last_sign($1)

-- name: fail_stream
-- A stream whose producer died; $2 is its end, null when nobody knows.
update rl_streams s
set status = 'error', ended_ns = $2, events = o.position
from rl_journal_offsets o
where s.stream_id = $1 and s.status = 'active' and o.stream = s.stream and o.journal = 'events'

-- name: fail_session
-- A session whose collector died ended with the last that it recorded.
update rl_orderbook_sessions
set status = 'error', ended_ns = $2, ended_at = to_timestamp($2::bigint / 1e9)
where session_id = $1 and status = 'active'

-- name: open_events
-- Make the partition of a session's events.
select rl_open_events($1)

-- name: count_session
-- What a session holds, derived from its rows.
select rl_count_session($1)

-- name: seal_events
-- No more events come: into the table of small sessions, or a small index for the unique one.
select rl_seal_events($1)

-- name: share_events
-- Move small sessions that ended earlier and could not be moved then.
select rl_share_events($1)

-- name: count_duplicates
-- Records of a stream $1 that another stream had stored: how many more ($2).
update rl_streams set duplicates = duplicates + $2 where stream_id = $1

-- name: unknown_end
-- A state of an order that could not be stored: what was known of it last, with status `unknown`.
insert into rl_orders
    (environment, stream_id, record_no, order_id, client_order_id, intent_id, market_ticker, leg,
     is_buy, book_side, yes_price_e4, initial_count_e2, fill_count_e2, remaining_count_e2, status,
     reason, expire_ms, ts_ns, received_mono_ns, sent_mono_ns, acknowledged_mono_ns)
select environment, $2, $3, order_id, client_order_id, intent_id, market_ticker, leg,
     is_buy, book_side, yes_price_e4, initial_count_e2, fill_count_e2, remaining_count_e2, 'unknown',
     $4, expire_ms, ts_ns, received_mono_ns, sent_mono_ns, acknowledged_mono_ns
from rl_orders where client_order_id = $1
order by stream_id desc, record_no desc
limit 1
on conflict (environment, client_order_id, status, ts_ns, fill_count_e2, remaining_count_e2)
do nothing
