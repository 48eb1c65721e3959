/** The newest samples of each hop, and their quantiles. */

const SAMPLES = 500

export const HOPS = [
  'frame_to_written',
  'written_to_woken',
  'woken_to_decided',
  'decided_to_received',
  'received_to_sent',
  'sent_to_acknowledged',
] as const
export const TOTALS = ['frame_to_decided', 'frame_to_acknowledged'] as const
export type Hop = (typeof HOPS)[number] | (typeof TOTALS)[number]

export interface Quantiles {
  n: number
  p50: number
  p99: number
  max: number
}

export class Latency {
  private samples = new Map<string, number[]>()

  note(hops: Record<string, number | null>): void {
    for (const [hop, us] of Object.entries(hops)) {
      if (us === null) continue
      const kept = this.samples.get(hop) ?? []
      kept.push(us)
      if (kept.length > SAMPLES) kept.shift()
      this.samples.set(hop, kept)
    }
  }

  of(hop: Hop): Quantiles | null {
    const sorted = [...(this.samples.get(hop) ?? [])].sort((a, b) => a - b)
    if (!sorted.length) return null
    const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
    return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
  }
}
