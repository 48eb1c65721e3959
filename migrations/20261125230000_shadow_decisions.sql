-- migrate:up
-- What a shadow decided: recorded, never sent.
alter table rl_actions add column shadow boolean not null default false;

-- migrate:down
alter table rl_actions drop column shadow;
