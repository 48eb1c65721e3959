/** What is wrong right now, in the order of how much it matters. */

import { age } from './format'
import type { Model } from './model'

export interface Alarm {
  level: 'bad' | 'warn'
  text: string
}

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

function isListed(model: Model, ticker: string): boolean {
  return !model.session || model.session.markets.includes(ticker)
}

function shortList(names: string[]): string {
  return names.length > 2 ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`
    : names.join(', ')
}
