import { beforeEach, describe, expect, it, test } from 'vitest'

import { MAX_ACTIONS, MAX_FILLS, MAX_FINISHED, MAX_POINTS, Model, isOpen } from '../src/model'
import {
  action, book, connection, fill, message, order, session, shadow, stats,
} from './messages'

let model: Model

beforeEach(() => {
  model = new Model()
  model.apply(message('connection', connection()))
})

describe('the numbers of messages', () => {
  it('counts what was received', () => {
    model.apply(message('session', session()))
    expect(model.link).toMatchObject({ seq: 2, received: 2, gaps: 0, missed: 0 })
  })
  it('counts what is missing', () => {
    model.apply({ type: 'session', seq: 5, ts_ms: 0, data: session() })
    expect(model.link).toMatchObject({ seq: 5, gaps: 1, missed: 3 })
  })
  it('takes a new connection, which begins at 1, for no gap', () => {
    model.apply(message('session', session()))
    model.apply(message('connection', connection()))
    expect(model.link).toMatchObject({ seq: 1, gaps: 0 })
  })
})

test('a new connection forgets everything that the old one said', () => {
  model.apply(message('session', session()))
  model.apply(message('orderbook_snapshot', book()))
  model.apply(message('actor_action', action()))
  model.apply(message('actor_order', order()))
  model.apply(message('actor_fill', fill()))
  model.apply(message('actor_shadow', shadow()))
  model.apply(message('stats', stats('collector')))
  model.apply(message('connection', connection()))
  expect(model.session).toBeNull()
  expect([...model.books, ...model.points, ...model.orders, ...model.stats, ...model.shadows])
    .toEqual([])
  expect([...model.actions, ...model.fills]).toEqual([])
})

describe('the feed of actions', () => {
  it('shows HOLDs of one market and reason as one line', () => {
    for (let i = 0; i < 3; i += 1) model.apply(message('actor_action', action({ event_no: i })))
    expect(model.actions).toHaveLength(1)
    expect(model.actions[0]).toMatchObject({ times: 3, last: { event_no: 2 } })
  })
  it('gives another reason, another market and every order a line of its own', () => {
    model.apply(message('actor_action', action()))
    model.apply(message('actor_action', action({ reason: 'masked' })))
    model.apply(message('actor_action', action({ ticker: 'KX-B' })))
    const buy = { action: 1, action_name: 'BUY_YES_LIMIT' }
    model.apply(message('actor_action', action(buy)))
    model.apply(message('actor_action', action(buy)))
    expect(model.actions.map((deed) => deed.times)).toEqual([1, 1, 1, 1, 1])
    expect(new Set(model.actions.map((deed) => deed.id)).size).toBe(5)
    expect(Object.fromEntries(model.decisions)).toEqual({ HOLD: 3, BUY_YES_LIMIT: 2 })
  })
  it('is bounded', () => {
    for (let i = 0; i < MAX_ACTIONS + 5; i += 1) {
      model.apply(message('actor_action', action({ ticker: `KX-${i}` })))
    }
    expect(model.actions).toHaveLength(MAX_ACTIONS)
    expect(model.actions[0]!.last.ticker).toBe(`KX-${MAX_ACTIONS + 4}`)
  })
})

describe('orders', () => {
  it('are open while their end is not known', () => {
    const open = (['pending', 'resting', 'unknown'] as const).map((status) => order({ status }))
    const over = (['executed', 'canceled', 'rejected'] as const).map((status) => order({ status }))
    expect(open.every(isOpen)).toBe(true)
    expect(over.some(isOpen)).toBe(false)
  })
  it('are kept while open, however many have finished since', () => {
    model.apply(message('actor_order', order({ client_order_id: 'first' })))
    for (let i = 0; i < MAX_FINISHED + 5; i += 1) {
      model.apply(message('actor_order', order({ client_order_id: `c${i}`, status: 'executed' })))
    }
    expect(model.orders.size).toBe(MAX_FINISHED + 1)
    expect(model.openOrders().map((o) => o.client_order_id)).toEqual(['first'])
    expect(model.orders.has('c0')).toBe(false)
  })
  it('measure the way to the exchange once each', () => {
    model.apply(message('actor_order', order()))
    model.apply(message('actor_order', order({ fill_count: '4.00' })))
    expect(model.latency.of('sent_to_acknowledged')).toMatchObject({ n: 1, p50: 500 })
  })
})

