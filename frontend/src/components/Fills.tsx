import { clock, count, money, price } from '../format'
import type { Fill } from '../wire'
import { Nothing, Panel } from './Panel'

const SHOWN = 40

function Row({ fill, faint }: { fill: Fill; faint: boolean }) {
  return (
    <li className={faint ? 'fill faint' : 'fill'} title={fill.trade_id}>
      <time>{clock(fill.ts_ms)}</time>
      <b className={fill.book_side}>{fill.book_side === 'bid' ? '▲ BID' : '▼ ASK'}</b>
      <span className="number">{count(fill.count)} × <b>{price(fill.yes_price)}</b></span>
      <span className="ticker">{fill.ticker}</span>
      <span className="number small">{fill.is_taker ? 'taker' : 'maker'}, fee {money(fill.fee)}</span>
    </li>
  )
}

/** The newest executions of our orders, at YES prices. */
export function Fills({ fills, focus }: { fills: Fill[]; focus: string | null }) {
  const shown = fills.slice(0, SHOWN)
  return (
    <Panel title="Fills" note={shown.length ? 'YES price' : undefined} className="grow">
      {shown.length === 0 && <Nothing>No fill yet.</Nothing>}
      <ol data-testid="fills">
        {shown.map((fill) => <Row key={fill.trade_id} fill={fill} faint={fill.ticker !== focus} />)}
      </ol>
    </Panel>
  )
}
