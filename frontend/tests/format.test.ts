import { describe, expect, it, test } from 'vitest'

import {
  UNKNOWN, actionWords, age, clock, count, day, large, micros, money, named, price, span, tone,
} from '../src/format'

describe('what is unknown is a dash, never a zero', () => {
  for (const unknown of [null, undefined]) {
    it(`of ${unknown}`, () => {
      expect([price(unknown), count(unknown), money(unknown), clock(unknown)])
        .toEqual([UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN])
    })
  }
  it('of an action', () => expect(actionWords(null)).toBe(UNKNOWN))
  it('of an age', () => expect(age(null)).toBe('never'))
})

test.each([
  ['0.4700', '0.47'], ['0.4750', '0.475'], ['0.4755', '0.4755'], ['0.5000', '0.50'],
  ['1.0000', '1.00'], ['0.0100', '0.01'],
])('the price %s is shown as %s', (text, shown) => expect(price(text)).toBe(shown))

test.each([
  ['1250.00', '1,250'], ['10.50', '10.5'], ['0.00', '0'], ['0.01', '0.01'], ['-4.00', '-4'],
])('the count %s is shown as %s', (text, shown) => expect(count(text)).toBe(shown))

test.each([
  ['12.345678', false, '$12.35'], ['0.000000', true, '$0.00'], ['-0.004', true, '$0.00'],
  ['-3.5', false, '−$3.50'], ['3.5', true, '+$3.50'], [1234567.891, false, '$1,234,567.89'],
])('the amount %s (signed: %s) is shown as %s', (value, sign, shown) => {
  expect(money(value, sign)).toBe(shown)
})

test.each([
  [0.25, '0.3 µs'], [9.94, '9.9 µs'], [10, '10 µs'], [999, '999 µs'], [1_000, '1.0 ms'],
  [99_999, '100.0 ms'], [100_000, '100 ms'], [1_500_000, '1.5 s'],
])('%s microseconds are shown as %s', (us, shown) => expect(micros(us)).toBe(shown))

test.each([
  [-5, '0:00'], [999, '0:00'], [245_000, '4:05'], [3_723_000, '1:02:03'], [360_000_000, '100:00:00'],
])('a span of %s ms is shown as %s', (ms, shown) => expect(span(ms)).toBe(shown))

test('times are those of UTC, wherever the page is read', () => {
  expect(clock(1_785_930_336_512)).toBe('11:45:36')
  expect(day(1_785_930_336_512)).toBe('2026-08-05')
})

test('an age, a large number, a model', () => {
  expect([age(0), age(999), age(1_000), age(61_400)]).toEqual(['0 ms', '999 ms', '1 s', '61 s'])
  expect(large(1234.56)).toBe('1,234.6')
  expect([named('onnx:mine', '1a2b3c4d'), named('baseline:hold', null)])
    .toEqual(['onnx:mine@1a2b3c', 'baseline:hold'])
  expect(actionWords('SELL_YES_LIMIT')).toBe('SELL YES')
})

test('less than half a cent is neither gain nor loss', () => {
  expect([tone(null), tone(0.004), tone(-0.004), tone(0.005), tone(-0.005)])
    .toEqual(['', '', '', 'up', 'down'])
})
