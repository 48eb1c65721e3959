-- migrate:up
-- The audit of trading: every command, limit, latch and difference, who caused it and why.
create table rl_trading_events (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    kind text not null, -- a word of TradingEventKind
    name text not null, -- the command, the mode, the limit or the quantity
    who text not null,
    why text not null,
    market_ticker text, -- null: concerns all
    numbers jsonb not null, -- what was compared; names end in their unit
    ts_ns bigint not null,
    primary key (stream_id, record_no)
);
create index idx_trading_events on rl_trading_events (ts_ns);

-- migrate:down
drop table rl_trading_events;
