import {
  AreaSeries, ColorType, createChart, createSeriesMarkers, CrosshairMode,
  type IChartApi, type ISeriesApi, type ISeriesMarkersPluginApi, type SeriesMarker, type Time,
  type UTCTimestamp,
} from 'lightweight-charts'
import { useEffect, useRef } from 'react'
import { count, price, span } from '../format'
import type { Deed, Point } from '../model'
import type { Book, Fill } from '../wire'
import { Panel } from './Panel'

const UP = '#2fbf8f'
const DOWN = '#f0616d'
const OURS = '#f2c14e'

interface Props {
  ticker: string | null
  book: Book | undefined
  points: Point[] | undefined
  deeds: Deed[]
  fills: Fill[]
  marketMs: number | null
}

interface Drawn {
  chart: IChartApi
  series: ISeriesApi<'Area'>
  markers: ISeriesMarkersPluginApi<Time>
}

function draw(element: HTMLElement): Drawn {
  const chart = createChart(element, {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: 'transparent' },
      textColor: '#93a1b0', fontSize: 11, fontFamily: 'inherit',
    },
    grid: { vertLines: { color: '#18202a' }, horzLines: { color: '#18202a' } },
    crosshair: { mode: CrosshairMode.Magnet },
    rightPriceScale: { borderColor: '#243040', scaleMargins: { top: 0.16, bottom: 0.16 } },
    timeScale: {
      borderColor: '#243040', timeVisible: true, secondsVisible: true, rightOffset: 4, barSpacing: 5,
    },
  })
  const series = chart.addSeries(AreaSeries, {
    lineColor: '#5aa9ff', lineWidth: 2, topColor: 'rgba(90,169,255,.22)', bottomColor: 'rgba(90,169,255,0)',
    priceFormat: { type: 'price', precision: 3, minMove: 0.001 },
  })
  return { chart, series, markers: createSeriesMarkers(series, []) }
}

interface Shown {
  points: Point[] | null
  last: number
}

const NOTHING: Shown = { points: null, last: 0 }

/** Adds what is new, or draws all anew. `points` may have grown since the page was rendered. */
function show({ chart, series }: Drawn, points: Point[], before: Shown): Shown {
  const last = points.at(-1)?.time ?? 0
  const value = (point: Point) => ({ time: point.time as UTCTimestamp, value: point.mid })
  if (before.points !== points || last < before.last) {
    series.setData(points.map(value))
    chart.timeScale().scrollToRealTime()
  } else {
    const known = points.findLastIndex((point) => point.time < before.last)
    for (const point of points.slice(known + 1)) series.update(value(point))
  }
  return { points, last }
}

const at = (ms: number) => Math.floor(ms / 1000) as UTCTimestamp

function markersOf(deeds: Deed[], fills: Fill[], first: number): SeriesMarker<Time>[] {
  const acted = deeds.filter(({ last }) => last.action !== 0).map(({ last }): SeriesMarker<Time> => {
    const bid = last.action === 1 || last.action === 4
    return {
      time: at(last.decided_ms), position: bid ? 'belowBar' : 'aboveBar',
      shape: bid ? 'arrowUp' : 'arrowDown', color: bid ? UP : DOWN, size: 0.8,
    }
  })
  const filled = fills.map((fill): SeriesMarker<Time> => ({
    time: at(fill.ts_ms), position: 'atPriceMiddle', price: Number(fill.yes_price),
    shape: 'circle', color: OURS, size: 0.9, text: count(fill.count),
  }))
  return [...acted, ...filled].filter((marker) => Number(marker.time) >= first)
    .sort((a, b) => Number(a.time) - Number(b.time))
}

/** The mid price of the market in focus, with what we did about it. */
export function PriceChart({ ticker, book, points, deeds, fills, marketMs }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const drawn = useRef<Drawn | null>(null)
  const shown = useRef(NOTHING)

  useEffect(() => {
    const made = draw(place.current!)
    drawn.current = made
    return () => {
      made.chart.remove()
      drawn.current = null
      shown.current = NOTHING
    }
  }, [])

  const last = points?.at(-1)
  useEffect(() => {
    shown.current = show(drawn.current!, points ?? [], shown.current)
  }, [points, last?.time, last?.mid])

  const first = points?.[0]?.time
  useEffect(() => {
    drawn.current!.markers.setMarkers(markersOf(deeds, fills, first ?? Infinity))
  }, [deeds, fills, first])

  const left = book?.close_ms && marketMs !== null ? span(book.close_ms - marketMs) : null
  return (
    <Panel
      title={ticker ?? 'No market'} className={`chart grow2 ${book?.state ?? ''}`}
      note={
        <>
          <span className="legend">
            <b className="bid">▲ bid</b> <b className="ask">▼ ask</b> <b className="ours">● fill</b>
          </span>
          {left !== null && <span> closes in {left}</span>}
          <span className="big">{price(book?.mid)}</span>
        </>
      }
    >
      {book?.state === 'stale' && <div className="watermark" aria-hidden="true">STALE</div>}
      <div
        ref={place} className="canvas" role="img"
        aria-label={`mid price of ${ticker ?? 'no market'}: ${price(book?.mid)}`}
      />
    </Panel>
  )
}
