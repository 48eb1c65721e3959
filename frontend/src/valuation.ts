/** What a position is worth at the mid; null while anything that it needs is unknown. */

import type { Book, Position } from './wire'

export interface Valuation {
  value: number
  unrealized: number
}

export function valuation(position: Position, book: Book | undefined): Valuation | null {
  const held = Number(position.position)
  if (held === 0) return { value: 0, unrealized: 0 }
  if (!book || book.mid === null) return null
  const mid = Number(book.mid)
  const value = held > 0 ? held * mid : -held * (1 - mid)
  return { value, unrealized: value - Number(position.cost_basis) }
}
