import { count, large, money, tone, UNKNOWN } from '../format'
import type { Model } from '../model'
import { valuation } from '../valuation'
import { Panel } from './Panel'

/** Unrealized profit over all positions; null while one of them cannot be valued. */
function unrealized(model: Model): number | null {
  let sum = 0
  for (const position of model.positions.values()) {
    const valued = valuation(position, model.books.get(position.ticker))
    if (valued === null) return null
    sum += valued.unrealized
  }
  return model.positions.size ? sum : null
}

function Row({ name, value, mood }: { name: string; value: string; mood?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={mood}>{value}</dd>
    </div>
  )
}

/** One bucket of the account's rate limits, shared by all processes: "412 of 540, 198/s". */
function budget(model: Model, name: 'read' | 'write'): string {
  const counters = model.stats.get('execution')?.stats.counters ?? {}
  const [tokens, capacity, refill] = ['tokens', 'capacity', 'refill_per_s'].map(
    (what) => counters[`budget_${name}_${what}`],
  )
  if (tokens === undefined || capacity === undefined || refill === undefined) return UNKNOWN
  return `${large(tokens)} of ${large(capacity)}, ${large(refill)}/s`
}

/** The whole account: as the exchange says, and as we made it. */
export function Account({ model }: { model: Model }) {
  const { pnl } = model
  const open = unrealized(model)
  const realized = pnl ? Number(pnl.realized) : null
  return (
    <Panel title="Account" note={pnl ? `version ${pnl.account_version}` : undefined}>
      <p className="balance" data-testid="balance" title={pnl?.balance}>
        <span>{money(pnl?.balance)}</span>
        <small>balance at the exchange</small>
      </p>
      <dl className="facts">
        <Row name="realized, before fees" value={money(realized, true)} mood={tone(realized)} />
        <Row name="unrealized, at mid" value={money(open, true)} mood={tone(open)} />
        <Row name="fees" value={money(pnl?.fees)} />
        <Row name="positions" value={count(pnl ? String(pnl.positions) : null)} />
        <Row name="open orders" value={count(pnl ? String(pnl.open_orders) : null)} />
        {pnl && pnl.shards.length > 1 && pnl.shards.map((shard) => (
          <Row key={shard.exchange_index} name={`free on shard ${shard.exchange_index}`} value={money(shard.balance)} />
        ))}
        <Row name="read tokens" value={budget(model, 'read')} />
        <Row name="write tokens" value={budget(model, 'write')} />
      </dl>
    </Panel>
  )
}
