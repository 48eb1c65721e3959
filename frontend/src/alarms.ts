/** What is wrong right now, in the order of how much it matters. */

import { age, clock, day } from './format'
import type { Model } from './model'
import type { Trading } from './wire'

export interface Alarm {
  level: 'bad' | 'warn'
  text: string
}

const CLOCK_LIMIT_MS = 5_000 // the exchange refuses requests that are further off
const SILENT_MS = 5_000 // the broadcaster says something every second

export function silentFor(model: Model): number {
  return performance.now() - model.link.heardAt
}

export function alarms(model: Model): Alarm[] {
  const { link, session } = model
  const found: Alarm[] = []
  const bad = (text: string) => found.push({ level: 'bad', text })
  const warn = (text: string) => found.push({ level: 'warn', text })
  if (link.status === 'lost') bad(`connection lost, attempt ${link.attempts}: all below is old`)
  if (link.status === 'connecting') warn('connecting')
  if (link.status !== 'live') return found
  if (silentFor(model) > SILENT_MS) bad(`nothing heard for ${age(silentFor(model))}`)
  for (const [name, part] of Object.entries(model.stats.get('broadcaster')?.stats.parts ?? {})) {
    if (!part.fresh) {
      bad(part.age_ms === null ? `${name} not seen yet` : `${name} silent for ${age(part.age_ms)}`)
    }
  }
  if (model.trading) found.push(...halts(model.trading))
  const collector = model.stats.get('collector')?.stats.counters ?? {}
  if (collector.backlog_growing) {
    bad(`data arrives faster than it is read: ${age(collector.backlog_age_ms ?? null)} behind`)
  }
  for (const name of ['collector', 'execution']) {
    const offset = model.stats.get(name)?.stats.counters.clock_offset_ms
    if (offset !== undefined && Math.abs(offset) > CLOCK_LIMIT_MS) {
      bad(`clock of ${name} is ${age(Math.abs(offset))} ${offset < 0 ? 'ahead of' : 'behind'} the`
        + ' exchange: set the time of this machine')
    }
  }
  const stale = [...model.books.values()].filter((book) => isListed(model, book.ticker)
    && book.state === 'stale').map((book) => book.ticker)
  if (stale.length) bad(`book${stale.length > 1 ? 's' : ''} of ${shortList(stale)}`)
  const unrecorded = [...model.books.values()].filter((b) => b.flags.includes('unrecorded'))
  if (unrecorded.length) warn(`unrecorded: ${shortList(unrecorded.map((b) => b.ticker))}`)
  const doubtful = model.openOrders().filter((order) => order.status === 'unknown').length
  if (doubtful) warn(`${doubtful} order${doubtful > 1 ? 's' : ''} of unknown outcome`)
  if (link.gaps) warn(`${link.missed} message${link.missed === 1 ? '' : 's'} missing in seq`)
  if (session && model.connection && session.environment !== model.connection.environment) {
    warn(`data from ${session.environment}, orders to ${model.connection.environment}`)
  }
  return found
}

const HALTS: Record<string, string> = {
  paused: 'the exchange has paused trading',
  maintenance: 'exchange maintenance',
  closed: 'the exchange is closed',
}

/** Why no order is placed, and until when. */
function halts(trading: Trading): Alarm[] {
  const found: Alarm[] = []
  const { state, until_ms } = trading
  if (state === 'unknown') {
    found.push({ level: 'bad', text: 'not known whether the exchange trades: no new orders' })
  } else if (state !== 'trading') {
    const until = until_ms === null ? 'no end announced' : `until ${day(until_ms)} ${clock(until_ms)} UTC`
    found.push({ level: 'warn', text: `${HALTS[state] ?? state}, ${until}: no new orders` })
  }
  const halted = Object.entries(trading.markets).filter(([, own]) => own !== 'trading')
  if (halted.length) {
    found.push({
      level: 'warn', text: `no trading in ${shortList(halted.map(([ticker]) => ticker).sort())}`,
    })
  }
  return found
}

function isListed(model: Model, ticker: string): boolean {
  return !model.session || model.session.markets.includes(ticker)
}

function shortList(names: string[]): string {
  return names.length > 2 ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
    : names.join(', ')
}
