/** Messages as the broadcaster sends them, with a field or two of one's own. */

import type {
  Action, Book, Connection, Fill, Message, Order, Session, Shadow, Stats,
  Trading,
} from '../src/wire'

type Data<Type extends Message['type']> = Extract<Message, { type: Type }>['data']

let sent = 0

/** A message whose number follows the last one's; `first` begins a connection. */
export function message<Type extends Message['type']>(
  type: Type, data: Data<Type>, ts_ms = 0,
): Message {
  sent = type === 'connection' ? 1 : sent + 1
  return { type, seq: sent, ts_ms, data } as Message
}

export const connection = (changes: Partial<Connection> = {}): Connection => ({
  protocol: 1, environment: 'simulated', depth: 20, book_interval_ms: 200, started_ms: 0,
  actor: {
    enabled: true, strategy: 'onnx:default', throttle_ms: 250, contract_size: '10.00',
    market_cash: '100.00', pricing: 'passive',
  },
  ...changes,
})

export const session = (changes: Partial<Session> = {}): Session => ({
  session_uid: 's', environment: 'simulated', websocket_url: 'ws://x', started_ms: 0,
  markets: ['KX-A'], live_markets: 1, status: 'active', ...changes,
})

export const trading = (changes: Partial<Trading> = {}): Trading => ({
  state: 'trading', until_ms: null, next_pause_ms: null, markets: {}, ...changes,
})

export const book = (changes: Partial<Book> = {}): Book => ({
  ticker: 'KX-A', state: 'live', flags: [], generation: 1, event_no: 1, seq: 1, exch_ms: 1_000,
  recv_ms: 1_000, open_ms: 0, close_ms: 900_000, best_yes_bid: '0.4600', best_yes_ask: '0.4800',
  best_no_bid: '0.5200', best_no_ask: '0.5400', mid: '0.4700', spread: '0.0200', yes: [], no: [],
  yes_levels: 0, no_levels: 0, yes_total: '0.00', no_total: '0.00', last_trade: null, n_deltas: 0,
  n_trades: 0, mids: null, ...changes,
})

export const action = (changes: Partial<Action> = {}): Action => ({
  session_uid: 's', ticker: 'KX-A', action: 0, action_name: 'HOLD', reason: 'policy',
  model: 'onnx:default', model_hash: 'aa', observation_hash: 'bb', event_no: 1, account_version: 1,
  logits: [], value: null, mask: [], intent_id: null, decided_ms: 0, recv_ms: 0, frame_mono_ns: 0,
  written_mono_ns: 0, woken_mono_ns: 0, decided_mono_ns: 0,
  latency_us: {
    frame_to_written: 10, written_to_woken: 90, woken_to_decided: 40, frame_to_decided: 140,
  },
  ...changes,
})

export const order = (changes: Partial<Order> = {}): Order => ({
  order_id: 'o-1', client_order_id: 'c-1', intent_id: 'i-1', ticker: 'KX-A', leg: 'yes',
  is_buy: true, book_side: 'bid', price: '0.4700', yes_price: '0.4700', initial_count: '10.00',
  fill_count: '0.00', remaining_count: '10.00', status: 'resting', reason: '', expire_ms: null,
  ts_ms: 0, received_mono_ns: 1, sent_mono_ns: 2, acknowledged_mono_ns: 3,
  latency_us: {
    decided_to_received: 1, received_to_sent: 1, sent_to_acknowledged: 500,
    frame_to_acknowledged: null,
  },
  ...changes,
})

export const fill = (changes: Partial<Fill> = {}): Fill => ({
  trade_id: 't-1', order_id: 'o-1', client_order_id: 'c-1', ticker: 'KX-A', book_side: 'bid',
  yes_price: '0.4700', count: '4.00', is_taker: false, fee: '0.01', ts_ms: 0, ...changes,
})

export const shadow = (changes: Partial<Shadow> = {}): Shadow => ({
  session_uid: 's', ticker: 'KX-A', event_no: 1, action: 1, action_name: 'BUY_YES_LIMIT',
  reason: 'policy', model: 'onnx:shade', model_hash: '5a', logits: [], value: null, decided_ms: 0,
  live_action: 0, live_action_name: 'HOLD', live_model: 'onnx:default', live_model_hash: 'aa',
  agrees: false, ...changes,
})

export const stats = (process: string, changes: Partial<Stats> = {}): Stats => ({
  process, counters: {}, parts: null, market_ms: null, ...changes,
})
