import { age, large } from '../format'
import type { Model, Rated } from '../model'
import type { Part } from '../wire'
import { Panel } from './Panel'

const ORDER = ['collector', 'books', 'inference', 'execution', 'accounts', 'watchdog', 'recorder', 'broadcaster']

function Counters({ rated }: { rated: Rated }) {
  return (
    <dl className="counters">
      {Object.entries(rated.stats.counters).map(([name, value]) => (
        <div key={name}>
          <dt>{name.replaceAll('_', ' ')}</dt>
          <dd>
            {large(value)}
            {(rated.rates[name] ?? 0) > 0 && <small> {large(rated.rates[name]!)}/s</small>}
          </dd>
        </div>
      ))}
    </dl>
  )
}

/** The first counter of a process says how busy it is. */
function headline(rated: Rated | undefined): string {
  const [name, value] = Object.entries(rated?.stats.counters ?? {})[0] ?? []
  if (name === undefined || value === undefined) return ''
  const rate = rated?.rates[name]
  return `${name.replaceAll('_', ' ')} ${large(value)}${rate ? `, ${large(rate)}/s` : ''}`
}

function Process({ name, part, rated }: { name: string; part: Part | undefined; rated: Rated | undefined }) {
  const own = name === 'broadcaster'
  const fresh = own ? rated !== undefined : part?.fresh ?? false
  return (
    <li>
      <details>
        <summary>
          <span className={`dot ${fresh ? 'fresh' : 'silent'}`} aria-hidden="true" />
          <b>{name}</b>
          <span className="small">{headline(rated)}</span>
          <span className="small heard">
            {fresh ? 'fresh' : 'SILENT'}{part ? `, ${age(part.age_ms)}` : ''}
          </span>
        </summary>
        {rated && <Counters rated={rated} />}
      </details>
    </li>
  )
}

/** Every part of the stack: heard of or silent, and what it counts. */
export function Processes({ model }: { model: Model }) {
  const parts = model.stats.get('broadcaster')?.stats.parts ?? {}
  const { link } = model
  return (
    <Panel title="Stack" note={`seq ${large(link.seq)}, ${link.gaps} gaps`}>
      <ul className="processes" data-testid="processes">
        {ORDER.map((name) => (
          <Process key={name} name={name} part={parts[name]} rated={model.stats.get(name)} />
        ))}
      </ul>
    </Panel>
  )
}
