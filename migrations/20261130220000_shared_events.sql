-- migrate:up
-- A partition per session is a lock per session of every query that cannot name one, and PostgreSQL
-- has room for some thousands. A small session's events move into one table that such sessions
-- share once it has ended; a large one keeps its partition, which can be dropped at once.
create table rl_shared_events (like rl_packed_events including all);
create unique index rl_shared_events_key
    on rl_shared_events ((event_key >> 40), event_key);

alter table rl_orderbook_sessions
    add column events_shared boolean not null default false; -- its events are in rl_shared_events

-- How many events a stream had when it was marked as ended; null while it is active.
alter table rl_streams
    add column events bigint,
    add column duplicates bigint not null default 0; -- records that another stream had stored

create or replace view rl_book_events as
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
from (select * from rl_packed_events union all select * from rl_shared_events) as e;

-- The table that holds a session's events: naming it takes its lock and no other.
create function rl_events_table(session bigint) returns text language sql stable as $$
    select case when to_regclass('rl_packed_events_s' || session) is not null
           then 'rl_packed_events_s' || session else 'rl_shared_events' end
$$;

-- Room for a session's events; what is there already, of an attempt that ended half way, is used.
create or replace function rl_open_events(session bigint) returns void language plpgsql as $$
declare
    part text := 'rl_packed_events_s' || session;
begin
    execute format('create table if not exists %I (like rl_packed_events including all)', part);
    execute format('create unique index if not exists %I on %I (event_key) with (fillfactor = 100)',
                   part || '_key', part);
    if not (select relispartition from pg_class where oid = to_regclass(part)) then
        execute format('alter table rl_packed_events attach partition %I for values in (%s)',
                       part, session);
    end if;
end
$$;

-- No more events come. A session of fewer events than `shared_below` moves into the shared table,
-- unless somebody reads all partitions just now; of another the unique index goes, and a hundred
-- times smaller one comes.
drop function rl_seal_events(bigint);
create function rl_seal_events(session bigint, shared_below bigint default 250000)
returns void language plpgsql as $$
declare
    part text := 'rl_packed_events_s' || session;
    number bigint;
begin
    if to_regclass(part) is null then
        return;
    end if;
    execute format('select count(*) from (select 1 from %I limit %s) as counted', part, shared_below)
        into number;
    if number < shared_below then
        begin
            lock table rl_packed_events in access exclusive mode nowait;
            execute format('insert into rl_shared_events select * from %I order by event_key', part);
            execute format('drop table %I', part);
            update rl_orderbook_sessions set events_shared = true where session_id = session;
            return;
        exception when lock_not_available then
            null; -- moved by `rl_share_events` some other time
        end;
    end if;
    if to_regclass(part || '_brin') is null then
        execute format('create index %I on %I using brin (event_key) with (pages_per_range = 32)',
                       part || '_brin', part);
        execute format('drop index if exists %I', part || '_key');
    end if;
end
$$;

-- Move up to `most` small sessions that have ended and still have a partition -> how many moved.
create function rl_share_events(most integer, shared_below bigint default 250000)
returns integer language plpgsql as $$
declare
    old record;
    moved integer := 0;
begin
    for old in
        select session_id from rl_orderbook_sessions
        where status <> 'active' and not events_shared and events < shared_below
            and to_regclass('rl_packed_events_s' || session_id) is not null
        order by session_id limit most
    loop
        perform rl_seal_events(old.session_id, shared_below);
        moved := moved + (to_regclass('rl_packed_events_s' || old.session_id) is null)::integer;
    end loop;
    return moved;
end
$$;

-- Delete a session's events, wherever they are.
create function rl_drop_events(session bigint) returns void language plpgsql as $$
begin
    execute format('drop table if exists %I', 'rl_packed_events_s' || session);
    delete from rl_shared_events where (event_key >> 40) = session;
    update rl_orderbook_sessions set events_shared = false where session_id = session;
end
$$;

-- Every journal's latest sign of life. Null where nothing was recorded.
create or replace function rl_last_sign(session bigint) returns bigint language plpgsql stable as $$
declare
    last_event bigint;
