import { micros } from '../format'
import { HOPS, TOTALS, type Hop, type Latency, type Quantiles } from '../latency'
import { Nothing, Panel } from './Panel'

const WORDS: Record<Hop, string> = {
  frame_to_written: 'frame → book',
  written_to_woken: 'book → actor',
  woken_to_decided: 'actor → decision',
  decided_to_received: 'decision → order',
  received_to_sent: 'order → request',
  sent_to_acknowledged: 'request → answer',
  frame_to_decided: 'frame → decision',
  frame_to_acknowledged: 'frame → answer',
}

/** A logarithmic width: 1 us is nothing, 1 s is all. */
function width(us: number): string {
  return `${Math.min(100, Math.max(1, (100 * Math.log10(Math.max(us, 1))) / 6))}%`
}

function Row({ hop, found, total }: { hop: Hop; found: Quantiles | null; total: boolean }) {
  return (
    <tr className={total ? 'total' : ''}>
      <th scope="row">{WORDS[hop]}</th>
      <td className="bar">
        {found && <><i className="tail" style={{ width: width(found.p99) }} /><i style={{ width: width(found.p50) }} /></>}
      </td>
      <td className="number">{found ? micros(found.p50) : '–'}</td>
      <td className="number">{found ? micros(found.p99) : '–'}</td>
      <td className="number">{found ? micros(found.max) : '–'}</td>
    </tr>
  )
}

/** How long each hop takes, from the frame to the exchange's answer. */
export function Hops({ latency }: { latency: Latency }) {
  const rows: [Hop, Quantiles | null][] = [...HOPS, ...TOTALS].map((hop) => [hop, latency.of(hop)])
  const samples = latency.of('frame_to_decided')?.n
  return (
    <Panel title="Latency" note={samples ? `last ${samples} decisions` : undefined}>
      {!samples && <Nothing>No decision timed yet.</Nothing>}
      <table className="hops" data-testid="latency">
        <thead>
          <tr><th>hop</th><th>log</th><th className="number">p50</th><th className="number">p99</th><th className="number">max</th></tr>
        </thead>
        <tbody>
          {rows.map(([hop, found]) => (
            <Row key={hop} hop={hop} found={found} total={(TOTALS as readonly string[]).includes(hop)} />
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
