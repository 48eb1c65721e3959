-- name: orders_named
-- Orders by the intent, by our name or by the exchange's, in the order of their first row.
select client_order_id from rl_orders
where intent_id = $1 or client_order_id = $1 or order_id = $1
group by client_order_id
order by min(ts_ns), client_order_id

-- name: orders_of_market
-- The $2 newest orders of a market, oldest first.
select client_order_id from (
    select client_order_id, max(ts_ns) as last_ns from rl_orders
    where market_ticker = $1
    group by client_order_id
    order by last_ns desc, client_order_id
    limit $2
) newest
order by last_ns, client_order_id

-- name: order_rows
-- Every state that an order went through.
select o.*, s.stream from rl_orders o join rl_streams s using (stream_id)
where client_order_id = $1
order by stream_id, record_no

-- name: intent
-- An intent as it was received first.
select * from rl_intents where intent_id = $1 order by stream_id, record_no limit 1

-- name: decision
-- The decision that an intent came of.
select * from rl_actions where intent_id = $1 order by stream_id, record_no limit 1

-- name: tick
-- The evaluation that a decision was made on.
select * from rl_ticks
where session_uid = $1 and market_ticker = $2 and event_no = $3
order by stream_id desc, record_no desc
limit 1

-- name: fills
-- Fills of an order, in order.
select * from rl_fills
where environment = $1 and order_id = any($2)
order by ts_ms, trade_id

-- name: accounts
-- Rows of the account table in which the order may rest: the account's versions between two moments.
select v.account_version, v.words, v.layout from rl_account_versions v
where v.stream_id = $1 and v.market_ticker = $2
  and v.account_version between
      coalesce((select min(account_version) from rl_positions
                where stream_id = $1 and market_ticker = $2 and ts_ns >= $3), 0)
  and coalesce((select max(account_version) from rl_positions
                where stream_id = $1 and market_ticker = $2 and ts_ns <= $4), 0)
order by v.account_version
limit 10000

-- name: audit
-- The audit of a market and of all markets between two moments, and the refusals of one intent.
select e.* from rl_trading_events e join rl_streams s using (stream_id)
where s.environment = $1 and e.ts_ns between $3 and $4
  and (e.market_ticker = $2 or e.market_ticker is null)
order by e.ts_ns, e.stream_id, e.record_no
limit 1000

-- name: last_audit
-- The newest lines of the audit of a market.
select * from (
    select * from rl_trading_events where market_ticker = $1
    order by ts_ns desc, stream_id desc, record_no desc
    limit $2
) newest
order by ts_ns, stream_id, record_no

-- name: result
-- What a market paid, as its exchange last reported it.
select r.* from rl_market_results r join rl_markets m using (market_id)
where r.environment = $1 and m.market_ticker = $2

-- name: is_market
-- Whether anything is stored of a market of this name.
select exists (select from rl_markets where market_ticker = $1)
    or exists (select from rl_orders where market_ticker = $1)
    or exists (select from rl_trading_events where market_ticker = $1)
