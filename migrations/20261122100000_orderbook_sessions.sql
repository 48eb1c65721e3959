-- migrate:up
-- A database that has this table already, with its rows, is taken over.
create table if not exists rl_orderbook_sessions (
    session_id bigserial primary key,
    market_tickers text[] not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    status varchar(20) not null,
    websocket_url text,
    connection_metadata jsonb
);

-- migrate:down
drop table rl_orderbook_sessions;
