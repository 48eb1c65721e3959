-- migrate:up
-- A session ends `closed`, or with `error` when its collector died: at what was last recorded.
alter table rl_orderbook_sessions
    drop constraint chk_sessions_status,
    add column events bigint, -- counted from the rows at the end, as the two below
    add column deltas bigint,
    add column trades bigint,
    add column archive_path text, -- Parquet file that holds what the partition held
    add column archived_at timestamptz;
alter table rl_streams drop constraint rl_streams_status_check;

-- Every journal's latest sign of life. Null where nothing was recorded.
create function rl_last_sign(session bigint) returns bigint language sql stable as $$
    select greatest(
        (select max(recv_ns) from rl_book_events where session_id = session),
        (select max(ts_ns) from rl_session_marks where session_id = session),
        (select started_ns from rl_orderbook_sessions where session_id = session)
    )
$$;

-- Derive a session's counts from its rows.
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

update rl_orderbook_sessions
set status = 'error', ended_ns = rl_last_sign(session_id),
    ended_at = to_timestamp(rl_last_sign(session_id) / 1e9)
where status = 'lost';
update rl_streams set status = 'error' where status = 'lost';
select rl_count_session(session_id) from rl_orderbook_sessions where status <> 'active';

alter table rl_orderbook_sessions
    add constraint chk_sessions_status check (status in ('active', 'closed', 'error'));
alter table rl_streams
    add constraint rl_streams_status_check check (status in ('active', 'closed', 'error'));

-- What no table takes: why, and the journal's own bytes, so that nothing is lost.
create table rl_rejected_rows (
    stream text not null,
    journal text not null check (journal in ('events', 'marks')),
    position bigint not null, -- event number, or number of the record
    reason text not null,
    record bytea not null,
    rejected_at timestamptz not null default now(),
    primary key (stream, journal, position)
);

-- What a model was made or judged from.
create table rl_model_runs (
    model_run_id bigserial primary key,
    model_id text not null,
    model_hash text not null,
    kind text not null check (kind in ('train', 'evaluate')),
    environments text[] not null, -- of the sessions below
    session_ids bigint[] not null,
    code_version text not null,
    config jsonb not null,
    metrics jsonb not null,
    started_ns bigint not null,
    ended_ns bigint not null,
    status text not null check (status in ('closed', 'error'))
);
create index idx_model_runs_model on rl_model_runs (model_id, started_ns);

-- migrate:down
drop table rl_model_runs;
drop table rl_rejected_rows;
alter table rl_streams drop constraint rl_streams_status_check;
alter table rl_orderbook_sessions drop constraint chk_sessions_status;
update rl_streams set status = 'lost' where status = 'error';
update rl_orderbook_sessions set status = 'lost' where status = 'error';
drop function rl_count_session(bigint);
drop function rl_last_sign(bigint);
alter table rl_streams
    add constraint rl_streams_status_check check (status in ('active', 'closed', 'lost'));
alter table rl_orderbook_sessions
    drop column archived_at,
    drop column archive_path,
    drop column trades,
    drop column deltas,
    drop column events,
    add constraint chk_sessions_status check (status in ('active', 'closed', 'lost'));
