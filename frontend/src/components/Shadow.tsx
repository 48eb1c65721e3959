import { actionWords, large, named, UNKNOWN } from '../format'
import type { Model, Shadowed } from '../model'
import { TONES } from './Actions'
import { Nothing, Panel } from './Panel'

function share({ agreed, compared }: Shadowed): string {
  return compared ? `${Math.round((100 * agreed) / compared)} % of ${large(compared)}` : UNKNOWN
}

function Did({ action, name }: { action: number | null; name: string | null }) {
  return <td className={action === null ? '' : TONES[action]}>{actionWords(name)}</td>
}

function Line({ ticker, shadowed }: { ticker: string; shadowed: Shadowed }) {
  const { last } = shadowed
  return (
    <tr title={`event ${last.event_no}: shadow ${last.reason}`}>
      <th className="ticker" scope="row">{ticker}</th>
      <Did action={last.live_action} name={last.live_action_name} />
      <Did action={last.action} name={last.action_name} />
      <td className="number">{share(shadowed)}</td>
    </tr>
  )
}

/** What the shadow would have done beside what the live model did; nothing without a shadow. */
export function Shadow({ model }: { model: Model }) {
  const { models, session } = model
  if (!models || models.shadow === null) return null
  const listed = [...model.shadows].filter(([t]) => !session || session.markets.includes(t))
  return (
    <Panel title="Shadow" note={named(models.shadow, models.shadow_hash)} className="shadow">
      <div data-testid="shadow">
        {listed.length === 0 ? <Nothing>No decision yet.</Nothing> : (
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">market</th><th scope="col">live</th><th scope="col">shadow</th>
                <th scope="col" className="number" title="since this page connected">agrees</th>
              </tr>
            </thead>
            <tbody>
              {listed.map(([t, shadowed]) => <Line key={t} ticker={t} shadowed={shadowed} />)}
            </tbody>
          </table>
        )}
      </div>
    </Panel>
  )
}
