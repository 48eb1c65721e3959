import { memo } from 'react'
import { actionWords, clock, large, micros, named } from '../format'
import type { Deed, Model } from '../model'
import { Nothing, Panel } from './Panel'

const SHOWN = 60
const SHORT = ['HOLD', 'B·YES', 'S·YES', 'B·NO', 'S·NO']
export const TONES = ['hold', 'bid', 'ask', 'ask', 'bid']

/** Shares of the allowed actions; what the mask forbids has none. */
function shares(logits: number[], mask: boolean[]): number[] {
  const allowed = logits.filter((_, i) => mask[i])
  const top = Math.max(...allowed)
  const weights = logits.map((logit, i) => (mask[i] ? Math.exp(logit - top) : 0))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => (sum > 0 ? weight / sum : 0))
}

function Logits({ logits, mask, chosen }: { logits: number[]; mask: boolean[]; chosen: number }) {
  const parts = shares(logits, mask)
  const words = logits.map((logit, i) => `${SHORT[i]} ${logit.toFixed(3)}${mask[i] ? '' : ' (not allowed)'}`)
  return (
    <span className="logits" role="img" aria-label={`logits: ${words.join(', ')}`} title={words.join('\n')}>
      {logits.map((logit, i) => (
        <span key={SHORT[i]} className={`${mask[i] ? '' : 'masked'} ${i === chosen ? 'chosen' : ''}`}>
          <i style={{ height: `${Math.max(4, 100 * (parts[i] ?? 0))}%` }} />
          <small>{logit.toFixed(1)}</small>
        </span>
      ))}
    </span>
  )
}

const Line = memo(function Line({ deed, faint }: { deed: Deed; faint: boolean }) {
  const { last } = deed
  const took = last.latency_us.frame_to_decided
  return (
    <li className={`deed ${TONES[last.action] ?? ''} ${faint ? 'faint' : ''}`}>
      <time>{clock(last.decided_ms)}</time>
      <b className="what">{actionWords(last.action_name)}</b>
      {deed.times > 1 && <span className="times">×{deed.times}</span>}
      <span className="ticker">{last.ticker}</span>
      <Logits logits={last.logits} mask={last.mask} chosen={last.action} />
      <span className="reason" title={last.reason}>{last.reason}</span>
      <span className="small">
        {last.value !== null && <>V {last.value.toFixed(2)} · </>}
        event {last.event_no} · {took === null ? '–' : micros(took)} · {named(last.model, last.model_hash)}
        {' '}· obs {last.observation_hash.slice(0, 6)}
      </span>
    </li>
  )
})

/** Every decision with why it was taken; HOLDs in a row are one line. */
export function Actions({ model, focus }: { model: Model; focus: string | null }) {
  const total = [...model.decisions.values()].reduce((a, b) => a + b, 0)
  const held = model.decisions.get('HOLD') ?? 0
  const note = total ? `${large(total)} decisions, ${Math.round((100 * held) / total)} % hold` : undefined
  return (
    <Panel title="Decisions" note={note} className="grow">
      {model.actions.length === 0 && <Nothing>No decision yet.</Nothing>}
      <div className="legend" aria-hidden="true">
        logits: {SHORT.map((word, i) => <span key={word} className={TONES[i]}>{word}</span>)}
      </div>
      <ol className="deeds" data-testid="actions">
        {model.actions.slice(0, SHOWN).map((deed) => (
          <Line key={deed.id} deed={deed} faint={deed.last.ticker !== focus} />
        ))}
      </ol>
    </Panel>
  )
}
