-- migrate:up
-- What a market paid, by its exchange's last word; the same for every session of an environment.
create table rl_market_results (
    environment varchar(20) not null,
    market_id integer not null references rl_markets,
    result text not null, -- yes, no, scalar, or `unknown`: another word; '' where none stands (any more)
    yes_value_e4 integer check (yes_value_e4 between 0 and 10000), -- of a YES contract; null: not known
    determined_ms bigint, -- null: not said
    settled_ms bigint, -- paid out: no other word is to come
    told_ns bigint not null, -- market time of the word
    primary key (environment, market_id)
);

-- migrate:down
drop table rl_market_results;
