-- migrate:up
-- What a shadow decided: recorded, never sent.
alter table rl_actions add column shadow boolean not null default false;

-- Nobody ever wrote it: what a model was made and judged from is in its manifest.
drop table rl_model_runs;

-- migrate:down
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
alter table rl_actions drop column shadow;
