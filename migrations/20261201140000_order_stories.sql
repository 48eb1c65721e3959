-- migrate:up
-- What `kalshi-actor trading why` looks rows up by.
create index idx_actions_intent on rl_actions (intent_id) where intent_id is not null;
create index idx_orders_intent on rl_orders (intent_id);
create index idx_orders_order on rl_orders (order_id);
create index idx_orders_market on rl_orders (market_ticker, ts_ns);
create index idx_fills_order on rl_fills (order_id);
create index idx_trading_events_market on rl_trading_events (market_ticker, ts_ns);

-- migrate:down
drop index idx_actions_intent, idx_orders_intent, idx_orders_order, idx_orders_market;
drop index idx_fills_order, idx_trading_events_market;