test('a fill is shown once, and the feed is bounded', () => {
  model.apply(message('actor_fill', fill()))
  model.apply(message('actor_fill', fill()))
  expect(model.fills).toHaveLength(1)
  for (let i = 0; i < MAX_FILLS + 5; i += 1) {
    model.apply(message('actor_fill', fill({ trade_id: `x${i}` })))
  }
  expect(model.fills).toHaveLength(MAX_FILLS)
})

describe('the chart', () => {
  const points = () => model.points.get('KX-A')
  it('has one point a second, the last of it', () => {
    model.apply(message('orderbook_snapshot', book({ recv_ms: 1_000, mid: '0.4700' })))
    model.apply(message('orderbook_snapshot', book({ recv_ms: 1_900, mid: '0.4800' })))
    model.apply(message('orderbook_snapshot', book({ recv_ms: 2_000, mid: '0.4900' })))
    expect(points()).toEqual([{ time: 1, mid: 0.48 }, { time: 2, mid: 0.49 }])
  })
  it('begins with what the server remembers', () => {
    model.apply(message('orderbook_snapshot', book({ mids: [[0, '0.4000'], [500, '0.4100']] })))
    expect(points()).toEqual([{ time: 0, mid: 0.41 }, { time: 1, mid: 0.47 }])
  })
  it('draws nothing of a book that is not live or has no mid', () => {
    model.apply(message('orderbook_snapshot', book({ state: 'stale' })))
    model.apply(message('orderbook_snapshot', book({ mid: null })))
    expect(points()).toEqual([])
  })
  it('starts again when market time goes back', () => {
    model.apply(message('orderbook_snapshot', book({ recv_ms: 9_000 })))
    model.apply(message('orderbook_snapshot', book({ recv_ms: 1_000 })))
    expect(points()).toEqual([{ time: 1, mid: 0.47 }])
  })
  it('is bounded', () => {
    const mids = Array.from({ length: MAX_POINTS + 9 }, (_, i): [number, string] => [i * 1000, '0.5'])
    model.apply(message('orderbook_snapshot', book({ state: 'stale', mids })))
    expect(points()).toHaveLength(MAX_POINTS)
    expect(points()![0]!.time).toBe(9)
  })
})

test('rates are differences over the time between two reports', () => {
  const at = (n: number, ms: number) => model.apply(
    message('stats', stats('collector', { counters: { deltas: n } }), ms),
  )
  at(100, 1_000)
  expect(model.stats.get('collector')!.rates).toEqual({})
  at(150, 3_000)
  expect(model.stats.get('collector')!.rates).toEqual({ deltas: 25 })
  at(151, 3_100) // too short to mean anything
  expect(model.stats.get('collector')!.rates).toEqual({})
})

describe('the shadow', () => {
  const seen = () => model.shadows.get('KX-A')
  it('is compared while neither model changes', () => {
    model.apply(message('actor_shadow', shadow({ agrees: true })))
    model.apply(message('actor_shadow', shadow({ agrees: false })))
    model.apply(message('actor_shadow', shadow({ agrees: null, live_model_hash: null })))
    expect(seen()).toMatchObject({ agreed: 1, compared: 2, live_hash: 'aa' })
  })
  it('starts again with another model on either side', () => {
    model.apply(message('actor_shadow', shadow({ agrees: true })))
    model.apply(message('actor_shadow', shadow({ agrees: true, live_model_hash: 'other' })))
    expect(seen()).toMatchObject({ agreed: 1, compared: 1 })
    model.apply(message('actor_shadow', shadow({ agrees: true, model_hash: 'another' })))
    expect(seen()).toMatchObject({ agreed: 1, compared: 1 })
  })
  it('goes when it no longer shadows', () => {
    model.apply(message('actor_shadow', shadow()))
    model.apply(message('actor_models', {
      live: 'onnx:default', live_hash: 'aa', shadow: null, shadow_hash: null,
    }))
    expect(seen()).toBeUndefined()
  })
})
