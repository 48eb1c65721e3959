-- name: recorded
-- How far a session's events and everybody's account versions are recorded.
select (select coalesce(max(event_key) & 1099511627775, 0) from rl_events_of_session
        where (event_key >> 40) = $1) as event_no,
       (select coalesce(max(account_version), 0) from rl_account_versions) as account_version

-- name: ticks
-- What every run of the actor evaluated of a session's market, in order.
select stream_id, event_no, history from rl_ticks
where session_uid = $1 and market_ticker = $2
order by stream_id, record_no

-- name: decisions
-- What every run of the actor decided on a session's market, in order.
select * from rl_actions
where session_uid = $1 and market_ticker = $2
order by stream_id, record_no

-- name: accounts
-- The account versions that a session's decisions on a market read; of equals the newest.
select distinct on (v.account_version) v.account_version, v.words, v.layout
from rl_account_versions v
where v.market_ticker = $2 and v.account_version in (
    select a.account_version from rl_actions a
    where a.session_uid = $1 and a.market_ticker = $2
)
order by v.account_version, v.stream_id desc, v.record_no desc
