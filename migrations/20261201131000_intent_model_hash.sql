-- migrate:up
-- Which very model wanted it; empty in intents of before.
alter table rl_intents add column model_hash text not null default '';

-- migrate:down
alter table rl_intents drop column model_hash;
