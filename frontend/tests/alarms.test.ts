import { beforeEach, describe, expect, it } from 'vitest'

import { alarms } from '../src/alarms'
import { Model } from '../src/model'
import { book, connection, message, order, session, stats, trading } from './messages'

let model: Model

beforeEach(() => {
  model = new Model()
  model.apply(message('connection', connection()))
  model.apply(message('session', session()))
  model.link.status = 'live'
  model.link.heardAt = performance.now()
})

const levels = () => alarms(model).map((alarm) => alarm.level)
const texts = () => alarms(model).map((alarm) => alarm.text).join('\n')

describe('nothing is wrong', () => {
  it('with a live book and a resting order', () => {
    model.apply(message('orderbook_snapshot', book()))
    model.apply(message('actor_order', order()))
    model.apply(message('stats', stats('broadcaster', {
      parts: { collector: { fresh: true, age_ms: 100 } },
    })))
    expect(alarms(model)).toEqual([])
  })
})

describe('the connection', () => {
  it('that is lost is all there is to say', () => {
    model.apply(message('orderbook_snapshot', book({ state: 'stale' })))
    model.link.status = 'lost'
    model.link.attempts = 3
    expect(levels()).toEqual(['bad'])
    expect(texts()).toContain('3')
  })
  it('that is being made is a warning', () => {
    model.link.status = 'connecting'
    expect(levels()).toEqual(['warn'])
  })
  it('that is silent is not live, whatever it says', () => {
    model.link.heardAt = performance.now() - 6_000
    expect(levels()).toEqual(['bad'])
    expect(texts()).toContain('6 s')
  })
  it('that misses messages says how many', () => {
    model.apply({ type: 'session', seq: 9, ts_ms: 0, data: session() })
    expect(levels()).toEqual(['warn'])
    expect(texts()).toContain('6 messages')
  })
})

describe('a process', () => {
  it('that is silent, or never came, is named', () => {
    model.apply(message('stats', stats('broadcaster', {
      parts: {
        recorder: { fresh: false, age_ms: 12_000 },
        execution: { fresh: false, age_ms: null },
        inference: { fresh: true, age_ms: 10 },
      },
    })))
    expect(levels()).toEqual(['bad', 'bad'])
    expect(texts()).toMatch(/recorder.*12 s\nexecution/)
    expect(texts()).not.toContain('inference')
  })
})

describe('a book', () => {
  it('that is stale is named, the first two of many', () => {
    model.apply(message('session', session({ markets: ['A', 'B', 'C', 'D'] })))
    for (const ticker of ['A', 'B', 'C', 'D']) {
      model.apply(message('orderbook_snapshot', book({ ticker, state: 'stale' })))
    }
    expect(levels()).toEqual(['bad'])
    expect(texts()).toContain('A, B and 2 more')
  })
  it('of a market that is no longer listed may be stale', () => {
    model.apply(message('orderbook_snapshot', book({ ticker: 'KX-OVER', state: 'stale' })))
    expect(alarms(model)).toEqual([])
  })
  it('that is not recorded is a warning', () => {
    model.apply(message('orderbook_snapshot', book({ flags: ['unrecorded'] })))
    expect(levels()).toEqual(['warn'])
    expect(texts()).toContain('KX-A')
  })
})

it('orders of unknown outcome are counted', () => {
  model.apply(message('actor_order', order({ status: 'unknown' })))
  model.apply(message('actor_order', order({ client_order_id: 'c-2', status: 'unknown' })))
  model.apply(message('actor_order', order({ client_order_id: 'c-3', status: 'resting' })))
  expect(levels()).toEqual(['warn'])
  expect(texts()).toContain('2 orders')
})

it('data of one environment and orders of another are said', () => {
  model.apply(message('session', session({ environment: 'production' })))
  expect(levels()).toEqual(['warn'])
  expect(texts()).toMatch(/production.*simulated/)
})

describe('trading', () => {
  const says = (changes: Parameters<typeof trading>[0]) => {
    model.apply(message('trading', trading(changes)))
  }
  it('that goes on is nothing to say', () => {
    says({ next_pause_ms: 1_800_000_000_000 })
    expect(alarms(model)).toEqual([])
  })
  it('that stands still says why and until when', () => {
    says({ state: 'maintenance', until_ms: Date.UTC(2026, 7, 6, 9) })
    expect(levels()).toEqual(['warn'])
    expect(texts()).toBe('exchange maintenance, until 2026-08-06 09:00:00 UTC: no new orders')
    says({ state: 'paused' })
    expect(texts()).toBe('the exchange has paused trading, no end announced: no new orders')
  })
  it('that is not known is worse', () => {
    says({ state: 'unknown' })
    expect(levels()).toEqual(['bad'])
  })
  it('names the markets that are paused by themselves', () => {
    says({ markets: { 'KX-B': 'market_paused', 'KX-A': 'market_paused' } })
    expect(texts()).toBe('no trading in KX-A, KX-B')
  })
  it('with a clock that is off says which and how', () => {
    model.apply(message('stats', stats('execution', { counters: { clock_offset_ms: -3_600_000 } })))
    expect(levels()).toEqual(['bad'])
    expect(texts()).toContain('clock of execution is 3600 s ahead of the exchange')
  })
  it('with data that piles up says how far behind it is', () => {
    model.apply(message('stats', stats('collector', {
      counters: { backlog_growing: 1, backlog_age_ms: 2_500 },
    })))
    expect(texts()).toContain('3 s behind')
  })
})
