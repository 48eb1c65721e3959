-- migrate:up
-- Demo and production differ in liquidity and spread: a model must know what it was trained on.
alter table rl_orderbook_sessions
    add column if not exists environment varchar(20) default 'demo',
    drop constraint if exists chk_sessions_environment;

-- By the URL's host, never by a substring of the whole.
with hosts as (
    select session_id,
           lower(substring(websocket_url from '^[a-z]+://(?:[^/@]*@)?([^/:?#]+)')) as host
    from rl_orderbook_sessions
)
update rl_orderbook_sessions s
set environment = case
    when h.host = 'demo-api.kalshi.co' or h.host like '%.demo.kalshi.co' then 'demo'
    when h.host like '%.kalshi.com' then 'production'
    when h.host in ('localhost', '127.0.0.1') then 'simulated'
    else 'unknown'
end
from hosts h
where h.session_id = s.session_id;

alter table rl_orderbook_sessions
    alter column environment set not null,
    add constraint chk_sessions_environment
        check (environment in ('simulated', 'demo', 'production', 'unknown'));
create index if not exists idx_sessions_environment on rl_orderbook_sessions (environment);

-- migrate:down
drop index idx_sessions_environment;
alter table rl_orderbook_sessions
    drop constraint chk_sessions_environment,
    drop column environment;
