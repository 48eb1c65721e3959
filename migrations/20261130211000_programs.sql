-- migrate:up
-- Programs that pay for resting orders or for volume in a session's markets, as last read.
create table rl_session_programs (
    session_id bigint not null references rl_orderbook_sessions on delete cascade,
    program_id text not null,
    market_id integer not null references rl_markets,
    kind text not null, -- liquidity, volume, margin_maker_volume, margin_taker_volume
    description text not null,
    start_ms bigint not null,
    end_ms bigint not null,
    reward_e6 bigint not null, -- of the whole period from start_ms to end_ms, not a rate
    paid_out boolean not null,
    target_size_e2 bigint,
    discount_bps integer,
    most_per_account_e6 bigint,
    listed_ns bigint not null, -- market time of the reading
    primary key (session_id, program_id)
);

-- migrate:down
drop table rl_session_programs;
