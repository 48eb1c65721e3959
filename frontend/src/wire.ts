/** What the broadcaster sends on /rl/ws: the same fields as processes/broadcaster/wire.py. */

/** A decimal number as text ("0.4700"); null, where allowed, means unknown. */
export type Decimal = string

export interface Connection {
  protocol: number
  environment: string
  depth: number
  book_interval_ms: number
  started_ms: number
  actor: {
    enabled: boolean
    strategy: string
    throttle_ms: number
    contract_size: Decimal
    market_cash: Decimal
    pricing: string
  }
}

export interface Session {
  session_uid: string
  environment: string
  websocket_url: string
  started_ms: number
  markets: string[]
  live_markets: number
  status: string
}

/** Whether the exchange trades; `markets` are those whose state is another than `state`. */
export interface Trading {
  state: string
  until_ms: number | null
  next_pause_ms: number | null
  markets: Record<string, string>
}

export interface Part {
  fresh: boolean
  age_ms: number | null
}

export interface Stats {
  process: string
  counters: Record<string, number>
  parts: Record<string, Part> | null
  market_ms: number | null
}

export interface Book {
  ticker: string
  state: 'empty' | 'live' | 'stale'
  flags: string[]
  generation: number
  event_no: number
  seq: number
  exch_ms: number | null
  recv_ms: number | null
  open_ms: number | null
  close_ms: number | null
  best_yes_bid: Decimal | null
  best_yes_ask: Decimal | null
  best_no_bid: Decimal | null
  best_no_ask: Decimal | null
  mid: Decimal | null
  spread: Decimal | null
  yes: [Decimal, Decimal][]
  no: [Decimal, Decimal][]
  yes_levels: number
  no_levels: number
  yes_total: Decimal
  no_total: Decimal
  last_trade: { yes_price: Decimal; count: Decimal; ts_ms: number | null } | null
  n_deltas: number
  n_trades: number
  mids: [number, Decimal][] | null
}

export interface Action {
  session_uid: string
  ticker: string
  action: number
  action_name: string
  reason: string
  model: string
  model_hash: string
  observation_hash: string
  event_no: number
  account_version: number
  logits: number[]
  value: number | null
  mask: boolean[]
  intent_id: string | null
  decided_ms: number
  recv_ms: number
  frame_mono_ns: number
  written_mono_ns: number
  woken_mono_ns: number
  decided_mono_ns: number
  latency_us: {
    frame_to_written: number | null
    written_to_woken: number | null
    woken_to_decided: number | null
    frame_to_decided: number | null
  }
}

export interface Models {
  live: string
  live_hash: string
  shadow: string | null
  shadow_hash: string | null
}

export interface Shadow {
  session_uid: string
  ticker: string
  event_no: number
  action: number
  action_name: string
  reason: string
  model: string
  model_hash: string
  logits: number[]
  value: number | null
  decided_ms: number
  live_action: number | null
  live_action_name: string | null
  live_model: string | null
  live_model_hash: string | null
  agrees: boolean | null
}

export interface Order {
  order_id: string | null
  client_order_id: string
  intent_id: string | null
  ticker: string
  leg: 'yes' | 'no'
  is_buy: boolean
  book_side: 'bid' | 'ask'
  price: Decimal
  yes_price: Decimal
  initial_count: Decimal
  fill_count: Decimal
  remaining_count: Decimal
  status: 'pending' | 'resting' | 'executed' | 'canceled' | 'rejected' | 'unknown'
  reason: string
  expire_ms: number | null
  ts_ms: number
  received_mono_ns: number | null
  sent_mono_ns: number | null
  acknowledged_mono_ns: number | null
  latency_us: {
    decided_to_received: number | null
    received_to_sent: number | null
    sent_to_acknowledged: number | null
    frame_to_acknowledged: number | null
  }
}

export interface Fill {
  trade_id: string
  order_id: string
  client_order_id: string | null
  ticker: string
  book_side: 'bid' | 'ask'
  yes_price: Decimal
  count: Decimal
  is_taker: boolean
  fee: Decimal
  ts_ms: number
}

export interface Position {
  ticker: string
  position: Decimal
  cost_basis: Decimal
  cash: Decimal
  realized: Decimal
  fees: Decimal
  open_orders: number
  account_version: number
  ts_ms: number
}

export interface Pnl {
  balance: Decimal
  realized: Decimal
  fees: Decimal
  positions: number
  open_orders: number
  account_version: number
  ts_ms: number
  shards: { exchange_index: number; balance: Decimal }[]
}

export interface MarketScore {
  ticker: string
  score: number
  volume: Decimal
  updates: number
  spread: Decimal | null
  touch: Decimal
  bar: string
  since_ms: number | null
}

export interface MarketChange {
  ticker: string
  entered: boolean
  reason: string
  score: number
  at_ms: number
}

export interface HotMarkets {
  at_ms: number
  on_switch: 'hold' | 'reduce' | 'flatten'
  leaving: string[]
  markets: MarketScore[]
  changes: MarketChange[]
}

export interface TradingEvent {
  kind: string
  name: string
  who: string
  why: string
  ticker: string | null
  numbers: Record<string, number>
  ts_ms: number
}

interface Of<Type extends string, Data> {
  type: Type
  seq: number
  ts_ms: number
  data: Data
}

export type Message =
  | Of<'connection', Connection>
  | Of<'session', Session>
  | Of<'stats', Stats>
  | Of<'trading', Trading>
  | Of<'orderbook_snapshot', Book>
  | Of<'actor_action', Action>
  | Of<'actor_order', Order>
  | Of<'actor_fill', Fill>
  | Of<'actor_position', Position>
  | Of<'actor_pnl', Pnl>
  | Of<'actor_models', Models>
  | Of<'actor_shadow', Shadow>
  | Of<'actor_markets', HotMarkets>
  | Of<'trading_event', TradingEvent>
