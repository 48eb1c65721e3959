import { clock, count, micros, price } from '../format'
import { isOpen, type Model } from '../model'
import type { Order } from '../wire'
import { Nothing, Panel } from './Panel'

const SHOWN = 40

function Row({ order, faint }: { order: Order; faint: boolean }) {
  const way = order.latency_us.sent_to_acknowledged
  return (
    <tr className={`${faint ? 'faint' : ''} ${isOpen(order) ? 'open' : ''}`} title={order.client_order_id}>
      <td>{clock(order.ts_ms)}</td>
      <td className="ticker">{order.ticker}</td>
      <td className={order.book_side}>
        {order.is_buy ? 'BUY' : 'SELL'} {order.leg.toUpperCase()}
      </td>
      <td className="number">{price(order.price)}</td>
      <td className="number">{count(order.fill_count)}/{count(order.initial_count)}</td>
      <td><span className={`tag ${order.status}`}>{order.status}</span></td>
      <td className="number">{way === null ? '–' : micros(way)}</td>
      <td className="reason" title={order.reason}>{order.reason}</td>
    </tr>
  )
}

/** Open orders first, then the newest that ended. */
export function Orders({ model, focus }: { model: Model; focus: string | null }) {
  const newest = [...model.orders.values()].reverse()
  const open = newest.filter(isOpen)
  const shown = [...open, ...newest.filter((order) => !isOpen(order))].slice(0, SHOWN)
  return (
    <Panel title="Orders" note={`${open.length} open`} className="grow">
      {shown.length === 0 && <Nothing>No order yet.</Nothing>}
      {shown.length > 0 && (
        <table className="rows" data-testid="orders">
          <thead>
            <tr>
              <th>time</th><th>market</th><th>order</th><th className="number">price</th>
              <th className="number">filled</th><th>status</th><th className="number">ack</th><th>reason</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((order) => (
              <Row key={order.client_order_id} order={order} faint={order.ticker !== focus} />
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}
