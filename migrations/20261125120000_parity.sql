-- migrate:up
-- What a decision saw, float by float; empty where no account was known.
alter table rl_actions add column observation bytea not null default '';

-- Every row of the account table that decisions may have read, word by word.
create table rl_account_versions (
    stream_id bigint not null references rl_streams,
    record_no bigint not null,
    market_ticker text not null,
    account_version bigint not null,
    words bigint[] not null,
    primary key (stream_id, record_no)
);
create index idx_account_versions on rl_account_versions (market_ticker, account_version);

-- migrate:down
drop table rl_account_versions;
alter table rl_actions drop column observation;
