-- migrate:up
-- What the markets of a session charge, as its collector read it: from `from_ms` on (Unix
-- milliseconds; the first of a market also holds before). A session without rows: fees not read.
create table rl_session_fees (
    session_id bigint not null references rl_orderbook_sessions on delete cascade,
    market_id integer not null references rl_markets,
    from_ms bigint not null,
    fee_type text not null, -- the exchange's word
    multiplier_e4 integer not null check (multiplier_e4 >= 0),
    primary key (session_id, market_id, from_ms)
);

-- migrate:down
drop table rl_session_fees;
