import { beforeEach, describe, expect, it } from 'vitest'

import { alarms } from '../src/alarms'
import { Model } from '../src/model'
import { book, connection, message, order, session, stats } from './messages'

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
