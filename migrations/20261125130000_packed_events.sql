-- migrate:up
-- An event in 32 bytes of columns, 60 with PostgreSQL's own: what does not fill its type shares one.
-- The view `rl_book_events` unpacks them; a partition per session, found by the key's upper bits.
alter table rl_book_events rename to rl_wide_events;

create table rl_packed_events (
    event_key bigint not null check (event_key > 0), -- session_id << 40 | event_no
    recv_ns bigint not null check (recv_ns >= 0),
    seq integer not null, -- unsigned: 2^31 and more are negative here
    qty_e2 integer not null,
    market_kind integer not null check (market_kind >> 28 between 1 and 6), -- kind << 28 | market_id
    price_side smallint not null check (price_side >= 0), -- side << 14 | price_e4
    exch_lag_ms smallint, -- receive time less exchange time; null: not known, or in exch_ms
    exch_ms bigint -- where the lag has no room
) partition by list ((event_key >> 40));

-- Kinds: 1 snapshot begins, 2 one of its levels, 3 snapshot ends, 4 delta, 5 trade, 6 state.
-- A level's and a delta's price is that of its own leg (side 0 YES, 1 NO), a trade's is YES.
create view rl_book_events as
select event_key >> 40 as session_id,
       event_key & 1099511627775 as event_no,
       recv_ns,
       coalesce(exch_ms, recv_ns / 1000000 - exch_lag_ms, 0) as exch_ms,
       seq::bigint & 4294967295 as seq,
       market_kind & 268435455 as market_id,
       price_side::integer & 16383 as price_e4,
       qty_e2,
       (market_kind >> 28)::smallint as kind,
       (price_side >> 14)::smallint as side
from rl_packed_events;

-- Room for a session's events. Its key is unique, the last guard against doubles, and narrow; rows
-- come in its order, so its pages are filled to the brim. Attached: creating it in place would wait
-- for readers.
create function rl_open_events(session bigint) returns void language plpgsql as $$
declare
    part text := 'rl_packed_events_s' || session;
begin
    execute format('create table %I (like rl_packed_events including all)', part);
    execute format('create unique index %I on %I (event_key) with (fillfactor = 100)',
                   part || '_key', part);
    execute format('alter table rl_packed_events attach partition %I for values in (%s)',
                   part, session);
end
$$;

-- No more events come: the unique index goes, a hundred times smaller one comes, summarised.
create function rl_seal_events(session bigint) returns void language plpgsql as $$
declare
    part text := 'rl_packed_events_s' || session;
begin
    if to_regclass(part) is null or to_regclass(part || '_brin') is not null then
        return;
    end if;
    execute format('create index %I on %I using brin (event_key) with (pages_per_range = 32)',
                   part || '_brin', part);
    execute format('drop index %I', part || '_key');
end
$$;

-- What is there already moves, whole or not at all: a value without room is an error.
do $$
declare
    old record;
begin
    for old in
        select session_id, status from rl_orderbook_sessions
        where to_regclass('rl_book_events_s' || session_id) is not null
        order by session_id
    loop
        perform rl_open_events(old.session_id);
        execute format(
            'insert into %I select %s::bigint << 40 | event_no, recv_ns, '
            '(case when seq < 2147483648 then seq else seq - 4294967296 end)::integer, qty_e2, '
            'kind::integer << 28 | market_id, (side::integer << 14 | price_e4)::smallint, '
            'case when exch_ms <> 0 and recv_ns / 1000000 - exch_ms between -32767 and 32767 '
            'then (recv_ns / 1000000 - exch_ms)::smallint end, '
            'case when exch_ms <> 0 and recv_ns / 1000000 - exch_ms not between -32767 and 32767 '
            'then exch_ms end '
            'from rl_wide_events where session_id = %s order by event_no',
            'rl_packed_events_s' || old.session_id, old.session_id, old.session_id);
        if old.status <> 'active' then
            perform rl_seal_events(old.session_id);
        end if;
    end loop;
end
$$;
drop table rl_wide_events;

-- migrate:down
create table rl_wide_events (
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
do $$
declare
    old record;
begin
    for old in select session_id from rl_orderbook_sessions loop
        execute format('create table %I partition of rl_wide_events for values in (%s)',
                       'rl_book_events_s' || old.session_id, old.session_id);
        execute format('insert into rl_wide_events select * from rl_book_events '
                       'where session_id = %s', old.session_id);
    end loop;
end
$$;
drop view rl_book_events;
drop table rl_packed_events;
drop function rl_seal_events(bigint);
drop function rl_open_events(bigint);
alter table rl_wide_events rename to rl_book_events;
