/** Everything the page shows, as it stands; messages in, one mutable model out. No DOM, no socket. */

import { Latency } from './latency'
import type {
  Action, Book, Connection, Fill, Message, Models, Order, Pnl, Position, Session, Shadow, Stats,
  Trading,
} from './wire'

export const MAX_ACTIONS = 120
export const MAX_FILLS = 100
export const MAX_FINISHED = 60
export const MAX_POINTS = 3_600

/** One line of the action feed: HOLDs in a row on one market are one line. */
export interface Deed {
  id: number
  last: Action
  times: number
}

/** One second of a market's chart, YES scale. */
export interface Point {
  time: number
  mid: number
}

/** A market's newest decision of the shadow, and how often it did what the live model did. */
export interface Shadowed {
  last: Shadow
  live_hash: string | null
  agreed: number
  compared: number
}

export interface Rated {
  stats: Stats
  rates: Record<string, number>
  ts_ms: number
}

export interface Link {
  status: 'connecting' | 'live' | 'lost'
  attempts: number
  seq: number
  received: number
  gaps: number
  missed: number
  heardAt: number
}

export class Model {
  link: Link = {
    status: 'connecting', attempts: 0, seq: 0, received: 0, gaps: 0, missed: 0, heardAt: 0,
  }
  connection: Connection | null = null
  session: Session | null = null
  trading: Trading | null = null
  books = new Map<string, Book>()
  points = new Map<string, Point[]>()
  actions: Deed[] = []
  decisions = new Map<string, number>()
  orders = new Map<string, Order>()
  fills: Fill[] = []
  positions = new Map<string, Position>()
  pnl: Pnl | null = null
  models: Models | null = null
  shadows = new Map<string, Shadowed>()
  stats = new Map<string, Rated>()
  latency = new Latency()
  private deeds = 0
  private timed = new Set<string>()

  apply(message: Message): void {
    this.number(message.seq)
    switch (message.type) {
      case 'connection': return this.begin(message.data)
      case 'session': this.session = message.data; return
      case 'trading': this.trading = message.data; return
      case 'stats': return this.note(message.data, message.ts_ms)
      case 'orderbook_snapshot': return this.book(message.data)
      case 'actor_action': return this.act(message.data)
      case 'actor_order': return this.order(message.data)
      case 'actor_fill': return this.fill(message.data)
      case 'actor_position': this.positions.set(message.data.ticker, message.data); return
      case 'actor_pnl': this.pnl = message.data; return
      case 'actor_models': return this.cast(message.data)
      case 'actor_shadow': return this.shadow(message.data)
    }
  }

  openOrders(): Order[] {
    return [...this.orders.values()].filter(isOpen)
  }

  private number(seq: number): void {
    const { link } = this
    link.received += 1
    if (seq !== 1 && seq !== link.seq + 1) {
      link.gaps += 1
      link.missed += Math.max(0, seq - link.seq - 1)
    }
    link.seq = seq
  }

  /** A new connection says everything again: forget, so that nothing old looks new. */
  private begin(connection: Connection): void {
    this.connection = connection
    this.session = null
    this.trading = null
    this.pnl = null
    this.models = null
    this.actions = []
    this.fills = []
    const { books, points, orders, positions, stats, shadows } = this
    for (const known of [books, points, orders, positions, stats, shadows]) known.clear()
  }

  private note(stats: Stats, ts_ms: number): void {
    const before = this.stats.get(stats.process)
    const seconds = before ? (ts_ms - before.ts_ms) / 1000 : 0
    const rates: Record<string, number> = {}
    for (const [name, value] of Object.entries(stats.counters)) {
      const old = before?.stats.counters[name]
      if (old !== undefined && seconds > 0.2) rates[name] = (value - old) / seconds
    }
    this.stats.set(stats.process, { stats, rates, ts_ms })
  }

  private book(book: Book): void {
    this.books.set(book.ticker, book)
    const points = this.points.get(book.ticker) ?? []
    this.points.set(book.ticker, points)
    for (const [ms, mid] of book.mids ?? []) extend(points, ms, Number(mid))
    if (book.state === 'live' && book.mid !== null && book.recv_ms !== null) {
      extend(points, book.recv_ms, Number(book.mid))
    }
  }

  private act(action: Action): void {
    this.latency.note(action.latency_us)
    this.decisions.set(action.action_name, (this.decisions.get(action.action_name) ?? 0) + 1)
    const at = this.actions.findIndex((deed) => deed.last.ticker === action.ticker)
    const before = this.actions[at]
    const again = before && action.action === 0 && before.last.action === 0
      && before.last.reason === action.reason
    if (again) this.actions.splice(at, 1)
    this.actions.unshift({
      id: again ? before.id : ++this.deeds, last: action, times: again ? before.times + 1 : 1,
    })
    this.actions.length = Math.min(this.actions.length, MAX_ACTIONS)
  }

  /** Decisions of a model that no longer shadows are over. */
  private cast(models: Models): void {
    this.models = models
    for (const [ticker, { last }] of this.shadows) {
      if (last.model_hash !== models.shadow_hash) this.shadows.delete(ticker)
    }
  }

  /** What is compared is one model with one other: with another of either it starts anew. */
  private shadow(last: Shadow): void {
    const before = this.shadows.get(last.ticker)
    const live_hash = last.live_model_hash ?? before?.live_hash ?? null
    const same = before && before.last.model_hash === last.model_hash
      && before.live_hash === live_hash
    this.shadows.set(last.ticker, {
      last, live_hash,
      agreed: (same ? before.agreed : 0) + Number(last.agrees === true),
      compared: (same ? before.compared : 0) + Number(last.agrees !== null),
    })
  }

  private order(order: Order): void {
    if (order.acknowledged_mono_ns !== null && !this.timed.has(order.client_order_id)) {
      this.timed.add(order.client_order_id)
      this.latency.note(order.latency_us)
    }
    this.orders.delete(order.client_order_id)
    this.orders.set(order.client_order_id, order)
    const finished = [...this.orders.values()].filter((known) => !isOpen(known))
    for (const old of finished.slice(0, -MAX_FINISHED)) {
      this.orders.delete(old.client_order_id)
      this.timed.delete(old.client_order_id)
    }
  }

  private fill(fill: Fill): void {
    if (this.fills.some((known) => known.trade_id === fill.trade_id)) return
    this.fills.unshift(fill)
    this.fills.length = Math.min(this.fills.length, MAX_FILLS)
  }
}

export function isOpen(order: Order): boolean {
  return ['pending', 'resting', 'unknown'].includes(order.status)
}

/** One point a second; market time that goes back starts the chart anew (a replay that loops). */
function extend(points: Point[], ms: number, mid: number): void {
  const time = Math.floor(ms / 1000)
  const last = points.at(-1)
  if (last && time < last.time) points.length = 0
  if (points.at(-1)?.time === time) points.pop()
  points.push({ time, mid })
  if (points.length > MAX_POINTS) points.shift()
}
