import { count, money, price, tone, UNKNOWN } from '../format'
import type { Model } from '../model'
import { valuation } from '../valuation'
import { Nothing, Panel } from './Panel'

interface Props {
  model: Model
  focus: string | null
  onPick: (ticker: string) => void
}

function Market({ model, ticker, focus, onPick }: Props & { ticker: string }) {
  const book = model.books.get(ticker)
  const position = model.positions.get(ticker)
  const held = position ? Number(position.position) : null
  const valued = position ? valuation(position, book) : null
  const state = book?.flags.includes('closed') ? 'closed' : book?.state ?? 'empty'
  return (
    <li>
      <button
        type="button" className="market" aria-pressed={ticker === focus}
        onClick={() => onPick(ticker)}
      >
        <span className="name">{ticker}</span>
        <span className="quote">
          <b>{price(book?.best_yes_bid)}</b> / <b>{price(book?.best_yes_ask)}</b>
          <span className={`state ${state}`}>{state.toUpperCase()}</span>
        </span>
        <span className={`held ${tone(held)}`}>
          {held === null ? UNKNOWN : held === 0 ? 'flat'
            : `${count(String(Math.abs(held)))} ${held > 0 ? 'YES' : 'NO'}`}
        </span>
        <span className="cash">cash {money(position?.cash)}</span>
        <span className={`gain ${tone(valued?.unrealized ?? null)}`}>
          {valued ? money(valued.unrealized, true) : UNKNOWN}
        </span>
      </button>
    </li>
  )
}

/** Every market of the session with its touch and what we hold of it. */
export function Markets({ model, focus, onPick }: Props) {
  const listed = model.session?.markets ?? []
  const others = [...model.positions.values()]
    .filter((p) => !listed.includes(p.ticker) && Number(p.position) !== 0).map((p) => p.ticker)
  const shown = model.session ? [...listed, ...others] : [...model.books.keys()]
  const note = model.session ? `${model.session.live_markets} of ${listed.length} live` : undefined
  return (
    <Panel title="Markets and positions" note={note} className="grow">
      {shown.length === 0 && <Nothing>No market yet.</Nothing>}
      <ul className="markets">
        {shown.map((ticker) => (
          <Market key={ticker} model={model} ticker={ticker} focus={focus} onPick={onPick} />
        ))}
      </ul>
    </Panel>
  )
}
