import { count, price } from '../format'
import type { Book, Order } from '../wire'
import { Nothing, Panel } from './Panel'

const SHOWN = 12

interface Level {
  price: string
  size: number
  sum: number
}

/** Best first, on the YES scale, with running sums. NO bids at p are YES asks at 1 - p. */
function levels(side: [string, string][], derived: boolean): Level[] {
  let sum = 0
  return side.slice(0, SHOWN).map(([text, size]) => {
    sum += Number(size)
    const yes = derived ? (1 - Number(text)).toFixed(4) : text
    return { price: yes, size: Number(size), sum }
  })
}

interface RowProps {
  level: Level
  side: 'bid' | 'ask'
  deepest: number
  own: Order[]
}

function Row({ level, side, deepest, own }: RowProps) {
  const mine = own
    .filter((order) => order.book_side === side && Number(order.yes_price) === Number(level.price))
    .reduce((sum, order) => sum + Number(order.remaining_count), 0)
  return (
    <tr className={side} data-price={level.price}>
      <td className="own">{mine > 0 && <span title="our resting size">{count(String(mine))}</span>}</td>
      <th scope="row">{price(level.price)}</th>
      <td>{count(String(level.size))}</td>
      <td className="sum">
        <i style={{ width: `${(100 * level.sum) / deepest}%` }} aria-hidden="true" />
        <span>{count(String(level.sum))}</span>
      </td>
    </tr>
  )
}

function Middle({ book }: { book: Book }) {
  const trade = book.last_trade
  return (
    <tr className="middle">
      <td colSpan={4}>
        <span>mid <b data-testid="mid">{price(book.mid)}</b></span>
        <span>spread <b>{price(book.spread)}</b></span>
        <span>last <b>{trade ? `${price(trade.yes_price)} × ${count(trade.count)}` : '–'}</b></span>
      </td>
    </tr>
  )
}

interface Props {
  ticker: string | null
  book: Book | undefined
  own: Order[]
}

/** The order book as one ladder of YES prices. */
export function Ladder({ ticker, book, own }: Props) {
  if (!book) return <Panel title="Order book"><Nothing>No book of {ticker ?? 'any market'} yet.</Nothing></Panel>
  const asks = levels(book.no, true)
  const bids = levels(book.yes, false)
  const deepest = Math.max(asks.at(-1)?.sum ?? 0, bids.at(-1)?.sum ?? 0, 1e-9)
  const words = [book.state, ...book.flags].map((word) => word.toUpperCase())
  return (
    <Panel
      title="Order book" className={`book ${book.state}`}
      note={<span className={`state ${book.state}`} data-testid="book-state">{words.join(' · ')}</span>}
    >
      <table className="ladder" data-testid="ladder">
        <thead>
          <tr><th>own</th><th>YES price</th><th>size</th><th>sum</th></tr>
        </thead>
        <tbody>
          {[...asks].reverse().map((level) => (
            <Row key={`a${level.price}`} level={level} side="ask" deepest={deepest} own={own} />
          ))}
          <Middle book={book} />
          {bids.map((level) => (
            <Row key={`b${level.price}`} level={level} side="bid" deepest={deepest} own={own} />
          ))}
        </tbody>
      </table>
      <p className="foot">
        {book.yes_levels} + {book.no_levels} levels, {count(book.yes_total)} + {count(book.no_total)}{' '}
        contracts · event {book.event_no} · seq {book.seq}
      </p>
    </Panel>
  )
}
