import { clock, count, money, price } from '../format'
import type { Fill } from '../wire'
import { Nothing, Panel } from './Panel'

const SHOWN = 40

/** The newest executions of our orders. */
export function Fills({ fills, focus }: { fills: Fill[]; focus: string | null }) {
  return (
    <Panel title="Fills" note={fills.length ? `newest ${Math.min(fills.length, SHOWN)}` : undefined} className="grow">
      {fills.length === 0 && <Nothing>No fill yet.</Nothing>}
      {fills.length > 0 && (
        <table className="rows" data-testid="fills">
          <thead>
            <tr>
              <th>time</th><th>market</th><th>side</th><th className="number">YES price</th>
              <th className="number">count</th><th>role</th><th className="number">fee</th>
            </tr>
          </thead>
          <tbody>
            {fills.slice(0, SHOWN).map((fill) => (
              <tr key={fill.trade_id} className={fill.ticker === focus ? '' : 'faint'} title={fill.trade_id}>
                <td>{clock(fill.ts_ms)}</td>
                <td className="ticker">{fill.ticker}</td>
                <td className={fill.book_side}>{fill.book_side === 'bid' ? '▲ BID' : '▼ ASK'}</td>
                <td className="number">{price(fill.yes_price)}</td>
                <td className="number">{count(fill.count)}</td>
                <td>{fill.is_taker ? 'taker' : 'maker'}</td>
                <td className="number">{money(fill.fee)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}