begin
    execute format('select max(recv_ns) from %I where (event_key >> 40) = $1',
                   rl_events_table(session)) into last_event using session;
    return greatest(
        last_event,
        (select max(ts_ns) from rl_session_marks where session_id = session),
        (select started_ns from rl_orderbook_sessions where session_id = session)
    );
end
$$;

-- Derive a session's counts from its rows.
drop function rl_count_session(bigint);
create function rl_count_session(session bigint) returns void language plpgsql as $$
begin
    execute format(
        'update rl_orderbook_sessions s '
        'set last_event_no = c.last_event_no, events = c.events, deltas = c.deltas, '
        'trades = c.trades '
        'from (select max(event_key & 1099511627775) as last_event_no, count(*) as events, '
        'count(*) filter (where market_kind >> 28 = 4) as deltas, '
        'count(*) filter (where market_kind >> 28 = 5) as trades '
        'from %I where (event_key >> 40) = $1) c where s.session_id = $1',
        rl_events_table(session)) using session;
end
$$;

-- What the exchange names is booked once, whoever reads it again.
alter table rl_fills add column environment text not null default '';
update rl_fills f set environment = s.environment
from rl_streams s where s.stream_id = f.stream_id;
delete from rl_fills f using rl_fills kept
where kept.environment = f.environment and kept.trade_id = f.trade_id
    and kept.order_id = f.order_id
    and (kept.stream_id, kept.record_no) < (f.stream_id, f.record_no);
create unique index idx_fills_named on rl_fills (environment, trade_id, order_id);

alter table rl_orders add column environment text not null default '';
update rl_orders o set environment = s.environment
from rl_streams s where s.stream_id = o.stream_id;
delete from rl_orders o using rl_orders kept
where kept.environment = o.environment and kept.client_order_id = o.client_order_id
    and kept.status = o.status and kept.ts_ns = o.ts_ns
    and kept.fill_count_e2 = o.fill_count_e2
    and kept.remaining_count_e2 = o.remaining_count_e2
    and (kept.stream_id, kept.record_no) < (o.stream_id, o.record_no);
create unique index idx_orders_states on rl_orders
    (environment, client_order_id, status, ts_ns, fill_count_e2, remaining_count_e2);

-- migrate:down
drop index idx_orders_states;
alter table rl_orders drop column environment;
drop index idx_fills_named;
alter table rl_fills drop column environment;
do $$
declare
    old record;
begin
    for old in select session_id from rl_orderbook_sessions where events_shared loop
        perform rl_open_events(old.session_id);
        execute format('insert into %I select * from rl_shared_events '
                       'where (event_key >> 40) = %s order by event_key',
                       'rl_packed_events_s' || old.session_id, old.session_id);
    end loop;
end
$$;
create or replace view rl_book_events as
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
drop function rl_drop_events(bigint);
drop function rl_share_events(integer, bigint);
drop function rl_seal_events(bigint, bigint);
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
drop function rl_count_session(bigint);
create function rl_count_session(session bigint) returns void language sql as $$
    update rl_orderbook_sessions s
    set last_event_no = c.last_event_no, events = c.events, deltas = c.deltas, trades = c.trades
    from (
        select max(event_no) as last_event_no, count(*) as events,
               count(*) filter (where kind = 4) as deltas,
               count(*) filter (where kind = 5) as trades
        from rl_book_events where session_id = session
    ) c
    where s.session_id = session
$$;
drop function rl_last_sign(bigint);
create function rl_last_sign(session bigint) returns bigint language sql stable as $$
    select greatest(
        (select max(recv_ns) from rl_book_events where session_id = session),
        (select max(ts_ns) from rl_session_marks where session_id = session),
        (select started_ns from rl_orderbook_sessions where session_id = session)
    )
$$;
drop function rl_events_table(bigint);
alter table rl_streams drop column events, drop column duplicates;
alter table rl_orderbook_sessions drop column events_shared;
drop table rl_shared_events;
