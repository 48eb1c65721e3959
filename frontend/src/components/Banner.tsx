import { alarms } from '../alarms'
import { clock, day, large, named } from '../format'
import type { Model } from '../model'

const WORDS: Record<string, string> = {
  simulated: 'SIMULATED', demo: 'DEMO', production: 'PRODUCTION',
}

function Fact({ name, children, title }: { name: string; children: string; title?: string }) {
  return (
    <div className="fact" title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Links({ model }: { model: Model }) {
  const { status } = model.link
  const text = { live: 'LIVE', connecting: 'CONNECTING', lost: 'DISCONNECTED' }[status]
  return (
    <span className={`link ${status}`} role="status" data-testid="link">
      <i aria-hidden="true" />
      {text}
    </span>
  )
}

/** Milliseconds of the last minute's frames. */
function dataAge(model: Model): string {
  const counters = model.stats.get('collector')?.stats.counters ?? {}
  const { data_age_p50_ms: p50, data_age_p99_ms: p99 } = counters
  return p50 === undefined || p99 === undefined ? '–' : `${large(p50)} / ${large(p99)} ms`
}

/** Who we are connected to and whether what is shown may be believed. */
export function Banner({ model }: { model: Model }) {
  const { connection, models, session } = model
  const environment = connection?.environment ?? 'unknown'
  const marketMs = model.stats.get('broadcaster')?.stats.market_ms ?? null
  const found = alarms(model)
  return (
    <div className={`banner env-${environment}`}>
      {environment === 'production' && (
        <div className="real-money" role="alert">PRODUCTION · REAL MONEY · ORDERS GO TO THE EXCHANGE</div>
      )}
      <header className="top">
        <h1>kalshi<b>·</b>actor</h1>
        <span className="environment" data-testid="environment">
          {WORDS[environment] ?? 'UNKNOWN'}
        </span>
        <Links model={model} />
        <dl>
          <Fact name="actor">
            {connection ? (connection.actor.enabled ? 'enabled' : 'DISABLED') : '–'}
          </Fact>
          <Fact name="strategy">{connection?.actor.strategy ?? '–'}</Fact>
          <Fact name="live model">{models ? named(models.live, models.live_hash) : '–'}</Fact>
          {models && models.shadow !== null && (
            <Fact name="shadow">{named(models.shadow, models.shadow_hash)}</Fact>
          )}
          <Fact name="tick">{connection ? `${connection.actor.throttle_ms} ms` : '–'}</Fact>
          <Fact name="session" title={session?.websocket_url}>
            {session ? session.session_uid : '–'}
          </Fact>
          <Fact name="trading">{model.trading ? model.trading.state : '–'}</Fact>
          {model.trading && model.trading.next_pause_ms !== null && (
            <Fact name="next pause, UTC">
              {`${day(model.trading.next_pause_ms)} ${clock(model.trading.next_pause_ms)}`}
            </Fact>
          )}
          <Fact name="data age p50 / p99" title="from the exchange to this machine, last minute">
            {dataAge(model)}
          </Fact>
          <Fact name="market time, UTC">
            {marketMs === null ? '–' : `${day(marketMs)} ${clock(marketMs)}`}
          </Fact>
        </dl>
      </header>
      <ul className="alarms" aria-live="polite" data-testid="alarms">
        {found.map((alarm) => (
          <li key={alarm.text} className={alarm.level}>
            <strong>{alarm.level === 'bad' ? 'STALE' : 'NOTE'}</strong> {alarm.text}
          </li>
        ))}
      </ul>
    </div>
  )
}
