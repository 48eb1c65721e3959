-- migrate:up
-- Sessions from before have words of their own for how they ended.
update rl_orderbook_sessions
set status = case when status in ('completed', 'stopped') then 'closed' else 'error' end
where status not in ('active', 'closed', 'lost', 'error');

-- One session per collector run; `session_uid` is its name in journals and messages.
alter table rl_orderbook_sessions
    add column session_uid text unique,
    add column started_ns bigint,
    add column ended_ns bigint,
    add column last_event_no bigint,
    add constraint chk_sessions_status check (status in ('active', 'closed', 'lost', 'error'));

create table rl_markets (
    market_id serial primary key,
    market_ticker text not null unique
);

-- From event `from_event_no` on, the session's table row `row_no` held this market.
create table rl_session_markets (
    session_id bigint not null references rl_orderbook_sessions,
    row_no integer not null,
    from_event_no bigint not null,
    market_id integer not null references rl_markets,
    price_ranges integer[] not null, -- start_e4, end_e4, step_e4 of each range
    open_ms bigint not null,
    close_ms bigint not null,
    primary key (session_id, row_no, from_event_no)
);

-- Reconnects, gaps, holes in what was recorded, and their healing.
create table rl_session_marks (
    session_id bigint not null references rl_orderbook_sessions,
    record_no bigint not null, -- of the journal of marks
    kind text not null,
    market_id integer references rl_markets,
    event_no bigint not null,
    ts_ns bigint not null,
    detail text not null,
    primary key (session_id, record_no)
);

-- Kinds: 1 snapshot begins, 2 one of its levels, 3 snapshot ends, 4 delta, 5 trade, 6 state.
-- A level's and a delta's price is that of its own leg (side 0 YES, 1 NO), a trade's is YES.
-- A partition per session: the recorder makes it; an archiver drops it.
create table rl_book_events (
    session_id bigint not null,
    event_no bigint not null check (event_no > 0),
    recv_ns bigint not null,
    exch_ms bigint not null,
    seq bigint not null,
    market_id integer not null,
    price_e4 integer not null,
    qty_e2 integer not null,
    kind smallint not null check (kind between 1 and 6),
    side smallint not null check (side in (0, 1)),
    primary key (session_id, event_no)
) partition by list (session_id);

-- migrate:down
drop table rl_book_events;
drop table rl_session_marks;
drop table rl_session_markets;
drop table rl_markets;
alter table rl_orderbook_sessions
    drop constraint chk_sessions_status,
    drop column last_event_no,
    drop column ended_ns,
    drop column started_ns,
    drop column session_uid;
