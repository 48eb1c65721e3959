-- migrate:up
-- What the words of an account version mean: the layout of the account table that they come from.
-- Before layout 2 an order's place in the queue was not among them.
alter table rl_account_versions add column layout integer not null default 1;

-- migrate:down
alter table rl_account_versions drop column layout;
