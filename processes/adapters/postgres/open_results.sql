-- name: open_results
-- Markets of the environment $1 that are not known to be settled, the $2 newest, with what was said.
select market_ticker, result, yes_value_e4, determined_ms, told_ns
from (
    select distinct on (market_id) market_id, environment, close_ms
    from rl_session_markets join rl_orderbook_sessions using (session_id)
    where environment = $1
    order by market_id, session_id desc, from_event_no desc
) listed
join rl_markets using (market_id)
left join rl_market_results r using (environment, market_id)
where r.settled_ms is null
order by close_ms desc, market_id desc
limit $2
