-- migrate:up transaction:false
-- Small sessions of before move, each in a transaction of its own: a kill in between costs nothing.
do $$
declare
    moved integer := 1;
begin
    while moved > 0 loop
        moved := rl_share_events(20);
        commit;
    end loop;
end
$$;

-- migrate:down
select 1;
