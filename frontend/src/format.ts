/** Numbers and times as the page shows them. Unknown is a dash, never a zero. */

export const UNKNOWN = '–'

/** "SELL_YES_LIMIT" -> "SELL YES". */
export function actionWords(actionName: string | null): string {
  return actionName === null ? UNKNOWN : actionName.replace('_LIMIT', '').replace('_', ' ')
}

/** A model with the first signs of its hash: "onnx:mine@1a2b3c". */
export function named(model: string, hash: string | null): string {
  return hash ? `${model}@${hash.slice(0, 6)}` : model
}

/** "0.4700" -> "0.47", "0.4750" -> "0.475". */
export function price(text: string | null | undefined): string {
  if (text === null || text === undefined) return UNKNOWN
  return text.replace(/(\.\d\d\d*?)0+$/, '$1')
}

/** "1250.00" -> "1,250", "10.50" -> "10.5". */
export function count(text: string | null | undefined): string {
  if (text === null || text === undefined) return UNKNOWN
  return Number(text).toLocaleString('en-US', { maximumFractionDigits: 2 })
}

/** 12.345678 -> "$12.35"; signed with `sign`. */
export function money(value: string | number | null | undefined, sign = false): string {
  if (value === null || value === undefined) return UNKNOWN
  const number = Number(value)
  const digits = Math.abs(number).toLocaleString('en-US', {
    minimumFractionDigits: 2, maximumFractionDigits: 2,
  })
  const zero = Number(number.toFixed(2)) === 0
  return `${number < 0 && !zero ? '−' : sign && !zero ? '+' : ''}$${digits}`
}

/** Microseconds as the shortest honest text. */
export function micros(us: number): string {
  if (us < 1_000) return `${us.toFixed(us < 10 ? 1 : 0)} µs`
  if (us < 1_000_000) return `${(us / 1_000).toFixed(us < 100_000 ? 1 : 0)} ms`
  return `${(us / 1_000_000).toFixed(1)} s`
}

const CLOCK = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone: 'UTC',
})
const DAY = new Intl.DateTimeFormat('en-CA', { timeZone: 'UTC' })

/** Market time of day, UTC. */
export function clock(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? UNKNOWN : CLOCK.format(ms)
}

export function day(ms: number): string {
  return DAY.format(ms)
}

/** A span as "4:05" or "1:02:03"; negative is 0. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  if (!parts[0]) parts.shift()
  return parts.map((part, i) => (i ? String(part).padStart(2, '0') : part)).join(':')
}

export function age(ms: number | null): string {
  if (ms === null) return 'never'
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(0)} s`
}

export function large(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 1 })
}

export function tone(value: number | null): string {
  if (value === null || Math.abs(value) < 0.005) return ''
  return value > 0 ? 'up' : 'down'
}
