-- migrate:up
-- Kind 7: a trade that was agreed off the book. What is stored already is not looked at again.
do $$
declare
    events text;
    rule text;
begin
    foreach events in array array['rl_packed_events', 'rl_shared_events'] loop
        for rule in
            select conname from pg_constraint
            where conrelid = to_regclass(events) and contype = 'c'
              and pg_get_constraintdef(oid) like '%market_kind >> 28%'
        loop
            execute format('alter table %I drop constraint %I', events, rule);
        end loop;
        if to_regclass(events) is not null then
            execute format('alter table %I add constraint %I check (market_kind >> 28 between 1 and 7) '
                           'not valid', events, events || '_market_kind_check');
        end if;
    end loop;
end
$$;

-- migrate:down
delete from rl_packed_events where market_kind >> 28 = 7;
delete from rl_shared_events where market_kind >> 28 = 7;
alter table rl_packed_events
    drop constraint rl_packed_events_market_kind_check,
    add constraint rl_packed_events_market_kind_check
        check (market_kind >> 28 between 1 and 6) not valid;
alter table rl_shared_events
    drop constraint rl_shared_events_market_kind_check,
    add constraint rl_shared_events_market_kind_check
        check (market_kind >> 28 between 1 and 6) not valid;
