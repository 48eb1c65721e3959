-- migrate:up
-- Every run of a producer writes one stream of journals; `<producer>/<uid>` names it.
create table rl_streams (
    stream_id bigserial primary key,
    stream text not null unique,
    environment text not null,
    websocket_url text not null,
    started_ns bigint not null,
    ended_ns bigint, -- null: not ended, or it died and nobody knows when
    status text not null default 'active' check (status in ('active', 'closed', 'lost'))
);

-- What has been recorded: committed in one transaction with the rows.
create table rl_journal_offsets (
    stream text not null,
    journal text not null check (journal in ('events', 'marks')),
    position bigint not null check (position >= 0),
    records bigint not null check (records >= 0),
    primary key (stream, journal)
);

-- The tables below hold one row per journalled record, in the order of (stream_id, record_no).
create table rl_ticks (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    session_uid text not null,
    market_ticker text not null,
    event_no bigint not null,
    recv_ns bigint not null,
    history integer not null,
    primary key (stream_id, record_no)
);

create table rl_actions (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    session_uid text not null,
    market_ticker text not null,
    action smallint not null check (action >= 0),
    action_name text not null,
    reason text not null,
    model text not null,
    model_hash text not null,
    observation_hash text not null,
    event_no bigint not null,
    account_version bigint not null,
    logits float8[] not null,
    value float8,
    mask boolean[] not null,
    intent_id text,
    decided_ns bigint not null,
    recv_ns bigint not null,
    frame_mono_ns bigint not null,
    written_mono_ns bigint not null,
    woken_mono_ns bigint not null,
    decided_mono_ns bigint not null,
    primary key (stream_id, record_no)
);
create index idx_actions_market on rl_actions (market_ticker, decided_ns);

create table rl_intents (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    intent_id text not null,
    market_ticker text not null,
    action smallint not null,
    action_name text not null,
    leg text not null check (leg in ('yes', 'no')),
    is_buy boolean not null,
    book_side text not null check (book_side in ('bid', 'ask')),
    price_e4 integer not null check (price_e4 between 1 and 9999),
    yes_price_e4 integer not null check (yes_price_e4 between 1 and 9999),
    count_e2 bigint not null check (count_e2 > 0),
    deadline_mono_ns bigint not null,
    decided_ns bigint not null,
    session_uid text not null,
    event_no bigint not null,
    account_version bigint not null,
    model text not null,
    frame_mono_ns bigint not null,
    written_mono_ns bigint not null,
    decided_mono_ns bigint not null,
    primary key (stream_id, record_no)
);
create index idx_intents_intent on rl_intents (intent_id);

-- Every state an order went through.
create table rl_orders (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    order_id text,
    client_order_id text not null,
    intent_id text,
    market_ticker text not null,
    leg text not null,
    is_buy boolean not null,
    book_side text not null,
    yes_price_e4 integer not null,
    initial_count_e2 bigint not null,
    fill_count_e2 bigint not null,
    remaining_count_e2 bigint not null,
    status text not null,
    reason text not null,
    expire_ms bigint,
    ts_ns bigint not null,
    received_mono_ns bigint not null,
    sent_mono_ns bigint not null,
    acknowledged_mono_ns bigint not null,
    primary key (stream_id, record_no)
);
create index idx_orders_client on rl_orders (client_order_id);

create table rl_fills (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    trade_id text not null,
    order_id text not null,
    client_order_id text,
    market_ticker text not null,
    book_side text not null,
    yes_price_e4 integer not null,
    count_e2 bigint not null,
    is_taker boolean not null,
    fee_e6 bigint not null,
    ts_ms bigint not null,
    primary key (stream_id, record_no)
);
create index idx_fills_trade on rl_fills (trade_id);

create table rl_positions (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    market_ticker text not null,
    position_e2 bigint not null,
    cost_basis_e6 bigint not null,
    cash_e6 bigint not null,
    realized_e6 bigint not null,
    fees_e6 bigint not null,
    open_orders integer not null,
    account_version bigint not null,
    ts_ns bigint not null,
    primary key (stream_id, record_no)
);

-- migrate:down
drop table rl_positions, rl_fills, rl_orders, rl_intents, rl_actions, rl_ticks;
drop table rl_journal_offsets, rl_streams;
